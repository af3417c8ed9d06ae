//! `weft attach`: follows a run again, from its first line to its end.

use crate::failure::Outcome;
use crate::follow::{self, How};
use crate::session::Session;
use clap::Args;

/// Follow a run to its end
///
/// Shows its log from the first line. Ctrl-C detaches: the run goes on.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  weft attach digits")]
pub(crate) struct Attach {
    /// Name or id
    name: String,
    /// Pass on what the run wrote as it is, even what steers your terminal
    #[arg(long)]
    raw: bool,
}

impl Attach {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let client = session.client()?;
        let workload = client.workload(&self.name).await?;
        follow::to_the_end(&client, workload, How { json: session.json, raw: self.raw }).await
    }
}
