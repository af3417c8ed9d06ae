//! Slurm's accounting: `sacct --parsable2 --format=…`, fields by the names in its header.
//!
//! Needed: `JobID`, `Submit`, `Start`, `End` and one of `AllocTRES`, `ReqTRES`. Optional: `User`,
//! `Account`, `Partition`, `State`, `Timelimit`. Steps (`123.batch`) repeat what their job says and
//! are passed over; elements of an array (`123_4`) are jobs. Times carry no zone.

use super::clock::{moment, slurm_span};
use super::table::{MOMENT, Row, Table, TraceError};
use super::{Job, Outcome, Trace};
use weft_types::{Bytes, MilliCpu, MilliGpu, Timestamp};

/// Reads jobs. A job's queue is its account, or its partition where there is none.
///
/// # Errors
///
/// The first line that is none.
pub fn slurm(text: &str) -> Result<Trace, TraceError> {
    let table = Table::read(text, '|')?;
    if !table.has("AllocTRES") && !table.has("ReqTRES") {
        let what = "neither `AllocTRES` nor `ReqTRES` is there: what jobs used is not known; add \
                    them to sacct's `--format`";
        return Err(TraceError { line: 1, what: what.to_owned() });
    }
    let (mut jobs, mut passed_over) = (Vec::new(), 0);
    for row in table.rows() {
        let row = row?;
        match row.text("JobID")?.contains('.') {
            true => passed_over += 1,
            false => jobs.push(job(&row)?),
        }
    }
    Ok(Trace::new(jobs, passed_over))
}

fn job(row: &Row) -> Result<Job, TraceError> {
    let (start, end) = (known(row, "Start")?, known(row, "End")?);
    // What never started has allocated nothing; it still says what it asked for.
    let field = if row.maybe("AllocTRES").is_some() { "AllocTRES" } else { "ReqTRES" };
    let tres = row.parse_maybe(field, "as in `cpu=8,gres/gpu=2,mem=64G`", Tres::read)?;
    let tres = tres.unwrap_or_default();
    let queue = row.maybe("Account").or(row.maybe("Partition"));
    Ok(Job {
        name: row.text("JobID")?.to_owned(),
        user: row.maybe("User").unwrap_or_default().to_owned(),
        queue: queue.unwrap_or_default().to_owned(),
        submit: row.moment("Submit")?,
        start,
        duration: start.zip(end).map(|(start, end)| end.since(start)),
        limit: row.maybe("Timelimit").and_then(slurm_span),
        devices: tres.devices,
        milli: MilliGpu(if tres.devices > 0 { 1000 } else { 0 }),
        cpu: tres.cpu,
        memory: tres.memory,
        machines: tres.machines,
        models: tres.models,
        outcome: outcome(row.maybe("State").unwrap_or_default()),
        active_percent: None,
    })
}

/// A moment, unless Slurm does not know it yet.
fn known(row: &Row, name: &str) -> Result<Option<Timestamp>, TraceError> {
    match row.text(name)? {
        "Unknown" | "None" => Ok(None),
        _ => row.parse_maybe(name, MOMENT, moment),
    }
}

/// Trackable resources, of which these are read.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tres {
    cpu: MilliCpu,
    memory: Bytes,
    machines: u32,
    devices: u32,
    models: Vec<String>,
}

impl Tres {
    /// `billing=8,cpu=8,gres/gpu:a100=2,gres/gpu=2,mem=64G,node=1`. Devices are counted once,
    /// though Slurm names them in all and by model.
    fn read(text: &str) -> Option<Self> {
        let mut tres = Self::default();
        let mut by_model = 0_u32;
        for (name, value) in text.split(',').map(|part| part.split_once('=').unwrap_or((part, "")))
        {
            match name {
                "cpu" => tres.cpu = MilliCpu(value.parse::<u64>().ok()?.checked_mul(1000)?),
                "mem" => tres.memory = memory(value)?,
                "node" => tres.machines = value.parse().ok()?,
                "gres/gpu" => tres.devices = value.parse().ok()?,
                _ => {
                    if let Some(model) = name.strip_prefix("gres/gpu:") {
                        by_model = by_model.checked_add(value.parse().ok()?)?;
                        tres.models.push(model.to_owned());
                    }
                }
            }
        }
        tres.devices = tres.devices.max(by_model);
        Some(tres)
    }
}

/// `64G`, `187.5G`, `4000M`: binary, as Slurm counts; without a letter MiB.
fn memory(text: &str) -> Option<Bytes> {
    let (number, shift) = match text.char_indices().last()? {
        (at, 'K') => (&text[..at], 10),
        (at, 'M') => (&text[..at], 20),
        (at, 'G') => (&text[..at], 30),
        (at, 'T') => (&text[..at], 40),
        _ => (text, 20),
    };
    let milli = u128::from(super::table::thousandths(number)?) << shift;
    u64::try_from(milli / 1000).ok().map(Bytes)
}

/// `CANCELLED by 1000` names who; the first word counts.
pub(super) fn outcome(state: &str) -> Outcome {
    match state.split_whitespace().next().unwrap_or_default() {
        "COMPLETED" => Outcome::Completed,
        "FAILED" | "NODE_FAIL" | "OUT_OF_MEMORY" | "BOOT_FAIL" => Outcome::Failed,
        "CANCELLED" | "PREEMPTED" | "REVOKED" => Outcome::Cancelled,
        "TIMEOUT" | "DEADLINE" => Outcome::TimedOut,
        _ => Outcome::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_counted_once() {
        let text = "billing=8,cpu=8,gres/gpu:a100=2,gres/gpu=2,mem=187.5G,node=1";
        let tres = Tres::read(text).expect("resources");
        assert_eq!((tres.devices, tres.machines, tres.cpu), (2, 1, MilliCpu(8000)));
        assert_eq!(tres.memory, Bytes(201_326_592_000));
        assert_eq!(tres.models, ["a100"]);
        assert_eq!(Tres::read("gres/gpu:a100=2,gres/gpu:v100=1").map(|tres| tres.devices), Some(3));
        assert_eq!((Tres::read("cpu=x"), Tres::read("mem=12Q")), (None, None));
    }
}
