//! What is counted about a run: waits, completion times, slowdowns, claims on what is guaranteed.

use crate::trace::Job;
use crate::world::{Course, Fate};
use serde::Serialize;
use std::collections::BTreeMap;
use weft_types::Millis;

/// Waits and run times below this count as this long in a slowdown, so that a job of a second does
/// not outweigh one of a day (the bounded slowdown of Feitelson and Rudolph, 1998).
const SLOWDOWN_FLOOR: u64 = 600_000;

/// Teams with fewer jobs are left out where the worst is compared with the best.
pub(super) const TEAM_JOBS_MIN: usize = 300;

/// Points of a distribution's curve, in thousandths of the jobs; closer where the tail is.
const CURVE: [u32; 41] = [
    0, 25, 50, 75, 100, 125, 150, 175, 200, 225, 250, 275, 300, 350, 400, 450, 500, 550, 600, 650,
    700, 725, 750, 775, 800, 825, 850, 875, 900, 910, 920, 930, 940, 950, 960, 970, 980, 990, 995,
    999, 1000,
];

/// A distribution of times, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Spread {
    /// How many.
    pub count: usize,
    /// Mean.
    pub mean: u64,
    /// Half are not above.
    pub p50: u64,
    /// Nine of ten are not above.
    pub p90: u64,
    /// Nineteen of twenty are not above.
    pub p95: u64,
    /// Ninety-nine of a hundred are not above.
    pub p99: u64,
    /// The largest.
    pub max: u64,
}

/// What became of claims: jobs submitted while all their team had under way was within what it is
/// guaranteed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Claims {
    /// How many there were.
    pub made: usize,
    /// Of those, how many started within the bound.
    pub honoured: usize,
    /// Of those that did not, how many need more than one device.
    pub late_large: usize,
    /// The longest that one waited.
    pub worst: u64,
}

/// The figures of some jobs in a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Figures {
    /// From submission to the first start.
    pub wait: Spread,
    /// From submission to the end.
    pub completion: Spread,
    /// Mean bounded slowdown, in thousandths.
    pub slowdown_milli: u64,
    /// Jobs that were suspended at least once.
    pub suspended: usize,
    /// Suspensions in all.
    pub suspensions: u64,
    /// Points of the waits' distribution: thousandths of the jobs, milliseconds.
    pub wait_curve: Vec<(u32, u64)>,
    /// Points of the completion times' distribution.
    pub completion_curve: Vec<(u32, u64)>,
}

impl Spread {
    /// Of these, in any order.
    #[must_use]
    pub fn of(mut times: Vec<u64>) -> Self {
        times.sort_unstable();
        let sum: u128 = times.iter().map(|time| u128::from(*time)).sum();
        let mean = sum / times.len().max(1) as u128;
        Self {
            count: times.len(),
            mean: u64::try_from(mean).unwrap_or(u64::MAX),
            p50: at(&times, 500),
            p90: at(&times, 900),
            p95: at(&times, 950),
            p99: at(&times, 990),
            max: at(&times, 1000),
        }
    }
}

/// The least of sorted times that so many thousandths are not above.
fn at(sorted: &[u64], permille: usize) -> u64 {
    let rank = (sorted.len() * permille).div_ceil(1000).max(1);
    sorted.get(rank - 1).copied().unwrap_or(0)
}

impl Figures {
    /// Of these jobs' fates.
    pub(super) fn of<'a>(jobs: &[Job], fates: impl Iterator<Item = &'a Fate> + Clone) -> Self {
        let waits: Vec<u64> = fates.clone().map(|fate| wait(jobs, fate).0).collect();
        let ends: Vec<u64> = fates.clone().map(|fate| completion(jobs, fate).0).collect();
        let slow: u128 = fates.clone().map(|fate| u128::from(slowdown_milli(jobs, fate))).sum();
        let slow = slow / waits.len().max(1) as u128;
        Self {
            slowdown_milli: u64::try_from(slow).unwrap_or(u64::MAX),
            suspended: fates.clone().filter(|fate| fate.suspensions > 0).count(),
            suspensions: fates.map(|fate| u64::from(fate.suspensions)).sum(),
            wait_curve: curve(&waits),
            completion_curve: curve(&ends),
            wait: Spread::of(waits),
            completion: Spread::of(ends),
        }
    }
}

fn curve(times: &[u64]) -> Vec<(u32, u64)> {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    if sorted.is_empty() {
        return Vec::new();
    }
    CURVE.iter().map(|permille| (*permille, at(&sorted, *permille as usize))).collect()
}

/// From submission to the first start.
pub(super) fn wait(jobs: &[Job], fate: &Fate) -> Millis {
    fate.start.since(jobs[fate.case].submit)
}

/// From submission to the end.
pub(super) fn completion(jobs: &[Job], fate: &Fate) -> Millis {
    fate.end.since(jobs[fate.case].submit)
}

fn slowdown_milli(jobs: &[Job], fate: &Fate) -> u64 {
    let took = completion(jobs, fate).0.max(SLOWDOWN_FLOOR);
    let work = jobs[fate.case].duration.unwrap_or_default().0.max(SLOWDOWN_FLOOR);
    u64::try_from(u128::from(took) * 1000 / u128::from(work)).unwrap_or(u64::MAX)
}

/// The worst team's mean slowdown over the best's, in thousandths, among those with enough jobs.
pub(super) fn team_ratio_milli(jobs: &[Job], fates: &[&Fate]) -> Option<u64> {
    let mut teams: BTreeMap<&str, (u128, usize)> = BTreeMap::new();
    for fate in fates {
        let (sum, count) = teams.entry(&jobs[fate.case].queue).or_default();
        (*sum, *count) = (*sum + u128::from(slowdown_milli(jobs, fate)), *count + 1);
    }
    let large = teams.values().filter(|(_, count)| *count >= TEAM_JOBS_MIN);
    let means: Vec<u128> = large.map(|(sum, count)| sum / *count as u128).collect();
    let (worst, best) = (means.iter().max()?, means.iter().min()?);
    u64::try_from(worst * 1000 / (*best).max(1)).ok().filter(|_| means.len() > 1)
}

/// What became of the claims in a run.
pub(super) fn claims(jobs: &[Job], course: &Course, bound: Millis) -> Claims {
    let mut claims = Claims::default();
    for fate in course.fates.iter().filter(|fate| fate.claim) {
        let wait = wait(jobs, fate);
        claims.made += 1;
        claims.worst = claims.worst.max(wait.0);
        match wait <= bound {
            true => claims.honoured += 1,
            false => claims.late_large += usize::from(jobs[fate.case].devices > 1),
        }
    }
    claims
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_ranks() {
        let spread = Spread::of((1..=100).rev().collect());
        assert_eq!((spread.p50, spread.p90, spread.p95, spread.max), (50, 90, 95, 100));
        assert_eq!((spread.count, spread.mean), (100, 50));
        assert_eq!(Spread::of(Vec::new()), Spread::default());
        assert_eq!(Spread::of(vec![7]).p50, 7);
        assert!(CURVE.is_sorted());
    }
}
