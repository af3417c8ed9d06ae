//! What came of a run: each job's fate, the use of the pool over time, and a hash of all decisions.

use crate::rng::Rng;
use weft_sched::{Action, Grant};
use weft_types::{Millis, Timestamp};

/// What became of one job that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fate {
    /// Its place among the cases.
    pub case: usize,
    /// When it was first started.
    pub start: Timestamp,
    /// When it was done.
    pub end: Timestamp,
    /// How often it was suspended.
    pub suspensions: u32,
    /// How often its machine failed under it.
    pub lost: u32,
    /// When it was submitted, all that its team had under way, itself included, was within what
    /// the team is guaranteed.
    pub claim: bool,
}

/// What came of a run.
#[derive(Debug, Clone, Default)]
pub struct Course {
    /// Of the jobs that ended, by their cases.
    pub fates: Vec<Fate>,
    /// Devices in use over time.
    pub used: Series,
    /// Devices that teams used beyond their own over time.
    pub borrowed: Series,
    /// A hash of all decisions in their order: equal runs have equal hashes.
    pub decisions: u64,
    /// How often the planner was asked.
    pub plans: u64,
    /// Stops of one team's job for another team's.
    pub reclaims: u64,
    /// Machines that failed.
    pub failures: u64,
    /// Work that failures destroyed, in thousandths of devices times milliseconds.
    pub destroyed: u128,
    /// Jobs that had not ended when the run was left.
    pub open: usize,
    /// How far it came, where it was cut short.
    pub cut: Option<Timestamp>,
    /// The cases that could run and had not ended by then.
    pub open_cases: Vec<usize>,
}

/// Most bins of a series; then each pair becomes one.
const BINS_MAX: usize = 4096;

/// Width of the first bins: ten minutes.
const BIN_MS: u64 = 600_000;

/// An amount over time, as integrals over equal bins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// Where the first bin begins.
    pub from: Timestamp,
    /// How long a bin is.
    pub width: Millis,
    /// The integral over each bin: thousandths of devices times milliseconds.
    pub bins: Vec<u128>,
}

impl Default for Series {
    fn default() -> Self {
        Self::new(Timestamp::ZERO)
    }
}

impl Series {
    /// Nothing yet.
    #[must_use]
    pub fn new(from: Timestamp) -> Self {
        Self { from, width: Millis(BIN_MS), bins: Vec::new() }
    }

    /// Adds so many thousandths from one moment to another.
    pub fn add(&mut self, from: Timestamp, to: Timestamp, milli: u64) {
        if milli == 0 || to <= from {
            return;
        }
        let (mut at, end) = (from.since(self.from).0, to.since(self.from).0);
        while end.div_ceil(self.width.0) > BINS_MAX as u64 {
            self.halve();
        }
        let bins = end.div_ceil(self.width.0) as usize;
        if self.bins.len() < bins {
            self.bins.resize(bins, 0);
        }
        while at < end {
            let bin = at / self.width.0;
            let until = ((bin + 1) * self.width.0).min(end);
            self.bins[bin as usize] += u128::from(until - at) * u128::from(milli);
            at = until;
        }
    }

    fn halve(&mut self) {
        self.bins = self.bins.chunks(2).map(|pair| pair.iter().sum()).collect();
        self.width = Millis(self.width.0.saturating_mul(2));
    }

    /// Adds another's amounts.
    pub fn merge(&mut self, other: &Self) {
        for (at, integral) in (0..).zip(&other.bins) {
            let from = other.from.after(Millis(at * other.width.0));
            let mean = u64::try_from(integral / u128::from(other.width.0.max(1)));
            self.add(from, from.after(other.width), mean.unwrap_or(u64::MAX));
        }
    }

    /// The whole integral, in thousandths of devices times milliseconds.
    #[must_use]
    pub fn sum(&self) -> u128 {
        self.bins.iter().sum()
    }

    /// The mean over the time from the begin, which is `span` before `until`, in thousandths.
    #[must_use]
    pub fn mean_until(&self, until: Timestamp, span: Millis) -> u64 {
        let end = (until.since(self.from).0.div_ceil(self.width.0)) as usize;
        let sum: u128 = self.bins.iter().take(end).sum();
        u64::try_from(sum / u128::from(span.0.next_multiple_of(self.width.0).max(1)))
            .unwrap_or(u64::MAX)
    }

    /// The mean over at most so many equal parts of the time from its begin to `until`, in
    /// thousandths.
    #[must_use]
    pub fn means(&self, parts: usize, until: Timestamp) -> Vec<u64> {
        let span = until.since(self.from).0.max(1);
        let step = span.div_ceil(parts.max(1) as u64).div_ceil(self.width.0).max(1) as usize;
        let count = (span.div_ceil(self.width.0 * step as u64) as usize).max(1);
        let width = u128::from(self.width.0) * step as u128;
        let mean = |part: usize| {
            let bins = self.bins.iter().skip(part * step).take(step);
            u64::try_from(bins.sum::<u128>() / width).unwrap_or(u64::MAX)
        };
        (0..count).map(mean).collect()
    }
}

/// Folds decisions into one number.
#[derive(Debug, Clone, Default)]
pub(super) struct Digest(u64);

impl Digest {
    pub(super) fn add(&mut self, now: Timestamp, action: &Action) {
        self.fold(now.0);
        match action {
            Action::Start { workload, attempt, placements } => {
                self.fold(workload.0 << 1);
                self.fold(u64::from(attempt.0));
                for placement in placements {
                    placement.node.as_str().bytes().for_each(|byte| self.fold(byte.into()));
                    placement.grants.iter().for_each(|grant| self.grant(grant));
                }
            }
            Action::Stop { workload, attempt, cause } => {
                self.fold(workload.0 << 1 | 1);
                self.fold(u64::from(attempt.0));
                self.fold(cause.beneficiary().map_or(0, |id| id.0));
            }
        }
    }

    fn grant(&mut self, grant: &Grant) {
        self.fold(u64::from(grant.device().index));
        if let Grant::Share { milli, .. } = grant {
            self.fold(milli.0);
        }
    }

    fn fold(&mut self, word: u64) {
        self.0 = Rng::new(self.0.rotate_left(17) ^ word).bits();
    }

    pub(super) fn number(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_keeps_its_integral_however_long_it_grows() {
        let mut series = Series::new(Timestamp(1000));
        series.add(Timestamp(1000), Timestamp(1000 + BIN_MS * 3 / 2), 4000);
        assert_eq!(series.bins, [u128::from(BIN_MS) * 4000, u128::from(BIN_MS) * 2000]);
        let late = 1000 + BIN_MS * 100_000;
        series.add(Timestamp(late), Timestamp(late + 50), 1000);
        assert!(series.bins.len() <= BINS_MAX);
        assert_eq!(series.sum(), u128::from(BIN_MS) * 6000 + 50_000);
    }

    #[test]
    fn means_are_over_equal_parts() {
        let mut series = Series::new(Timestamp(0));
        series.add(Timestamp(0), Timestamp(BIN_MS * 2), 8000);
        assert_eq!(series.means(2, Timestamp(BIN_MS * 4)), [8000, 0]);
        assert_eq!(series.means(1, Timestamp(BIN_MS * 4)), [4000]);
        let mut other = Series::new(Timestamp(0));
        other.merge(&series);
        assert_eq!(other.sum(), series.sum());
    }
}
