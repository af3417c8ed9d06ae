//! From a spec on the wire to a legal workload: every rule the server holds it to.
//!
//! The command line checks a file with its lines in mind; this checks again, since anyone may
//! send anything. The rules of what the *pool* can hold are the planner's (`impossible`).

use super::fault::{Fault, at, quoted};
use std::str::FromStr;
use weft_api::problem::Code;
pub(crate) use weft_api::spec::PRIORITY_MAX;
use weft_api::spec::{NetworkMode, PublishSpec, RetryOn, WorkloadSpec};
use weft_lifecycle::RetryPolicy;
use weft_runtime::PROXY_PORT;
use weft_sched::Request;
use weft_store::{Learned, NewWorkload, Read, StoreError};
use weft_types::{
    Bytes, DatasetName, GANG_MAX, GpuRequest, Isolation, Kind, MilliCpu, Millis, Phase, QueueName,
    Timestamp, UserName, WorkloadId,
};

/// Environment variables, and all of them in bytes: what a Linux program start takes is 2 MiB
/// with its arguments; a spec has 256 KiB in all.
const ENV_MAX: usize = 256;
const ENV_BYTES_MAX: usize = 64 * 1024;
/// Arguments, and the longest one: Linux refuses one of 128 KiB.
const ARGS_MAX: usize = 1_024;
const ARG_BYTES_MAX: usize = 96 * 1024;
/// Lines of setup, and the longest one.
const SETUP_MAX: usize = 64;
const SETUP_BYTES_MAX: usize = 16 * 1024;
/// Text of a requirements file: some thousand lines with their hashes.
const REQUIREMENTS_MAX: usize = 160 * 1024;
/// Longest image reference: a registry's limit is 255 for the name, and a digest.
const IMAGE_MAX: usize = 512;
/// Paths kept after the end, and the longest one (PATH_MAX is 4096 with the directory's).
const OUTPUTS_MAX: usize = 64;
const OUTPUT_BYTES_MAX: usize = 1_024;
/// Longest accelerator request: a dozen kinds by name, a memory range and a count.
const GPU_BYTES_MAX: usize = 256;
/// Ports forwarded for each member.
const PORTS_MAX: usize = 16;
/// Retries: each costs a start; beyond this it is no accident any more.
const RETRY_MAX: u32 = 100;
/// Longest time limit, a year, and longest grace, ten minutes.
const DURATION_MAX_MS: u64 = 365 * 86_400_000;
const GRACE_MAX_MS: u64 = 600_000;
/// Largest cost of a suspension: ten times as long is its slice of time, and half a day is long.
const SUSPEND_COST_MAX_MS: u64 = 3_600_000;
/// Bounds of what a member asks; the pool's own are the planner's. Less than 1 MiB runs nothing.
const CPU_MAX_MILLI: u64 = 4_096_000;
const MEMORY_MIN_BYTES: u64 = 1 << 20;
const BYTES_MAX: u64 = 1 << 50;

/// A legal spec, read into the types it is made of.
pub(crate) struct Legal {
    /// The spec with its defaults filled in.
    pub(crate) spec: WorkloadSpec,
    pub(crate) queue: QueueName,
    pub(crate) kind: Kind,
    pub(crate) phase: Phase,
    pub(crate) request: Request,
    pub(crate) retry: RetryPolicy,
}

/// Reads a spec to be submitted to `queue`, or says which field breaks which rule.
pub(crate) fn check(mut spec: WorkloadSpec, queue: QueueName) -> Result<Legal, Fault> {
    let kind = kind(&spec.kind)?;
    let phase = phase(spec.phase.as_deref(), kind)?;
    let gpu = gpu(&spec.resources.gpu)?;
    if let Some(name) = &spec.name {
        check_name(name)?;
    }
    check_runtime(&spec)?;
    check_command(&spec)?;
    check_env(&spec)?;
    check_files(&spec)?;
    check_resources(&spec)?;
    check_times(&spec)?;
    check_suspend(&spec, kind)?;
    check_ports(&spec)?;
    spec.phase = Some(phase.to_string());
    spec.queue = Some(queue.to_string());
    let request = Request {
        cpu: MilliCpu(spec.resources.cpu_milli),
        memory: Bytes(spec.resources.memory_bytes),
        disk: Bytes(spec.resources.disk_bytes),
        gpu: match gpu {
            GpuRequest::Auto => phase.default_gpu(),
            gpu => gpu,
        },
        isolation: isolation(&spec.resources.isolation)?,
    };
    let retry = RetryPolicy {
        on_error: spec.retry.on.contains(&RetryOn::Error),
        on_lost: spec.retry.on.contains(&RetryOn::Lost),
        max: spec.retry.max,
    };
    Ok(Legal { spec, queue, kind, phase, request, retry })
}

