//! What a replay assumes: the pool, the queues, and what is known of a job before it runs.

use crate::trace::{Job, Machine};
use crate::world::{Scenario, TeamShare};
use std::collections::BTreeMap;
use weft_sched::Order;
use weft_types::Millis;

/// How the teams of a log share the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Teams {
    /// All in one queue that has the whole pool.
    One,
    /// Each its own queue with what it used of the log's device time, lent and borrowed freely.
    Pooled,
    /// The same sizes, and nobody lends.
    Dedicated,
}

/// What a replay assumes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// Machines.
    pub machines: u32,
    /// Devices of each.
    pub devices: u32,
    /// Who goes first.
    pub order: Order,
    /// How the teams share.
    pub teams: Teams,
    /// What a suspension costs, in time not worked, where a job can be suspended.
    pub suspend: Millis,
    /// Jobs that cannot be suspended, of a hundred.
    pub fixed_percent: u32,
    /// Estimates are wrong by up to ten times; else they are true.
    pub wrong: bool,
    /// What is drawn.
    pub seed: u64,
    /// Submissions and stops are planned for at multiples of this.
    pub round: Millis,
}

impl Setup {
    /// The pool and the shares.
    pub(super) fn scenario(&self, jobs: &[Job]) -> Scenario {
        let machine = Machine { devices: self.devices, ..Machine::default() };
        Scenario {
            machines: vec![machine; self.machines as usize],
            teams: self.shares(jobs),
            order: self.order,
            suspend: self.suspend,
            stop: Millis::ZERO,
            round: self.round,
            failures: None,
            seed: self.seed,
        }
    }

    /// Shares by the device time each team used, at least one device each; what rounding leaves
    /// goes to the largest.
    fn shares(&self, jobs: &[Job]) -> BTreeMap<String, TeamShare> {
        let all = u64::from(self.machines) * u64::from(self.devices);
        let mut used: BTreeMap<String, u128> = BTreeMap::new();
        for job in jobs {
            let time = job.duration.unwrap_or_default().0;
            *used.entry(self.team(job)).or_default() += u128::from(time) * u128::from(job.devices);
        }
        let sum: u128 = used.values().sum::<u128>().max(1);
        let share = |time: u128| u64::try_from(u128::from(all) * time / sum).unwrap_or(all);
        let mut shares: BTreeMap<_, _> =
            used.iter().map(|(name, time)| (name.clone(), share(*time).max(1))).collect();
        let given: u64 = shares.values().sum();
        if let Some(largest) = shares.values_mut().max() {
            *largest = (*largest + all).saturating_sub(given).max(1);
        }
        let lends = self.teams == Teams::Pooled;
        let share = |own: u64| TeamShare {
            own,
            borrows: if lends { all - own.min(all) } else { 0 },
            lends: if lends { own } else { 0 },
        };
        shares.into_iter().map(|(name, own)| (name, share(own))).collect()
    }

    /// Whose share a job uses.
    pub(super) fn team(&self, job: &Job) -> String {
        match self.teams {
            Teams::One => "all".to_owned(),
            Teams::Pooled | Teams::Dedicated => job.queue.clone(),
        }
    }
}
