//! `weft ps`: what runs and waits.

use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::follow::{size, turn_over, waits};
use crate::session::Session;
use crate::show::{self, Style, Table, age, clock, cores};
use clap::Args;
use weft_api::wire::{State, Workload};
use weft_client::{Client, EventQuery, Listing};
use weft_types::{Bytes, GpuRequest};

/// Clears the screen and goes to its first corner (ECMA-48, ED and CUP).
const CLEAR: &str = "\x1b[2J\x1b[H";

/// Accelerators that were not used for so long are told of: shorter pauses are part of most work.
const IDLE_SHOWN_MS: u64 = 5 * 60_000;

/// Show what runs and waits
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  weft ps\n  weft ps -a --queue lab/vision\n  weft ps --json | jq \
     '.[].name'"
)]
pub(crate) struct Ps {
    /// Also what has ended
    #[arg(short, long)]
    all: bool,
    /// Keep showing it as it changes
    #[arg(short, long)]
    watch: bool,
    /// Of this queue only
    #[arg(long)]
    queue: Option<String>,
    /// In this state only: queued, starting, running, stopping, succeeded, failed, stopped
    #[arg(long)]
    #[arg(value_parser = [
        "queued", "starting", "running", "stopping", "succeeded", "failed", "stopped",
    ])]
    state_is: Option<String>,
}

impl Ps {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let client = session.client()?;
        if !self.watch {
            self.show(&client, session.json, "").await?;
            return Ok(Code::Done.number());
        }
        // Subscribed before the first look, so that no change is missed between the two.
        let mut events = client.follow_events(&EventQuery::default()).await?;
        loop {
            let clear = if session.json || !show::out_is_terminal() { "" } else { CLEAR };
            self.show(&client, session.json, clear).await?;
            tokio::select! {
                event = events.next() => if event?.is_none() { events.reopen().await? },
                _ = tokio::signal::ctrl_c() => return Ok(Code::Done.number()),
            }
        }
    }

    async fn show(&self, client: &Client, json: bool, before: &str) -> Result<(), Failure> {
        let listing = Listing {
            state: self.state_is.clone(),
            queue: self.queue.clone(),
            all: self.all || self.state_is.is_some(),
        };
        let workloads = client.workloads(&listing).await?;
        if json {
            show::json(&workloads);
        } else if workloads.is_empty() {
            let hint = if self.all { "" } else { "; `weft ps -a` shows what has ended" };
            show::out_line(&format!("{before}nothing runs or waits{hint}"));
        } else {
            show::out(&format!("{before}{}", table(&workloads, clock())));
        }
        Ok(())
    }
}

fn table(workloads: &[Workload], now: u64) -> String {
    let mut table =
        Table::new(&["ID", "NAME", "TYPE", "QUEUE", "STATE", ">CPU", ">MEMORY", "GPU", "AGE", ""]);
    for workload in workloads {
        let needs = &workload.spec.resources;
        let gang = u64::from(workload.members.max(workload.spec.replicas));
        table.row([
            workload.id.clone(),
            workload.name.clone(),
            workload.kind.clone(),
            workload.queue.clone(),
            workload.state.as_str().to_owned(),
            cores(needs.cpu_milli * gang),
            Bytes(needs.memory_bytes * gang).to_string(),
            gpu(workload),
            age(workload.submitted_at_ms, now),
            remark(workload, now),
        ]);
        table.style(4, style(workload.state));
    }
    table.render()
}

pub(super) fn style(state: State) -> Style {
    match state {
        State::Running | State::Succeeded => Style::Good,
        State::Failed => Style::Bad,
        State::Queued | State::Starting | State::Stopping => Style::Busy,
        State::Stopped => Style::Faint,
    }
}

/// What it holds, or what it asks for while it waits.
fn gpu(workload: &Workload) -> String {
    let held: Vec<_> = workload.placements.iter().flat_map(|p| &p.devices).collect();
    let Some(first) = held.first() else {
        return match workload.spec.resources.gpu.parse() {
            Ok(GpuRequest::None) => "-".to_owned(),
            _ => workload.spec.resources.gpu.clone(),
        };
    };
    let simulated = if first.simulated { " (simulated)" } else { "" };
    let many = if held.len() > 1 { format!("{} x ", held.len()) } else { String::new() };
    let share = match (&first.mig, first.milli) {
        (Some(profile), _) => format!(" {profile}"),
        (None, 1000..) => String::new(),
        (None, milli) => format!(" {}", cores(milli)),
    };
    format!("{many}{}{share}{simulated}", first.class)
}

/// Why it waits, what it is starting, how it ended.
fn remark(workload: &Workload, now: u64) -> String {
    match (&workload.wait, &workload.stage, &workload.exit) {
        (Some(wait), _, _) => turn_over(workload) + &waits(wait, now),
        _ if workload.suspended.is_some() => turn_over(workload) + "it saves its work",
        (_, Some(stage), _) => match stage.percent {
            Some(percent) => format!("{} {percent} %", stage.name),
            None => stage.name.clone(),
        },
        _ if workload.state == State::Stopped && workload.attempt == 0 => {
            "stopped before it started".to_owned()
        }
        (_, _, Some(exit)) if workload.state != State::Running => match exit.code {
            Some(code) => format!("{}, code {code}", exit.kind),
            None => exit.kind.clone(),
        },
        _ => {
            let size =
                size(workload.members, &workload.spec).filter(|_| !workload.state.is_final());
            let idle = idle(workload.gpu_idle_since_ms, now);
            let told = idle.into_iter().chain(size).chain(workload.endpoints.iter().cloned());
            told.collect::<Vec<_>>().join(" ")
        }
    }
}

/// That it holds accelerators and does not use them, once it has not for a while.
fn idle(since: Option<u64>, now: u64) -> Option<String> {
    let since = since.filter(|since| now.saturating_sub(*since) >= IDLE_SHOWN_MS)?;
    Some(format!("gpu idle for {}", age(since, now)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_pauses_are_not_idleness() {
        let told = |minutes: u64| idle(Some(60_000), 60_000 + minutes * 60_000);
        assert_eq!((told(4), idle(None, 1 << 40)), (None, None));
        assert_eq!(told(12), Some("gpu idle for 12 min".to_owned()));
    }
}
