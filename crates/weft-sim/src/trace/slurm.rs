//! Slurm's accounting: `sacct --parsable2 --format=…`, fields by the names in its header.
//!
//! Needed: `JobID`, `Submit`, `Start`, `End` and one of `AllocTRES`, `ReqTRES`, `AllocGRES`,
//! `ReqGRES`. Optional: `User`, `Account`, `Partition`, `State`, `Timelimit`, `Eligible`,
//! `ElapsedRaw` or `Elapsed`, `NNodes`. Steps (`123.batch`) repeat what their job says and are
//! passed over; elements of an array (`123_4`) and parts of a mixed job (`123+1`) are jobs.
//!
//! Times carry no zone, and an hour of autumn comes twice: with `Elapsed` a run time is right even
//! then, and without it a job that ends before it starts has none. What was requeued is listed
//! again with `--duplicates`: each time it ran is a job, submitted when the one before had ended.

use super::clock::{moment, slurm_span};
use super::table::{Head, MOMENT, Row, Table, TraceError, thousandths};
use super::tres::Tres;
use super::{Job, Outcome, Trace};
use std::collections::HashMap;
use weft_types::{Millis, Timestamp};

/// What a job's number is called.
pub(super) const NAMES: [&str; 2] = ["JobID", "JobIDRaw"];

/// Where accelerators may be named, best first: what was given, then what was asked for.
const RESOURCES: [&str; 4] = ["AllocTRES", "AllocGRES", "ReqTRES", "ReqGRES"];

/// Reads jobs. A job's queue is its account, or its partition where there is none.
///
/// # Errors
///
/// The first line that is none.
pub fn slurm(text: &str) -> Result<Trace, TraceError> {
    let table = Table::read(text, '|')?;
    check(table.head())?;
    let mut trace = Trace::of_table(&table, job)?;
    again(&mut trace.jobs);
    Ok(Trace::new(trace.jobs, trace.passed_over))
}

/// Whether the header has what is needed.
pub(super) fn check(head: &Head) -> Result<(), TraceError> {
    if RESOURCES.iter().any(|name| head.has(name)) {
        return Ok(());
    }
    let what = "neither `AllocTRES` nor `ReqTRES` is there: what jobs used is not known; add \
                them to sacct's `--format`";
    Err(TraceError::of_line(1, what))
}

/// What ran again was not there before the run before had ended.
pub(super) fn again(jobs: &mut [Job]) {
    let mut ends: HashMap<&str, Timestamp> = HashMap::new();
    let mut late: Vec<(usize, Timestamp)> = Vec::new();
    for (at, job) in jobs.iter().enumerate() {
        let end = job.start.zip(job.duration).map(|(start, ran)| start.after(ran));
        let before = ends.get(job.name.as_str()).copied();
        if let Some(before) = before.filter(|before| *before > job.submit) {
            late.push((at, before));
        }
        if let Some(end) = end.max(before) {
            ends.insert(&job.name, end);
        }
    }
    for (at, before) in late {
        jobs[at].submit = before;
    }
}

pub(super) fn job(row: &Row) -> Result<Option<Job>, TraceError> {
    let name = NAMES.into_iter().find(|name| row.has(name)).unwrap_or(NAMES[0]);
    let name = row.text(name)?;
    if name.contains('.') {
        return Ok(None);
    }
    let tres = resources(row)?;
    let (devices, milli) = tres.gpus.devices();
    let ran = ran(row)?;
    let submit = row.moment("Submit")?;
    // What waits for another job, or for a moment, asks for capacity only then.
    let eligible = known(row, "Eligible")?.filter(|_| ran.is_some()).unwrap_or(submit);
    Ok(Some(Job {
        name: name.to_owned(),
        user: row.maybe("User").unwrap_or_default().to_owned(),
        queue: row.maybe("Account").or(row.maybe("Partition")).unwrap_or_default().to_owned(),
        submit: submit.max(eligible),
        start: ran.map(|(start, _)| start),
        duration: ran.and_then(|(_, duration)| duration),
        limit: row.maybe("Timelimit").and_then(slurm_span),
        devices,
        milli,
        cpu: tres.cpu,
        memory: tres.memory,
        machines: tres.machines,
        models: tres.gpus.models,
        outcome: outcome(row.maybe("State").unwrap_or_default()),
        active_percent: None,
    }))
}

/// When it started and how long it ran, as far as it did: what was allocated nothing never ran,
/// though Slurm may call the moment of its end its start.
fn ran(row: &Row) -> Result<Option<(Timestamp, Option<Millis>)>, TraceError> {
    let (start, end) = (known(row, "Start")?, known(row, "End")?);
    let never = row.has("AllocTRES") && row.maybe("AllocTRES").is_none();
    let Some(start) = start.filter(|_| !never) else { return Ok(None) };
    let raw = row.parse_maybe("ElapsedRaw", "seconds", thousandths)?.map(Millis);
    let elapsed = match raw {
        Some(raw) => Some(raw),
        None => row.parse_maybe("Elapsed", "a span, as in `1-02:03:04`", slurm_span)?,
    };
    let between = |end: Timestamp| (end >= start).then(|| end.since(start));
    // Of what has not ended, what it ran so far is not its run time.
    Ok(Some((start, end.and_then(|end| elapsed.or_else(|| between(end))))))
}

/// What it was given, else what it asked for: the first field in which there are accelerators.
fn resources(row: &Row) -> Result<Tres, TraceError> {
    let wanted = "as in `cpu=8,gres/gpu=2,mem=64G`";
    let read = |name| row.parse_maybe(name, wanted, Tres::read);
    let given = read("AllocTRES")?;
    let never = given.is_none();
    let mut tres = match given {
        Some(given) => given,
        None => read("ReqTRES")?.unwrap_or_default(),
    };
    let machines = row.parse_maybe("NNodes", "a whole number", |text| text.parse().ok())?;
    let machines = machines.unwrap_or(tres.machines);
    let field = if never { "ReqGRES" } else { "AllocGRES" };
    let field = if row.has(field) { field } else { "ReqGRES" };
    if tres.gpus.are_none() && row.maybe(field).is_some_and(|text| text != "0") {
        let wanted = "as in `gpu:2` or `gpu:v100:2`";
        let read = |text: &str| match text {
            "PER_NODE" | "PER_TASK" => Some(()),
            text => tres.gpus.read_gres(text, machines),
        };
        row.parse_maybe(field, wanted, read)?;
    }
    Ok(tres)
}

/// A moment, unless Slurm does not know it yet; nor where there is no such column but may be none.
fn known(row: &Row, name: &str) -> Result<Option<Timestamp>, TraceError> {
    if name != "Eligible" {
        row.text(name)?;
    }
    match row.maybe(name) {
        None | Some("Unknown" | "None" | "N/A" | "NONE") => Ok(None),
        Some(_) => row.parse_maybe(name, MOMENT, moment),
    }
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
