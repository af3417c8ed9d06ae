//! The smallest pool that is no worse than dedicated machines, by bisection through the simulator.
//!
//! No worse means that mean wait, the 95th percentile of waits and mean completion are none of them
//! larger, over the same jobs. A run is left as soon as its waits alone say that it is worse.

use super::cluster::Cluster;
use super::findings::Fewer;
use super::policy::Policy;
use super::runs::{Ground, Setting, run_all};
use super::sizes::proportional;
use crate::world::{Fate, Patience};
use std::collections::BTreeMap;
use weft_types::Millis;

use super::figures::{Spread, completion, wait};

/// Runs that a search takes, for the progress shown: a pool of 128 machines.
pub(super) const PROBES: usize = 7;

/// What must not be exceeded.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) than: String,
    /// Mean wait, its 95th percentile, mean completion, in milliseconds.
    pub(super) at_most: [u64; 3],
}

/// What is searched with.
pub(super) struct Search<'a> {
    pub(super) ground: Ground<'a>,
    pub(super) cluster: &'a Cluster,
    pub(super) policy: &'a Policy,
    pub(super) sizes: &'a BTreeMap<String, u64>,
    pub(super) round: Millis,
    /// Which jobs are compared, by their places.
    pub(super) compared: &'a [bool],
}

impl Search<'_> {
    /// The smallest pool for each target, where the whole one serves.
    pub(super) fn fewest(&self, targets: &[Target]) -> Vec<Fewer> {
        let mut found: Vec<(Fewer, [u64; 3])> = Vec::new();
        for target in targets {
            // What is no better than an earlier target's need not be looked for below it.
            let stricter = |(_, at_most): &&(Fewer, [u64; 3])| {
                target.at_most.iter().zip(at_most).all(|(this, that)| this <= that)
            };
            let from = found.iter().find(stricter).map_or(1, |(fewer, _)| fewer.machines);
            let fewer = self.search(target, from);
            found.extend(fewer.map(|fewer| (fewer, target.at_most)));
        }
        found.into_iter().map(|(fewer, _)| fewer).collect()
    }

    fn search(&self, target: &Target, from: usize) -> Option<Fewer> {
        let mut tried = Vec::new();
        let mut probe = |machines: usize| {
            let figures = self.probe(machines, target);
            tried.push((machines, self.cluster.first(machines).devices(), figures));
            figures.is_some_and(|it| it.iter().zip(target.at_most).all(|(got, most)| *got <= most))
        };
        let (mut worse, mut serves) = (from.saturating_sub(1), self.cluster.machines.len());
        if !probe(serves) {
            return None;
        }
        while serves - worse > 1 {
            let middle = worse + (serves - worse) / 2;
            match probe(middle) {
                true => serves = middle,
                false => worse = middle,
            }
        }
        if self.ground.watch.is_cancelled() {
            return None;
        }
        let devices = self.cluster.first(serves).devices();
        tried.sort_by_key(|(machines, ..)| *machines);
        Some(Fewer { than: target.than.clone(), machines: serves, devices, tried })
    }

    /// Mean wait, its 95th percentile, mean completion on so many machines.
    fn probe(&self, machines: usize, target: &Target) -> Option<[u64; 3]> {
        let cluster = self.cluster.first(machines);
        let weights = self.sizes.iter().map(|(team, size)| (team.clone(), (u128::from(*size), 0)));
        let sizes = proportional(cluster.devices(), &weights.collect());
        let compared = self.compared.iter().filter(|it| **it).count();
        let others = self.compared.len() - compared;
        let all = others == 0;
        let patience = Patience {
            sum: match all {
                // Means are rounded down.
                true => u128::from(target.at_most[0] + 1) * compared as u128,
                false => u128::MAX,
            },
            long: Millis(target.at_most[1]),
            longs: compared / 20 + others + 1,
        };
        let setting = Setting::new(self.policy, &cluster, self.round, &self.ground).ok()?;
        let setting = setting.sized(sizes).patient(Some(patience));
        let course = run_all(&[setting], &self.ground).pop()?;
        let jobs = self.ground.jobs;
        let mine = |fate: &&Fate| self.compared[fate.case];
        let waits: Vec<u64> =
            course.fates.iter().filter(mine).map(|fate| wait(jobs, fate).0).collect();
        if course.cut.is_some() || waits.len() < compared {
            return None;
        }
        let ends = course.fates.iter().filter(mine).map(|fate| completion(jobs, fate).0).collect();
        let waits = Spread::of(waits);
        Some([waits.mean, waits.p95, Spread::of(ends).mean])
    }
}
