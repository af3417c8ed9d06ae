//! PAI, Alibaba's cluster-trace-gpu-v2020: its table of tasks, with the header that is published
//! beside it: `job_name,task_name,inst_num,status,start_time,end_time,plan_cpu,plan_mem,plan_gpu,
//! gpu_type`.
//!
//! It has no submissions and no teams: a task is taken as submitted when it started, so its own
//! waits are not in it, and all belong to one team unless the table is joined with a `user` or
//! `group` column. `plan_gpu` is in percent of a GPU for each of `inst_num` instances, `plan_cpu`
//! in percent of a core, `plan_mem` in GB.

use super::clock::moment;
use super::table::{MOMENT, Row, Table, TraceError, thousandths};
use super::{Job, Outcome, Trace};
use weft_types::{Bytes, MilliCpu, MilliGpu};

/// Reads tasks as jobs. Instances that ask for a part of a GPU are a job of one if there is one
/// instance, else of so many whole ones.
///
/// # Errors
///
/// The first line that is none.
pub fn pai(text: &str) -> Result<Trace, TraceError> {
    Trace::of_table(&Table::read(text, ',')?, job)
}

pub(super) fn job(row: &Row) -> Result<Option<Job>, TraceError> {
    // A task that has not begun has no start.
    if row.maybe("start_time").is_none() {
        return Ok(None);
    }
    let number = |name| row.parse_maybe(name, "a number, not negative", thousandths);
    let time = |name| row.parse_maybe(name, MOMENT, moment);
    let instances = number("inst_num")?.unwrap_or(1000).max(1000) / 1000;
    let percent = number("plan_gpu")?.unwrap_or(0) / 1000;
    let (devices, milli) = match (percent, instances) {
        (0, _) => (0, 0),
        (part @ 1..100, 1) => (1, part * 10),
        _ => (percent.saturating_mul(instances).div_ceil(100), 1000),
    };
    let (start, end) = (time("start_time")?, time("end_time")?);
    let cores = number("plan_cpu")?.unwrap_or(0) / 100;
    let memory = u128::from(number("plan_mem")?.unwrap_or(0)) * 1_000_000;
    let model = row.maybe("gpu_type").filter(|model| !matches!(*model, "MISC" | "CPU"));
    let name = row.text("job_name")?;
    Ok(Some(Job {
        name: row.maybe("task_name").map_or(name.to_owned(), |task| format!("{name}/{task}")),
        user: row.maybe("user").unwrap_or_default().to_owned(),
        queue: row.maybe("group").or(row.maybe("user")).unwrap_or_default().to_owned(),
        submit: start.unwrap_or_default(),
        duration: start.zip(end).filter(|(start, end)| end >= start).map(|(s, e)| e.since(s)),
        devices: u32::try_from(devices).unwrap_or(u32::MAX),
        milli: MilliGpu(milli),
        cpu: MilliCpu(cores.saturating_mul(instances)),
        memory: Bytes(u64::try_from(memory * u128::from(instances)).unwrap_or(u64::MAX)),
        models: model.map(str::to_owned).into_iter().collect(),
        outcome: match row.maybe("status") {
            Some("Terminated") => Outcome::Completed,
            Some("Failed") => Outcome::Failed,
            _ => Outcome::Unknown,
        },
        ..Job::default()
    }))
}
