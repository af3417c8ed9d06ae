//! Policies as runs of the simulator, two at a time.
//!
//! Dedicated machines are as many runs as there are teams: each on its own machines, so that no
//! team's jobs stand in another's way, as they would not in truth. A pool is one run.

use super::cluster::Cluster;
use super::compare::Watch;
use super::policy::{Policy, Sharing, Sizes};
use super::silos;
use super::sizes::{self, SizeError, TeamNeeds};
use crate::trace::Machine;
use crate::world::{
    Case, Control, Course, Failures, Fate, Patience, Scenario, Series, TeamShare, draw, simulate,
};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use weft_types::Millis;

/// Threads that runs are made on: each run holds the whole log's jobs, and most machines that
/// people read reports on have at least two cores.
pub(super) const THREADS: usize = 2;

/// What all runs of a study have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ground<'a> {
    pub(super) jobs: &'a [crate::trace::Job],
    pub(super) needs: &'a BTreeMap<String, TeamNeeds>,
    pub(super) failures: Option<Failures>,
    pub(super) seed: u64,
    pub(super) watch: &'a Watch,
}

/// A policy on a cluster, ready to run.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    pub(super) policy: Policy,
    pub(super) sizes: BTreeMap<String, u64>,
    pub(super) round: Millis,
    cluster: Cluster,
    patience: Option<Patience>,
}

/// Part of a setting: some teams on some machines.
pub(super) struct Piece {
    pub(super) setting: usize,
    pub(super) scenario: Scenario,
    /// None for all teams.
    team: Option<String>,
}

impl Setting {
    pub(super) fn new(
        policy: &Policy,
        cluster: &Cluster,
        round: Millis,
        ground: &Ground<'_>,
    ) -> Result<Self, SizeError> {
        let all = cluster.devices();
        let sizes = match &policy.sizes {
            Sizes::DeviceTime => sizes::by_device_time(all, ground.needs),
            Sizes::Best => silos::best_sizes(all, ground.needs, ground.jobs, ground.watch)
                .unwrap_or_else(|| sizes::by_device_time(all, ground.needs)),
            Sizes::Named(queues) => sizes::named(all, ground.needs, queues)?,
        };
        let (policy, cluster) = (policy.clone(), cluster.clone());
        Ok(Self { policy, sizes, round, cluster, patience: None })
    }

    /// With these sizes instead.
    pub(super) fn sized(mut self, sizes: BTreeMap<String, u64>) -> Self {
        self.sizes = sizes;
        self
    }

    /// Left as soon as more is waited than this.
    pub(super) fn patient(mut self, patience: Option<Patience>) -> Self {
        self.patience = patience;
        self
    }

    fn scenario(&self, ground: &Ground<'_>, teams: BTreeMap<String, TeamShare>) -> Scenario {
        Scenario {
            machines: self.cluster.machines.clone(),
            teams,
            order: self.policy.order,
            suspend: self.policy.suspend,
            stop: self.policy.give_back,
            round: self.round,
            failures: ground.failures,
            seed: ground.seed,
        }
    }

    fn pieces(&self, setting: usize, ground: &Ground<'_>) -> Vec<Piece> {
        let named = match &self.policy.sizes {
            Sizes::Named(queues) => Some(queues),
            _ => None,
        };
        let all = self.cluster.devices();
        let shares = sizes::shares(all, self.policy.sharing, &self.sizes, named);
        if self.policy.sharing == Sharing::Pooled {
            let scenario = self.scenario(ground, shares);
            return vec![Piece { setting, scenario, team: None }];
        }
        let dealt = silos::deal(&self.cluster, &self.sizes);
        let piece = |(team, machines): (String, Vec<Machine>)| {
            let share = shares.get(&team).copied().unwrap_or_default();
            let teams = BTreeMap::from([(team.clone(), share)]);
            let scenario = Scenario { machines, ..self.scenario(ground, teams) };
            Piece { setting, scenario, team: Some(team) }
        };
        dealt.into_iter().map(piece).collect()
    }
}

/// Runs settings and gives their courses, in their order.
pub(super) fn run_all(settings: &[Setting], ground: &Ground<'_>) -> Vec<Course> {
    let pieces = pieces(settings, ground);
    let courses = in_parallel(pieces.len(), |at| run(&pieces[at], settings, ground));
    merged(settings.len(), &pieces, courses)
}

