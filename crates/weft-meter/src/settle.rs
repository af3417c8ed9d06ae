//! Settling: the time since a device was last settled, put on accounts.

use crate::interval::bucket_start;
use crate::split::attribute;
use crate::{Account, DeviceSample, Holding, Interval, WHOLE, fold};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;
use alloc::vec::Vec;
use weft_types::{Millis, Timestamp, WorkloadId};

/// The longest time between two samples that still counts as observed: sixty missed ones of an
/// agent that samples each second, so that a restart of the server is bridged and an outage, a
/// suspended machine or a clock that jumped is not.
pub const MAX_GAP: Millis = Millis(60_000);

/// The finest bucket that is kept: a minute, so that a day of a device is at most 1,440 rows for
/// each account, however often it is sampled.
pub const FINE: Millis = Millis(60_000);

/// The bucket of what is older than a day.
pub const HOUR: Millis = Millis(3_600_000);

/// Whether the clock went back so far that waiting for it to catch up would leave the device
/// unaccounted for: a wrong clock was set right. Accounting then goes on from the sample; what
/// was settled under the wrong clock stays, as the time that it was.
pub fn went_back(settled: Timestamp, at: Timestamp) -> bool {
    settled.since(at) > MAX_GAP
}

/// Puts a device's time from `settled` to `at` on accounts, in intervals within [`FINE`] buckets.
///
/// `holdings` are all that overlap this time; `sample` was taken at its end and speaks of it.
/// A sample that is not later than `settled` (repeated, out of order, the clock went back a
/// little: see [`went_back`]) gives nothing: that time is settled already. A gap beyond
/// [`MAX_GAP`] is one unobserved interval.
pub fn settle(
    settled: Timestamp,
    at: Timestamp,
    holdings: &[Holding],
    sample: &DeviceSample,
) -> Vec<Interval> {
    let gap = at.since(settled);
    if gap == Millis::ZERO {
        return Vec::new();
    }
    if gap > MAX_GAP {
        return vec![Interval {
            from: settled,
            until: at,
            account: Account::Unobserved,
            allocated: gap.0.saturating_mul(WHOLE),
            active: 0,
            memory: 0,
        }];
    }
    let cuts = cuts(settled, at, holdings);
    let pieces = cuts.windows(2).flat_map(|pair| piece(pair[0], pair[1], holdings, sample));
    fold(&pieces.collect::<Vec<_>>(), FINE)
}

/// Every moment at which something changes: ends of the span, of holdings, of buckets.
fn cuts(settled: Timestamp, at: Timestamp, holdings: &[Holding]) -> Vec<Timestamp> {
    let ends = holdings.iter().flat_map(|h| [Some(h.from), h.until]).flatten();
    let mut cuts: BTreeSet<Timestamp> = ends.filter(|t| settled < *t && *t < at).collect();
    cuts.extend([settled, at]);
    let mut bucket = bucket_start(settled, FINE).after(FINE);
    while bucket < at {
        cuts.insert(bucket);
        bucket = bucket.after(FINE);
    }
    cuts.into_iter().collect()
}

