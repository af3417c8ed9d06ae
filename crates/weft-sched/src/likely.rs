//! How long something will likely run, when estimates are known to be wrong.
//!
//! An estimate `E` of a run time says little where what runs shows that estimates are wrong by ten
//! times. How wrong they are is read from the pool itself: the *spread* `f` is how many times their
//! estimate the longest running have run, but for one in [`OUTLIERS`]. A run time then lies between
//! `E / f` and `E × f`, and is no less than what has run already; one that has run longer than all
//! that ends within as long again. Within that range run times have a heavy tail, so that short
//! ones are more frequent than long ones at every scale (Harchol-Balter and Downey, "Exploiting
//! Process Lifetime Distributions", 1997, with index 1). The index here is one half; on the Philly
//! jobs a flat one told waits a third too long. Of that range each gets a quantile of its own,
//! spread evenly over what runs: the pool then empties as it would on average, neither all at once
//! as by their medians nor with everything overdue ending now.
//!
//! Where nothing runs longer than was thought the spread is one, and an estimate is believed.
//! Called by `eta.rs` and `backfill.rs`. Absent on purpose: a memory of earlier runs, which a
//! snapshot does not have.

use weft_types::{Millis, WorkloadId};

/// Estimates in thousandths of themselves.
const ONE: u64 = 1000;

/// One in so many of what runs is passed over as an outlier when the spread is read.
const OUTLIERS: usize = 32;

/// Beyond this many times no estimate is thought to be wrong: three powers of ten.
const SPREAD_MAX: u64 = 1000 * ONE;

/// Binary digits behind the point of a ratio.
const DIGITS: u32 = 24;

/// How many times their estimate what runs has run, in thousandths, at least 1000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spread(u64);

impl Spread {
    /// Of what runs: how long it was expected to run in all, and how long it has.
    pub(crate) fn of(running: impl Iterator<Item = (Millis, Millis)>) -> Self {
        let times = |(expected, ran): (Millis, Millis)| {
            let times = u128::from(ran.0) * u128::from(ONE) / u128::from(expected.0.max(1));
            u64::try_from(times).unwrap_or(SPREAD_MAX).clamp(ONE, SPREAD_MAX)
        };
        let mut all: alloc::vec::Vec<u64> = running.map(times).collect();
        all.sort_unstable();
        let rank = all.len().checked_sub(1 + all.len() / OUTLIERS);
        Self(rank.and_then(|rank| all.get(rank).copied()).unwrap_or(ONE))
    }

    /// How long it will run in all at most, unless it is one of the outliers.
    pub(crate) fn most(self, expected: Millis) -> Millis {
        let most = u128::from(expected.0) * u128::from(self.0) / u128::from(ONE);
        Millis(u64::try_from(most).unwrap_or(u64::MAX))
    }

    /// How long it will likely run in all, after it has run for so long.
    pub(crate) fn likely(self, id: WorkloadId, expected: Millis, ran: Millis) -> Millis {
        let scaled = |part: u64, of: u64| {
            let scaled = u128::from(expected.0) * u128::from(part) / u128::from(of);
            u64::try_from(scaled).unwrap_or(u64::MAX)
        };
        let least = scaled(ONE, self.0).max(ran.0).max(1);
        let most = match scaled(self.0, ONE) {
            most if most > ran.0 => most.max(least),
            _ => least.saturating_mul(2),
        };
        // With r² = most / least and a quantile q: least × (r / ((1 − q) × r + q))².
        let root = ((u128::from(most) << (2 * DIGITS)) / u128::from(least)).isqrt();
        let part = u128::from(sixteenths(id));
        let times = ((root * 16) << DIGITS) / ((16 - part) * root + (part << DIGITS));
        let likely = (((u128::from(least) * times) >> DIGITS) * times) >> DIGITS;
        Millis(u64::try_from(likely).unwrap_or(u64::MAX))
    }
}

/// An odd number of sixteenths: numbers in a row get them evenly (Fibonacci hashing, Knuth, TAOCP
/// 6.4).
fn sixteenths(id: WorkloadId) -> u64 {
    let spread = id.0.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (spread >> 61) * 2 + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn spread(runs: &[(u64, u64)]) -> Spread {
        Spread::of(runs.iter().map(|(expected, ran)| (Millis(*expected), Millis(*ran))))
    }

    #[test]
    fn what_ends_in_time_is_believed() {
        let spread = spread(&[(1000, 0), (1000, 999), (50, 50)]);
        assert_eq!(spread, Spread(1000));
        for id in 0..8 {
            assert_eq!(spread.likely(WorkloadId(id), Millis(1000), Millis(400)), Millis(1000));
        }
        assert_eq!(Spread::of(core::iter::empty()), Spread(1000));
    }

    #[test]
    fn what_runs_longer_than_was_thought_tells_how_wrong_estimates_are() {
        assert_eq!(spread(&[(1000, 10_000), (1000, 500)]), Spread(10_000));
        // One outlier in 32 is passed over.
        let mut runs = alloc::vec![(1000, 2000); 31];
        runs.push((1000, 900_000));
        assert_eq!(spread(&runs), Spread(2000));
        assert_eq!(spread(&[(0, u64::MAX)]), Spread(SPREAD_MAX));
    }

    #[test]
    fn likely_times_have_a_heavy_tail() {
        let spread = Spread(10_000);
        let mut times: Vec<u64> = (0..8000)
            .map(|id| spread.likely(WorkloadId(id), Millis(1_000_000), Millis::ZERO).0)
            .collect();
        times.sort_unstable();
        // From a tenth to ten times: with r = 10 half are below (10 / 5.5)² tenths, and a quarter
        // below (10 / 7.75)².
        assert!(times.iter().all(|time| (100_000..10_000_000).contains(time)));
        let below = |limit: u64| times.iter().filter(|time| **time < limit).count();
        assert!(below(330_578).abs_diff(4000) < 20 && below(166_493).abs_diff(2000) < 20);
    }

    #[test]
    fn nobody_ends_before_now() {
        for id in 0..100 {
            let likely =
                |ran: u64| Spread(4000).likely(WorkloadId(id), Millis(1000), Millis(ran)).0;
            assert!((3999..4000).contains(&likely(3999)), "the end of the range");
            assert!((5000..10_000).contains(&likely(5000)), "as long again at most");
            assert!(likely(u64::MAX) == u64::MAX);
        }
    }
}
