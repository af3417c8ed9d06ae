//! The ledger's lines: spans of a device's time on accounts, and what they add up to.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};
use weft_types::{Millis, Timestamp, WorkloadId};

/// Thousandths of a whole device.
pub const WHOLE: u64 = 1_000;

/// What a workload holds of one device, as the history of placements says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// Who.
    pub workload: WorkloadId,
    /// How much, in thousandths of the device.
    pub milli: u64,
    /// Since its capacity was committed.
    pub from: Timestamp,
    /// Until it was released; none while it is held.
    pub until: Option<Timestamp>,
}

/// Whose time it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Account {
    /// A workload's.
    Workload(WorkloadId),
    /// Nobody's: the device was there and not given. Active time here is of processes that are
    /// no workload's.
    Idle,
    /// Not known: no sample came for longer than [`crate::MAX_GAP`].
    Unobserved,
}

/// A span of one device's time on one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interval {
    /// It begins then; once folded, its bucket does.
    pub from: Timestamp,
    /// It ends then.
    pub until: Timestamp,
    /// Whose it is.
    pub account: Account,
    /// Compute held: thousandths of the device times milliseconds.
    pub allocated: u64,
    /// Compute used: time in which kernels ran, in the same unit.
    pub active: u64,
    /// Memory used: bytes times milliseconds.
    pub memory: u64,
    /// Of the compute held, that whose use was measured.
    pub measured: u64,
    /// Of the compute held, that whose use the driver was asked for. Of the rest it is not known.
    pub sampled: u64,
}

/// Makes intervals coarser: those that begin in the same bucket and are on the same account
/// become one, in order of bucket and account. No sum changes.
pub fn fold(intervals: &[Interval], bucket: Millis) -> Vec<Interval> {
    let mut out: BTreeMap<(Timestamp, Account), Interval> = BTreeMap::new();
    for one in intervals {
        let start = bucket_start(one.from, bucket);
        let sum = out.entry((start, one.account)).or_insert(Interval {
            from: start,
            until: one.until,
            account: one.account,
            allocated: 0,
            active: 0,
            memory: 0,
            measured: 0,
            sampled: 0,
        });
        sum.until = sum.until.max(one.until);
        sum.allocated = sum.allocated.saturating_add(one.allocated);
        sum.active = sum.active.saturating_add(one.active);
        sum.memory = sum.memory.saturating_add(one.memory);
        sum.measured = sum.measured.saturating_add(one.measured);
        sum.sampled = sum.sampled.saturating_add(one.sampled);
    }
    out.into_values().collect()
}

/// The start of the bucket a moment is in.
pub(crate) fn bucket_start(at: Timestamp, bucket: Millis) -> Timestamp {
    Timestamp(at.0 - at.0 % bucket.0.max(1))
}

/// A device's sums against its wall-clock, all in thousandths of a device times milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    /// What has to come out.
    pub wall: u64,
    /// On workloads.
    pub allocated: u64,
    /// On nobody.
    pub idle: u64,
    /// Not known.
    pub unobserved: u64,
}

/// Adds up a device's intervals against the time it was settled for.
pub fn balance(intervals: &[Interval], settled: Millis) -> Balance {
    let mut sums = Balance { wall: settled.0.saturating_mul(WHOLE), ..Balance::default() };
    for one in intervals {
        let sum = match one.account {
            Account::Workload(_) => &mut sums.allocated,
            Account::Idle => &mut sums.idle,
            Account::Unobserved => &mut sums.unobserved,
        };
        *sum = sum.saturating_add(one.allocated);
    }
    sums
}

impl Balance {
    /// What did come out.
    pub fn accounted(&self) -> u64 {
        self.allocated.saturating_add(self.idle).saturating_add(self.unobserved)
    }

    /// How far the sums are off, in parts per million of the wall-clock, rounded up: 0 only
    /// where they agree exactly.
    pub fn error_ppm(&self) -> u64 {
        let off = u128::from(self.accounted().abs_diff(self.wall));
        let ppm = (off * 1_000_000).div_ceil(u128::from(self.wall.max(1)));
        u64::try_from(ppm).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn interval(from: u64, account: Account, allocated: u64) -> Interval {
        let until = Timestamp(from + 10);
        let from = Timestamp(from);
        let (active, memory, measured, sampled) = (1, 2, 3, 4);
        Interval { from, until, account, allocated, active, memory, measured, sampled }
    }

    #[test]
    fn folding_joins_what_is_in_one_bucket_on_one_account() {
        let w = Account::Workload(WorkloadId(1));
        let fine = [
            interval(105, w, 5),
            interval(150, Account::Idle, 3),
            interval(199, w, 7),
            interval(200, w, 11),
        ];
        let coarse = fold(&fine, Millis(100));
        let seen: Vec<_> =
            coarse.iter().map(|i| (i.from.0, i.until.0, i.account, i.allocated)).collect();
        assert_eq!(seen, vec![(100, 209, w, 12), (100, 160, Account::Idle, 3), (200, 210, w, 11)]);
        assert_eq!((coarse[0].active, coarse[0].memory), (2, 4));
        assert_eq!((coarse[0].measured, coarse[0].sampled), (6, 8));
    }

    #[test]
    fn a_device_given_twice_is_out_of_balance() {
        let w = |id| Account::Workload(WorkloadId(id));
        let good = balance(&[interval(0, w(1), 10_000)], Millis(10));
        assert_eq!(good.error_ppm(), 0);
        let twice = balance(&[interval(0, w(1), 10_000), interval(0, w(2), 10_000)], Millis(10));
        assert_eq!(twice.error_ppm(), 1_000_000);
        let barely = balance(&[interval(0, w(1), 9_999_999)], Millis(10_000));
        assert_eq!(barely.error_ppm(), 1, "rounded up, never to a false zero");
    }
}
