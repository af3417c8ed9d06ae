//! What a run assumes, and its chances: Poisson arrivals, exponential lifetimes, in integers.

use crate::openb::PolicyName;
use crate::pack::{Class, Node};
use crate::rng::Rng;

/// The mean lifetime, in ticks: fine enough that arrivals 120,000 ticks apart differ.
pub const LIFE: u64 = 1_000_000_000;

/// The natural logarithm of 2, times 2³².
const LN_2: u128 = 2_977_044_472;

/// Factors by which estimates are wrong, in thousandths: 10 to the power of −1, −0.9, … 1.
const WRONG_BY: [u64; 21] = [
    100, 126, 158, 200, 251, 316, 398, 501, 631, 794, 1000, 1259, 1585, 1995, 2512, 3162, 3981,
    5012, 6310, 7943, 10_000,
];

/// What is known of how long a request stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// Nothing but the mean of all.
    Unknown,
    /// An estimate that is wrong by up to ten times either way.
    Wrong,
    /// All.
    True,
}

/// What a run assumes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// Which machine gets a request.
    pub policy: PolicyName,
    /// Arrivals and departures.
    pub events: u64,
    /// Events before anything is counted: the pool starts empty.
    pub warm_up: u64,
    /// Devices asked for over devices there are, in thousandths.
    pub load: u64,
    /// What is drawn.
    pub seed: u64,
    /// What a planner is told of lifetimes.
    pub ends: Ends,
}

/// Ticks from arrival to arrival, on average, at so many thousandths of what these machines have.
///
/// # Panics
///
/// If there is no request that takes a device.
pub(super) fn between(load: u64, nodes: &[Node], requests: &[Class]) -> u64 {
    let asked: u64 = requests.iter().map(|class| u64::from(class.total())).sum();
    assert!(asked > 0, "no request takes a device");
    let capacity: u64 = nodes.iter().map(|node| u64::from(node.total())).sum();
    let offered = u128::from(load) * u128::from(capacity) * requests.len() as u128;
    (u128::from(LIFE) * u128::from(asked) * 1000 / offered.max(1)) as u64
}

/// A time drawn from an exponential distribution of this mean, at least 1: −ln(u) for a uniform u,
/// with the logarithm to base 2 bit by bit (Knuth, TAOCP 1.2.2, exercise 25), so that every machine
/// draws the same.
pub(crate) fn exponential(rng: &mut Rng, mean: u64) -> u64 {
    let drawn = rng.bits() | 1;
    let shift = drawn.leading_zeros();
    let mut part = u128::from(drawn << shift);
    let mut log = u128::from(63 - shift);
    for _ in 0..32 {
        part = (part * part) >> 63;
        let bit = part >> 64;
        part >>= bit;
        log = log << 1 | bit;
    }
    let below = (64_u128 << 32) - log;
    let natural = (below * LN_2) >> 32;
    ((u128::from(mean) * natural) >> 32).max(1) as u64
}

/// An estimate of this lifetime; one number is drawn whatever is known.
pub(super) fn estimate(rng: &mut Rng, ends: Ends, lasts: u64) -> u64 {
    let wrong = WRONG_BY[rng.below(WRONG_BY.len())];
    match ends {
        Ends::Unknown => LIFE,
        Ends::Wrong => (u128::from(lasts) * u128::from(wrong) / 1000) as u64,
        Ends::True => lasts,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_exponential() {
        let mut rng = Rng::new(7);
        let drawn: Vec<u64> = (0..200_000).map(|_| exponential(&mut rng, LIFE)).collect();
        let mean = drawn.iter().sum::<u64>() / drawn.len() as u64;
        assert!(mean.abs_diff(LIFE) < LIFE / 100, "{mean}");
        // One in e is longer than the mean, one in e³ than three times it.
        let longer = |times: u64| drawn.iter().filter(|life| **life > times * LIFE).count();
        assert!(longer(1).abs_diff(73_576) < 1000 && longer(3).abs_diff(9957) < 500);
    }

    #[test]
    fn estimates_are_as_wrong_as_said() {
        let mut rng = Rng::new(1);
        assert_eq!(estimate(&mut rng, Ends::True, 5), 5);
        assert_eq!(estimate(&mut rng, Ends::Unknown, 5), LIFE);
        let wrong: Vec<u64> = (0..1000).map(|_| estimate(&mut rng, Ends::Wrong, 1000)).collect();
        assert_eq!((wrong.iter().min(), wrong.iter().max()), (Some(&100), Some(&10_000)));
    }
}