impl Legal {
    /// What it is to leave in datasets: from where, into which.
    pub(crate) fn published(&self) -> Result<Vec<(String, DatasetName)>, Fault> {
        let named = |(n, entry): (usize, &PublishSpec)| {
            let name = DatasetName::new(entry.to.clone());
            let name = name
                .map_err(|error| broken(&format!("publish[{n}].to"), quoted(&error.to_string())))?;
            Ok((entry.from.clone(), name))
        };
        self.spec.publish.iter().enumerate().map(named).collect()
    }

    /// What it runs, in a word.
    pub(crate) fn program(&self) -> String {
        super::program::of(&self.spec.command)
    }

    /// What the last runs of the same took, where it is to be learned: a job that says itself how
    /// long it runs is believed, and nothing else ends by itself.
    pub(crate) fn learned(
        &self,
        r: &Read<'_>,
        user: &UserName,
    ) -> Result<Option<Learned>, StoreError> {
        let stated = self.spec.expected_duration_ms.or(self.spec.max_duration_ms);
        match stated.is_some() || self.kind != Kind::Job {
            true => Ok(None),
            false => r.learned(user, &self.queue, &self.program()),
        }
    }

    /// The row to be stored, under this name.
    pub(crate) fn row(
        mut self,
        name: String,
        user: UserName,
        now: Timestamp,
        learned: Option<Learned>,
    ) -> Result<NewWorkload, Fault> {
        let program = self.program();
        self.spec.name = Some(name.clone());
        let max_duration = self.spec.max_duration_ms.map(Millis);
        let stated = self.spec.expected_duration_ms.map(Millis).or(max_duration);
        Ok(NewWorkload {
            name,
            queue: self.queue,
            user,
            kind: self.kind,
            phase: self.phase,
            priority: self.spec.priority,
            submitted_at: now,
            spec_json: serde_json::to_string(&self.spec).map_err(super::fault::internal)?,
            request: self.request,
            gang: self.spec.replicas,
            gang_most: self.spec.replicas_max.unwrap_or(0),
            reclaim: self.phase.reclaim(),
            max_duration,
            // A limit that is stated is the best guess where nothing else is.
            expected: stated.or(learned.map(|learned| learned.expected)),
            learned_from: learned.filter(|_| stated.is_none()).map_or(0, |learned| learned.runs),
            program,
            suspend: self.spec.suspend.map(|suspend| Millis(suspend.cost_ms)),
            retry: self.retry,
        })
    }

    /// The name a nameless one gets: what it runs, or its kind.
    pub(crate) fn base_name(&self) -> String {
        let program = self.spec.command.first().map_or("", String::as_str);
        let file = program.rsplit('/').next().unwrap_or("");
        let named = !matches!(file, "sh" | "bash" | "python" | "python3" | "env");
        let mut name: String = file
            .to_ascii_lowercase()
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
            // Room below the limit of a name for the number the store adds.
            .take(40)
            .collect();
        name = name.trim_matches('-').to_owned();
        if name.is_empty() || !named || name.parse::<WorkloadId>().is_ok() {
            return self.kind.to_string();
        }
        name
    }
}

fn broken(field: &str, rule: impl Into<String>) -> Fault {
    at(Code::InvalidSpec, &format!("spec.{field}"), format!("{field}: {}", rule.into()))
}

fn kind(text: &str) -> Result<Kind, Fault> {
    let all = [Kind::Workspace, Kind::Job, Kind::Service];
    let kind = all.into_iter().find(|kind| kind.as_str() == text);
    kind.ok_or_else(|| {
        broken("type", format!("`{}` is not workspace, job or service", quoted(text)))
    })
}

fn phase(text: Option<&str>, kind: Kind) -> Result<Phase, Fault> {
    let Some(text) = text else { return Ok(kind.default_phase()) };
    let all = [Phase::Concept, Phase::Training, Phase::Deployment];
    let phase = all.into_iter().find(|phase| phase.as_str() == text);
    phase.ok_or_else(|| {
        broken("phase", format!("`{}` is not concept, training or deployment", quoted(text)))
    })
}

fn gpu(text: &str) -> Result<GpuRequest, Fault> {
    check_text("resources.gpu", text, GPU_BYTES_MAX)?;
    GpuRequest::from_str(text).map_err(|error| broken("resources.gpu", quoted(&error.to_string())))
}

