//! The closing box of a run: result, time, what was allocated against what was used, and what
//! to do next.

use crate::show::{
    Style, columns, cores, cut, glyphs, one_line, paint_err, percent, span, width, wrap,
};
use std::path::Path;
use weft_api::spec::WorkloadSpec;
use weft_api::wire::{
    Help, Placed, Published, PublishedState, State, UsageSummary, Wait, Workload,
};
use weft_client::Address;
use weft_types::{Bytes, MilliGpu};

/// Widest box: beyond it lines are hard to read across.
const WIDEST: usize = 78;

/// Narrowest box: below it there is no room for a word beside the names.
const NARROWEST: usize = 24;

/// Columns before a value: the side, and the name with a blank on each side of it.
const NAMES: usize = 11;

/// The box, in the columns there are.
pub(crate) fn summary(workload: &Workload, server: &Address) -> String {
    boxed(workload, server, width().clamp(NARROWEST, WIDEST))
}

fn boxed(workload: &Workload, server: &Address, most: usize) -> String {
    let [corner, side, end, line] = glyphs().frame;
    let title = format!("{} {}", workload.name, workload.state.as_str());
    let title = cut(&title, most - 4).to_owned();
    let style = match workload.state {
        State::Succeeded => Style::Good,
        State::Stopped => Style::Busy,
        _ => Style::Bad,
    };
    let rest = most.saturating_sub(columns(&title) + 4);
    let mut out = format!("{corner}{line} {} {}\n", paint_err(&title, style), line.repeat(rest));
    for (name, value) in rows(workload, server) {
        for (n, part) in wrap(&value, most - NAMES).iter().enumerate() {
            let name = format!("{:<8}", if n == 0 { name } else { "" });
            let part = one_line(part);
            out += format!("{side} {} {part}", paint_err(&name, Style::Faint)).trim_end();
            out.push('\n');
        }
    }
    out + &format!("{end}{}", line.repeat(most.saturating_sub(1)))
}

fn rows(workload: &Workload, server: &Address) -> Vec<(&'static str, String)> {
    let usage = &workload.usage;
    let mut rows = vec![("result", result(workload)), ("time", time(workload))];
    if let Some(size) = size(workload.members, &workload.spec) {
        rows.push(("size", size));
    }
    rows.push(("cpu", cpu(usage)));
    rows.push(("memory", memory(usage)));
    if usage.gpu_allocated_ms > 0 {
        rows.push(("devices", devices(workload)));
    }
    let kept = Some(outputs(workload, server)).filter(|_| !workload.spec.outputs.is_empty());
    for (n, output) in kept.into_iter().chain(workload.published.iter().map(published)).enumerate()
    {
        rows.push((if n == 0 { "outputs" } else { "" }, output));
    }
    for (n, next) in next_steps(workload).into_iter().enumerate() {
        rows.push((if n == 0 { "next" } else { "" }, next));
    }
    rows
}

fn result(workload: &Workload) -> String {
    let Some(exit) = &workload.exit else { return workload.state.as_str().to_owned() };
    let code = match (exit.kind.as_str(), exit.code) {
        ("exited", Some(code)) => format!("exit code {code}"),
        (kind, Some(code)) => format!("{} (exit code {code})", kind.replace('-', " ")),
        (kind, None) => kind.replace('-', " "),
    };
    let attempts = match workload.attempt {
        0 | 1 => String::new(),
        n => format!(", start {n}"),
    };
    match (exit.kind.as_str(), exit.detail.as_str()) {
        // Of a plain end the code says it all.
        ("exited", _) | (_, "") => format!("{code}{attempts}"),
        (_, detail) => format!("{code}{attempts}: {detail}"),
    }
}

