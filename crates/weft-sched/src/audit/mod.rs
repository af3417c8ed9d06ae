//! The audit: separate code that checks a plan against the rules, before it is committed.
//!
//! It shares the snapshot's types with the planner and nothing else: no working copy, no scores,
//! no order. Sums are made anew from names, slowly and plainly, and only what the plan adds is
//! judged: a pool that was over before is not the plan's doing. Any finding stops the plan.
//!
//! | file | checks |
//! |--|--|
//! | `starts.rs` | each start is of what waits, whole, and as it was requested |
//! | `room.rs` | no machine, device or slice of one is given beyond what it has |
//! | `share.rs` | no queue uses beyond its own, what it may borrow and what others lend |
//! | `grown.rs` | what grows beyond its least members does so in its own share, or gives back easily |
//! | `kept.rs` | each promise is to one that waits while something stops |
//! | `stops.rs` | each stop is of what runs, is allowed, and makes room for its beneficiary |

mod grown;
mod kept;
mod room;
mod share;
mod starts;
mod stops;

use crate::{Action, Finding, Placement, Plan, Running, Snapshot, Workload, WorkloadState};
use alloc::string::String;
use alloc::vec::Vec;
use weft_types::{Timestamp, WorkloadId};

/// The rules that the plan breaks on this snapshot at this moment; none for a sound plan.
pub fn audit(snapshot: &Snapshot, plan: &Plan, now: Timestamp) -> Vec<Finding> {
    let given = given(snapshot, plan);
    let mut findings = Vec::new();
    starts::check(snapshot, plan, now, &mut findings);
    room::check(snapshot, &given, &mut findings);
    share::check(snapshot, &given, &mut findings);
    grown::check(snapshot, &given, &mut findings);
    kept::check(snapshot, plan, &mut findings);
    stops::check(snapshot, plan, &given, now, &mut findings);
    findings
}

/// What a plan gives to a workload that is there.
struct Given<'a> {
    id: WorkloadId,
    workload: &'a Workload,
    placements: &'a [Placement],
}

fn given<'a>(snapshot: &'a Snapshot, plan: &'a Plan) -> Vec<Given<'a>> {
    let start = |action: &'a Action| match action {
        Action::Start { workload: id, placements, .. } => {
            let workload = snapshot.workloads.get(id)?;
            Some(Given { id: *id, workload, placements })
        }
        Action::Stop { .. } => None,
    };
    plan.actions.iter().filter_map(start).collect()
}

/// What holds capacity in the snapshot.
fn running(snapshot: &Snapshot) -> impl Iterator<Item = (WorkloadId, &Workload, &Running)> {
    snapshot.workloads.iter().filter_map(|(id, workload)| match &workload.state {
        WorkloadState::Running(running) => Some((*id, workload, running)),
        WorkloadState::Pending(_) => None,
    })
}

fn gang(workload: WorkloadId, what: impl Into<String>) -> Finding {
    Finding::Gang { workload, what: what.into() }
}
