//! The snapshot after a plan is done: for properties, the simulator and the planner's own proof.
//!
//! Absent on purpose: time passing. What stops still holds its capacity here, as it does in the
//! world until its processes are gone.

use crate::{Action, Plan, Running, Snapshot, Workload, WorkloadState};
use weft_types::{Generation, Timestamp, WorkloadId};

/// The snapshot with every action of the plan committed: starts hold their capacity since `now`,
/// stops are stopping. Actions that do not apply (another attempt, not there) change nothing.
pub fn apply(snapshot: &Snapshot, plan: &Plan, now: Timestamp) -> Snapshot {
    let mut after = snapshot.clone();
    commit_all(&mut after, plan, now);
    after
}

/// The same on the snapshot itself.
pub(crate) fn commit_all(snapshot: &mut Snapshot, plan: &Plan, now: Timestamp) {
    snapshot.generation = Generation(snapshot.generation.0.saturating_add(1));
    let mut promises = plan.promises(now);
    for action in &plan.actions {
        let promise = match action {
            Action::Stop { cause, .. } => cause.beneficiary().and_then(|_| promises.next()),
            Action::Start { .. } => None,
        };
        if commit(snapshot, action, now) {
            promise.into_iter().for_each(|promise| owe_one(snapshot, promise));
        }
    }
    promises.for_each(|promise| owe_one(snapshot, promise));
}

/// The plan with one more workload waiting, and the id it had there: what a dry run shows.
pub fn what_if(snapshot: &Snapshot, workload: Workload, now: Timestamp) -> (WorkloadId, Plan) {
    let (id, with) = with_one(snapshot, workload);
    (id, crate::plan(&with, now))
}

/// The pool with one more workload, and the id it has there.
pub fn with_one(snapshot: &Snapshot, workload: Workload) -> (WorkloadId, Snapshot) {
    let mut with = snapshot.clone();
    let last = with.workloads.last_key_value().map_or(0, |(id, _)| id.0);
    let id = WorkloadId(last.saturating_add(1));
    with.workloads.insert(id, workload);
    (id, with)
}

/// Commits one action; whether it applied.
fn commit(after: &mut Snapshot, action: &Action, now: Timestamp) -> bool {
    let id = match action {
        Action::Start { workload, .. } | Action::Stop { workload, .. } => workload,
    };
    let Some(workload) = after.workloads.get_mut(id) else { return false };
    match (action, &mut workload.state) {
        (Action::Start { attempt, placements, .. }, WorkloadState::Pending(pending))
            if pending.next_attempt == *attempt =>
        {
            workload.state = WorkloadState::Running(Running {
                attempt: *attempt,
                since: now,
                stopping: false,
                handover: None,
                placements: placements.clone(),
            });
        }
        (Action::Stop { attempt, cause, .. }, WorkloadState::Running(running))
            if running.attempt == *attempt && !running.stopping =>
        {
            running.stopping = true;
            running.handover = cause.beneficiary();
        }
        _ => return false,
    }
    true
}

/// Notes for whom a plan stops others: they go before all others until they start, in the order in
/// which it was promised to them. For who carries the actions out in another way than [`apply()`].
pub fn owe(snapshot: &mut Snapshot, plan: &Plan, now: Timestamp) {
    plan.promises(now).for_each(|promise| owe_one(snapshot, promise));
}

fn owe_one(snapshot: &mut Snapshot, (id, at): (WorkloadId, Timestamp)) {
    let state = snapshot.workloads.get_mut(&id).map(|workload| &mut workload.state);
    if let Some(WorkloadState::Pending(pending)) = state {
        pending.owed.get_or_insert(at);
    }
}
