//! Helios, SenseTime 2020: `job_id,user,vc,gpu_num,cpu_num,node_num,state,submit_time,start_time,
//! end_time,duration,queue`, the log of one of its clusters.
//!
//! `queue` there is how long the job waited, in seconds; it follows from the times and is not read.

use super::clock::moment;
use super::table::{MOMENT, Row, Table, TraceError, thousandths};
use super::{Job, Outcome, Trace};
use weft_types::{MilliCpu, MilliGpu, Millis};

/// Reads jobs. A job's queue is its virtual cluster.
///
/// # Errors
///
/// The first line that is none.
pub fn helios(text: &str) -> Result<Trace, TraceError> {
    Trace::of_table(&Table::read(text, ',')?, job)
}

pub(super) fn job(row: &Row) -> Result<Option<Job>, TraceError> {
    let start = match row.maybe("start_time") {
        Some("None" | "NaT") => None,
        _ => row.parse_maybe("start_time", MOMENT, moment)?,
    };
    let duration = row.parse_maybe("duration", "seconds", thousandths)?;
    Ok(Some(Job {
        name: row.text("job_id")?.to_owned(),
        user: row.maybe("user").unwrap_or_default().to_owned(),
        queue: row.maybe("vc").unwrap_or_default().to_owned(),
        submit: row.moment("submit_time")?,
        start,
        duration: duration.map(Millis).filter(|_| start.is_some()),
        devices: row.number("gpu_num")?,
        milli: MilliGpu(1000),
        cpu: MilliCpu(row.parse_maybe("cpu_num", "cores", thousandths)?.unwrap_or_default()),
        machines: row.number("node_num")?,
        outcome: match row.maybe("state") {
            Some("COMPLETED") => Outcome::Completed,
            Some("FAILED" | "NODE_FAIL") => Outcome::Failed,
            Some("CANCELLED") => Outcome::Cancelled,
            Some("TIMEOUT") => Outcome::TimedOut,
            _ => Outcome::Unknown,
        },
        ..Job::default()
    }))
}
