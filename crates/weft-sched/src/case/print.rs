//! Writing a snapshot and a plan as a case has them.

use crate::{
    Action, DeviceMode, Grant, Large, Order, Placement, Plan, Reason, Request, Snapshot, StopCause,
    Versions, Workload, WorkloadState, audit, describe,
};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::{Display, Write};
use weft_types::{Isolation, MilliGpu, Millis, Timestamp, WorkloadId};

/// The plan as text: what starts where, what stops, why the rest waits, and what the audit finds.
pub fn print_plan(snapshot: &Snapshot, plan: &Plan, now: Timestamp) -> String {
    let mut out = String::new();
    let moved = plan.to_move(snapshot);
    for action in &plan.actions {
        let moved = moved.get(&action.workload()).filter(|_| is_start(action));
        let moved = moved.map(|bytes| alloc::format!("  brings {bytes}")).unwrap_or_default();
        line(&mut out, &moved, &action_text(action));
    }
    for (id, verdict) in &plan.verdicts {
        let eta = verdict.eta.map(|eta| alloc::format!("; eta {}", moment(eta, now)));
        let (kind, position) = (kind(&verdict.reason), verdict.position);
        let (sentence, _) = describe(&verdict.reason);
        let until = match verdict.reason.as_ref() {
            Reason::BackOff { until }
            | Reason::MinRun { until }
            | Reason::Behind { until: Some(until), .. } => {
                alloc::format!("; {}", moment(*until, now))
            }
            _ => String::new(),
        };
        let eta = eta.unwrap_or_default();
        line(
            &mut out,
            "",
            &alloc::format!("wait {id}  #{position}  {kind}: {sentence}{until}{eta}"),
        );
    }
    if let Some(at) = plan.wake_at {
        line(&mut out, "", &alloc::format!("wake {}", moment(at, now)));
    }
    for finding in audit(snapshot, plan, now) {
        line(&mut out, "", &alloc::format!("finding {finding:?}"));
    }
    out
}

/// The snapshot as the input of a case: what reads back as the same one, as far as the language
/// can say it (one kind of geometry, values by gigabytes, times before the epoch are not said).
pub fn print_snapshot(snapshot: &Snapshot, now: Timestamp) -> String {
    let mut out = alloc::format!("now {}ms\n", now.0);
    for (name, node) in &snapshot.nodes {
        let mut text = alloc::format!("node {name}");
        for device in node.devices.values() {
            let mig = match (&device.mode, device.share) {
                (DeviceMode::Mig { .. }, _) => ":mig",
                (DeviceMode::Whole, Some(Isolation::Kernel)) => ":kernel",
                (DeviceMode::Whole, Some(Isolation::Mps)) => ":mps",
                (DeviceMode::Whole, None) => ":exclusive",
                (DeviceMode::Whole, Some(_)) => "",
            };
            let gigabytes = device.class.memory.0 / 1_000_000_000;
            let _ = write!(text, " {}-{gigabytes}{mig}", device.class.name);
        }
        let (cpu, memory, disk) = (node.cpu.0, node.memory.0, node.disk.0);
        let _ = write!(text, " cpu={cpu}m memory={memory}B disk={disk}B");
        line(&mut out, if node.schedulable { "" } else { " closed" }, &text);
        for (index, _) in node.devices.iter().filter(|(_, device)| !device.healthy) {
            line(&mut out, "", &alloc::format!("sick {name}/{index}"));
        }
    }
    for (name, queue) in &snapshot.queues {
        let cohort = queue.cohort.as_ref().map(|cohort| alloc::format!(" cohort={cohort}"));
        let (gpu, cpu, memory) = (&queue.gpu, &queue.cpu, &queue.memory);
        let gpu = quota("gpu", [gpu.nominal.0, gpu.borrowing.0, gpu.lending.0], "m");
        let cpu = quota("cpu", [cpu.nominal.0, cpu.borrowing.0, cpu.lending.0], "m");
        let memory = [memory.nominal.0, memory.borrowing.0, memory.lending.0];
        let memory = quota("memory", memory, "B");
        let order = if queue.order == Order::Service { " order=service" } else { "" };
        let recent = match queue.recent.0 {
            0 => String::new(),
            milli => alloc::format!(" recent={milli}m"),
        };
        let apart = apart(queue.isolation);
        let text = alloc::format!("queue {name}{gpu}{cpu}{memory}{recent}{order}{apart}");
        line(&mut out, &cohort.unwrap_or_default(), &text);
    }
    for Large { queue, request, milli } in &snapshot.large {
        let text = alloc::format!("large {queue}{} machines={milli}m", request_text(request));
        line(&mut out, "", &text);
    }
    for (id, workload) in &snapshot.workloads {
        workload_line(&mut out, *id, workload, now);
    }
    for (node, held) in snapshot.data.held.iter().filter(|(_, held)| !held.is_empty()) {
        line(&mut out, "", &versions("holds", node, held));
    }
    for (id, read) in snapshot.data.read.iter().filter(|(_, read)| !read.is_empty()) {
        line(&mut out, "", &versions("reads", id, read));
    }
    out
}

fn quota(key: &str, [nominal, borrowing, lending]: [u64; 3], unit: &str) -> String {
    alloc::format!(" {key}={nominal}{unit}+{borrowing}{unit}-{lending}{unit}")
}

fn request_text(request: &Request) -> String {
    let (cpu, memory, disk) = (request.cpu.0, request.memory.0, request.disk.0);
    let apart = apart(request.isolation);
    alloc::format!(" gpu={} cpu={cpu}m memory={memory}B disk={disk}B{apart}", request.gpu)
}