fn time(workload: &Workload) -> String {
    let end = workload.ended_at_ms.unwrap_or(workload.submitted_at_ms);
    match workload.started_at_ms {
        Some(started) => {
            let before = started.saturating_sub(workload.submitted_at_ms);
            let ran = span(end.saturating_sub(started));
            match (workload.attempt, workload.served_ms) {
                // What came before has running in it.
                (2.., served @ 1..) => {
                    format!("{} in {} starts, {ran} in the last", span(served), workload.attempt)
                }
                _ => format!("{ran} running, {} before", span(before)),
            }
        }
        None => format!("{}, it never ran", span(end.saturating_sub(workload.submitted_at_ms))),
    }
}

fn cpu(usage: &UsageSummary) -> String {
    format!(
        "{} of core time used of {} allocated ({})",
        span(usage.cpu_ms),
        span(usage.cpu_allocated_ms),
        percent(usage.cpu_ms, usage.cpu_allocated_ms)
    )
}

fn memory(usage: &UsageSummary) -> String {
    format!(
        "{} at most of {} allocated ({})",
        Bytes(usage.memory_peak_bytes),
        Bytes(usage.memory_limit_bytes),
        percent(usage.memory_peak_bytes, usage.memory_limit_bytes)
    )
}

fn devices(workload: &Workload) -> String {
    let usage = &workload.usage;
    let simulated = match workload.placements.iter().flat_map(|p| &p.devices).any(|d| d.simulated) {
        true => ", simulated",
        false => "",
    };
    let allocated = span(usage.gpu_allocated_ms);
    let source = usage.gpu_source.as_ref().map(|word| format!(", {word}")).unwrap_or_default();
    match usage.gpu_active_ms {
        Some(active) => format!(
            "{} active of {allocated} device time allocated ({}){source}{simulated}",
            span(active),
            percent(active, usage.gpu_allocated_ms)
        ),
        None => format!("{allocated} device time allocated, use not known{simulated}"),
    }
}

/// Where the kept files are: of a server on this machine their directory, else their names.
fn outputs(workload: &Workload, server: &Address) -> String {
    match server {
        Address::Socket(socket) => {
            let state = socket.parent().unwrap_or(Path::new("/"));
            state.join("outputs").join(&workload.id).display().to_string()
        }
        Address::Tcp { .. } => workload.spec.outputs.join(", "),
    }
}

/// A version that an output became, or why it is none.
fn published(output: &Published) -> String {
    let Published { from, to, state, version, why } = output;
    let why = why.as_deref().unwrap_or("it is on its way");
    match (state, version) {
        (PublishedState::Made, Some(version)) => format!("{to}@v{version}, of {from}"),
        (PublishedState::Waiting, _) => format!("{from} is not in {to} yet: {why}"),
        _ => format!("{from} did not go into {to}: {why}"),
    }
}

/// Three commands that are useful now.
fn next_steps(workload: &Workload) -> Vec<String> {
    let name = &workload.name;
    let mut steps = vec![format!("weft logs {name}"), format!("weft metrics {name}")];
    let made = workload.published.iter().find_map(|output| output.version.map(|v| (output, v)));
    match (made, workload.spec.outputs.is_empty()) {
        (Some((output, version)), _) => {
            steps.push(format!("weft data lineage {}@v{version}", output.to));
        }
        (None, true) => steps.push(format!("weft events {name}")),
        (None, false) => steps.push(format!("weft outputs {name} --to {name}")),
    }
    steps
}

/// Why something waits, in one line: reason, place, when.
pub(crate) fn waits(wait: &Wait, now_ms: u64) -> String {
    let eta = match wait.eta_ms {
        Some(at) if at > now_ms => format!(", starts in about {}", span(at - now_ms)),
        Some(_) => ", starts soon".to_owned(),
        None => String::new(),
    };
    format!("#{}{eta}: {}", wait.position, wait.reason)
}

/// That its turn is over, as the beginning of a sentence; nothing where it is not.
pub(crate) fn turn_over(workload: &Workload) -> String {
    let Some(suspended) = &workload.suspended else { return String::new() };
    format!("suspended after {} for {}; ", span(suspended.after_ms), suspended.by)
}

