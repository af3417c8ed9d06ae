//! A workload as the file that describes it: what `--print-spec` prints.
//!
//! Reading it back gives the same workload. What is at its default is left out.

use super::data::usual_place;
use super::program::{IDLE, SHELL};
use super::read::ParsedFile;
use super::workload::{
    DataSpec, NetworkMode, ResourcesSpec, RetryOn, RetrySpec, SUSPEND_COST_DEFAULT_MS, SuspendBy,
    SuspendSpec, WorkloadSpec,
};
use std::fmt::Write as _;
use weft_types::{Bytes, MilliCpu};

/// The file that describes a workload.
pub fn to_file(file: &ParsedFile) -> String {
    let (spec, mut out) = (&file.spec, Printer::default());
    out.line(0, "type", &spec.kind);
    out.text("name", spec.name.as_deref());
    out.text("phase", spec.phase.as_deref());
    out.text("queue", spec.queue.as_deref());
    out.other("priority", spec.priority, 0);
    program(file, &mut out);
    resources(&spec.resources, &mut out);
    match spec.members() {
        (least, most) if least < most => out.line(0, "replicas", &format!("{least}..{most}")),
        (least, _) => out.other("replicas", least, 1),
    }
    if let Some(span) = spec.max_duration_ms {
        out.line(0, "max_duration", &duration(span));
    }
    retry(&spec.retry, &mut out);
    if !spec.ports.is_empty() {
        out.line(0, "ports", &format!("{:?}", spec.ports));
    }
    if spec.network == NetworkMode::Outbound {
        out.line(0, "network", "outbound");
    }
    if let Some(span) = spec.expected_duration_ms {
        out.line(0, "expected_duration", &duration(span));
    }
    suspend(spec.suspend, &mut out);
    if spec.stop_grace_ms != WorkloadSpec::empty().stop_grace_ms {
        out.line(0, "stop_grace", &duration(spec.stop_grace_ms));
    }
    out.0
}

fn program(file: &ParsedFile, out: &mut Printer) {
    let spec = &file.spec;
    out.text("image", spec.runtime.image.as_deref());
    out.text("python", spec.runtime.python.as_deref());
    let path = file.requirements.as_ref().map(|file| file.path.as_str());
    out.text("requirements", path);
    if let Some(text) = &spec.runtime.requirements {
        // Several lines, so that it does not read as the path of a file.
        let end = if text.contains('\n') { "" } else { "\n" };
        out.block("requirements", &format!("{text}{end}"));
    }
    out.list("setup", &spec.setup);
    match spec.command.as_slice() {
        [sh, flags, script] if [sh, flags] == SHELL && !script.is_empty() => {
            out.block("run", script);
        }
        command if spec.kind == "workspace" && command == IDLE => {}
        command => {
            let words: Vec<_> = command.iter().map(|word| quoted(word)).collect();
            out.line(0, "run", &format!("[{}]", words.join(", ")));
        }
    }
    if !spec.env.is_empty() || !file.env_from_caller.is_empty() {
        out.line(0, "env", "");
        for (name, value) in &spec.env {
            out.line(1, name, &scalar(value));
        }
        for name in &file.env_from_caller {
            out.line(1, name, "");
        }
    }
    let mapping = |from: &str, to: Option<&str>| match to {
        Some(to) => format!("{from}:{to}"),
        None => from.to_owned(),
    };
    let files: Vec<_> = file.files.iter().map(|f| mapping(&f.from, f.to.as_deref())).collect();
    out.list("files", &files);
    out.text("bundle", spec.bundle.as_deref());
    outputs(spec, out);
    data(&spec.data, out);
}

fn outputs(spec: &WorkloadSpec, out: &mut Printer) {
    out.list("outputs", &spec.outputs);
    if spec.outputs.is_empty() && !spec.publish.is_empty() {
        out.line(0, "outputs", "");
    }
    for entry in &spec.publish {
        let _ = writeln!(out.0, "  - from: {}", scalar(&entry.from));
        let _ = writeln!(out.0, "    to: {}", scalar(&entry.to));
    }
}

fn data(data: &[DataSpec], out: &mut Printer) {
    if data.is_empty() {
        return;
    }
    out.line(0, "data", "");
    for entry in data {
        let _ = writeln!(out.0, "  - from: {}", scalar(&entry.from));
        if entry.to != usual_place(&entry.from) {
            let _ = writeln!(out.0, "    to: {}", scalar(&entry.to));
        }
        if let Some(sample) = &entry.sample {
            let _ = writeln!(out.0, "    sample: {}", scalar(sample));
        }
    }
}

