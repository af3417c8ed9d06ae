//! `weft why`: why a run waits, where it stands, when it may start.

use crate::exit::Code;
use crate::failure::Outcome;
use crate::follow::{expectation, helps, holds, size, waits};
use crate::session::Session;
use crate::show::{self, Style, clock, err_line, out_line, paint};
use clap::Args;
use weft_api::wire::Workload;

/// Say why a run waits, and when it may start
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  weft why digits")]
pub(crate) struct Why {
    /// Name or id
    name: String,
}

impl Why {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let client = session.client()?;
        let workload = client.workload(&self.name).await?;
        let wait = client.why(&self.name).await?;
        if session.json {
            show::json(&wait);
            return Ok(Code::Done.number());
        }
        let state = paint(workload.state.as_str(), super::ps::style(workload.state));
        match wait {
            Some(wait) => {
                out_line(&format!("{} is {state} {}", workload.name, waits(&wait, clock())));
                helps(&wait, clock()).iter().for_each(|line| out_line(line));
                if let Some(hint) = &wait.hint {
                    err_line(&format!("{}: {hint}", show::paint_err("hint", Style::Hint)));
                }
            }
            None => {
                out_line(&format!("{} is {state}, it does not wait", workload.name));
                for placed in &workload.placements {
                    let who = match workload.placements.len() {
                        1 => "it".to_owned(),
                        _ => format!("member {}", placed.member),
                    };
                    out_line(&format!("  {who} holds {}", holds(placed)));
                }
                if let Some(exit) = &workload.exit {
                    out_line(&format!("  {}: {}", exit.kind, exit.detail));
                }
            }
        }
        for line in members(&workload).into_iter().chain(turns(&workload)) {
            out_line(&format!("  {line}"));
        }
        Ok(Code::Done.number())
    }
}

/// With how many members it runs, or starts, where it takes between so many and so many.
fn members(workload: &Workload) -> Option<String> {
    if !workload.placements.is_empty() {
        return size(workload.members, &workload.spec).map(|size| format!("it has {size}"));
    }
    let (least, most) = workload.spec.members();
    let waits = workload.wait.is_some() && least < most;
    waits.then(|| format!("it starts once {least} of its members have room, and with up to {most}"))
}

/// Whose turn it is instead, and how long the run is expected to take.
fn turns(workload: &Workload) -> Vec<String> {
    let suspended = workload.suspended.as_ref().map(|suspended| {
        let after = show::span(suspended.after_ms);
        format!(
            "it was suspended after {after} for {}, and goes on from what it saved",
            suspended.by
        )
    });
    suspended.into_iter().chain(expectation(workload)).collect()
}
