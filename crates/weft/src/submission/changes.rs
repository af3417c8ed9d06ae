//! What the flags of `weft run` change in a workload.

use crate::failure::Failure;
use clap::Args;
use weft_api::spec::{
    FileMapping, NetworkMode, PRIORITY_MAX, PRIORITY_WORDS, ParsedFile, Place, RequirementsFile,
    RetryOn, RetrySpec, SUSPEND_COST_DEFAULT_MS, SuspendBy, SuspendSpec,
};
use weft_types::{Bytes, GANG_MAX, GpuRequest, Isolation, MilliCpu, Millis, QueueName, UserName};

/// What the flags say; each wins over the file.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "What it needs")]
pub(crate) struct Changes {
    /// Accelerators: none, 0.5, 10GB, 0.3,10GB, A100, A100:2, A100:40GB..80GB:2, mig:1g.10gb
    #[arg(long, value_name = "REQUEST")]
    gpu: Option<GpuRequest>,
    /// What keeps it apart from neighbours on an accelerator: this or stronger; exclusive, mig,
    /// kernel, mps or shared
    #[arg(long, value_name = "RUNG", value_parser = RUNGS, hide_possible_values = true)]
    isolation: Option<String>,
    /// Cores: 2, 0.5, 500m
    #[arg(long, visible_alias = "cpus", value_name = "CORES")]
    cpu: Option<MilliCpu>,
    /// Memory limit: 512MB, 16GB, 64GiB
    #[arg(long, value_name = "SIZE")]
    memory: Option<Bytes>,
    /// Scratch disk limit
    #[arg(long, value_name = "SIZE")]
    disk: Option<Bytes>,
    /// Members that start together or not at all; 2..8: up to 8 where there is room
    #[arg(long, alias = "nodes", value_name = "N", value_parser = replicas)]
    replicas: Option<Replicas>,
    /// OCI image to run in
    #[arg(long, conflicts_with_all = ["python", "requirements"])]
    image: Option<String>,
    /// Python version of its environment
    #[arg(long, value_name = "VERSION")]
    python: Option<String>,
    /// Requirements file with hashes
    #[arg(long, value_name = "FILE")]
    requirements: Option<String>,
    /// Make no Python environment: the machine's own programs only
    #[arg(long, conflicts_with_all = ["python", "requirements", "image"])]
    no_env: bool,
    /// File or directory to take along, `here` or `here:there`
    #[arg(long, value_name = "PATH")]
    files: Vec<String>,
    /// Variable, `NAME=value`, or `NAME` to take your own
    #[arg(long, value_name = "NAME[=VALUE]")]
    env: Vec<String>,
    /// Path to keep after the end
    #[arg(long, value_name = "PATH")]
    outputs: Vec<String>,
    /// TCP port it listens on
    #[arg(long, value_name = "PORT")]
    port: Vec<u16>,
    /// none, or outbound through a proxy
    #[arg(long, value_name = "MODE", value_parser = network)]
    network: Option<NetworkMode>,
    /// What it is called
    #[arg(long)]
    name: Option<UserName>,
    /// job, workspace or service
    #[arg(long = "type", value_name = "TYPE", hide_possible_values = true)]
    #[arg(value_parser = ["job", "workspace", "service"])]
    kind: Option<String>,
    /// Queue it is submitted to
    #[arg(long)]
    queue: Option<QueueName>,
    /// concept, training or deployment
    #[arg(long, value_parser = ["concept", "training", "deployment"], hide_possible_values = true)]
    phase: Option<String>,
    /// Higher goes first in its queue: low, normal, high, or -1000 to 1000
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = priority)]
    priority: Option<i32>,
    /// Stop it after this long: 90s, 20m, 1.5h, 2d
    #[arg(long, value_name = "TIME")]
    max_duration: Option<Millis>,
    /// How it can be suspended: checkpoint (it saves to $WEFT_CHECKPOINT_DIR), or off
    #[arg(long, value_name = "HOW", value_parser = suspend)]
    suspend: Option<Suspend>,
    /// How long it is expected to run in all
    #[arg(long, value_name = "TIME")]
    expected_duration: Option<Millis>,
    /// Start it again so often when it fails or is lost
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=100))]
    retry: Option<u32>,
}

