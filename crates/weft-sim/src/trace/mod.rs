//! Logs of real clusters, read into one model of integers.
//!
//! | format | file |
//! |--|--|
//! | Weft's own plain CSV | `plain.rs` |
//! | Slurm, `sacct --parsable2` | `slurm.rs` |
//! | Slurm, `sacct --json` | `sacct_json.rs` |
//! | openb (Alibaba 2023), requests and machines | `openb.rs` |
//! | Philly (Microsoft 2017), jobs and machines | `philly.rs` |
//! | PAI (Alibaba 2020), tasks | `pai.rs` |
//! | Helios (SenseTime 2020) | `helios.rs` |
//! | which of them a file has | `format.rs` |
//! | a file of any size, a line at a time | `read.rs` |
//!
//! Columns are found by their names in the header, so their order does not matter and further ones
//! are ignored. Readers take text, or whatever can be read from; opening files is the caller's.
//! Every format is described in `docs/guide/simulate.md`.

mod clock;
mod format;
mod helios;
mod openb;
mod pai;
mod philly;
mod plain;
mod read;
mod sacct_json;
mod slurm;
mod table;
mod tres;

pub use format::Format;
pub use helios::helios;
pub use openb::{openb_machines, openb_requests};
pub use pai::pai;
pub use philly::{philly, philly_machines};
pub use plain::plain;
pub use read::{Log, ReadError, read};
pub use sacct_json::sacct_json;
pub use slurm::slurm;
pub use table::{Head, Row, Table, TraceError};

use weft_types::{Bytes, MilliCpu, MilliGpu, Millis, Timestamp};

/// Reads a row as a job; none where it is no job of its own.
type ReadJob = fn(&Row<'_, '_>) -> Result<Option<Job>, TraceError>;

/// What ran, or wanted to, in the order of submission.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    /// By submission, then as in the file.
    pub jobs: Vec<Job>,
    /// Lines that are no job of their own, such as the steps of a job, and were passed over.
    pub passed_over: usize,
}

/// One submission. What a log does not tell is empty, zero or none; nothing is guessed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Job {
    /// Its name in the log; its line where the log has none.
    pub name: String,
    /// Who submitted it.
    pub user: String,
    /// The team, account, virtual cluster or partition that it was charged to.
    pub queue: String,
    /// When it was submitted. Logs without a time zone are read as if written in UTC.
    pub submit: Timestamp,
    /// When the log says that it started.
    pub start: Option<Timestamp>,
    /// How long it ran.
    pub duration: Option<Millis>,
    /// How long it was allowed to run.
    pub limit: Option<Millis>,
    /// Accelerators, over all its machines.
    pub devices: u32,
    /// Thousandths of each; 1000 unless it shares one.
    pub milli: MilliGpu,
    /// Processor over all its machines.
    pub cpu: MilliCpu,
    /// Memory over all its machines.
    pub memory: Bytes,
    /// Machines it ran on or asked for; 0 where the log does not say.
    pub machines: u32,
    /// Models of accelerator it may use; none for any.
    pub models: Vec<String>,
    /// How it ended.
    pub outcome: Outcome,
    /// Mean share of the time in which its devices were active, in percent.
    pub active_percent: Option<u8>,
}

/// How a job ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Outcome {
    /// The log does not say, or it had not ended.
    #[default]
    Unknown,
    /// By itself, well.
    Completed,
    /// By itself, badly; or with its machine.
    Failed,
    /// Someone stopped it, or it was preempted for good.
    Cancelled,
    /// It reached its time limit.
    TimedOut,
}

/// A machine of a log's cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Machine {
    /// Its name.
    pub name: String,
    /// Processor; zero where the log does not say.
    pub cpu: MilliCpu,
    /// Memory; zero where the log does not say.
    pub memory: Bytes,
    /// Accelerators.
    pub devices: u32,
    /// Their model; empty where the log does not say.
    pub model: String,
}

impl Trace {
    /// Sorts jobs by submission, keeping the file's order of those submitted together.
    fn new(mut jobs: Vec<Job>, passed_over: usize) -> Self {
        // Sorting takes room for half of them, and most logs are in order.
        if !jobs.is_sorted_by_key(|job| job.submit) {
            jobs.sort_by_key(|job| job.submit);
        }
        Self { jobs, passed_over }
    }

    fn of_table(table: &Table<'_>, job: ReadJob) -> Result<Self, TraceError> {
        let (mut jobs, mut passed_over) = (Vec::new(), 0);
        for row in table.rows() {
            match job(&row?)? {
                Some(job) => jobs.push(job),
                None => passed_over += 1,
            }
        }
        Ok(Self::new(jobs, passed_over))
    }
}