/// How many members it has, of how many it takes; nothing where that is one number.
pub(crate) fn size(members: u32, spec: &WorkloadSpec) -> Option<String> {
    let (least, most) = spec.members();
    (least < most).then(|| format!("{members} of {least} to {most} members"))
}

/// How long it is expected to take, and who says so.
pub(crate) fn expectation(workload: &Workload) -> Option<String> {
    let expected = workload.expected.as_ref()?;
    let from = match (expected.runs, &expected.program) {
        (0, _) if workload.spec.expected_duration_ms.is_none() => "its max_duration".to_owned(),
        (0, _) => "as stated".to_owned(),
        (runs, Some(program)) => format!("from the last {runs} runs of {}", one_line(program)),
        (runs, None) => format!("from the last {runs} runs of the same"),
    };
    Some(format!("expected to take {} in all, {from}", span(expected.duration_ms)))
}

/// What would let it start, each in a line that names what to write where.
pub(crate) fn helps(wait: &Wait, now_ms: u64) -> Vec<String> {
    let line = |help: &Help| {
        let changes = help.changes.iter().map(|c| format!("{}: {}", c.field, c.value));
        let changes: Vec<_> = changes.collect();
        let when = match help.at_ms {
            Some(at) if at > now_ms => format!(", in about {}", span(at - now_ms)),
            Some(_) => ", which is due".to_owned(),
            None => String::new(),
        };
        let write = match changes.is_empty() {
            true => String::new(),
            false => format!("  ({})", changes.join(", ")),
        };
        format!("- {}{when}{write}", help.what)
    };
    wait.helps.iter().map(line).collect()
}

/// What a member holds, in one line.
pub(crate) fn holds(placed: &Placed) -> String {
    let many = if placed.cpu_milli == 1000 { "" } else { "s" };
    let memory = Bytes(placed.memory_bytes);
    let mut line = format!("{} core{many}, {memory}", cores(placed.cpu_milli));
    let mut held: Vec<(String, u32)> = Vec::new();
    for share in &placed.devices {
        let simulated = if share.simulated { ", simulated" } else { "" };
        let what = match (&share.mig, share.milli) {
            (Some(profile), _) => profile.clone(),
            (None, 1000..) => "whole".to_owned(),
            (None, milli) => format!("{} of it", MilliGpu(milli)),
        };
        let (memory, isolation) = (Bytes(share.memory_bytes), &share.isolation);
        let one = format!("{} ({what}, {memory}, {isolation}{simulated})", share.class);
        match held.iter_mut().find(|(known, _)| *known == one) {
            Some((_, count)) => *count += 1,
            None => held.push((one, 1)),
        }
    }
    for (one, count) in held {
        let many = if count > 1 { format!("{count} x ") } else { String::new() };
        line += &format!(", {many}{one}");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_overflows_the_box() {
        let long = "placement: /a/very/long/path/that/has/no/blanks/at/all/and/does/not/end/soon \
                    漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字\u{9b}2J\x1b[2J\nhint: ask for less";
        let workload: Workload = serde_json::from_value(serde_json::json!({
            "id": "w1", "name": "a-name-of-some-length-as-people-give-them", "user": "u",
            "queue": "default", "kind": "job", "phase": "training", "state": "failed",
            "attempt": 1, "submitted_at_ms": 0, "spec": WorkloadSpec::empty(), "version": 1,
            "usage": UsageSummary::default(),
            "exit": {"kind": "not-started", "detail": long},
        }))
        .unwrap();
        for most in [NARROWEST, 40, WIDEST] {
            let server = Address::Socket("/run/weft/api.sock".into());
            let text = boxed(&workload, &server, most);
            assert!(text.lines().all(|line| columns(line) <= most), "{most}:\n{text}");
            assert!(!text.contains(['\x1b', '\u{9b}']), "{text:?}");
            assert!(text.split_whitespace().collect::<String>().contains("hint:"), "{text}");
        }
    }
}
