//! Whose turn it is among equals of a queue that shares time: least attained service first, then
//! what will end soonest.
//!
//! Everything gets its first device-hour at once, then up to ten (multi-level feedback, as in
//! Tiresias, Gu et al., NSDI '19); beyond, the shortest remaining time goes first, by an estimate
//! that may be wrong by ten times: on the Philly jobs that costs nothing against the true times.
//! What cannot be suspended is ranked by all the service it is expected to take, smallest first.
//! Called where the working copy is made and where capacity is taken back. Absent on purpose:
//! queues in the order of submission, whose workloads all have the same rank.

use crate::Workload;
use weft_types::{Millis, Timestamp};

/// Attained service, in device-milliseconds × 1000, at which the first and the second tier end:
/// one and ten device-hours.
const TIERS: [u128; 2] = [3_600_000 * 1000, 36_000_000 * 1000];

/// Cores that count as one device for what has none: what a machine has of them per device.
const CORES_PER_DEVICE: u128 = 16;

/// Waiting that long puts a workload in the first tier until it runs again, and protects it from
/// being passed: one that can be suspended, because that costs little, and one that cannot, which
/// then may hold its place for days.
const AGED_AFTER: [Millis; 2] = [Millis::from_secs(12 * 3600), Millis::from_secs(72 * 3600)];

/// Least time to the end that is told apart.
const REMAINING_MIN: Millis = Millis::from_secs(60);

/// Within the last tier, one takes another's place only when that one needs this many times as
/// long: estimates are not worth an exchange for less.
const WORTH_AN_EXCHANGE: u64 = 2;

/// It runs at least this long between two suspensions, and this many times what they cost.
const SLICE_MIN: Millis = Millis::from_secs(300);
const SLICE_COSTS: u64 = 10;

/// What is known of how much work a workload is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    /// How long it is expected to run in all.
    expected: Option<Millis>,
    /// What a suspension costs, where it can be suspended.
    suspend: Option<Millis>,
    /// How long it ran in earlier starts.
    pub(crate) served: Millis,
}

impl Effort {
    /// Of this workload.
    pub(crate) fn of(workload: &Workload) -> Self {
        let Workload { expected, suspend, served, .. } = *workload;
        Self { expected, suspend, served }
    }
}

/// A rank: lower goes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    tier: u8,
    /// In the last tier, the estimated time to the end, in milliseconds; for what cannot be
    /// suspended, in every tier, the device-milliseconds it will have taken.
    remaining: u64,
}

impl Rank {
    /// Of a workload that has run for so long in all and counts so much: thousandths of devices,
    /// and of cores.
    pub(crate) fn new(effort: &Effort, served: Millis, [gpu, cpu, _]: [u128; 3]) -> Self {
        let weight = gpu.max(cpu / CORES_PER_DEVICE).max(1);
        // What cannot be suspended is ranked by what it will have taken when it lets go.
        let until = match effort.suspend {
            Some(_) => served,
            None => effort.expected.unwrap_or(served).max(served),
        };
        let attained = u128::from(until.0).saturating_mul(weight);
        let tier = TIERS.iter().filter(|end| attained >= **end).count() as u8;
        let last = usize::from(tier) == TIERS.len();
        let remaining = match effort.suspend {
            Some(_) if last => remaining(effort, served).0,
            Some(_) => 0,
            None => u64::try_from(attained / 1000).unwrap_or(u64::MAX),
        };
        Self { tier, remaining }
    }

    /// How much was served: 0 to 2.
    pub(crate) fn tier(self) -> u8 {
        self.tier
    }

    /// Whether one of this rank may take the place of one of that.
    pub(crate) fn outranks(self, other: Self) -> bool {
        let shorter = self.remaining.saturating_mul(WORTH_AN_EXCHANGE) <= other.remaining;
        self.tier < other.tier || (self.tier == other.tier && other.remaining > 0 && shorter)
    }
}

/// How long a workload of a queue that shares time may be passed.
pub(crate) fn patience(workload: &Workload) -> Millis {
    AGED_AFTER[usize::from(workload.suspend.is_none())]
}

/// Estimated time to the end: what is expected less what was served; where that is not known, or
/// was too little, as long as it has run already.
fn remaining(effort: &Effort, served: Millis) -> Millis {
    let left = effort.expected.map_or(0, |expected| expected.0.saturating_sub(served.0));
    Millis(if left == 0 { served.0 } else { left }).max(REMAINING_MIN)
}

/// How long a running workload that can be suspended runs at least; none where it cannot be.
pub(crate) fn slice(workload: &Workload) -> Option<Millis> {
    let cost = workload.suspend?;
    Some(Millis(cost.0.saturating_mul(SLICE_COSTS)).max(SLICE_MIN))
}

/// When a running workload comes to the next tier, if it does: it began then, had been served for
/// so long before, and counts so much.
pub(crate) fn next_tier(
    since: Timestamp,
    served: Millis,
    [gpu, cpu, _]: [u128; 3],
    now: Timestamp,
) -> Option<Timestamp> {
    let weight = gpu.max(cpu / CORES_PER_DEVICE).max(1);
    let moments = TIERS.iter().map(|end| {
        let needed = end.div_ceil(weight).saturating_sub(u128::from(served.0));
        since.after(Millis(u64::try_from(needed).unwrap_or(u64::MAX)))
    });
    moments.filter(|at| *at > now).min()
}
