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
    plan.actions.iter().for_each(|action| commit(snapshot, action, now));
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

fn commit(after: &mut Snapshot, action: &Action, now: Timestamp) {
    let id = match action {
        Action::Start { workload, .. } | Action::Stop { workload, .. } => workload,
    };
    let Some(workload) = after.workloads.get_mut(id) else { return };
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
            if let Some(id) = cause.beneficiary() {
                owe(after, id, now);
            }
        }
        _ => {}
    }
}

/// Something is stopped for this one: it goes before all others until it starts.
pub fn owe(after: &mut Snapshot, id: WorkloadId, now: Timestamp) {
    let state = after.workloads.get_mut(&id).map(|workload| &mut workload.state);
    if let Some(WorkloadState::Pending(pending)) = state {
        pending.owed.get_or_insert(now);
    }
}
