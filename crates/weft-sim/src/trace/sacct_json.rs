//! Slurm's accounting as `sacct --json` prints it (data_parser v0.0.38 and later).
//!
//! Read of each job: `job_id`, `array.task_id`, `user`, `account`, `partition`, `state.current`,
//! `time.submission`, `.start`, `.end`, `.limit` (minutes) and `tres.allocated`, else
//! `tres.requested`. Numbers stand alone or as `{"set":…,"infinite":…,"number":…}`, and a state
//! alone or in a list, as the versions differ. Steps lie inside their jobs and are not read.

use super::slurm::outcome;
use super::{Job, Trace, TraceError};
use serde::Deserialize;
use weft_types::{Bytes, MilliCpu, MilliGpu, Millis, Timestamp};

#[derive(Deserialize)]
struct File {
    jobs: Vec<RawJob>,
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
    let file: File =
        serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(|error| {
            let what = format!("column {}: {error}; `sacct --json` prints it", error.column());
            TraceError { line: error.line(), what }
        })?;
    Ok(Trace::new(file.jobs.into_iter().map(job).collect(), 0))
}

fn job(raw: RawJob) -> Job {
    let moment = |number: Option<Number>| number.and_then(known).filter(|at| *at > 0);
    let moment = |number| moment(number).map(|at: u64| Timestamp(at.saturating_mul(1000)));
    let (start, end) = (moment(raw.time.start), moment(raw.time.end));
    let ran = start.zip(end).filter(|(start, end)| end >= start);
    let resources = match raw.tres.allocated.is_empty() {
        true => raw.tres.requested,
        false => raw.tres.allocated,
    };
    let sum = |kind: &str, name: &str| {
        let same = |it: &&Resource| it.kind == kind && it.name.as_deref().unwrap_or("") == name;
        resources.iter().filter(same).map(count).fold(0, u64::saturating_add)
    };
    let by_model = resources.iter().filter_map(|it| {
        let model = it.name.as_deref()?.strip_prefix("gpu:").filter(|_| it.kind == "gres")?;
        Some((model.to_owned(), count(it)))
    });
    let (models, counts): (Vec<String>, Vec<u64>) = by_model.unzip();
    let devices = sum("gres", "gpu").max(counts.into_iter().fold(0, u64::saturating_add));
    let devices = u32::try_from(devices).unwrap_or(u32::MAX);
    let task = raw.array.task_id.and_then(known).map(|task| format!("_{task}"));
    let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
    let state = match raw.state.current {
        Some(Words::One(word)) => word,
        Some(Words::Many(words)) => words.into_iter().next().unwrap_or_default(),
        None => String::new(),
    };
    Job {
        name: format!("{}{}", raw.job_id, task.unwrap_or_default()),
        user: raw.user.unwrap_or_default(),
        queue: filled(raw.account).or(filled(raw.partition)).unwrap_or_default(),
        submit: moment(Some(raw.time.submission)).unwrap_or_default(),
        start,
        duration: ran.map(|(start, end)| end.since(start)),
        limit: raw.time.limit.and_then(known).map(|limit| Millis(limit.saturating_mul(60_000))),
        devices,
        milli: MilliGpu(if devices > 0 { 1000 } else { 0 }),
        cpu: MilliCpu(sum("cpu", "").saturating_mul(1000)),
        memory: Bytes(sum("mem", "").saturating_mul(1 << 20)),
        machines: u32::try_from(sum("node", "")).unwrap_or(u32::MAX),
        models,
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