fn apart(least: Isolation) -> String {
    if least.is_least() { String::new() } else { alloc::format!(" isolation={least}") }
}

fn workload_line(out: &mut String, id: WorkloadId, workload: &Workload, now: Timestamp) {
    let (request, reclaim) = (&workload.request, &workload.reclaim);
    let runs = matches!(workload.state, WorkloadState::Running(_));
    let mut text = alloc::format!("{} {id} {}", if runs { "run" } else { "want" }, workload.queue);
    text.push_str(&request_text(request));
    let _ = match workload.members() {
        (gang, most) if gang < most => write!(text, " gang={gang}..{most}"),
        (gang, _) => write!(text, " gang={gang}"),
    };
    let _ = write!(text, " priority={}", workload.priority);
    let _ = write!(text, " kind={} phase={}", workload.kind, workload.phase);
    let _ = write!(text, " min-run={}ms", reclaim.min_run_ms.0);
    let fixed = if reclaim.preemptible { "" } else { " fixed" };
    let kept = if reclaim.reclaimable { "" } else { " kept" };
    let _ = write!(text, "{fixed}{kept}");
    let served = Some(workload.served).filter(|served| *served != Millis::ZERO);
    let spans = [
        ("max", workload.max_duration),
        ("expected", workload.expected),
        ("suspend", workload.suspend),
        ("served", served),
    ];
    for (key, span) in spans {
        if let Some(span) = span {
            let _ = write!(text, " {key}={}ms", span.0);
        }
    }
    let age = now.since(workload.submitted_at).0;
    match &workload.state {
        WorkloadState::Pending(pending) => {
            let backoff = pending.not_before.since(now).0;
            let idle = now.since(pending.since).0;
            let _ = write!(text, " waited={age}ms idle={idle}ms attempt={}", pending.next_attempt);
            if let Some(owed) = pending.owed {
                let _ = write!(text, " owed={}ms", owed.0);
            }
            if backoff > 0 {
                let _ = write!(text, " backoff={backoff}ms");
            }
        }
        WorkloadState::Running(running) => {
            let on: Vec<String> = running.placements.iter().map(place).collect();
            let ran = now.since(running.since).0;
            let _ = write!(text, " age={age}ms attempt={} ran={ran}ms", running.attempt);
            let _ = write!(text, " on={}", on.join(","));
            let stopping = if running.stopping { " stopping" } else { "" };
            let handover = running.handover.map(|id| alloc::format!(" for={id}"));
            let _ = write!(text, "{stopping}{}", handover.unwrap_or_default());
        }
    }
    line(out, "", &text);
}

fn versions(word: &str, name: &dyn Display, versions: &Versions) -> String {
    let parts: Vec<String> =
        versions.iter().map(|(version, bytes)| alloc::format!("{version}:{}B", bytes.0)).collect();
    alloc::format!("{word} {name} data={}", parts.join(","))
}

fn is_start(action: &Action) -> bool {
    matches!(action, Action::Start { .. })
}

fn line(out: &mut String, end: &str, text: &str) {
    out.push_str(text);
    out.push_str(end);
    out.push('\n');
}

fn action_text(action: &Action) -> String {
    match action {
        Action::Start { workload, attempt, placements } => {
            let mut text = alloc::format!("start {workload}");
            if attempt.0 != 1 {
                let _ = write!(text, " attempt={attempt}");
            }
            for placement in placements {
                let _ = write!(text, "  {}", place(placement));
            }
            text
        }
        Action::Stop { workload, cause, .. } => match cause {
            StopCause::Preempt { beneficiary } => {
                alloc::format!("stop {workload}  preempt for {beneficiary}")
            }
            StopCause::Reclaim { beneficiary } => {
                alloc::format!("stop {workload}  reclaim for {beneficiary}")
            }
            StopCause::Suspend { beneficiary } => {
                alloc::format!("stop {workload}  suspend for {beneficiary}")
            }
            StopCause::MaxDuration => alloc::format!("stop {workload}  max-duration"),
        },
    }
}

fn place(placement: &Placement) -> String {
    let grants: Vec<String> = placement.grants.iter().map(grant).collect();
    match grants.is_empty() {
        true => placement.node.to_string(),
        false => alloc::format!("{}/{}", placement.node, grants.join("+")),
    }
}

fn grant(grant: &Grant) -> String {
    let index = grant.device().index;
    match grant {
        Grant::Whole { .. } => index.to_string(),
        Grant::Share { milli: MilliGpu(milli), memory, .. } => {
            let (milli, memory) = (MilliGpu(*milli), memory.to_string().replace(' ', ""));
            alloc::format!("{index}:{milli}:{memory}")
        }
        Grant::Mig { placement, .. } => {
            alloc::format!("{index}:{}@{}", placement.profile, placement.start)
        }
    }
}

fn moment(at: Timestamp, now: Timestamp) -> String {
    alloc::format!("+{}", at.since(now))
}

fn kind(reason: &Reason) -> &'static str {
    match reason {
        Reason::BackOff { .. } => "back-off",
        Reason::Impossible { .. } => "impossible",
        Reason::Quota { .. } => "quota",
        Reason::Capacity { .. } => "capacity",
        Reason::Handover { .. } => "handover",
        Reason::MinRun { .. } => "min-run",
        Reason::Kept { .. } => "kept",
        Reason::Behind { .. } => "behind",
    }
}
