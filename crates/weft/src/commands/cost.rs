//! `weft cost`: what teams held and used, off the ledger.

use crate::exit::Code;
use crate::failure::Outcome;
use crate::session::Session;
use crate::show::{self, Table, clock, percent, span, when};
use clap::Args;
use weft_api::wire::{CostLine, CostReport};
use weft_types::Millis;

/// Show what teams held and what they used of it
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  weft cost\n  weft cost --team lab/vision --since 7d\n  weft cost \
     --phase training"
)]
pub(crate) struct Cost {
    /// Of this team's queue only
    #[arg(long, visible_alias = "queue", value_name = "QUEUE")]
    team: Option<String>,
    /// Of this phase only
    #[arg(long, value_parser = ["concept", "training", "deployment"])]
    phase: Option<String>,
    /// In this time: 24h, 7d, 4w
    #[arg(long, value_name = "TIME")]
    since: Option<Millis>,
}

impl Cost {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let since = self.since.map(|since| clock().saturating_sub(since.0));
        let client = session.client()?;
        let report = client.cost(self.team.as_deref(), self.phase.as_deref(), since).await?;
        if session.json {
            show::json(&report);
        } else if report.lines.is_empty() {
            show::out_line("nothing ran in this time");
        } else {
            show::out(&table(&report));
        }
        Ok(Code::Done.number())
    }
}

fn table(report: &CostReport) -> String {
    let mut table = Table::new(&[
        "TEAM",
        "PHASE",
        ">RUNS",
        ">CPU TIME",
        ">USED",
        ">GPU HELD",
        ">GPU USED",
        ">OF IT",
        "KNOWN BY",
        ">GB-HOURS",
    ]);
    for line in &report.lines {
        let simulated = if line.gpu_simulated_ms > 0 { " (simulated)" } else { "" };
        let known = line.gpu_measured_ms.saturating_add(line.gpu_sampled_ms);
        let used = (known > 0).then(|| span(line.gpu_active_ms));
        table.row([
            line.queue.clone(),
            line.phase.clone(),
            line.workloads.to_string(),
            span(line.cpu_allocated_ms),
            percent(line.cpu_used_ms, line.cpu_allocated_ms),
            format!("{}{simulated}", span(line.gpu_allocated_ms)),
            used.unwrap_or_else(|| "-".to_owned()),
            percent(line.gpu_active_ms, known),
            source(line),
            format!("{}.{:02}", line.memory_gb_s / 3600, line.memory_gb_s % 3600 * 100 / 3600),
        ]);
    }
    let part = |line: &CostLine| {
        let known = line.gpu_measured_ms.saturating_add(line.gpu_sampled_ms);
        known > 0 && percent(known, line.gpu_allocated_ms) != "100 %"
    };
    let legend = match report.lines.iter().any(part) {
        true => "OF IT is of the part that is known\n",
        false => "",
    };
    let (from, until) = (when(report.from_ms), when(report.until_ms));
    format!("{}{legend}\n{from} to {until}\n", table.render())
}

/// Where what is told of devices comes from, and of how much where that is not all.
fn source(line: &CostLine) -> String {
    let held = line.gpu_allocated_ms;
    let words = [("measured", line.gpu_measured_ms), ("sampled", line.gpu_sampled_ms)];
    let told = words.iter().filter(|(_, of)| *of > 0).map(|(word, of)| match percent(*of, held) {
        all if all == "100 %" => (*word).to_owned(),
        part => format!("{word} {part}"),
    });
    let told: Vec<_> = told.collect();
    if told.is_empty() { "-".to_owned() } else { told.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_of_what_is_held_says_who_says_so() {
        let line = CostLine {
            queue: "lab/vision".to_owned(),
            phase: "training".to_owned(),
            workloads: 3,
            cpu_allocated_ms: 60_000,
            cpu_used_ms: 15_000,
            gpu_allocated_ms: 100_000,
            gpu_active_ms: 30_000,
            gpu_measured_ms: 40_000,
            gpu_sampled_ms: 20_000,
            gpu_simulated_ms: 0,
            memory_gb_s: 9_000,
        };
        let row = |line: CostLine| {
            let table = table(&CostReport { from_ms: 0, until_ms: 0, lines: vec![line] });
            table.lines().nth(1).unwrap_or_default().split("  ").map(str::trim).fold(
                String::new(),
                |row, cell| if cell.is_empty() { row } else { row + "|" + cell },
            )
        };
        let head = "|lab/vision|training|3|1 min 00 s|25 %|1 min 40 s";
        let told = format!("{head}|30.0 s|50 %|measured 40 %, sampled 20 %|2.50");
        assert_eq!(row(line.clone()), told);
        let report = |line| table(&CostReport { from_ms: 0, until_ms: 0, lines: vec![line] });
        let legend = |line| report(line).contains("OF IT is of the part that is known");
        assert!(legend(line.clone()));
        let none = CostLine { gpu_measured_ms: 0, gpu_sampled_ms: 0, gpu_active_ms: 0, ..line };
        assert_eq!(row(none.clone()), format!("{head}|-|-|-|2.50"));
        let all = CostLine { gpu_sampled_ms: 100_000, ..none };
        assert!(!legend(all.clone()));
        assert_eq!(row(all), format!("{head}|0 ms|0 %|sampled|2.50"));
    }
}
