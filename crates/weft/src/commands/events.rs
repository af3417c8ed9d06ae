//! `weft events`: what happened, and who did it.

use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::show::{self, Style, out_line, paint, when};
use clap::Args;
use weft_api::wire::Event;
use weft_client::{Client, EventQuery};

/// Show what happened, and who did it
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  weft events\n  weft events digits\n  weft events -f")]
pub(crate) struct Events {
    /// Of this run only: name or id
    name: Option<String>,
    /// Go on as it happens
    #[arg(short, long)]
    follow: bool,
}

impl Events {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let client = session.client()?;
        let events = client.events(self.name.as_deref(), &EventQuery::default()).await?;
        if session.json && !self.follow {
            show::json(&events);
            return Ok(Code::Done.number());
        }
        for event in &events {
            print(event, session.json)?;
        }
        if self.follow {
            let after = events.last().map(|event| event.seq);
            return self.follow(&client, after, session.json).await;
        }
        Ok(Code::Done.number())
    }

    async fn follow(&self, client: &Client, after: Option<u64>, json: bool) -> Outcome {
        let only = match &self.name {
            Some(name) => Some(client.workload(name).await?.id),
            None => None,
        };
        let mut events = client.follow_events(&EventQuery { after }).await?;
        loop {
            let event = tokio::select! {
                event = events.next() => event?,
                _ = tokio::signal::ctrl_c() => return Ok(Code::Done.number()),
            };
            match event {
                Some(event) if only.as_ref().is_none_or(|id| *id == event.subject) => {
                    print(&event, json)?;
                }
                Some(_) => {}
                None => events.reopen().await?,
            }
        }
    }
}

fn print(event: &Event, json: bool) -> Result<(), Failure> {
    if json {
        let text = serde_json::to_string(event).map_err(|e| Failure::local("JSON", e))?;
        out_line(&text);
        return Ok(());
    }
    let clean = |text: &str| text.replace(|c: char| c.is_control(), " ");
    let line = format!(
        "{} {:<10} {:<8} {} {}",
        paint(&when(event.at_ms), Style::Faint),
        clean(&event.actor),
        clean(&event.subject),
        paint(&clean(&event.what), Style::Strong),
        clean(&event.detail)
    );
    out_line(line.trim_end());
    Ok(())
}
