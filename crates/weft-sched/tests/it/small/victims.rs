//! Who may be stopped for a single waiting workload, by trying every set of the running ones.

use super::best::charge;
use super::search::Search;
use crate::pools::starts;
use crate::rules::{Sum, Used, quota, refused, total, used};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use std::collections::BTreeSet;
use weft_sched::{Action, Snapshot, Workload, WorkloadState, gpu_milli, plan};
use weft_types::{Timestamp, WorkloadId};

/// That the one that waits starts if it can, is helped if any set of victims helps it, and that
/// none of its victims could have been kept.
pub(super) fn check(snapshot: &Snapshot, now: Timestamp) -> Result<(), TestCaseError> {
    let plan = plan(snapshot, now);
    let case = || super::case(snapshot, now);
    let waits =
        |it: &&WorkloadId| matches!(snapshot.workloads[it].state, WorkloadState::Pending(_));
    let id = *snapshot.workloads.keys().find(waits).expect("one waits");
    let scene = Scene { snapshot, now, workload: &snapshot.workloads[&id] };
    let stopped: BTreeSet<WorkloadId> = plan.actions.iter().filter_map(stopped).collect();
    let ids: Vec<WorkloadId> = snapshot.workloads.keys().copied().collect();
    let chosen: u32 =
        (0..ids.len()).filter(|at| stopped.contains(&ids[*at])).map(|at| 1 << at).sum();

    let can_start = scene.helped_by(0);
    prop_assert_eq!(starts(&plan.actions, id), can_start, "can start\n{}", case());
    if can_start {
        prop_assert_eq!(chosen, 0, "stops for nothing\n{}", case());
        return Ok(());
    }
    let sets = || (1..1u32 << ids.len()).filter(|set| scene.may_stop(*set));
    let helped = sets().any(|set| scene.helped_by(set));
    prop_assert_eq!(chosen != 0, helped, "can be helped\n{}", case());
    prop_assert!(chosen == 0 || scene.may_stop(chosen), "may be stopped\n{}", case());
    prop_assert!(chosen == 0 || scene.helped_by(chosen), "is enough\n{}", case());
    let less = (1..chosen).filter(|set| set & chosen == *set).find(|set| scene.helped_by(*set));
    prop_assert!(less.is_none(), "{:b} of {:b} would do\n{}", less.unwrap_or(0), chosen, case());
    Ok(())
}

fn stopped(action: &Action) -> Option<WorkloadId> {
    match action {
        Action::Stop { workload, .. } => Some(*workload),
        Action::Start { .. } => None,
    }
}

/// One waits; sets of the others are bits in the order of ids.
struct Scene<'a> {
    snapshot: &'a Snapshot,
    now: Timestamp,
    workload: &'a Workload,
}

impl Scene<'_> {
    /// Whether it would start if these were gone.
    fn helped_by(&self, set: u32) -> bool {
        let used = self.used_without(set);
        let charge = charge(self.snapshot, self.workload);
        let gone = |at: usize| set >> at & 1 == 1;
        let (search, state) = Search::without(self.snapshot, &gone);
        !refused(&self.snapshot.queues, &used, &self.workload.queue, charge)
            && !search.place(&BTreeSet::from([state]), self.workload).is_empty()
    }

    /// Whether all of a set may be stopped, one after the other in some order.
    fn may_stop(&self, set: u32) -> bool {
        let members = (0..self.snapshot.workloads.len()).filter(|at| set >> at & 1 == 1);
        let mut open = vec![0u32];
        for _ in members.clone() {
            let next = open.iter().flat_map(|gone| {
                let left = members.clone().filter(move |at| gone >> at & 1 == 0);
                left.filter(move |at| self.allowed(*at, *gone)).map(move |at| *gone | 1 << at)
            });
            open = BTreeSet::from_iter(next).into_iter().collect();
        }
        !open.is_empty()
    }

    /// Whether one may be stopped when those are gone.
    fn allowed(&self, at: usize, gone: u32) -> bool {
        let victim = self.snapshot.workloads.values().nth(at).expect("it is there");
        let WorkloadState::Running(running) = &victim.state else { return false };
        if running.since.after(victim.reclaim.min_run_ms) > self.now {
            return false;
        }
        if victim.queue == self.workload.queue {
            return victim.reclaim.preemptible && victim.priority < self.workload.priority;
        }
        let cohort = |it: &Workload| self.snapshot.queues[&it.queue].cohort.clone();
        let shared = cohort(victim).is_some() && cohort(victim) == cohort(self.workload);
        shared && victim.reclaim.reclaimable && self.lends(gone, victim)
    }

    /// Whether it stays within its own, and the other is beyond its own in what it needs.
    fn lends(&self, gone: u32, victim: &Workload) -> bool {
        let (own, charge) = (self.used_without(0), charge(self.snapshot, self.workload));
        let nominal = |it: &Workload, r| quota(&self.snapshot.queues, &it.queue, r).nominal;
        let uses = total(&own, &self.workload.queue);
        let within = |r: usize| uses[r] + charge[r] <= nominal(self.workload, r);
        let theirs = total(&self.used_without(gone), &victim.queue);
        let needs = || (0..3).filter(|r| charge[*r] > 0);
        needs().all(within) && needs().any(|r| theirs[r] > nominal(victim, r))
    }

    fn used_without(&self, set: u32) -> Used {
        let mut used = used(self.snapshot);
        for (at, workload) in self.snapshot.workloads.values().enumerate() {
            let WorkloadState::Running(running) = &workload.state else { continue };
            if set >> at & 1 == 0 {
                continue;
            }
            let sum: &mut Sum = used.get_mut(&workload.queue).expect("it uses something");
            for placement in &running.placements {
                let gpu = placement.grants.iter().map(|grant| gpu_milli(self.snapshot, grant).0);
                let part = [gpu.sum(), placement.cpu.0, placement.memory.0].map(u128::from);
                (0..3).for_each(|r| sum[r] -= part[r]);
            }
        }
        used
    }
}
