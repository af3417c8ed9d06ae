//! `weft metrics`: what a run uses over time, as sparklines.

use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::show::{self, Style, cores, paint, sparkline, width};
use clap::Args;
use std::time::Duration;
use weft_api::wire::Metrics as Samples;
use weft_client::Client;
use weft_types::{Bytes, MilliGpu};

/// How often a watched run is looked at: samples come once a second.
const LOOK: Duration = Duration::from_secs(1);

/// Widest sparkline.
const COLUMNS: usize = 60;

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
    if samples.points.is_empty() {
        return "no samples yet\n".to_owned();
    }
    let columns = width().saturating_sub(36).clamp(8, COLUMNS);
    let series = |value: fn(&weft_api::wire::MetricPoint) -> u64| {
        samples.points.iter().map(value).collect::<Vec<_>>()
    };
    let row = |name: &str, values: &[u64], limit: u64, shown: fn(u64) -> String| {
        let (last, peak) = (values.last().copied(), values.iter().copied().max());
        let line = sparkline(values, limit, columns);
        let limit = if limit > 0 { format!(" of {}", shown(limit)) } else { String::new() };
        format!(
            "{} {line}  {}{limit}, at most {}\n",
            paint(&format!("{name:<7}"), Style::Strong),
            shown(last.unwrap_or(0)),
            shown(peak.unwrap_or(0))
        )
    };
    let bytes: fn(u64) -> String = |bytes| Bytes(bytes).to_string();
    let mut out = row("cpu", &series(|p| p.cpu_milli), samples.cpu_limit_milli, cores);
    out += &row("memory", &series(|p| p.memory_bytes), samples.memory_limit_bytes, bytes);
    let active = series(|p| p.gpu_active_milli);
    if active.iter().any(|milli| *milli > 0) {
        out += &row("gpu", &active, 1000, |milli| MilliGpu(milli).to_string());
    }
    let held = series(|p| p.gpu_memory_bytes);
    if let Some(peak) = held.iter().copied().max().filter(|peak| *peak > 0) {
        out += &row("gpu mem", &held, peak, bytes);
    }
    out
}
