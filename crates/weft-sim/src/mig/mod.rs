//! Pools of devices divided in MIG instances, filled by the production planner, by first fit, and
//! by one who may move everything at any time.
//!
//! Called by `src/bin/mig.rs`. Requests come at even times and hold their instance for a while;
//! what does not fit when it comes is refused and gone. Or all of them wait at the same moment.
//! The same requests come to each of the three:
//!
//! | who | where an instance goes |
//! |--|--|
//! | first fit | the first device, and on it the lowest placement, that is free |
//! | planner | where [`weft_sched::Engine`] puts it |
//! | mover | nowhere: it is refused when no arrangement of all that runs would hold it too |
//!
//! The mover can be had on no hardware; it says how much any placement could gain at most, if
//! nobody is refused who fits. Devices have seven compute and eight memory slices. Absent on
//! purpose: queues and priorities.

mod mover;
mod run;

pub use mover::holds;
pub use run::{Accepted, Load, Who, fill, run, together};

use crate::rng::Rng;

/// Compute slices, memory slices and first memory slices of each profile, smallest first.
pub const PROFILES: [(u8, u8, &[u8]); 6] = [
    (1, 1, &[0, 1, 2, 3, 4, 5, 6]),
    (1, 2, &[0, 2, 4, 6]),
    (2, 2, &[0, 2, 4]),
    (3, 4, &[0, 4]),
    (4, 4, &[0]),
    (7, 8, &[0]),
];

/// Their names on a device of 80 GB.
pub const NAMES: [&str; 6] = ["1g.10gb", "1g.20gb", "2g.20gb", "3g.40gb", "4g.40gb", "7g.80gb"];

/// How often each profile is asked for, relative to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mix {
    /// In words.
    pub name: &'static str,
    /// Of each of [`PROFILES`].
    pub weights: [u32; 6],
}

/// The mixes: all profiles, evenly or not; then few, among them the worst for any rule that does
/// not know what will come.
pub const MIXES: [Mix; 9] = [
    Mix { name: "all alike", weights: [1, 1, 1, 1, 1, 1] },
    Mix { name: "mostly small", weights: [6, 5, 4, 2, 2, 1] },
    Mix { name: "mostly large", weights: [1, 2, 2, 4, 5, 6] },
    Mix { name: "small and large", weights: [6, 3, 1, 1, 3, 6] },
    Mix { name: "no 7g", weights: [1, 1, 1, 1, 1, 0] },
    Mix { name: "2g, 3g, 4g", weights: [0, 0, 1, 1, 1, 0] },
    Mix { name: "1g, 2g, 4g", weights: [2, 0, 2, 0, 1, 0] },
    Mix { name: "1g.20gb, 2g", weights: [0, 1, 1, 0, 0, 0] },
    Mix { name: "1g, 7g", weights: [7, 0, 0, 0, 0, 1] },
];

impl Mix {
    /// The next request.
    fn draw(&self, rng: &mut Rng) -> usize {
        let mut at = rng.below(self.weights.iter().sum::<u32>() as usize) as u32;
        let profile = self.weights.iter().position(|weight| {
            let found = at < *weight;
            at = at.saturating_sub(*weight);
            found
        });
        profile.unwrap_or(0)
    }

    /// Memory slices that a request takes, in thousandths of one, on average.
    fn mean_milli(&self) -> u64 {
        let all = self.weights.iter().zip(PROFILES);
        let slices: u32 = all.map(|(weight, (_, size, _))| weight * u32::from(size)).sum();
        u64::from(slices) * 1000 / u64::from(self.weights.iter().sum::<u32>().max(1))
    }
}
