//! `weft bench`: what Weft costs on this machine, measured here.

mod compare;
mod overhead;

use crate::failure::Outcome;
use crate::session::Session;
use clap::{Args, Subcommand};
pub(crate) use overhead::measure;

/// Measure what Weft costs on this machine
#[derive(Debug, Args)]
pub(crate) struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Overhead(overhead::Overhead),
}

impl Bench {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        match self.what {
            What::Overhead(overhead) => overhead.run(session).await,
        }
    }
}
