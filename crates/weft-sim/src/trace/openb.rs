//! openb, Alibaba's cluster-trace-gpu-v2023: lists of requests and of machines.
//!
//! Requests: `name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,
//! deletion_time,scheduled_time`; times are seconds from the start of the trace, `gpu_spec` is
//! `A|B`. Machines: `sn,cpu_milli,memory_mib,gpu,model`.

use super::clock::moment;
use super::table::{MOMENT, Row, Table, TraceError};
use super::{Job, Machine, Outcome, Trace};
use weft_types::{Bytes, MilliCpu, MilliGpu};

/// Reads a list of requests.
///
/// # Errors
///
/// The first line that is none.
pub fn openb_requests(text: &str) -> Result<Trace, TraceError> {
    Trace::of_table(&Table::read(text, ',')?, job)
}

pub(super) fn job(row: &Row) -> Result<Option<Job>, TraceError> {
    let time = |name| row.parse_maybe(name, MOMENT, moment);
    let devices = row.number("num_gpu")?;
    let milli = row.number::<u64>("gpu_milli")?;
    let legal = match devices {
        0 => milli == 0,
        1 => (1..=1000).contains(&milli),
        _ => milli == 1000,
    };
    if !legal {
        let rule = "1 to 1000 for one device, 1000 for several, 0 for none";
        return Err(row.wrong(format!("`gpu_milli` is `{milli}`; it must be {rule}")));
    }
    let (started, ended) = (time("scheduled_time")?, time("deletion_time")?);
    Ok(Some(Job {
        name: row.text("name")?.to_owned(),
        queue: row.maybe("qos").unwrap_or_default().to_owned(),
        submit: time("creation_time")?.unwrap_or_default(),
        start: started,
        duration: started.zip(ended).map(|(started, ended)| ended.since(started)),
        devices,
        milli: MilliGpu(milli),
        cpu: MilliCpu(row.number("cpu_milli")?),
        memory: mebibytes(row)?,
        machines: 1,
        models: models(row.maybe("gpu_spec").unwrap_or_default()),
        outcome: match row.maybe("pod_phase") {
            Some("Succeeded") => Outcome::Completed,
            Some("Failed") => Outcome::Failed,
            _ => Outcome::Unknown,
        },
        ..Job::default()
    }))
}

fn models(spec: &str) -> Vec<String> {
    spec.split('|').filter(|model| !model.is_empty()).map(str::to_owned).collect()
}

fn mebibytes(row: &Row) -> Result<Bytes, TraceError> {
    let wanted = "a whole number of MiB, not negative";
    let read = |text: &str| text.parse::<u64>().ok()?.checked_mul(1 << 20);
    row.parse("memory_mib", wanted, read).map(Bytes)
}

/// Reads a list of machines.
///
/// # Errors
///
/// The first line that is none.
pub fn openb_machines(text: &str) -> Result<Vec<Machine>, TraceError> {
    let table = Table::read(text, ',')?;
    let machine = |row: &Row| {
        Ok(Machine {
            name: row.text("sn")?.to_owned(),
            cpu: MilliCpu(row.number("cpu_milli")?),
            memory: mebibytes(row)?,
            devices: row.number("gpu")?,
            model: row.maybe("model").unwrap_or_default().to_owned(),
        })
    };
    table.rows().map(|row| machine(&row?)).collect()
}