pub(super) fn pieces(settings: &[Setting], ground: &Ground<'_>) -> Vec<Piece> {
    (0..).zip(settings).flat_map(|(at, setting)| setting.pieces(at, ground)).collect()
}

/// The courses of pieces as those of their settings.
pub(super) fn merged(settings: usize, pieces: &[Piece], courses: Vec<Course>) -> Vec<Course> {
    let mut merged = vec![None; settings];
    for (piece, course) in pieces.iter().zip(courses) {
        let into = &mut merged[piece.setting];
        *into = Some(match into.take() {
            None => course,
            Some(sum) => merge(sum, course),
        });
    }
    merged.into_iter().map(Option::unwrap_or_default).collect()
}

impl Piece {
    /// Its jobs, with their places among all, and what is drawn for them.
    pub(super) fn cases<'a>(
        &self,
        settings: &[Setting],
        ground: &Ground<'a>,
    ) -> (Vec<usize>, Vec<Case<'a>>) {
        let policy = &settings[self.setting].policy;
        let cases = draw(ground.jobs, 100 - policy.suspendable.min(100), policy.wrong, ground.seed);
        let mine = |case: &Case<'_>| self.team.as_ref().is_none_or(|team| case.job.queue == *team);
        cases.into_iter().enumerate().filter(|(_, case)| mine(case)).unzip()
    }
}

fn run(piece: &Piece, settings: &[Setting], ground: &Ground<'_>) -> Course {
    let (places, cases) = piece.cases(settings, ground);
    let ended = |jobs: usize| ground.watch.ended(jobs);
    let control = Control {
        cancel: Some(&ground.watch.cancel),
        ended: Some(&ended),
        patience: settings[piece.setting].patience,
    };
    let course = simulate(&piece.scenario, &cases, &control);
    // What is not run is not waited for.
    ground.watch.ended(cases.len() - course.fates.len());
    mapped(course, &places)
}

/// A piece's course, its cases by their places among all.
pub(super) fn mapped(mut course: Course, places: &[usize]) -> Course {
    course.fates.iter_mut().for_each(|fate| fate.case = places[fate.case]);
    course.open_cases.iter_mut().for_each(|case| *case = places[*case]);
    course
}

/// Two runs on machines apart as one.
fn merge(mut sum: Course, more: Course) -> Course {
    sum.fates.extend(more.fates);
    sum.fates.sort_by_key(|fate: &Fate| fate.case);
    for (into, from) in [(&mut sum.used, &more.used), (&mut sum.borrowed, &more.borrowed)] {
        // A series begins where its run does: the earlier begin is kept.
        if from.from < into.from || into.bins.is_empty() {
            let mut earlier = Series::new(from.from);
            earlier.merge(from);
            earlier.merge(into);
            *into = earlier;
        } else {
            into.merge(from);
        }
    }
    sum.decisions = sum.decisions.rotate_left(1) ^ more.decisions;
    sum.plans += more.plans;
    sum.reclaims += more.reclaims;
    sum.failures += more.failures;
    sum.destroyed += more.destroyed;
    sum.open += more.open;
    sum.open_cases.extend(more.open_cases);
    sum.cut = [sum.cut, more.cut].into_iter().flatten().min();
    sum
}

/// Does `task` for `0..count` on a few threads and gives what they gave, in order.
pub(super) fn in_parallel<T: Send>(count: usize, task: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let done: Vec<Mutex<Option<T>>> = (0..count).map(|_| Mutex::new(None)).collect();
    let worker = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(slot) = done.get(at) else { return };
            let result = task(at);
            if let Ok(mut slot) = slot.lock() {
                *slot = Some(result);
            }
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (1..THREADS.min(count)).map(|_| scope.spawn(worker)).collect();
        worker();
        threads.into_iter().for_each(|thread| {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        });
    });
    done.into_iter().filter_map(|slot| slot.into_inner().ok().flatten()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_tasks() {
        assert_eq!(in_parallel(100, |at| at * at), (0..100).map(|at| at * at).collect::<Vec<_>>());
        assert!(in_parallel(0, |at| at).is_empty());
    }
}
