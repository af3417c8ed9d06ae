//! `weft admin key`: the key above all keys.

use crate::exit::Code;
use crate::failure::Outcome;
use crate::session::Session;
use crate::show::{self, err_line};
use clap::Subcommand;
use weft_client::Intent;

#[derive(Debug, Subcommand)]
pub(super) enum Key {
    /// Put another key in the place of the one above all keys of data
    ///
    /// No data is touched. What follows from the old key ends: keys for S3 clients are to be made
    /// anew, with `weft data key`. So is the safe copy of master.key: the old one opens no state
    /// that is written from now on.
    #[command(after_help = "Examples:\n  weft admin key rotate")]
    Rotate,
}

impl Key {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        let Key::Rotate = self;
        let client = session.client()?;
        let rotated = client.rotate_master(&Intent::new()).await?;
        if session.json {
            show::json(&rotated);
            return Ok(Code::Done.number());
        }
        let state = client.info().await?.state_dir;
        err_line(&format!("there is another key in {state}/master.key: copy it to a safe now"));
        err_line("keys for S3 clients ended with the old one: `weft data key` makes new ones");
        Ok(Code::Done.number())
    }
}
