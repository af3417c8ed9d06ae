//! What `weft simulate` reads: the log, the machines, the policies.

use super::ClusterArgs;
use super::wait::{set, watched};
use crate::exit::Code;
use crate::failure::{Failure, sentence};
use crate::session::Session;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use weft_api::spec::yaml_to_json;
use weft_api::wire::Device;
use weft_sim::study::{Cluster, Policy, PolicyFile, TraceFacts};
use weft_sim::trace::{Format, Job, Machine, ReadError, read};
use weft_types::Bytes;

/// Most policies at once: a plot tells so many lines apart, with those beside them.
const POLICIES_MAX: usize = 3;

/// Read at once of a log: few calls, and nothing beside its jobs.
const READ_AT_ONCE: usize = 1 << 20;

/// Largest list of machines or policy: a line for each of the most machines there may be.
const SMALL_MAX: u64 = 16_000_000;

/// Where formats and their columns are described.
const GUIDE: &str = "docs/guide/simulate.md";

/// A log, read.
pub(super) struct Input {
    pub(super) jobs: Vec<Job>,
    pub(super) facts: TraceFacts,
}

/// Reads a log; none where it was left.
pub(super) async fn trace(path: &Path, format: Option<Format>) -> Result<Option<Input>, Failure> {
    let (from, size): (Box<dyn Read + Send>, u64) = match path == Path::new("-") {
        true => (Box::new(std::io::stdin()), 0),
        false => {
            let file = File::open(path).map_err(|e| Failure::usage(sentence(&e, path)))?;
            let size = file.metadata().map_or(0, |about| about.len());
            (Box::new(file), size)
        }
    };
    let passed = Arc::new((AtomicU64::new(0), AtomicBool::new(false)));
    let beside = Arc::clone(&passed);
    let progress = || (passed.0.load(Ordering::Relaxed), size);
    let log = watched(
        "reading",
        || set(&passed.1),
        progress,
        move || {
            let watch = |bytes: u64| {
                beside.0.store(bytes, Ordering::Relaxed);
                !beside.1.load(Ordering::Relaxed)
            };
            read(BufReader::with_capacity(READ_AT_ONCE, from), format, &watch)
        },
    );
    let log = match log.await? {
        Ok(log) => log,
        Err(ReadError::Left) => return Ok(None),
        Err(error) => return Err(refused(path, &error)),
    };
    let trace = log.trace;
    if !trace.jobs.iter().any(|job| job.devices > 0 && job.duration.is_some()) {
        let (jobs, shown) = (trace.jobs.len(), path.display());
        return Err(Failure::usage(format!(
            "{shown}: of {jobs} jobs none asks for an accelerator and has a run time"
        ))
        .hint("there is nothing to simulate; are run times and accelerators in the log?"));
    }
    let facts = TraceFacts {
        file: path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        format: log.format.to_string(),
        hash: format!("{:016x}", log.hash),
        passed_over: trace.passed_over,
        ..TraceFacts::default()
    };
    Ok(Some(Input { jobs: trace.jobs, facts }))
}

/// Why a log cannot be read, where, and what to do.
fn refused(path: &Path, error: &ReadError) -> Failure {
    let shown = path.display();
    match error {
        ReadError::Io(error) => Failure::usage(sentence(error, path)),
        ReadError::Line(error) => {
            Failure::usage(format!("{shown}, {error}")).hint(error.hint.map_or_else(
                || format!("look at it: sed -n {}p {shown}; its columns: {GUIDE}", error.line),
                str::to_owned,
            ))
        }
        ReadError::Unknown => {
            let words: Vec<&str> = Format::ALL.iter().map(|(_, word)| *word).collect();
            Failure::usage(format!("{shown}: {error}")).hint(format!(
                "a plain CSV has at least submit,duration,gpus and best a queue for each team; \
                 other formats: {}; {GUIDE} has their columns",
                words.join(", ")
            ))
        }
        ReadError::Packed(tool) => Failure::usage(format!("{shown} is packed"))
            .hint(format!("unpack it on the way: {tool} -c {shown} | weft simulate --trace - …")),
        ReadError::Empty => Failure::usage(format!("{shown} is empty")),
        ReadError::NotText(line) => not_text(path, *line),
        ReadError::Left => Failure::usage(format!("{shown}: {error}")),
    }
}

fn not_text(path: &Path, line: usize) -> Failure {
    let shown = path.display();
    Failure::usage(format!("{shown}, line {line}: this is not text in UTF-8"))
        .hint(format!("save it as UTF-8, as in: iconv -f latin1 -t utf8 {shown}"))
}

