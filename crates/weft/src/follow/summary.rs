//! The closing box of a run: result, time, what was allocated against what was used, and what
//! to do next.

use crate::show::{Style, cores, glyphs, paint_err, percent, span, width};
use std::path::Path;
use weft_api::wire::{Placed, State, UsageSummary, Wait, Workload};
use weft_client::Address;
use weft_types::{Bytes, MilliGpu};

/// Widest box: beyond it lines are hard to read across.
const WIDEST: usize = 78;

/// The box.
pub(crate) fn summary(workload: &Workload, server: &Address) -> String {
    let [corner, side, end, line] = glyphs().frame;
    let columns = width().min(WIDEST);
    let title = format!("{} {}", workload.name, workload.state.as_str());
    let style = match workload.state {
        State::Succeeded => Style::Good,
        State::Stopped => Style::Busy,
        _ => Style::Bad,
    };
    let rest = columns.saturating_sub(title.chars().count() + 4);
    let mut out = format!("{corner}{line} {} {}\n", paint_err(&title, style), line.repeat(rest));
    for (name, value) in rows(workload, server) {
        // A reason may have a hint on a line of its own: it stays inside.
        let value = value.replace('\n', &format!("\n{side}          "));
        out += &format!("{side} {} {value}\n", paint_err(&format!("{name:<8}"), Style::Faint));
    }
    out + &format!("{end}{}", line.repeat(columns.saturating_sub(1)))
}

fn rows(workload: &Workload, server: &Address) -> Vec<(&'static str, String)> {
    let usage = &workload.usage;
    let mut rows = vec![("result", result(workload)), ("time", time(workload))];
    rows.push(("cpu", cpu(usage)));
    rows.push(("memory", memory(usage)));
    if usage.gpu_allocated_ms > 0 {
        rows.push(("devices", devices(workload)));
    }
    if !workload.spec.outputs.is_empty() {
        rows.push(("outputs", outputs(workload, server)));
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
            format!("{} running, {} before", span(end.saturating_sub(started)), span(before))
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
    format!(
        "{} active of {} device time allocated ({}){simulated}",
        span(usage.gpu_active_ms),
        span(usage.gpu_allocated_ms),
        percent(usage.gpu_active_ms, usage.gpu_allocated_ms)
    )
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

/// Three commands that are useful now.
fn next_steps(workload: &Workload) -> Vec<String> {
    let name = &workload.name;
    let mut steps = vec![format!("weft logs {name}"), format!("weft metrics {name}")];
    match workload.spec.outputs.is_empty() {
        true => steps.push(format!("weft events {name}")),
        false => steps.push(format!("weft outputs {name} --to {name}")),
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

/// What a member holds, in one line.
pub(crate) fn holds(placed: &Placed) -> String {
    let many = if placed.cpu_milli == 1000 { "" } else { "s" };
    let memory = Bytes(placed.memory_bytes);
    let mut line = format!("{} core{many}, {memory}", cores(placed.cpu_milli));
    for share in &placed.devices {
        let simulated = if share.simulated { ", simulated" } else { "" };
        let what = match (&share.mig, share.milli) {
            (Some(profile), _) => profile.clone(),
            (None, 1000..) => "whole".to_owned(),
            (None, milli) => format!("{} of it", MilliGpu(milli)),
        };
        line += &format!(
            ", {} ({what}, {}, {}{simulated})",
            share.class,
            Bytes(share.memory_bytes),
            share.isolation
        );
    }
    line
}