/// A workload's name: a DNS label, like every name, and never of the form of an id.
fn check_name(name: &str) -> Result<(), Fault> {
    UserName::new(name).map_err(|error| broken("name", quoted(&error.to_string())))?;
    match name.parse::<WorkloadId>() {
        Ok(_) => Err(broken("name", format!("`{name}` would read as a workload id"))),
        Err(_) => Ok(()),
    }
}

fn check_runtime(spec: &WorkloadSpec) -> Result<(), Fault> {
    if let Some(image) = &spec.runtime.image {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b"-._/:@".contains(&b);
        let first = image.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        if image.len() > IMAGE_MAX || !first || !image.bytes().all(legal) {
            let rule = format!("must be an image reference of at most {IMAGE_MAX} characters");
            return Err(broken("runtime.image", rule));
        }
    }
    if let Some(python) = &spec.runtime.python {
        let version = python.strip_prefix(">=").unwrap_or(python);
        let parts: Vec<&str> = version.split('.').collect();
        let number =
            |part: &&str| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        if !(2..=3).contains(&parts.len()) || !parts.iter().all(number) {
            let rule = "must be a version such as 3.11, 3.11.4 or >=3.11";
            return Err(broken("runtime.python", rule));
        }
    }
    match &spec.runtime.requirements {
        Some(text) => check_text("runtime.requirements", text, REQUIREMENTS_MAX),
        None => Ok(()),
    }
}

fn check_command(spec: &WorkloadSpec) -> Result<(), Fault> {
    if spec.command.first().is_none_or(|program| program.is_empty()) {
        return Err(broken("command", "must name a program"));
    }
    check_count("command", spec.command.len(), ARGS_MAX)?;
    check_count("setup", spec.setup.len(), SETUP_MAX)?;
    for (n, argument) in spec.command.iter().enumerate() {
        check_text(&format!("command[{n}]"), argument, ARG_BYTES_MAX)?;
    }
    for (n, line) in spec.setup.iter().enumerate() {
        check_text(&format!("setup[{n}]"), line, SETUP_BYTES_MAX)?;
    }
    Ok(())
}

fn check_env(spec: &WorkloadSpec) -> Result<(), Fault> {
    check_count("env", spec.env.len(), ENV_MAX)?;
    for (name, value) in &spec.env {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let first = name.bytes().next().is_some_and(|b| !b.is_ascii_digit());
        if !first || !name.bytes().all(legal) {
            let rule = format!("`{}` is not a name of letters, digits and `_`", quoted(name));
            return Err(broken("env", rule));
        }
        check_text(&format!("env.{}", quoted(name)), value, ENV_BYTES_MAX)?;
    }
    let bytes: usize = spec.env.iter().map(|(name, value)| name.len() + value.len()).sum();
    match bytes > ENV_BYTES_MAX {
        true => Err(broken("env", format!("has {bytes} bytes in all, at most {ENV_BYTES_MAX}"))),
        false => Ok(()),
    }
}

fn check_files(spec: &WorkloadSpec) -> Result<(), Fault> {
    if let Some(bundle) = &spec.bundle
        && !is_sha256(bundle)
    {
        return Err(broken("bundle", "must be a SHA-256 in 64 lower-case hex digits"));
    }
    check_count("outputs", spec.kept().count(), OUTPUTS_MAX)?;
    let plain = spec.outputs.iter().enumerate().map(|(n, path)| (format!("outputs[{n}]"), path));
    let published = spec.publish.iter().enumerate();
    let published = published.map(|(n, entry)| (format!("publish[{n}].from"), &entry.from));
    for (field, path) in plain.chain(published) {
        check_text(&field, path, OUTPUT_BYTES_MAX)?;
        weft_runtime::outputs::check_pattern(path)
            .map_err(|error| broken(&field, quoted(&error.to_string())))?;
    }
    Ok(())
}

/// Whether a text is the name of a bundle, and so may become a file name.
pub(crate) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn isolation(word: &str) -> Result<Isolation, Fault> {
    let words = Isolation::LADDER.map(Isolation::as_str).join(", ");
    let rule = || format!("`{}` is none of {words}", quoted(word));
    Isolation::rung(word).ok_or_else(|| broken("resources.isolation", rule()))
}

