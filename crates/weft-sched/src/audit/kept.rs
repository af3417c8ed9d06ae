//! Whether each promise that a plan notes is to one that waits, has none yet, and waits for a stop.

use super::{gang, running};
use crate::{Action, Finding, Plan, Snapshot, WorkloadState};
use alloc::vec::Vec;

pub(super) fn check(snapshot: &Snapshot, plan: &Plan, findings: &mut Vec<Finding>) {
    let stops = plan.actions.iter().any(|action| matches!(action, Action::Stop { .. }))
        || running(snapshot).any(|(_, _, run)| run.stopping);
    for (id, _) in &plan.kept {
        let state = snapshot.workloads.get(id).map(|workload| &workload.state);
        let wrong = match state {
            Some(WorkloadState::Pending(pending)) if pending.owed.is_some() => {
                "has a promise already"
            }
            Some(WorkloadState::Pending(_)) if stops => continue,
            Some(WorkloadState::Pending(_)) => "is promised a place where nothing stops",
            _ => "is promised a place and does not wait",
        };
        findings.push(gang(*id, wrong));
    }
}
