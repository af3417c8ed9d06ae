//! Writing a plan as a case has it.

use crate::{Action, Grant, Placement, Plan, Reason, Snapshot, StopCause, audit, describe};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write;
use weft_types::{MilliGpu, Timestamp};

/// The plan as text: what starts where, what stops, why the rest waits, and what the audit finds.
pub fn print_plan(snapshot: &Snapshot, plan: &Plan, now: Timestamp) -> String {
    let mut out = String::new();
    for action in &plan.actions {
        line(&mut out, &action_text(action));
    }
    for (id, verdict) in &plan.verdicts {
        let eta = verdict.eta.map(|eta| alloc::format!("; eta {}", moment(eta, now)));
        let (kind, position) = (kind(&verdict.reason), verdict.position);
        let (sentence, _) = describe(&verdict.reason);
        let until = match &verdict.reason {
            Reason::BackOff { until } | Reason::MinRun { until } => {
                alloc::format!("; {}", moment(*until, now))
            }
            _ => String::new(),
        };
        let eta = eta.unwrap_or_default();
        line(&mut out, &alloc::format!("wait {id}  #{position}  {kind}: {sentence}{until}{eta}"));
    }
    if let Some(at) = plan.wake_at {
        line(&mut out, &alloc::format!("wake {}", moment(at, now)));
    }
    for finding in audit(snapshot, plan, now) {
        line(&mut out, &alloc::format!("finding {finding:?}"));
    }
    out
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
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
        Reason::Behind { .. } => "behind",
    }
}