fn check_resources(spec: &WorkloadSpec) -> Result<(), Fault> {
    let resources = &spec.resources;
    check_range("resources.cpu_milli", resources.cpu_milli, 1, CPU_MAX_MILLI)?;
    check_range("resources.memory_bytes", resources.memory_bytes, MEMORY_MIN_BYTES, BYTES_MAX)?;
    check_range("resources.disk_bytes", resources.disk_bytes, MEMORY_MIN_BYTES, BYTES_MAX)?;
    check_range("replicas", spec.replicas.into(), 1, GANG_MAX.into())?;
    if let Some(most) = spec.replicas_max {
        check_range("replicas_max", most.into(), spec.replicas.into(), GANG_MAX.into())?;
    }
    if spec.priority.unsigned_abs() > PRIORITY_MAX {
        let rule = format!("is {}, allowed is -{PRIORITY_MAX} to {PRIORITY_MAX}", spec.priority);
        return Err(broken("priority", rule));
    }
    Ok(())
}

fn check_times(spec: &WorkloadSpec) -> Result<(), Fault> {
    if let Some(limit) = spec.max_duration_ms {
        check_range("max_duration_ms", limit, 1, DURATION_MAX_MS)?;
    }
    if let Some(expected) = spec.expected_duration_ms {
        check_range("expected_duration_ms", expected, 1, DURATION_MAX_MS)?;
    }
    check_range("stop_grace_ms", spec.stop_grace_ms, 0, GRACE_MAX_MS)?;
    check_range("retry.max", spec.retry.max.into(), 0, RETRY_MAX.into())?;
    check_count("retry.on", spec.retry.on.len(), 2)
}

fn check_suspend(spec: &WorkloadSpec, kind: Kind) -> Result<(), Fault> {
    let Some(suspend) = &spec.suspend else { return Ok(()) };
    if kind != Kind::Job {
        let rule = format!("is for a job, this is a {kind}: a job goes on from what it saved");
        return Err(broken("suspend", rule));
    }
    check_range("suspend.cost_ms", suspend.cost_ms, 1, SUSPEND_COST_MAX_MS)
}

fn check_ports(spec: &WorkloadSpec) -> Result<(), Fault> {
    let ports = &spec.ports;
    check_count("ports", ports.len(), PORTS_MAX)?;
    if spec.network == NetworkMode::Outbound && ports.contains(&PROXY_PORT) {
        let rule = format!("{PROXY_PORT} is where `network: outbound` has its proxy: take another");
        return Err(broken("ports", rule));
    }
    let mut seen = std::collections::BTreeSet::new();
    match ports.iter().find(|port| **port == 0 || !seen.insert(**port)) {
        Some(port) => Err(broken("ports", format!("{port} is zero or named twice"))),
        None => Ok(()),
    }
}

fn check_range(field: &str, value: u64, min: u64, max: u64) -> Result<(), Fault> {
    match (min..=max).contains(&value) {
        true => Ok(()),
        false => Err(broken(field, format!("is {value}, allowed is {min} to {max}"))),
    }
}

fn check_count(field: &str, count: usize, max: usize) -> Result<(), Fault> {
    match count <= max {
        true => Ok(()),
        false => Err(broken(field, format!("has {count} entries, at most {max}"))),
    }
}

