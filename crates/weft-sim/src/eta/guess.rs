//! Estimates beside what happened, and how good they were.

use weft_types::{Millis, Timestamp};

/// Upper ends of the buckets of the calibration table, in milliseconds of estimated wait.
const BUCKETS: [u64; 6] = [600_000, 3_600_000, 14_400_000, 43_200_000, 86_400_000, u64::MAX];

/// What one job was told when it was submitted and had to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Guess {
    /// When it was submitted.
    pub submit: Timestamp,
    /// When it would start; none where it was told nothing.
    pub eta: Option<Timestamp>,
    /// When it started.
    pub start: Timestamp,
}

/// Jobs that were told about the same wait.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bucket {
    /// They were told at most this.
    pub told: Millis,
    /// How many.
    pub jobs: usize,
    /// Half of them waited no longer.
    pub p50: Millis,
    /// A tenth waited no longer, and nine tenths.
    pub spread: (Millis, Millis),
    /// How many had started by the time they were told.
    pub in_time: usize,
}

/// How good estimates were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Jobs that were asked for and really waited.
    pub jobs: usize,
    /// How many were told nothing.
    pub untold: usize,
    /// Median absolute error in thousandths of the wait, those told nothing counted as worst; none
    /// where half were told nothing.
    pub error: Option<u64>,
    /// A quarter, and three quarters, were less wrong than this; none as before.
    pub quartiles: [Option<u64>; 2],
    /// How many were off by no more than a quarter of the wait.
    pub close: usize,
    /// How many started before they were told.
    pub early: usize,
    /// By what they were told.
    pub buckets: Vec<Bucket>,
}

impl Guess {
    fn waited(&self) -> u64 {
        self.start.since(self.submit).0
    }

    /// Thousandths of the wait.
    fn error(&self) -> Option<u64> {
        let off = u128::from(self.eta?.0.abs_diff(self.start.0));
        Some((off * 1000 / u128::from(self.waited().max(1))) as u64)
    }
}

impl Summary {
    /// Of those that waited longer than this: below it an estimate has nothing to say.
    #[must_use]
    pub fn of(guesses: &[Guess], longer_than: Millis) -> Self {
        let real: Vec<&Guess> =
            guesses.iter().filter(|guess| guess.waited() > longer_than.0).collect();
        let mut errors: Vec<u64> =
            real.iter().map(|guess| guess.error().unwrap_or(u64::MAX)).collect();
        errors.sort_unstable();
        let rank = |permille: usize| (errors.len() * permille).div_ceil(1000).max(1) - 1;
        let at = |permille| errors.get(rank(permille)).copied().filter(|error| *error < u64::MAX);
        Self {
            jobs: real.len(),
            untold: real.iter().filter(|guess| guess.eta.is_none()).count(),
            error: at(500),
            quartiles: [at(250), at(750)],
            close: errors.iter().filter(|error| **error <= 250).count(),
            early: real
                .iter()
                .filter(|guess| guess.eta.is_some_and(|eta| guess.start < eta))
                .count(),
            buckets: buckets(&real),
        }
    }
}

fn buckets(real: &[&Guess]) -> Vec<Bucket> {
    let told = |guess: &Guess| Some(guess.eta?.since(guess.submit).0);
    let mut from = 0;
    let mut all = Vec::new();
    for to in BUCKETS {
        let within = |guess: &&&Guess| told(guess).is_some_and(|told| (from..to).contains(&told));
        let mine: Vec<&&Guess> = real.iter().filter(within).collect();
        let mut waits: Vec<u64> = mine.iter().map(|guess| guess.waited()).collect();
        waits.sort_unstable();
        let rank = |permille: usize| (waits.len() * permille).div_ceil(1000).max(1) - 1;
        let at = |permille| Millis(waits.get(rank(permille)).copied().unwrap_or(0));
        all.push(Bucket {
            told: Millis(to),
            jobs: waits.len(),
            p50: at(500),
            spread: (at(100), at(900)),
            in_time: mine.iter().filter(|guess| guess.eta >= Some(guess.start)).count(),
        });
        from = to;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let guess = |eta: Option<u64>, start: u64| Guess {
            submit: Timestamp(1_000_000),
            eta: eta.map(|eta| Timestamp(1_000_000 + eta)),
            start: Timestamp(1_000_000 + start),
        };
        let all = [
            guess(Some(900_000), 1_000_000),
            guess(Some(1_500_000), 1_000_000),
            guess(None, 1_000_000),
            guess(Some(5), 10),
        ];
        let summary = Summary::of(&all, Millis(10));
        assert_eq!((summary.jobs, summary.untold, summary.close, summary.early), (3, 1, 1, 1));
        assert_eq!((summary.error, summary.quartiles), (Some(500), [Some(100), None]));
        let hour = summary.buckets[1];
        assert_eq!((hour.jobs, hour.in_time, hour.p50), (2, 1, Millis(1_000_000)));
    }
}
