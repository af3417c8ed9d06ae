//! `weft cost`: what teams held and used, off the ledger.

use crate::exit::Code;
use crate::failure::Outcome;
use crate::session::Session;
use crate::show::{self, Table, clock, percent, span, when};
use clap::Args;
use weft_api::wire::CostReport;
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
        ">GPU TIME",
        ">ACTIVE",
        ">GB-HOURS",
    ]);
    for line in &report.lines {
        let simulated = if line.gpu_simulated_ms > 0 { " (simulated)" } else { "" };
        table.row([
            line.queue.clone(),
            line.phase.clone(),
            line.workloads.to_string(),
            span(line.cpu_allocated_ms),
            percent(line.cpu_used_ms, line.cpu_allocated_ms),
            format!("{}{simulated}", span(line.gpu_allocated_ms)),
            percent(line.gpu_active_ms, line.gpu_allocated_ms),
            format!("{}.{:02}", line.memory_gb_s / 3600, line.memory_gb_s % 3600 * 100 / 3600),
        ]);
    }
    format!("{}\n{} to {}\n", table.render(), when(report.from_ms), when(report.until_ms))
}
