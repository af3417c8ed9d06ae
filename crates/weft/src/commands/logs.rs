//! `weft logs`: what a run wrote.

use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::follow::{How, print_line};
use crate::session::Session;
use crate::show::{self, clock};
use clap::Args;
use weft_api::wire::LogLine;
use weft_client::{Client, LogQuery};
use weft_types::Millis;

/// Show what a run wrote
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  weft logs digits\n  weft logs -f digits\n  weft logs digits --since \
     10m --member 1"
)]
pub(crate) struct Logs {
    /// Name or id
    name: String,
    /// Go on as it writes, until it ends
    #[arg(short, long)]
    follow: bool,
    /// Only what was written in this time: 90s, 10m, 2h
    #[arg(long, value_name = "TIME")]
    since: Option<Millis>,
    /// Of this member only
    #[arg(long, value_name = "N")]
    member: Option<u32>,
    /// As it was written, even what steers your terminal; so it is in a pipe, too
    #[arg(long)]
    raw: bool,
}

impl Logs {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let client = session.client()?;
        let since_ms = self.since.map(|since| clock().saturating_sub(since.0));
        let which = LogQuery { since_ms, member: self.member };
        let several =
            self.member.is_none() && client.workload(&self.name).await?.spec.members().1 > 1;
        if self.follow {
            return self.follow(&client, &which, several, session.json).await;
        }
        let how = How { json: false, raw: self.raw };
        let lines = client.logs(&self.name, &which).await?;
        if session.json {
            show::json(&lines);
        } else {
            lines.iter().for_each(|line| print_line(line, several, how));
        }
        Ok(Code::Done.number())
    }

    async fn follow(
        &self,
        client: &Client,
        which: &LogQuery,
        several: bool,
        json: bool,
    ) -> Outcome {
        let how = How { json: false, raw: self.raw };
        let mut lines = client.follow_logs(&self.name, which).await?;
        loop {
            let line = tokio::select! {
                line = lines.next() => line?,
                _ = tokio::signal::ctrl_c() => return Ok(Code::Done.number()),
            };
            match line {
                Some(line) if json => one_line(&line)?,
                Some(line) => print_line(&line, several, how),
                None => return Ok(Code::Done.number()),
            }
        }
    }
}

/// A stream is JSON by the line, so that it can be read as it comes.
fn one_line(line: &LogLine) -> Result<(), Failure> {
    let text = serde_json::to_string(line).map_err(|e| Failure::local("JSON", e))?;
    show::out_line(&text);
    Ok(())
}