/// The rungs of isolation, the strongest first.
const RUNGS: [&str; Isolation::LADDER.len()] = {
    let (mut words, mut at) = ([""; Isolation::LADDER.len()], 0);
    while at < words.len() {
        words[at] = Isolation::LADDER[at].as_str();
        at += 1;
    }
    words
};

impl Changes {
    /// Whether files are named.
    pub(super) fn takes_files(&self) -> bool {
        !self.files.is_empty()
    }

    /// Changes a workload. Paths are meant from this directory; `here` says that the file's are
    /// too, because there is no file.
    pub(super) fn apply(&self, file: &mut ParsedFile, here: bool) -> Result<(), Failure> {
        self.runtime(file, here)?;
        for text in &self.env {
            variable(text, file)?;
        }
        for text in &self.files {
            file.files.push(mapping(text, here)?);
        }
        let spec = &mut file.spec;
        let resources = &mut spec.resources;
        set(&mut resources.gpu, self.gpu.as_ref().map(ToString::to_string));
        set(&mut resources.isolation, self.isolation.clone());
        set(&mut resources.cpu_milli, self.cpu.map(|cpu| cpu.0));
        set(&mut resources.memory_bytes, self.memory.map(|memory| memory.0));
        set(&mut resources.disk_bytes, self.disk.map(|disk| disk.0));
        if let Some(Replicas(least, most)) = self.replicas {
            (spec.replicas, spec.replicas_max) = (least, most);
        }
        set(&mut spec.network, self.network);
        set(&mut spec.kind, self.kind.clone());
        set(&mut spec.priority, self.priority);
        let always = |max| RetrySpec { on: vec![RetryOn::Error, RetryOn::Lost], max };
        set(&mut spec.retry, self.retry.map(|n| if n > 0 { always(n) } else { <_>::default() }));
        spec.name = self.name.as_ref().map(ToString::to_string).or(spec.name.take());
        spec.queue = self.queue.as_ref().map(ToString::to_string).or(spec.queue.take());
        spec.phase = self.phase.clone().or(spec.phase.take());
        spec.max_duration_ms = self.max_duration.map(|span| span.0).or(spec.max_duration_ms);
        let expected = self.expected_duration.map(|span| span.0);
        spec.expected_duration_ms = expected.or(spec.expected_duration_ms);
        if let Some(Suspend(suspend)) = self.suspend {
            // What the file says it costs stays.
            spec.suspend = suspend.map(|flag| spec.suspend.unwrap_or(flag));
        }
        spec.outputs.extend(self.outputs.iter().cloned());
        spec.ports.extend(&self.port);
        Ok(())
    }

    fn runtime(&self, file: &mut ParsedFile, here: bool) -> Result<(), Failure> {
        let runtime = &mut file.spec.runtime;
        if self.no_env || self.image.is_some() {
            (runtime.python, runtime.requirements, file.requirements) = (None, None, None);
        }
        if self.python.is_some() || self.requirements.is_some() {
            runtime.image = None;
        }
        runtime.image = self.image.clone().or(runtime.image.take());
        runtime.python = self.python.clone().or(runtime.python.take());
        if let Some(path) = &self.requirements {
            let path = if here { path.clone() } else { absolute(path)? };
            runtime.requirements = None;
            file.requirements = Some(RequirementsFile { path, at: Place::START });
        }
        Ok(())
    }
}

fn set<T>(to: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *to = value;
    }
}

/// A word or a number, as in a file.
fn priority(text: &str) -> Result<i32, String> {
    let word = PRIORITY_WORDS.iter().find(|(word, _)| *word == text);
    let number = word.map(|(_, number)| *number).or_else(|| text.parse().ok());
    number.filter(|number| number.unsigned_abs() <= PRIORITY_MAX).ok_or_else(|| {
        format!("it is low, normal, high, or a number from -{PRIORITY_MAX} to {PRIORITY_MAX}")
    })
}

