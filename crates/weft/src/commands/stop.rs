//! `weft stop`: ends a run.

use crate::exit::Code;
use crate::failure::Outcome;
use crate::session::Session;
use crate::show::{self, err_line};
use clap::Args;
use weft_client::Intent;

/// End a run, or take it out of the queue
///
/// It is asked to end, and killed when its grace has passed.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  weft stop digits\n  weft stop digits --now")]
pub(crate) struct Stop {
    /// Names or ids
    #[arg(required = true)]
    names: Vec<String>,
    /// Kill it at once
    #[arg(long)]
    now: bool,
    /// Wait until it has ended
    #[arg(long)]
    wait: bool,
}

impl Stop {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let client = session.client()?;
        let mut stopped = Vec::new();
        for name in &self.names {
            let mut workload = client.stop(name, self.now, &Intent::new()).await?;
            if self.wait {
                let mut changes = client.watch(&workload.id).await?;
                while let Some(changed) = changes.next().await? {
                    workload = changed;
                }
            }
            if !session.json {
                err_line(&format!("{} is {}", workload.name, workload.state.as_str()));
            }
            stopped.push(workload);
        }
        if session.json {
            show::json(&stopped);
        }
        Ok(Code::Done.number())
    }
}
