//! What became of the jobs, and the figures by which orders are compared.

use std::collections::BTreeMap;
use weft_types::{Millis, Timestamp};

/// Waits below this count as this long in a slowdown, so that a job of a second does not outweigh
/// one of a day (the bounded slowdown of Feitelson and Rudolph, 1998, with ten minutes).
const SLOWDOWN_FLOOR: u64 = 600_000;

/// Teams with fewer jobs are left out where the worst is compared with the best.
const TEAM_JOBS_MIN: usize = 300;

/// What became of one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobOutcome {
    /// Its team.
    pub team: String,
    /// Devices.
    pub devices: u32,
    /// When it was submitted.
    pub submit: Timestamp,
    /// When it first started.
    pub start: Timestamp,
    /// When it was done.
    pub end: Timestamp,
    /// How long it works.
    pub duration: Millis,
    /// How often it was suspended.
    pub suspensions: u32,
}

/// A distribution, in hours.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Spread {
    /// Mean.
    pub mean: f64,
    /// Half are below.
    pub p50: f64,
    /// Nine of ten are below.
    pub p90: f64,
    /// Ninety-nine of a hundred are below.
    pub p99: f64,
    /// The largest.
    pub max: f64,
}

/// The figures of a replay.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Jobs that ended.
    pub jobs: usize,
    /// From submission to the end.
    pub completion: Spread,
    /// From submission to the first start.
    pub wait: Spread,
    /// Mean bounded slowdown.
    pub slowdown: f64,
    /// The worst team's mean slowdown over the best's.
    pub team_ratio: f64,
    /// Suspensions of all jobs.
    pub suspensions: u64,
    /// Mean wait of each team, in hours.
    pub team_waits: BTreeMap<String, f64>,
}

impl Spread {
    fn of(mut milliseconds: Vec<u64>) -> Self {
        milliseconds.sort_unstable();
        let hours = |value: u64| value as f64 / 3_600_000.0;
        let at = |permille: usize| {
            let rank = (milliseconds.len() * permille).div_ceil(1000).max(1);
            milliseconds.get(rank - 1).map_or(0.0, |value| hours(*value))
        };
        let sum: u128 = milliseconds.iter().map(|value| u128::from(*value)).sum();
        let mean = sum as f64 / 3_600_000.0 / milliseconds.len().max(1) as f64;
        Self { mean, p50: at(500), p90: at(900), p99: at(990), max: at(1000) }
    }
}

impl JobOutcome {
    fn wait(&self) -> u64 {
        self.start.since(self.submit).0
    }

    fn slowdown(&self) -> f64 {
        let took = self.end.since(self.submit).0.max(SLOWDOWN_FLOOR);
        took as f64 / self.duration.0.max(SLOWDOWN_FLOOR) as f64
    }
}

impl Summary {
    /// Of these jobs.
    #[must_use]
    pub fn of(jobs: &[JobOutcome]) -> Self {
        let mut teams: BTreeMap<&str, Vec<&JobOutcome>> = BTreeMap::new();
        for job in jobs {
            teams.entry(&job.team).or_default().push(job);
        }
        let mean = |jobs: &[&JobOutcome], of: fn(&JobOutcome) -> f64| {
            jobs.iter().map(|job| of(job)).sum::<f64>() / jobs.len().max(1) as f64
        };
        let large = teams.values().filter(|jobs| jobs.len() >= TEAM_JOBS_MIN);
        let slow: Vec<f64> = large.map(|jobs| mean(jobs, JobOutcome::slowdown)).collect();
        let worst = slow.iter().copied().fold(f64::NAN, f64::max);
        let best = slow.iter().copied().fold(f64::NAN, f64::min);
        let hours = |job: &JobOutcome| job.wait() as f64 / 3_600_000.0;
        let all: Vec<&JobOutcome> = jobs.iter().collect();
        Self {
            jobs: jobs.len(),
            completion: Spread::of(jobs.iter().map(|job| job.end.since(job.submit).0).collect()),
            wait: Spread::of(jobs.iter().map(JobOutcome::wait).collect()),
            slowdown: mean(&all, JobOutcome::slowdown),
            team_ratio: worst / best,
            suspensions: jobs.iter().map(|job| u64::from(job.suspensions)).sum(),
            team_waits: teams
                .iter()
                .map(|(t, jobs)| ((*t).to_owned(), mean(jobs, hours)))
                .collect(),
        }
    }
}