/// What `--replicas` says: the least, and the most where that is more.
#[derive(Debug, Clone, Copy)]
struct Replicas(u32, Option<u32>);

fn replicas(text: &str) -> Result<Replicas, String> {
    let number = |text: &str| {
        let number = text.trim().parse::<u32>().map_err(|_| format!("`{text}` is not a number"))?;
        let rule = || format!("{number} is not in 1..={GANG_MAX}");
        (1..=GANG_MAX).contains(&number).then_some(number).ok_or_else(rule)
    };
    let Some((least, most)) = text.split_once("..") else {
        return Ok(Replicas(number(text)?, None));
    };
    let (least, most) = (number(least)?, number(most)?);
    match most < least {
        true => Err("write the smaller bound first".to_owned()),
        false => Ok(Replicas(least, Some(most).filter(|most| *most > least))),
    }
}

/// What `--suspend` says; none: it cannot be suspended.
#[derive(Debug, Clone, Copy)]
struct Suspend(Option<SuspendSpec>);

fn suspend(text: &str) -> Result<Suspend, String> {
    let by = SuspendBy::Checkpoint;
    match text {
        "checkpoint" => Ok(Suspend(Some(SuspendSpec { by, cost_ms: SUSPEND_COST_DEFAULT_MS }))),
        "off" => Ok(Suspend(None)),
        "driver" | "vmm" => Err(format!("this version cannot do {text}; possible is checkpoint")),
        _ => Err("possible are checkpoint and off".to_owned()),
    }
}

fn network(text: &str) -> Result<NetworkMode, String> {
    match text {
        "none" => Ok(NetworkMode::None),
        "outbound" => Ok(NetworkMode::Outbound),
        _ => Err("possible are none and outbound".to_owned()),
    }
}

fn variable(text: &str, file: &mut ParsedFile) -> Result<(), Failure> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(legal)
    {
        return Err(Failure::usage(format!("--env: `{name}` is not the name of a variable"))
            .hint("write NAME=value, or NAME to take your own"));
    }
    match value {
        Some(value) => {
            file.spec.env.insert(name.to_owned(), value.to_owned());
            file.env_from_caller.retain(|known| known != name);
        }
        None if !file.env_from_caller.iter().any(|known| known == name) => {
            file.spec.env.remove(name);
            file.env_from_caller.push(name.to_owned());
        }
        None => {}
    }
    Ok(())
}

fn mapping(text: &str, here: bool) -> Result<FileMapping, Failure> {
    let (from, to) = match text.split_once(':') {
        Some((from, to)) => (from, Some(to.to_owned())),
        None => (text, None),
    };
    if from.is_empty() || !std::path::Path::new(from).exists() {
        return Err(Failure::usage(format!("--files: there is no `{from}` here")));
    }
    let at = Place::START;
    match here {
        true => Ok(FileMapping { from: from.to_owned(), to, at }),
        // It keeps the name it has from here.
        false => {
            let to = to.or_else(|| Some(from.trim_end_matches('/').to_owned()));
            Ok(FileMapping { from: absolute(from)?, to, at })
        }
    }
}

fn absolute(path: &str) -> Result<String, Failure> {
    let absolute = std::path::absolute(path).map_err(|e| Failure::usage(format!("{path}: {e}")))?;
    Ok(absolute.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_priority_is_a_word_or_a_number_within_bounds() {
        for (text, number) in [("high", 100), ("normal", 0), ("low", -100), ("-1000", -1000)] {
            assert_eq!(priority(text), Ok(number), "{text}");
        }
        for wrong in ["1001", "urgent", "", "1.5"] {
            assert!(priority(wrong).is_err_and(|error| error.contains("low, normal, high")));
        }
    }
}
