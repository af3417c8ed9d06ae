//! What a queue has held lately: an average in which every half-life counts half the one after it.
//!
//! Fed by whoever plans, with what was held since it last was; the planner lets queues that have
//! held less of their share go first (half-life of usage, as in Slurm's multifactor priority).
//! Integers, so that a replay gives the same order. Absent on purpose: which queue, and what the
//! half-life is.

use weft_types::{Millis, Timestamp};

/// Binary digits behind the point of an average: a held device still shows after 30 half-lives.
const DIGITS: u32 = 20;
/// Binary digits behind the point of a factor.
const FACTOR: u32 = 32;
/// Steps into which a half-life is divided.
const STEPS: usize = 64;
/// `ln 2 / 64` with [`LN2_DIGITS`] digits.
const LN2_STEP: u128 = 11908177887;
const LN2_DIGITS: u32 = 40;
/// `2^(−1/64)` with [`FACTOR`] digits.
const STEP: u64 = 4_248_701_965;

/// `2^(−i/64)` with [`FACTOR`] digits, for i from 0 to 64.
const FACTORS: [u64; STEPS + 1] = {
    let mut factors = [1 << FACTOR; STEPS + 1];
    let mut at = 1;
    while at <= STEPS {
        factors[at] = (factors[at - 1] * STEP) >> FACTOR;
        at += 1;
    }
    factors
};

/// An average over the past, newer times counting more.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recent {
    /// With [`DIGITS`] behind the point.
    average: u128,
    /// Up to when.
    at: Timestamp,
}

impl Recent {
    /// Nothing was held before this moment.
    #[must_use]
    pub fn since(at: Timestamp) -> Self {
        Self { average: 0, at }
    }

    /// What [`Recent::kept`] gave.
    #[must_use]
    pub fn from_kept(average: u64, at: Timestamp) -> Self {
        Self { average: u128::from(average), at }
    }

    /// What is to be written down of it: the average in thousandths of a device with 20 binary
    /// digits behind the point, and up to when it counts. 2^44 thousandths and more are cut.
    #[must_use]
    pub fn kept(&self) -> (u64, Timestamp) {
        (u64::try_from(self.average).unwrap_or(u64::MAX), self.at)
    }

    /// So much was held, in thousandths of a device, from the last moment to this one. A moment
    /// that is not later changes nothing, nor does a half-life of nothing forget.
    pub fn hold(&mut self, milli: u64, until: Timestamp, half_life: Millis) {
        let span = until.since(self.at);
        if span.0 == 0 {
            return;
        }
        let kept = u128::from(factor(span, half_life));
        let held = u128::from(milli) << DIGITS;
        let sum = self.average * kept + held * ((1 << FACTOR) - kept);
        self.average = (sum + (1 << (FACTOR - 1))) >> FACTOR;
        self.at = until;
    }

    /// Beside what was counted already, so much was held from one moment to another, neither later
    /// than the last.
    pub fn add(&mut self, milli: u64, from: Timestamp, until: Timestamp, half_life: Millis) {
        let factor = |moment: Timestamp| factor(self.at.since(moment), half_life);
        let part = u128::from(factor(until).saturating_sub(factor(from)));
        self.average += ((u128::from(milli) << DIGITS) * part) >> FACTOR;
    }

    /// Thousandths of a device, on average.
    #[must_use]
    pub fn milli(&self) -> u64 {
        u64::try_from(self.average >> DIGITS).unwrap_or(u64::MAX)
    }
}

/// `2^(−span / half_life)` with [`FACTOR`] digits: the last full step from the table, the rest of
/// the way by the first terms of the exponential series, which are within a unit there.
fn factor(span: Millis, half_life: Millis) -> u64 {
    let half_life = u128::from(half_life.0.max(1));
    let steps = ((u128::from(span.0) * STEPS as u128) << FACTOR) / half_life;
    let (whole, rest) = (steps >> FACTOR, steps & ((1 << FACTOR) - 1));
    let (halves, at) = (whole / STEPS as u128, (whole % STEPS as u128) as usize);
    let y = (rest * LN2_STEP) >> LN2_DIGITS;
    let (y2, y3) = ((y * y) >> FACTOR, (y * y * y) >> (2 * FACTOR));
    let rest = (1 << FACTOR) - y + y2 / 2 - y3 / 6;
    let factor = ((u128::from(FACTORS[at]) * rest) >> FACTOR) as u64;
    u32::try_from(halves).ok().and_then(|halves| factor.checked_shr(halves)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Millis = Millis::from_secs(86_400);

    #[test]
    fn a_half_life_counts_half() {
        let mut recent = Recent::since(Timestamp(0));
        recent.hold(8000, Timestamp(DAY.0), DAY);
        assert_eq!(recent.milli(), 4000);
        recent.hold(8000, Timestamp(2 * DAY.0), DAY);
        assert_eq!(recent.milli(), 6000);
        recent.hold(0, Timestamp(4 * DAY.0), DAY);
        assert_eq!(recent.milli(), 1500);
    }

    #[test]
    fn often_or_seldom_is_the_same() {
        let (mut often, mut seldom) = (Recent::since(Timestamp(0)), Recent::since(Timestamp(0)));
        for second in 1..=5 * 86_400 / 7 {
            often.hold(5000, Timestamp(second * 7000), DAY);
        }
        seldom.hold(5000, often.at, DAY);
        assert!(often.milli().abs_diff(seldom.milli()) <= 2, "{often:?} {seldom:?}");
    }

    #[test]
    fn from_its_parts_it_is_the_same() {
        let (mut lived, day) = (Recent::since(Timestamp(0)), |days: u64| Timestamp(days * DAY.0));
        lived.hold(3000, day(1), DAY);
        lived.hold(5000, day(3), DAY);
        lived.hold(0, day(4), DAY);
        let mut read = Recent::since(day(4));
        read.add(3000, day(0), day(3), DAY);
        read.add(2000, day(1), day(3), DAY);
        assert!(lived.milli().abs_diff(read.milli()) <= 1, "{lived:?} {read:?}");
    }

    #[test]
    fn odd_moments_are_borne() {
        let mut recent = Recent::since(Timestamp(1000));
        recent.hold(u64::MAX, Timestamp(500), DAY);
        assert_eq!(recent, Recent::since(Timestamp(1000)));
        recent.hold(u64::MAX, Timestamp(u64::MAX), Millis(0));
        assert_eq!(recent.milli(), u64::MAX);
    }
}