/// A small file's text: machines, or a policy.
fn text(path: &Path) -> Result<String, Failure> {
    let file = File::open(path).map_err(|e| Failure::usage(sentence(&e, path)))?;
    let mut bytes = Vec::new();
    let read = file.take(SMALL_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|e| Failure::usage(sentence(&e, path)))?;
    let shown = path.display();
    if bytes.len() as u64 > SMALL_MAX {
        let max = Bytes(SMALL_MAX);
        return Err(Failure::usage(format!("{shown} is larger than {max}"))
            .hint("this is a list of machines, or a policy; the log goes to --trace"));
    }
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(Failure::usage(format!("{shown} is empty")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        not_text(path, 1 + before.iter().filter(|byte| **byte == b'\n').count())
    })
}

/// The machines, from wherever was said.
pub(super) async fn cluster(args: &ClusterArgs, session: &Session) -> Result<Cluster, Failure> {
    if let Some(text) = &args.machines {
        return Cluster::parse(text).map_err(|e| Failure::usage(format!("--machines: {e}")));
    }
    if let Some(path) = &args.cluster {
        let wrong = |e| Failure::usage(format!("{}: {e}", path.display()));
        return Cluster::read(&text(path)?).map_err(wrong);
    }
    let client = session.client_if_running()?.ok_or_else(|| {
        Failure::new(Code::Unreachable, "no server runs here whose pool could be taken")
            .hint("say what there is, as in --machines 80x8, or start one: weft up")
    })?;
    let machines = of_devices(&client.devices().await?);
    Cluster::new(machines).map_err(|error| Failure::usage(format!("the pool: {error}")))
}

/// One machine for each node and kind of device on it.
fn of_devices(devices: &[Device]) -> Vec<Machine> {
    let mut nodes: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    for device in devices {
        let node = device.id.rsplit_once('/').map_or(device.id.as_str(), |(node, _)| node);
        *nodes.entry((node, &device.class)).or_default() += 1;
    }
    let machine = |((node, class), devices): ((&str, &str), u32)| Machine {
        name: node.to_owned(),
        devices,
        model: class.to_owned(),
        ..Machine::default()
    };
    nodes.into_iter().map(machine).collect()
}

/// The policies of `--compare`.
pub(super) fn policies(text: &str) -> Result<Vec<Policy>, Failure> {
    let policies: Vec<Policy> = text.split(',').map(policy).collect::<Result<_, _>>()?;
    if policies.len() > POLICIES_MAX {
        let count = policies.len();
        return Err(Failure::usage(format!("--compare: {count} policies; at most {POLICIES_MAX}")));
    }
    for (at, policy) in policies.iter().enumerate() {
        if policies[..at].iter().any(|other| other.name == policy.name) {
            return Err(Failure::usage(format!("--compare: `{}` twice", policy.name))
                .hint("give one of the files another `name`"));
        }
    }
    Ok(policies)
}

fn policy(word: &str) -> Result<Policy, Failure> {
    let word = word.trim();
    if let Some(policy) = Policy::built_in(word) {
        return Ok(policy);
    }
    let path = Path::new(word);
    if !path.exists() && !word.contains(['.', '/']) {
        return Err(Failure::usage(format!("--compare: there is no policy `{word}`"))
            .hint("today and pooled are built in; others are files, as in ours.yaml"));
    }
    let wrong = |what: String| Failure::usage(format!("{}: {what}", path.display()));
    let value = yaml_to_json(&text(path)?).map_err(|error| wrong(error.to_string()))?;
    let file: PolicyFile = serde_json::from_value(value).map_err(|e| wrong(e.to_string()))?;
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    Policy::of_file(file, &stem.unwrap_or_default()).map_err(wrong)
}

/// The command as it was given, so that a reader of the report can repeat it.
pub(super) fn command_line() -> String {
    let plain = |word: &str| {
        !word.is_empty()
            && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_=./,:+@%".contains(c))
    };
    let quoted = |word: String| match plain(&word) {
        true => word,
        false => format!("'{}'", word.replace('\'', r"'\''")),
    };
    let words = std::env::args_os().skip(1).map(|word| quoted(word.to_string_lossy().into_owned()));
    format!("weft {}", words.collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compared_is_known() {
        let names = |text| policies(text).map(|all| all.into_iter().map(|p| p.name).collect());
        assert_eq!(
            names("today, pooled").ok(),
            Some(vec!["today".to_owned(), "pooled".to_owned()])
        );
        for wrong in ["tody", "today,today", "today,none.yaml", "today,pooled,today,pooled"] {
            assert!(names(wrong).is_err(), "{wrong}");
        }
    }
}
