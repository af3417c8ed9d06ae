//! `weft rm`: forgets runs that have ended, with their logs and outputs.

use crate::exit::Code;
use crate::failure::Outcome;
use crate::session::Session;
use crate::show::{self, err_line};
use clap::Args;
use weft_client::Intent;

/// Forget runs that have ended, with their logs and outputs
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  weft rm digits\n  weft rm w3 w4")]
pub(crate) struct Rm {
    /// Names or ids
    #[arg(required = true)]
    names: Vec<String>,
}

impl Rm {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let client = session.client()?;
        for name in &self.names {
            client.delete(name, &Intent::new()).await?;
            if !session.json {
                err_line(&format!("removed {name}"));
            }
        }
        if session.json {
            show::json(&self.names);
        }
        Ok(Code::Done.number())
    }
}