/// No program start can carry a NUL.
fn check_text(field: &str, text: &str, max: usize) -> Result<(), Fault> {
    match text {
        text if text.len() > max => {
            Err(broken(field, format!("has {} bytes, at most {max}", text.len())))
        }
        text if text.contains('\0') => Err(broken(field, "has a NUL character")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn spec(changes: Value) -> WorkloadSpec {
        let mut value = json!({ "type": "job", "command": ["true"] });
        value.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        serde_json::from_value(value).unwrap()
    }

    fn field(changes: Value) -> Option<String> {
        match check(spec(changes), QueueName::new("lab").unwrap()) {
            Ok(_) => None,
            Err(Fault::Problem(problem)) => {
                assert_eq!(problem.code, Code::InvalidSpec);
                assert!(problem.detail.len() < 400, "{}", problem.detail);
                problem.field
            }
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn defaults_are_filled_in() {
        let legal = check(spec(json!({})), QueueName::new("lab").unwrap()).unwrap();
        assert_eq!(legal.spec.phase.as_deref(), Some("training"));
        assert_eq!(legal.spec.queue.as_deref(), Some("lab"));
        assert_eq!(legal.request.gpu, GpuRequest::None);
        let auto = spec(json!({ "resources": { "gpu": "auto" } }));
        let legal = check(auto, QueueName::new("lab").unwrap()).unwrap();
        assert_eq!(legal.request.gpu, Phase::Training.default_gpu());
    }

    #[test]
    fn each_rule_names_its_field() {
        let cases = [
            (json!({ "type": "pod" }), "spec.type"),
            (json!({ "phase": "serving" }), "spec.phase"),
            (json!({ "name": "No" }), "spec.name"),
            (json!({ "name": "w42" }), "spec.name"),
            (json!({ "name": "../../etc" }), "spec.name"),
            (json!({ "command": [] }), "spec.command"),
            (json!({ "command": [""] }), "spec.command"),
            (json!({ "command": ["a\u{0}b"] }), "spec.command[0]"),
            (json!({ "command": vec!["x"; 2_000] }), "spec.command"),
            (json!({ "setup": ["x".repeat(20_000)] }), "spec.setup[0]"),
            (json!({ "env": { "1A": "x" } }), "spec.env"),
            (json!({ "env": { "A=B": "x" } }), "spec.env"),
            (json!({ "env": { "": "x" } }), "spec.env"),
            (json!({ "env": { "A": "\u{0}" } }), "spec.env.A"),
            (json!({ "bundle": "../weft.db" }), "spec.bundle"),
            (json!({ "bundle": "A".repeat(64) }), "spec.bundle"),
            (json!({ "outputs": ["/etc"] }), "spec.outputs[0]"),
            (json!({ "outputs": ["ok", "a/../../b"] }), "spec.outputs[1]"),
            (json!({ "outputs": [""] }), "spec.outputs[0]"),
            (json!({ "resources": { "cpu_milli": 0 } }), "spec.resources.cpu_milli"),
            (json!({ "resources": { "memory_bytes": u64::MAX } }), "spec.resources.memory_bytes"),
            (json!({ "resources": { "gpu": "A100:0" } }), "spec.resources.gpu"),
            (json!({ "resources": { "gpu": "x".repeat(10_000) } }), "spec.resources.gpu"),
            (json!({ "resources": { "isolation": "none" } }), "spec.resources.isolation"),
            (json!({ "replicas": 0 }), "spec.replicas"),
            (json!({ "replicas": 1_000_000 }), "spec.replicas"),
            (json!({ "replicas": 2, "replicas_max": 1 }), "spec.replicas_max"),
            (json!({ "replicas_max": 1_000_000 }), "spec.replicas_max"),
            (json!({ "priority": i32::MIN }), "spec.priority"),
            (json!({ "max_duration_ms": 0 }), "spec.max_duration_ms"),
            (json!({ "stop_grace_ms": u64::MAX }), "spec.stop_grace_ms"),
            (json!({ "retry": { "max": 1_000 } }), "spec.retry.max"),
            (json!({ "ports": [0] }), "spec.ports"),
            (json!({ "ports": [80, 80] }), "spec.ports"),
            (json!({ "ports": [80, 3128], "network": "outbound" }), "spec.ports"),
            (json!({ "runtime": { "image": "a b" } }), "spec.runtime.image"),
            (json!({ "runtime": { "image": "--help" } }), "spec.runtime.image"),
            (json!({ "runtime": { "python": "3" } }), "spec.runtime.python"),
            (json!({ "runtime": { "python": "3.x" } }), "spec.runtime.python"),
        ];
        for (changes, expected) in cases {
            assert_eq!(field(changes.clone()).as_deref(), Some(expected), "{changes}");
        }
    }

    proptest::proptest! {
        /// Whatever is sent, it is legal or told why not, in bounds.
        #[test]
        fn no_text_breaks_it(
            texts in proptest::collection::vec(".{0,80}", 8),
            n in proptest::num::u64::ANY,
        ) {
            let t = |at: usize| texts[at].clone();
            let value = json!({
                "type": "job", "command": [t(0), t(1)], "name": t(2), "setup": [t(3)],
                "env": { t(4): t(5) }, "outputs": [t(6)], "bundle": t(7),
                "resources": { "cpu_milli": n, "memory_bytes": n, "disk_bytes": n, "gpu": t(2) },
            });
            let spec: WorkloadSpec = serde_json::from_value(value).unwrap();
            match check(spec, QueueName::new("lab").unwrap()) {
                Ok(legal) => {
                    let name = legal.base_name();
                    proptest::prop_assert!(UserName::new(name).is_ok());
                }
                Err(Fault::Problem(problem)) => {
                    proptest::prop_assert!(problem.detail.len() < 500);
                    proptest::prop_assert!(!problem.detail.chars().any(char::is_control));
                }
                Err(other) => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn nameless_ones_are_named_after_what_they_run() {
        let named = |command: &[&str]| {
            let spec = spec(json!({ "command": command }));
            check(spec, QueueName::new("lab").unwrap()).unwrap().base_name()
        };
        assert_eq!(named(&["/opt/My_Trainer"]), "mytrainer");
        assert_eq!(named(&["sh", "-euc", "x"]), "job");
        assert_eq!(named(&["w42"]), "job");
        assert_eq!(named(&["---"]), "job");
    }
}