fn resources(resources: &ResourcesSpec, out: &mut Printer) {
    let usual = ResourcesSpec::default();
    if *resources == usual {
        return;
    }
    out.line(0, "resources", "");
    if resources.cpu_milli != usual.cpu_milli {
        out.line(1, "cpu", &MilliCpu(resources.cpu_milli).to_string());
    }
    if resources.memory_bytes != usual.memory_bytes {
        out.line(1, "memory", &size(Bytes(resources.memory_bytes)));
    }
    if resources.disk_bytes != usual.disk_bytes {
        out.line(1, "disk", &size(Bytes(resources.disk_bytes)));
    }
    if resources.gpu != usual.gpu {
        out.line(1, "gpu", &scalar(&resources.gpu));
    }
    if resources.isolation != usual.isolation {
        out.line(1, "isolation", &resources.isolation);
    }
}

fn retry(retry: &RetrySpec, out: &mut Printer) {
    if *retry == RetrySpec::default() {
        return;
    }
    let word = |on: &RetryOn| match on {
        RetryOn::Error => "error",
        RetryOn::Lost => "lost",
    };
    let on: Vec<_> = retry.on.iter().map(word).collect();
    out.line(0, "retry", "");
    out.line(1, "on", &format!("[{}]", on.join(", ")));
    out.line(1, "max", &retry.max.to_string());
}

fn suspend(suspend: Option<SuspendSpec>, out: &mut Printer) {
    let Some(SuspendSpec { by: SuspendBy::Checkpoint, cost_ms }) = suspend else { return };
    if cost_ms == SUSPEND_COST_DEFAULT_MS {
        return out.line(0, "suspend", "checkpoint");
    }
    out.line(0, "suspend", "");
    out.line(1, "by", "checkpoint");
    out.line(1, "cost", &duration(cost_ms));
}

/// The largest unit that loses nothing.
fn duration(ms: u64) -> String {
    let units = [(3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    match units.into_iter().find(|(size, _)| ms > 0 && ms.is_multiple_of(*size)) {
        Some((size, unit)) => format!("{}{unit}", ms / size),
        None => format!("{ms}ms"),
    }
}

/// The largest unit that loses nothing.
fn size(bytes: Bytes) -> String {
    let units = [(1_000_000_000, "GB"), (1 << 30, "GiB"), (1_000_000, "MB"), (1 << 20, "MiB")];
    match units.into_iter().find(|(size, _)| bytes.0 > 0 && bytes.0.is_multiple_of(*size)) {
        Some((size, unit)) => format!("{}{unit}", bytes.0 / size),
        None => format!("{}B", bytes.0),
    }
}

/// Lines of YAML, two spaces for each level.
#[derive(Default)]
struct Printer(String);

impl Printer {
    fn line(&mut self, level: usize, key: &str, value: &str) {
        let space = if value.is_empty() { "" } else { " " };
        let _ = writeln!(self.0, "{}{key}:{space}{value}", "  ".repeat(level));
    }

    fn text(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.line(0, key, &scalar(value));
        }
    }

    fn other<T: PartialEq + std::fmt::Display>(&mut self, key: &str, value: T, usual: T) {
        if value != usual {
            self.line(0, key, &value.to_string());
        }
    }

    fn list(&mut self, key: &str, items: &[String]) {
        if items.is_empty() {
            return;
        }
        self.line(0, key, "");
        for item in items {
            let _ = writeln!(self.0, "  - {}", scalar(item));
        }
    }

    /// Text of several lines as a block, where a block keeps it as it is.
    fn block(&mut self, key: &str, text: &str) {
        let clean = |line: &str| {
            line.chars().all(|c| c == ' ' || c.is_ascii_graphic() || c.is_alphanumeric())
        };
        let plain = !text.starts_with([' ', '\n'])
            && text.lines().all(|l| clean(l) && !l.ends_with(' '))
            && !text.contains('\r')
            && !text.ends_with("\n\n");
        if !text.contains('\n') || !plain {
            return self.line(0, key, &scalar(text));
        }
        self.line(0, key, if text.ends_with('\n') { "|" } else { "|-" });
        for line in text.lines() {
            let indent = if line.is_empty() { "" } else { "  " };
            let _ = writeln!(self.0, "{indent}{line}");
        }
    }
}

/// A scalar, quoted where it would not read as this text.
fn scalar(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "_./=@+%-".contains(c);
    let inner = |c: char| safe(c) || c == ' ';
    let word = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(inner)
        && !text.ends_with(' ');
    let other = ["true", "false", "null"].contains(&text.to_ascii_lowercase().as_str());
    if word && !other { text.to_owned() } else { quoted(text) }
}

/// In double quotes; JSON's escapes are YAML's too.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            // What a YAML stream may not hold as it is, or folds (YAML 1.2.2, §5.1 and §5.4).
            _ if c.is_control() || "\u{2028}\u{2029}\u{feff}\u{fffe}\u{ffff}".contains(c) => {
                let _ = write!(out, "\\u{:04X}", c as u32);
            }
            _ => out.push(c),
        }
    }
    out.push('"');
    out
}
