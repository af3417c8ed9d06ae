//! `weft doctor`: what this machine lacks, what that costs, what to do about it.

use crate::exit::Code;
use crate::failure::Outcome;
use crate::session::{Session, Target, answers};
use crate::show::{self, Style, out_line, paint};
use clap::Args;
use serde::Serialize;
use weft_runtime::Runtime;

/// Check this machine: what it lacks, and what that costs
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  weft doctor")]
pub(crate) struct Doctor {}

#[derive(Serialize)]
struct Report {
    what: String,
    ok: bool,
    cost: String,
    fix: String,
}

impl Doctor {
    pub(crate) fn run(self, session: &Session) -> Outcome {
        let mut report = vec![server(session)];
        report.extend(Runtime::probe().into_iter().map(|finding| Report {
            what: finding.what.to_string(),
            ok: finding.ok,
            cost: finding.cost.to_string(),
            fix: finding.fix.to_string(),
        }));
        if session.json {
            show::json(&report);
            return Ok(Code::Done.number());
        }
        for Report { what, ok, cost, fix } in &report {
            let word = if *ok { paint("ok  ", Style::Good) } else { paint("lacks", Style::Busy) };
            out_line(&format!("{word:<5} {what}"));
            if !ok {
                out_line(&format!("      costs: {cost}"));
                out_line(&format!("      {}: {fix}", paint("fix", Style::Hint)));
            }
        }
        Ok(Code::Done.number())
    }
}

fn server(session: &Session) -> Report {
    let (what, ok) = match session.target() {
        Ok(Target::Here(dir)) => {
            let runs =
                if answers(&dir) { "runs" } else { "does not run; the next command starts it" };
            (format!("server: {runs} (state in {})", dir.display()), true)
        }
        Ok(Target::There { address, .. }) => (format!("server: {address}"), true),
        Err(_) => ("server: not known which".to_owned(), false),
    };
    let fix = "see `weft ps`, which says why".to_owned();
    Report { what, ok, cost: "no command that needs it works".to_owned(), fix }
}
