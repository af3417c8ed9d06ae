//! How long commits take: a histogram that the writer counts into and `/metrics` reads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds in milliseconds, around the promised p99 of 100 for a durable change.
const BOUNDS_MS: [u64; 10] = [1, 2, 5, 10, 25, 50, 100, 250, 1_000, 10_000];

/// How long commits have taken, from the first closure's start to the disk's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commits {
    /// Upper bound in milliseconds, and how many took at most that long: cumulative.
    pub buckets: Vec<(u64, u64)>,
    /// All of them.
    pub count: u64,
    /// Their times together.
    pub total: Duration,
}

/// What the writer counts into.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    /// By bound; the last is above them all.
    buckets: [AtomicU64; BOUNDS_MS.len() + 1],
    micros: AtomicU64,
}

impl Counter {
    pub(crate) fn note(&self, took: Duration) {
        let millis = took.as_micros().div_ceil(1_000);
        let at = BOUNDS_MS.iter().position(|bound| millis <= u128::from(*bound));
        self.buckets[at.unwrap_or(BOUNDS_MS.len())].fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> Commits {
        let mut count = 0;
        let mut add = |bucket: &AtomicU64| {
            count += bucket.load(Ordering::Relaxed);
            count
        };
        let buckets = BOUNDS_MS.iter().zip(&self.buckets).map(|(b, c)| (*b, add(c))).collect();
        let count = add(&self.buckets[BOUNDS_MS.len()]);
        let total = Duration::from_micros(self.micros.load(Ordering::Relaxed));
        Commits { buckets, count, total }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative_and_hold_their_bound() {
        let counter = Counter::default();
        for micros in [10, 1_000, 1_001, 70_000, 60_000_000] {
            counter.note(Duration::from_micros(micros));
        }
        let read = counter.read();
        let upto = |bound| read.buckets.iter().find(|(b, _)| *b == bound).unwrap().1;
        assert_eq!((upto(1), upto(2), upto(50), upto(100), upto(10_000)), (2, 3, 3, 4, 4));
        assert_eq!((read.count, read.total), (5, Duration::from_micros(60_072_011)));
    }
}
