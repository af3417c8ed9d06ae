//! Philly, Microsoft 2017, in its derived form: `timestamp,duration,num_gpus,gpu_time,cluster`,
//! and the list of machines `,machineId,number of GPUs`.
//!
//! No user, wait, end or memory is in it. `gpu_time` is not read: it is the product of two others.

use super::table::{Row, Table, TraceError};
use super::{Job, Machine, Trace};
use weft_types::MilliGpu;

/// Reads jobs. A job's queue is its virtual cluster, its name its line.
///
/// # Errors
///
/// The first line that is none.
pub fn philly(text: &str) -> Result<Trace, TraceError> {
    Trace::of_table(&Table::read(text, ',')?, job)
}

pub(super) fn job(row: &Row) -> Result<Option<Job>, TraceError> {
    Ok(Some(Job {
        name: format!("line-{}", row.line()),
        queue: row.text("cluster")?.to_owned(),
        submit: row.moment("timestamp")?,
        duration: Some(row.seconds("duration")?),
        devices: row.number("num_gpus")?,
        milli: MilliGpu(1000),
        ..Job::default()
    }))
}

/// Reads machines. Their processors and memory are not in the list.
///
/// # Errors
///
/// The first line that is none.
pub fn philly_machines(text: &str) -> Result<Vec<Machine>, TraceError> {
    let table = Table::read(text, ',')?;
    let machine = |row: &Row| {
        Ok(Machine {
            name: row.text("machineId")?.to_owned(),
            devices: row.number("number of GPUs")?,
            ..Machine::default()
        })
    };
    table.rows().map(|row| machine(&row?)).collect()
}
