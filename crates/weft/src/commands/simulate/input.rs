//! What `weft simulate` reads: the log, the machines, the policies.

use super::ClusterArgs;
use crate::exit::Code;
use crate::failure::{Failure, sentence};
use crate::session::Session;
use std::collections::BTreeMap;
use std::path::Path;
use weft_api::spec::yaml_to_json;
use weft_api::wire::Device;
use weft_sim::study::{Cluster, Policy, PolicyFile, TraceFacts};
use weft_sim::trace::{Format, Job, Machine};

/// Most policies at once: a plot tells so many lines apart, with those beside them.
const POLICIES_MAX: usize = 3;

/// First bytes of packed files: gzip, zstd, xz.
const PACKED: [(&[u8], &str); 3] =
    [(b"\x1f\x8b", "gunzip"), (b"\x28\xb5\x2f\xfd", "unzstd"), (b"\xfd7zXZ", "unxz")];

/// A log, read.
pub(super) struct Input {
    pub(super) jobs: Vec<Job>,
    pub(super) facts: TraceFacts,
}

/// Reads a log.
pub(super) fn trace(path: &Path, format: Option<Format>) -> Result<Input, Failure> {
    let text = text(path)?;
    let shown = path.display();
    let format = format.or_else(|| Format::detect(&text)).ok_or_else(|| {
        let words: Vec<&str> = Format::ALL.iter().map(|(_, word)| *word).collect();
        Failure::usage(format!("{shown}: the first line names the columns of no known log")).hint(
            format!(
                "a plain CSV has at least submit,duration,gpus and best a queue for each team; \
                 other formats: {}; docs/guide/simulate.md has their columns",
                words.join(", ")
            ),
        )
    })?;
    let trace = format.read(&text).map_err(|error| Failure::usage(format!("{shown}, {error}")))?;
    if !trace.jobs.iter().any(|job| job.devices > 0 && job.duration.is_some()) {
        let jobs = trace.jobs.len();
        return Err(Failure::usage(format!(
            "{shown}: of {jobs} jobs none asks for an accelerator and has a run time"
        ))
        .hint("there is nothing to simulate; are run times and accelerators in the log?"));
    }
    let facts = TraceFacts {
        file: path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        format: format.to_string(),
        hash: format!("{:016x}", fnv(text.as_bytes())),
        passed_over: trace.passed_over,
        ..TraceFacts::default()
    };
    Ok(Input { jobs: trace.jobs, facts })
}

fn text(path: &Path) -> Result<String, Failure> {
    let bytes = std::fs::read(path).map_err(|e| Failure::usage(sentence(&e, path)))?;
    let shown = path.display();
    if let Some((_, tool)) = PACKED.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Err(Failure::usage(format!("{shown} is packed"))
            .hint(format!("unpack it first: {tool} {shown}")));
    }
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(Failure::usage(format!("{shown} is empty")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let line = 1 + error.as_bytes()[..error.utf8_error().valid_up_to()]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count();
        Failure::usage(format!("{shown}, line {line}: this is not text in UTF-8"))
            .hint("save it as UTF-8, as in: iconv -f latin1 -t utf8")
    })
}

/// FNV-1a, 64 bits (Fowler, Noll, Vo): tells whether two people have the same file.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
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
    fn the_hash_is_fnv_1a() {
        // The reference values of "" and "foobar".
        assert_eq!((fnv(b""), fnv(b"foobar")), (0xcbf2_9ce4_8422_2325, 0x8594_4171_f739_67e8));
    }

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
