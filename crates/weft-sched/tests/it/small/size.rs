//! How large one starts that waits alone, by trying every size from its most down.

use super::best::charge;
use super::search::Search;
use crate::rules::{quota, refused, total, used};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use std::collections::BTreeSet;
use weft_sched::{Action, Snapshot, Workload, WorkloadState, plan};
use weft_types::Timestamp;

/// That the one that waits, if it starts, does so with as many members as it can.
pub(super) fn check(snapshot: &Snapshot, now: Timestamp) -> Result<(), TestCaseError> {
    let plan = plan(snapshot, now);
    let started = plan.actions.iter().find_map(|action| match action {
        Action::Start { workload, placements, .. } => Some((workload, placements.len() as u32)),
        Action::Stop { .. } => None,
    });
    let Some((id, members)) = started else { return Ok(()) };
    let workload = &snapshot.workloads[id];
    prop_assert!(matches!(workload.state, WorkloadState::Pending(_)));
    let (least, most) = workload.members();
    let best = (least..=most).rev().find(|members| can_be(snapshot, workload, *members));
    prop_assert_eq!(Some(members), best, "{}", super::case(snapshot, now));
    Ok(())
}

/// Whether so many fit, within the queue's own share where there are more than the least and it
/// cannot easily give them back.
fn can_be(snapshot: &Snapshot, workload: &Workload, members: u32) -> bool {
    let sized = Workload { gang: members, gang_most: 0, ..workload.clone() };
    let (used, charge) = (used(snapshot), charge(snapshot, &sized));
    let uses = total(&used, &workload.queue);
    let nominal = |r| quota(&snapshot.queues, &workload.queue, r).nominal;
    let own = (0..3).all(|r| charge[r] == 0 || uses[r] + charge[r] <= nominal(r));
    let pliant = workload.suspend.is_some() && workload.reclaim.reclaimable;
    let (search, state) = Search::new(snapshot);
    (members == workload.gang || own || pliant)
        && !refused(&snapshot.queues, &used, &workload.queue, charge)
        && !search.place(&BTreeSet::from([state]), &sized).is_empty()
}
