//! When machines fail and are mended: times between failures are exponential, repairs take as
//! long as is said.
//!
//! The exponential is drawn by comparing uniform numbers (J. von Neumann, "Various techniques used
//! in connection with random digits", 1951), so that no logarithm makes two machines differ.

use crate::rng::Rng;
use std::collections::BTreeSet;
use weft_types::{Millis, Timestamp};

/// How often machines fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failures {
    /// Mean time between two failures of one machine.
    pub mtbf: Millis,
    /// How long it is away.
    pub repair: Millis,
}

/// What happens to a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Turn {
    Fails,
    Returns,
}

/// Machines that will fail or come back.
#[derive(Debug)]
pub(super) struct Breakdowns {
    failures: Failures,
    chance: Vec<Rng>,
    turns: BTreeSet<(Timestamp, usize, Turn)>,
    away: usize,
}

impl Breakdowns {
    /// Of so many machines from a moment on.
    pub(super) fn new(failures: Failures, machines: usize, from: Timestamp, seed: u64) -> Self {
        // Each machine has its own sequence, so that another machine more changes no other.
        let stream =
            |at: usize| Rng::new(Rng::new(seed ^ 0x6661_696c ^ ((at as u64) << 32)).bits());
        let mut chance: Vec<Rng> = (0..machines).map(stream).collect();
        let first = |(at, rng): (usize, &mut Rng)| {
            (from.after(exponential(failures.mtbf, rng)), at, Turn::Fails)
        };
        let turns = chance.iter_mut().enumerate().map(first).collect();
        Self { failures, chance, turns, away: 0 }
    }

    /// The next moment at which a machine fails or comes back.
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.turns.first().map(|(at, _, _)| *at)
    }

    /// Whether a machine is away.
    pub(super) fn some_away(&self) -> bool {
        self.away > 0
    }

    /// The machine whose turn it is by now, and what happens to it.
    pub(super) fn pop(&mut self, now: Timestamp) -> Option<(usize, Turn)> {
        if self.next()? > now {
            return None;
        }
        let (at, machine, turn) = self.turns.pop_first()?;
        let next = match turn {
            Turn::Fails => {
                self.away += 1;
                (at.after(self.failures.repair), machine, Turn::Returns)
            }
            Turn::Returns => {
                self.away -= 1;
                let until = exponential(self.failures.mtbf, &mut self.chance[machine]);
                (at.after(until), machine, Turn::Fails)
            }
        };
        self.turns.insert(next);
        Some((machine, turn))
    }
}

/// Runs of falling uniform numbers: an odd one ends it with its first number as the fraction.
fn exponential(mean: Millis, rng: &mut Rng) -> Millis {
    let mut whole = 0_u64;
    loop {
        let first = rng.bits() >> 32;
        let (mut last, mut length) = (first, 1_u32);
        loop {
            let next = rng.bits() >> 32;
            if next >= last {
                break;
            }
            (last, length) = (next, length + 1);
        }
        if length % 2 == 1 {
            let units = u128::from(mean.0) * ((u128::from(whole) << 32) + u128::from(first));
            return Millis(u64::try_from(units >> 32).unwrap_or(u64::MAX).max(1));
        }
        whole += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_between_failures_are_exponential() {
        let mut rng = Rng::new(1);
        let drawn: Vec<u64> =
            (0..20_000).map(|_| exponential(Millis(1_000_000), &mut rng).0).collect();
        let mean = drawn.iter().sum::<u64>() / drawn.len() as u64;
        assert!((980_000..1_020_000).contains(&mean), "{mean}");
        // e⁻¹ and e⁻³ of them are longer than one and three means.
        let longer = |than: u64| drawn.iter().filter(|it| **it > than).count();
        assert!((7_150..7_560).contains(&longer(1_000_000)), "{}", longer(1_000_000));
        assert!((880..1_110).contains(&longer(3_000_000)), "{}", longer(3_000_000));
    }

    #[test]
    fn a_machine_returns_before_it_fails_again() {
        let failures = Failures { mtbf: Millis(1000), repair: Millis(10) };
        let mut breakdowns = Breakdowns::new(failures, 1, Timestamp(0), 7);
        let mut said = Vec::new();
        while said.len() < 6 {
            let now = breakdowns.next().expect("always one");
            said.push(breakdowns.pop(now).expect("due").1);
        }
        let pair = [Turn::Fails, Turn::Returns];
        assert_eq!(said, [pair, pair, pair].concat());
    }
}