/// A span within which nothing changes.
fn piece(
    from: Timestamp,
    until: Timestamp,
    holdings: &[Holding],
    sample: &DeviceSample,
) -> Vec<Interval> {
    let span = until.since(from).0;
    let mut held: BTreeMap<WorkloadId, u64> = BTreeMap::new();
    for one in holdings.iter().filter(|h| h.from <= from && h.until.is_none_or(|u| u >= until)) {
        *held.entry(one.workload).or_insert(0) += one.milli;
    }
    let active = attribute(
        u64::from(sample.active_permille).min(WHOLE) * span,
        &known(sample, span, |p| p.active_permille.map(u64::from)),
        &held,
    );
    let memory = attribute(
        sample.memory.0.saturating_mul(span),
        &known(sample, span, |p| Some(p.memory.0)),
        &held,
    );
    let given: u64 = held.values().sum();
    let mut allocated: BTreeMap<Account, u64> =
        held.iter().map(|(who, milli)| (Account::Workload(*who), milli * span)).collect();
    allocated.insert(Account::Idle, WHOLE.saturating_sub(given) * span);
    let accounts: BTreeSet<Account> =
        allocated.keys().chain(active.keys()).chain(memory.keys()).copied().collect();
    let of = |map: &BTreeMap<_, u64>, account: &Account| map.get(account).copied().unwrap_or(0);
    let line = |account: &Account| Interval {
        from,
        until,
        account: *account,
        allocated: of(&allocated, account),
        active: of(&active, account),
        memory: of(&memory, account),
    };
    let something = |i: &Interval| (i.allocated, i.active, i.memory) != (0, 0, 0);
    accounts.iter().map(line).filter(something).collect()
}

/// What the sample knows of each workload's own use, times the span.
fn known(
    sample: &DeviceSample,
    span: u64,
    figure: impl Fn(&crate::ProcessSample) -> Option<u64>,
) -> BTreeMap<WorkloadId, u64> {
    let mut out = BTreeMap::new();
    for process in &sample.processes {
        if let Some(value) = figure(process) {
            let sum: &mut u64 = out.entry(process.workload).or_insert(0);
            *sum = sum.saturating_add(value.saturating_mul(span));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use weft_types::{Bytes, DeviceId, NodeId};

    fn sample(active_permille: u32, memory: u64) -> DeviceSample {
        let device = DeviceId { node: NodeId::new("n1").unwrap(), index: 0 };
        DeviceSample { device, active_permille, memory: Bytes(memory), processes: vec![] }
    }

    fn holding(id: u64, milli: u64, from: u64, until: Option<u64>) -> Holding {
        Holding {
            workload: WorkloadId(id),
            milli,
            from: Timestamp(from),
            until: until.map(Timestamp),
        }
    }

    fn lines(intervals: &[Interval]) -> Vec<(u64, Account, u64, u64)> {
        intervals.iter().map(|i| (i.from.0, i.account, i.allocated, i.active)).collect()
    }

    #[test]
    fn a_change_between_two_samples_is_exact() {
        let w1 = Account::Workload(WorkloadId(1));
        // Held for 300 ms of 1,000 that no sample saw begin or end.
        let got = settle(
            Timestamp(120_000),
            Timestamp(121_000),
            &[holding(1, 500, 120_200, Some(120_500))],
            &sample(0, 0),
        );
        assert_eq!(
            lines(&got),
            vec![(120_000, w1, 150_000, 0), (120_000, Account::Idle, 850_000, 0)]
        );
    }

    #[test]
    fn time_is_cut_at_the_minute() {
        let got = settle(Timestamp(59_000), Timestamp(61_000), &[], &sample(500, 0));
        assert_eq!(
            lines(&got),
            vec![
                (0, Account::Idle, 1_000_000, 500_000),
                (60_000, Account::Idle, 1_000_000, 500_000)
            ]
        );
    }

    #[test]
    fn a_clock_that_goes_back_settles_nothing_and_a_jump_is_unobserved() {
        let held = [holding(1, 1000, 0, None)];
        assert!(settle(Timestamp(5_000), Timestamp(4_000), &held, &sample(1000, 0)).is_empty());
        assert!(settle(Timestamp(5_000), Timestamp(5_000), &held, &sample(1000, 0)).is_empty());
        let jump = settle(Timestamp(0), Timestamp(3_600_000), &held, &sample(1000, 9));
        assert_eq!(lines(&jump), vec![(0, Account::Unobserved, 3_600_000_000, 0)]);
        let at_limit = settle(Timestamp(0), Timestamp(MAX_GAP.0), &held, &sample(1000, 9));
        assert_eq!(at_limit.len(), 1);
        assert_eq!(at_limit[0].account, Account::Workload(WorkloadId(1)));
    }
}
