//! Slurm's accounting as `sacct --json` prints it (data_parser v0.0.38 and later).
//!
//! Read of each job: `job_id`, `array.job_id`, `.task_id`, `user`, `account`, `partition`,
//! `state.current`, `time.submission`, `.eligible`, `.start`, `.end`, `.elapsed`, `.limit` (in
//! minutes) and `tres.allocated`, else `tres.requested`. Numbers stand alone or as
//! `{"set":…,"infinite":…,"number":…}`, and a state alone or in a list, as the versions differ.
//! Steps lie inside their jobs and are not read.

use super::slurm::{again, outcome};
use super::tres::Gpus;
use super::{Job, Trace, TraceError};
use serde::Deserialize;
use serde::de::{SeqAccess, Visitor};
use std::fmt;
use std::io::{self, Read};
use weft_types::{Bytes, MilliCpu, Millis, Timestamp};

#[derive(Deserialize)]
struct File {
    jobs: Jobs,
}

/// The list, each made a job as soon as it is read: what is left out of it is never kept.
struct Jobs(Vec<Job>);

impl<'de> Deserialize<'de> for Jobs {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Jobs;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of jobs")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Jobs, A::Error> {
                let mut jobs = Vec::new();
                while let Some(raw) = list.next_element()? {
                    jobs.push(job(raw));
                }
                Ok(Jobs(jobs))
            }
        }
        from.deserialize_seq(Each)
    }
}

#[derive(Deserialize)]
struct RawJob {
    job_id: u64,
    #[serde(default)]
    array: Array,
    user: Option<String>,
    account: Option<String>,
    partition: Option<String>,
    #[serde(default)]
    state: State,
    time: Time,
    #[serde(default)]
    tres: Tres,
}

#[derive(Default, Deserialize)]
struct Array {
    job_id: Option<u64>,
    task_id: Option<Number>,
}

