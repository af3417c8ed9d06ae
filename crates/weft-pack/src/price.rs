//! What a leftover of a device is worth, at the prices of [`crate::cutting`].

use crate::cutting::{self, Demand, Solution, WORTH};
use crate::node::{Class, WHOLE};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// The worth of every leftover, in parts of [`WORTH`]: what the best set of requests that fits
/// into it is worth. Never falls with size; a whole device is worth at most [`WORTH`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prices(Vec<i64>);

impl Prices {
    /// From what is asked for, and the linear program's answer, which also has the bound.
    #[must_use]
    pub fn of(requests: &[Class]) -> (Self, Solution) {
        let mut counts = BTreeMap::<u16, u64>::new();
        for class in requests.iter().filter(|class| class.devices > 0) {
            *counts.entry(class.milli).or_default() += u64::from(class.devices);
        }
        let demand: Vec<Demand> =
            counts.into_iter().map(|(milli, count)| Demand { milli, count }).collect();
        let solution = cutting::solve(&demand);
        (Self::from_worth(&demand, &solution.worth), solution)
    }

    /// From the worth of each size.
    #[must_use]
    pub fn from_worth(demand: &[Demand], worth: &[i64]) -> Self {
        let mut best = alloc::vec![0; usize::from(WHOLE) + 1];
        for room in 1..best.len() {
            let with = |(size, worth): (&Demand, &i64)| {
                room.checked_sub(usize::from(size.milli)).map(|rest| best[rest] + worth)
            };
            let filled = demand.iter().zip(worth).filter_map(with).max();
            best[room] = filled.unwrap_or(0).max(best[room - 1]).min(WORTH);
        }
        Self(best)
    }

    /// The worth that is gone when `taken` thousandths are taken of a device with `free`.
    #[must_use]
    pub fn loss(&self, free: u16, taken: u16) -> i64 {
        self.0[usize::from(free)] - self.0[usize::from(free - taken)]
    }
}
