//! `weft metrics`: what a run uses over time, as sparklines.

use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::show::{self, Style, clock, cores, last, paint, percent, span, sparkline, width};
use clap::Args;
use std::time::Duration;
use weft_api::wire::{DeviceUse, MetricPoint, Metrics as Samples};
use weft_client::Client;
use weft_types::{Bytes, MilliGpu};

/// How often a watched run is looked at: samples come once a second.
const LOOK: Duration = Duration::from_secs(1);

/// Widest sparkline.
const COLUMNS: usize = 60;

/// A whole accelerator, in thousandths.
const WHOLE: u64 = 1_000;

/// Microseconds of a millisecond.
const US_PER_MS: u64 = 1_000;

/// Show what a run uses over time
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  weft metrics digits\n  weft metrics -w digits")]
pub(crate) struct Metrics {
    /// Name or id
    name: String,
    /// Keep showing it, until it has ended
    #[arg(short, long)]
    watch: bool,
}

impl Metrics {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let client = session.client()?;
        let mut lines = self.show(&client, session.json).await?;
        while self.watch && !client.workload(&self.name).await?.state.is_final() {
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = tokio::signal::ctrl_c() => break,
            }
            if !session.json && show::out_is_terminal() {
                // Up over what was shown, to draw over it (ECMA-48, CUU and ED).
                show::out(&format!("\x1b[{lines}A\x1b[J"));
            }
            lines = self.show(&client, session.json).await?;
        }
        Ok(Code::Done.number())
    }

    async fn show(&self, client: &Client, json: bool) -> Result<usize, Failure> {
        let samples = client.metrics(&self.name).await?;
        if json {
            show::json(&samples);
            return Ok(0);
        }
        let text = render(&samples);
        show::out(&text);
        Ok(text.lines().count())
    }
}

fn render(samples: &Samples) -> String {
    if samples.points.is_empty() && samples.devices.is_empty() {
        return "no samples yet\n".to_owned();
    }
    let series =
        |value: fn(&MetricPoint) -> u64| samples.points.iter().map(value).collect::<Vec<_>>();
    let bytes: fn(u64) -> String = |bytes| Bytes(bytes).to_string();
    let mut out = row("cpu", &series(|p| p.cpu_milli), samples.cpu_limit_milli, cores);
    out += &row("memory", &series(|p| p.memory_bytes), samples.memory_limit_bytes, bytes);
    let active: Vec<_> = samples.points.iter().filter_map(|p| p.gpu_active_milli).collect();
    if !active.is_empty() {
        let limit = if samples.gpu_limit_milli > 0 { samples.gpu_limit_milli } else { WHOLE };
        out += &row("gpu", &active, limit, |milli| MilliGpu(milli).to_string());
    }
    let held = series(|p| p.gpu_memory_bytes);
    if held.iter().any(|held| *held > 0) {
        out += &row("gpu mem", &held, samples.gpu_memory_limit_bytes, bytes);
    }
    let gang = samples.devices.iter().any(|device| device.member > 0);
    samples.devices.iter().fold(out, |out, of| out + "\n" + &device(of, gang, clock()))
}

/// A curve, and its last and highest value beside what there is.
fn row(name: &str, values: &[u64], limit: u64, shown: fn(u64) -> String) -> String {
    let columns = width().saturating_sub(36).clamp(8, COLUMNS);
    let (last, peak) = (values.last().copied(), values.iter().copied().max());
    let scale = if limit > 0 { limit } else { peak.unwrap_or(0) };
    let line = sparkline(values, scale, columns);
    let limit = if limit > 0 { format!(" of {}", shown(limit)) } else { String::new() };
    format!(
        "{} {line}  {}{limit}, at most {}\n",
        paint(&format!("{name:<7}"), Style::Strong),
        shown(last.unwrap_or(0)),
        shown(peak.unwrap_or(0))
    )
}

/// What was used of an accelerator, as far as it is known.
fn device(of: &DeviceUse, gang: bool, now: u64) -> String {
    let simulated = if of.simulated { " (simulated)" } else { "" };
    let member = if gang { format!(", member {}", of.member) } else { String::new() };
    let part = match of.milli {
        1000.. => "whole".to_owned(),
        milli => format!("{} of it", MilliGpu(milli)),
    };
    let source = match of.source.as_deref() {
        Some("simulated") => "no figures: it does not exist",
        Some(word) => word,
        None => "no figures: nobody can tell what is used of it",
    };
    let mut out = paint(&format!("{}{simulated}{member}", of.class), Style::Strong);
    out += &format!(": {part}, {source}\n");
    let used = |used: u64| {
        let (held, share) = (span(of.held_us / US_PER_MS), percent(used, of.held_us));
        format!("{} of {held} held ({share})", span(used / US_PER_MS))
    };
    let seen = |at| format!(", last {}", last(at, now));
    let time =
        of.used_us.map(used).unwrap_or_default() + &of.active_at_ms.map(seen).unwrap_or_default();
    let limit = Bytes(of.memory_limit_bytes);
    let memory = match (of.memory_bytes, of.memory_peak_bytes) {
        (Some(held), Some(most)) => format!("{} of {limit}, at most {}", Bytes(held), Bytes(most)),
        (None, Some(most)) => format!("at most {} of {limit}", Bytes(most)),
        _ => String::new(),
    };
    let moved = of.to_device_bytes.zip(of.from_device_bytes);
    let work = of.launches.zip(moved).map(|(launches, (to, from))| {
        format!("{launches} launches, {} to it, {} from it", Bytes(to), Bytes(from))
    });
    for (name, value) in [("used", time), ("memory", memory), ("work", work.unwrap_or_default())] {
        if !value.is_empty() {
            out += &format!("  {name:<7} {}\n", value.trim_start_matches(", "));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured() -> DeviceUse {
        DeviceUse {
            device: "n1/0".to_owned(),
            class: "h200".to_owned(),
            simulated: true,
            attempt: 1,
            member: 0,
            milli: 300,
            source: Some("measured".to_owned()),
            held_us: 300_000_000,
            used_us: Some(252_000_000),
            memory_limit_bytes: 10_000_000_000,
            memory_bytes: Some(7_200_000_000),
            memory_peak_bytes: Some(9_100_000_000),
            launches: Some(12_345),
            to_device_bytes: Some(1_200_000_000),
            from_device_bytes: Some(0),
            active_at_ms: Some(7_000),
        }
    }

    #[test]
    fn what_is_known_of_an_accelerator_is_told_and_no_more() {
        let lines = |of: &DeviceUse| device(of, false, 10_000);
        assert_eq!(
            lines(&measured()),
            "h200 (simulated): 0.3 of it, measured\n  \
             used    4 min 12 s of 5 min 00 s held (84 %), last 3 s ago\n  \
             memory  7.2 GB of 10 GB, at most 9.1 GB\n  \
             work    12345 launches, 1.2 GB to it, 0 B from it\n"
        );
        let sampled = DeviceUse {
            milli: 1_000,
            simulated: false,
            source: Some("sampled".to_owned()),
            memory_bytes: None,
            launches: None,
            active_at_ms: None,
            ..measured()
        };
        assert_eq!(
            lines(&sampled),
            "h200: whole, sampled\n  used    4 min 12 s of 5 min 00 s held (84 %)\n  \
             memory  at most 9.1 GB of 10 GB\n"
        );
        let none = DeviceUse { source: None, used_us: None, memory_peak_bytes: None, ..sampled };
        assert_eq!(lines(&none), "h200: whole, no figures: nobody can tell what is used of it\n");
    }
}