#[derive(Default, Deserialize)]
struct State {
    current: Option<Words>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Words {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
struct Time {
    submission: Number,
    start: Option<Number>,
    end: Option<Number>,
    eligible: Option<Number>,
    elapsed: Option<u64>,
    limit: Option<Number>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
enum Number {
    Alone(u64),
    Whole {
        #[serde(default)]
        set: bool,
        #[serde(default)]
        infinite: bool,
        #[serde(default)]
        number: u64,
    },
}

#[derive(Default, Deserialize)]
struct Tres {
    #[serde(default)]
    allocated: Vec<Resource>,
    #[serde(default)]
    requested: Vec<Resource>,
}

#[derive(Deserialize)]
struct Resource {
    #[serde(rename = "type")]
    kind: String,
    name: Option<String>,
    count: Option<i64>,
}

/// Reads jobs. A job's queue is its account, or its partition where there is none.
///
/// # Errors
///
/// Where it is no JSON, or a job lacks its number or its submission.
pub fn sacct_json(text: &str) -> Result<Trace, TraceError> {
    let jobs = jobs(&mut text.as_bytes()).map_err(|error| match error {
        super::ReadError::Line(error) => error,
        other => TraceError::of_line(1, other.to_string()),
    })?;
    Ok(Trace::new(jobs, 0))
}

/// Reads jobs from what is passed on as it comes.
pub(super) fn jobs(from: &mut dyn Read) -> Result<Vec<Job>, super::ReadError> {
    // A mark of the order of bytes, which some programs write, is no JSON.
    let mut first = [0; 3];
    let count = fill(from, &mut first)?;
    let first = if first == *b"\xef\xbb\xbf" { &[][..] } else { &first[..count] };
    let from = io::BufReader::with_capacity(BUFFER, first.chain(from));
    let file: File = serde_json::from_reader(from).map_err(|error| match error.is_io() {
        true => super::ReadError::Io(error.into()),
        false => super::ReadError::Line(wrong(&error)),
    })?;
    let mut jobs = file.jobs.0;
    again(&mut jobs);
    Ok(jobs)
}

/// Read at once: a file is asked for seldom, and memory hardly notices.
const BUFFER: usize = 1 << 16;

fn fill(from: &mut dyn Read, into: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while count < into.len() {
        match from.read(&mut into[count..])? {
            0 => break,
            more => count += more,
        }
    }
    Ok(count)
}

fn wrong(error: &serde_json::Error) -> TraceError {
    // It says its place itself, at the end.
    let text = error.to_string();
    let what = text.rsplit_once(" at line ").map_or(text.as_str(), |(what, _)| what);
    TraceError {
        column: Some(error.column()),
        hint: Some("write it again: sacct --json > jobs.json, without warnings among it"),
        ..TraceError::of_line(error.line(), what)
    }
}

fn job(raw: RawJob) -> Job {
    let moment = |number: Option<Number>| number.and_then(known).filter(|at| *at > 0);
    let moment = |number| moment(number).map(|at: u64| Timestamp(at.saturating_mul(1000)));
    let (start, end) = (moment(raw.time.start), moment(raw.time.end));
    let never = raw.tres.allocated.is_empty();
    let start = start.filter(|_| !never);
    let elapsed = raw.time.elapsed.map(|seconds| Millis(seconds.saturating_mul(1000)));
    let between = |(start, end): (Timestamp, Timestamp)| (end >= start).then(|| end.since(start));
    let ran = start.zip(end).and_then(|both| elapsed.or_else(|| between(both)));
    let submit = moment(Some(raw.time.submission)).unwrap_or_default();
    // What waits for another job, or for a moment, asks for capacity only then.
    let eligible = moment(raw.time.eligible).filter(|_| ran.is_some()).unwrap_or(submit);
    let resources = match never {
        true => raw.tres.requested,
        false => raw.tres.allocated,
    };
    let sum = |kind: &str, name: &str| {
        let same = |it: &&Resource| it.kind == kind && it.name.as_deref().unwrap_or("") == name;
        resources.iter().filter(same).map(count).fold(0, u64::saturating_add)
    };
    let mut gpus = Gpus::default();
    gpus.total(sum("gres", "gpu"));
    for it in resources.iter().filter(|it| it.kind == "gres") {
        if let Some(model) = it.name.as_deref().and_then(|name| name.strip_prefix("gpu:")) {
            gpus.add(model, count(it));
        }
    }
    let (devices, milli) = gpus.devices();
    let task = raw.array.task_id.and_then(known).map(|task| format!("_{task}"));
    // An element of an array is called after the array.
    let number = raw.array.job_id.filter(|id| *id > 0 && task.is_some()).unwrap_or(raw.job_id);
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
    let state = match raw.state.current {
        Some(Words::One(word)) => word,
        Some(Words::Many(words)) => words.into_iter().next().unwrap_or_default(),
        None => String::new(),
    };
    Job {
        name: format!("{number}{}", task.unwrap_or_default()),
        user: raw.user.unwrap_or_default(),
        queue: filled(raw.account).or(filled(raw.partition)).unwrap_or_default(),
        submit: submit.max(eligible),
        start,
        duration: ran,
        limit: raw.time.limit.and_then(known).map(|limit| Millis(limit.saturating_mul(60_000))),
        devices,
        milli,
        cpu: MilliCpu(sum("cpu", "").saturating_mul(1000)),
        memory: Bytes(sum("mem", "").saturating_mul(1 << 20)),
        machines: u32::try_from(sum("node", "")).unwrap_or(u32::MAX),
        models: gpus.models,
        outcome: outcome(&state),
        ..Job::default()
    }
}

fn known(number: Number) -> Option<u64> {
    match number {
        Number::Alone(number) => Some(number),
        Number::Whole { set, infinite, number } => (set && !infinite).then_some(number),
    }
}

fn count(resource: &Resource) -> u64 {
    resource.count.and_then(|count| u64::try_from(count).ok()).unwrap_or(0)
}
