//! `weft simulate`: a cluster's own log under several policies, through the production planner.
//!
//! Needs no server, but for `--pool`. `input.rs` reads the log, the machines and the policies;
//! `output.rs` shows progress and writes the report. What is found is `weft_sim::study`'s.

mod input;
mod output;
mod wait;

use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::show;
use clap::Args;
use input::Input;
use output::Target;
use std::path::PathBuf;
use std::sync::Arc;
use wait::{INTERRUPTED, set, watched};
use weft_sim::report;
use weft_sim::study::{Findings, Question, Watch, study};
use weft_sim::trace::Format;
use weft_sim::world::Failures;
use weft_types::Millis;

/// Replay a cluster's log under other policies and show who would wait how long
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  weft simulate --trace mine.csv --machines 80x8 --report out.html
  weft simulate --trace jobs.txt --pool --compare today,ours.yaml --report out.html
  weft simulate --trace mine.csv --machines 80x8 --json > out.json

Formats, policies' files and what the report says: docs/guide/simulate.md
")]
pub(crate) struct Simulate {
    /// Log of jobs: a plain CSV, sacct's output, or a published trace; - reads the standard input
    #[arg(long, value_name = "FILE")]
    trace: PathBuf,
    /// Format of the log, where its header does not tell: plain, slurm, slurm-json, openb, philly,
    /// pai or helios
    #[arg(long)]
    format: Option<Format>,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// Policies: today, pooled, or files; the first is compared with the last
    #[arg(long, value_name = "A,B", default_value = "today,pooled")]
    compare: String,
    /// Write a report as one HTML file
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Write all figures as JSON
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Machines fail: mean time between failures of each, and how long it is away
    #[arg(long, value_name = "mtbf=30d,repair=4h", value_parser = failures)]
    failures: Option<Failures>,
    /// What is drawn: estimates, which jobs can be suspended, failures
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Decide at multiples of this; longer is faster and less exact
    #[arg(long, value_name = "TIME", default_value = "10s")]
    round: Millis,
    /// The first so many jobs only
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Only the policies themselves: no machines to spare, nothing about other assumptions
    #[arg(long)]
    brief: bool,
}

/// Where the machines come from.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct ClusterArgs {
    /// Machines x accelerators, as in 80x8 or 80x8:h100,20x4:a100
    #[arg(long, value_name = "NxM")]
    machines: Option<String>,
    /// List of machines: a CSV of machines,devices,model
    #[arg(long, value_name = "FILE")]
    cluster: Option<PathBuf>,
    /// The machines of the running server's pool
    #[arg(long)]
    pool: bool,
}

impl Simulate {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        // What cannot be written is found before minutes of work.
        let report = self.report.as_deref().map(Target::new).transpose()?;
        let data = self.data.as_deref().map(Target::new).transpose()?;
        let cluster = input::cluster(&self.cluster, session).await?;
        let policies = input::policies(&self.compare)?;
        let Some(Input { mut jobs, facts }) = input::trace(&self.trace, self.format).await? else {
            show::err_line("left while the log was read: nothing was simulated or written");
            return Ok(INTERRUPTED);
        };
        jobs.truncate(self.jobs.unwrap_or(usize::MAX));
        show::err_line(&format!(
            "{} jobs are read; simulating on {} GPUs (Ctrl-C ends it with what it has)",
            jobs.len(),
            cluster.devices()
        ));
        let question = Question {
            jobs,
            cluster,
            policies,
            failures: self.failures,
            seed: self.seed,
            round: self.round,
            brief: self.brief,
            facts,
        };
        let mut findings = answer(question).await?;
        findings.command = input::command_line();
        match session.json {
            true => show::out(&report::json(&findings)),
            false => show::out(&report::text(&findings)),
        }
        if let Some(target) = report {
            target.write(&report::page(&findings))?;
        }
        if let Some(target) = data {
            target.write(&report::json(&findings))?;
        }
        if let Some([what, missing]) = report::left(&findings) {
            show::err_line(&format!("left early. {what} {missing}"));
            return Ok(INTERRUPTED);
        }
        Ok(Code::Done.number())
    }
}

/// Runs the study; Ctrl-C ends it with what it has.
async fn answer(question: Question) -> Result<Findings, Failure> {
    let watch = Arc::new(Watch::default());
    let beside = Arc::clone(&watch);
    let progress = || {
        let (done, expected) = watch.progress();
        (done as u64, expected as u64)
    };
    let leave = || set(&watch.cancel);
    let findings = watched("simulating", leave, progress, move || study(question, &beside)).await?;
    findings.map_err(|error| Failure::usage(error.to_string()))
}

/// `mtbf=30d,repair=4h`.
fn failures(text: &str) -> Result<Failures, String> {
    let wanted = || format!("`{text}` is not of the form mtbf=30d,repair=4h");
    let (mut mtbf, mut repair) = (None, None);
    for part in text.split(',') {
        let (name, value) = part.split_once('=').ok_or_else(wanted)?;
        let value = value.trim().parse::<Millis>().map_err(|error| error.to_string())?;
        match name.trim() {
            "mtbf" => mtbf = Some(value),
            "repair" => repair = Some(value),
            _ => return Err(wanted()),
        }
    }
    let (mtbf, repair) = mtbf.zip(repair).ok_or_else(wanted)?;
    // Below a minute a machine would be away more often than decisions are made.
    if mtbf < Millis::from_secs(60) {
        return Err(format!("`mtbf` is {mtbf}; it must be at least 1 min"));
    }
    Ok(Failures { mtbf, repair })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_written_as_two_spans() {
        let read = failures("repair=4h, mtbf=30d").expect("two spans");
        assert_eq!((read.mtbf, read.repair), ("30d".parse().unwrap(), "4h".parse().unwrap()));
        for wrong in ["", "mtbf=30d", "mtbf=30,repair=4h", "mtbf=1s,repair=4h", "a=1h,repair=4h"] {
            assert!(failures(wrong).is_err(), "{wrong}");
        }
    }
}
