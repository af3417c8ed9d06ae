//! Settling: the time since a device was last settled, put on accounts.

use crate::interval::bucket_start;
use crate::split::attribute;
use crate::{Account, DeviceSample, Holding, Interval, WHOLE, fold};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};
use weft_types::{Bytes, Millis, Timestamp, UseSource, WorkloadId};

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

/// What a workload's own ledger says of a device, all members of it there together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// Compute used and not on an account yet, in thousandths of the device times milliseconds.
    pub active: u64,
    /// Memory held now.
    pub memory: Bytes,
}

/// Puts a device's time from `settled` to `at` on accounts, in intervals within [`FINE`] buckets.
///
/// `holdings` are all that overlap this time; `sample` was taken at its end and speaks of it.
/// What is `measured` is put down as it is, whatever the sample says, and where it belongs to no
/// time of these: what one tenant's ledger claims takes nothing from another. Of the sample, what
/// is not measured falls to whom the driver names and to the holder of the whole device. Who holds
/// a part, and is neither measured nor named, has no figure: a guess is none.
///
/// A sample that is not later than `settled` (repeated, out of order, the clock went back a
/// little: see [`went_back`]) gives nothing: that time is settled already, and what is measured
/// stays for the next. A gap beyond [`MAX_GAP`] is unobserved, but for what is measured.
pub fn settle(
    settled: Timestamp,
    at: Timestamp,
    holdings: &[Holding],
    sample: &DeviceSample,
    measured: &BTreeMap<WorkloadId, Measured>,
) -> Vec<Interval> {
    let gap = at.since(settled);
    if gap == Millis::ZERO {
        return Vec::new();
    }
    let observed = gap <= MAX_GAP;
    let cuts = cuts(settled, at, holdings, observed);
    let spans: Vec<_> = cuts.windows(2).map(|pair| (pair[0], pair[1])).collect();
    let mut parts = spread(&spans, holdings, measured);
    let pieces = spans.iter().enumerate().flat_map(|(n, (from, until))| {
        let measured = core::mem::take(&mut parts[n]);
        let sample = observed.then_some(sample);
        Piece { from: *from, until: *until, holdings, sample, measured }.lines()
    });
    let pieces: Vec<_> = pieces.collect();
    if observed {
        return fold(&pieces, FINE);
    }
    // One line for each account, however long nobody looked.
    let whole = |line| Interval { from: settled, until: at, ..line };
    fold(&pieces, Millis(u64::MAX)).into_iter().map(whole).collect()
}

/// Every moment at which something changes: ends of the span, of holdings, and of buckets where
/// they are wanted.
fn cuts(settled: Timestamp, at: Timestamp, holdings: &[Holding], buckets: bool) -> Vec<Timestamp> {
    let ends = holdings.iter().flat_map(|h| [Some(h.from), h.until]).flatten();
    let mut cuts: BTreeSet<Timestamp> = ends.filter(|t| settled < *t && *t < at).collect();
    cuts.extend([settled, at]);
    let mut bucket = bucket_start(settled, FINE).after(FINE);
    while buckets && bucket < at {
        cuts.insert(bucket);
        bucket = bucket.after(FINE);
    }
    cuts.into_iter().collect()
}

/// What is measured, span by span: in proportion to the time that it was held, and all of it in
/// the first where it was not.
fn spread(
    spans: &[(Timestamp, Timestamp)],
    holdings: &[Holding],
    measured: &BTreeMap<WorkloadId, Measured>,
) -> Vec<BTreeMap<WorkloadId, Measured>> {
    let mut parts = vec![BTreeMap::new(); spans.len()];
    for (who, all) in measured {
        let held = |(from, until): &(Timestamp, Timestamp)| {
            let mut own = holdings.iter().filter(|h| h.workload == *who);
            own.any(|h| h.holds(*from, *until))
        };
        let weight = |span| if held(span) { span.1.since(span.0).0 } else { 0 };
        let weights: Vec<u64> = spans.iter().map(weight).collect();
        let sum: u64 = weights.iter().sum();
        let (mut running, mut given) = (0u64, 0u64);
        for (part, weight) in parts.iter_mut().zip(weights) {
            running += weight;
            let upto = u128::from(all.active) * u128::from(running) / u128::from(sum.max(1));
            let upto = if sum == 0 { all.active } else { u64::try_from(upto).unwrap_or(u64::MAX) };
            let memory = if weight == 0 { Bytes::ZERO } else { all.memory };
            part.insert(*who, Measured { active: upto - given, memory });
            given = upto;
        }
    }
    parts
}

impl Holding {
    fn holds(&self, from: Timestamp, until: Timestamp) -> bool {
        self.from <= from && self.until.is_none_or(|end| end >= until)
    }
}

/// A span within which nothing changes.
struct Piece<'a> {
    from: Timestamp,
    until: Timestamp,
    holdings: &'a [Holding],
    /// None: nobody looked.
    sample: Option<&'a DeviceSample>,
    measured: BTreeMap<WorkloadId, Measured>,
}

impl Piece<'_> {
    fn lines(&self) -> Vec<Interval> {
        let held = self.held();
        let rest = held.iter().filter(|(who, _)| !self.measured.contains_key(who));
        let rest: BTreeMap<_, _> = rest.map(|(who, milli)| (*who, *milli)).collect();
        let (active, memory) = (self.active(&rest), self.memory(&rest));
        let allocated = self.allocated(&held);
        let accounts: BTreeSet<Account> =
            allocated.keys().chain(active.keys()).chain(memory.keys()).copied().collect();
        let of = |map: &BTreeMap<_, u64>, account: &Account| map.get(account).copied().unwrap_or(0);
        let line = |account: &Account| {
            let (allocated, source) = (of(&allocated, account), self.source(*account, &held));
            let by = |this| if source == Some(this) { allocated } else { 0 };
            Interval {
                from: self.from,
                until: self.until,
                account: *account,
                allocated,
                active: of(&active, account),
                memory: of(&memory, account),
                measured: by(UseSource::Measured),
                sampled: by(UseSource::Sampled),
            }
        };
        let something = |i: &Interval| (i.allocated, i.active, i.memory) != (0, 0, 0);
        accounts.iter().map(line).filter(something).collect()
    }

    fn span(&self) -> u64 {
        self.until.since(self.from).0
    }

    /// Who holds how much.
    fn held(&self) -> BTreeMap<WorkloadId, u64> {
        let mut held = BTreeMap::new();
        for one in self.holdings.iter().filter(|h| h.holds(self.from, self.until)) {
            *held.entry(one.workload).or_insert(0) += one.milli;
        }
        held
    }

    /// What is held, and what is left of the device. Where nobody looked, only of what is measured
    /// it is known that it was there.
    fn allocated(&self, held: &BTreeMap<WorkloadId, u64>) -> BTreeMap<Account, u64> {
        let known = |who: &WorkloadId| self.sample.is_some() || self.measured.contains_key(who);
        let given = held.iter().filter(|(who, _)| known(who));
        let mut out: BTreeMap<_, _> =
            given.map(|(who, milli)| (Account::Workload(*who), milli * self.span())).collect();
        let left = (WHOLE * self.span()).saturating_sub(out.values().sum());
        let nobody = if self.sample.is_some() { Account::Idle } else { Account::Unobserved };
        out.insert(nobody, left);
        out
    }

    fn active(&self, rest: &BTreeMap<WorkloadId, u64>) -> BTreeMap<Account, u64> {
        let whole = rest.iter().filter(|(_, milli)| **milli >= WHOLE);
        let whole = whole.map(|(who, milli)| (*who, *milli)).collect();
        let permille = self.sample.and_then(|sample| sample.active_permille).unwrap_or(0);
        let total = u64::from(permille).min(WHOLE) * self.span();
        let known = self.known(|process| process.active_permille.map(u64::from));
        let own = self.measured.iter().map(|(who, own)| (*who, own.active)).collect();
        beside(total, &own, &known, &whole)
    }

    fn memory(&self, rest: &BTreeMap<WorkloadId, u64>) -> BTreeMap<Account, u64> {
        let Some(sample) = self.sample else { return BTreeMap::new() };
        let total = sample.memory.0.saturating_mul(self.span());
        let known = self.known(|process| Some(process.memory.0));
        let bytes = |own: &Measured| own.memory.0.saturating_mul(self.span());
        let own = self.measured.iter().map(|(who, own)| (*who, bytes(own))).collect();
        beside(total, &own, &known, rest)
    }

    /// What the sample knows of the use of each workload that is not measured, times the span.
    fn known(
        &self,
        figure: impl Fn(&crate::ProcessSample) -> Option<u64>,
    ) -> BTreeMap<WorkloadId, u64> {
        let mut out = BTreeMap::new();
        let processes = self.sample.iter().flat_map(|sample| &sample.processes);
        for process in processes.filter(|p| !self.measured.contains_key(&p.workload)) {
            if let Some(value) = figure(process) {
                let sum: &mut u64 = out.entry(process.workload).or_insert(0);
                *sum = sum.saturating_add(value.saturating_mul(self.span()));
            }
        }
        out
    }

    /// Where the figure of an account's active time comes from; none: there is none.
    fn source(&self, account: Account, held: &BTreeMap<WorkloadId, u64>) -> Option<UseSource> {
        let Account::Workload(who) = account else { return None };
        if self.measured.contains_key(&who) {
            return Some(UseSource::Measured);
        }
        let sample = self.sample.filter(|sample| sample.active_permille.is_some())?;
        let named = |p: &crate::ProcessSample| p.workload == who && p.active_permille.is_some();
        let whole = held.get(&who).is_some_and(|milli| *milli >= WHOLE);
        (whole || sample.processes.iter().any(named)).then_some(UseSource::Sampled)
    }
}

/// What each has of its own, and of a total what is left beside that, attributed.
fn beside(
    total: u64,
    own: &BTreeMap<WorkloadId, u64>,
    known: &BTreeMap<WorkloadId, u64>,
    held: &BTreeMap<WorkloadId, u64>,
) -> BTreeMap<Account, u64> {
    let left = total.saturating_sub(own.values().fold(0, |sum, one| sum.saturating_add(*one)));
    let mut out = attribute(left, known, held);
    out.extend(own.iter().map(|(who, amount)| (Account::Workload(*who), *amount)));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use weft_types::{DeviceId, NodeId};

    fn sample(active_permille: u32, memory: u64) -> DeviceSample {
        let device = DeviceId { node: NodeId::new("n1").unwrap(), index: 0 };
        let active_permille = Some(active_permille);
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
            &BTreeMap::new(),
        );
        assert_eq!(
            lines(&got),
            vec![(120_000, w1, 150_000, 0), (120_000, Account::Idle, 850_000, 0)]
        );
    }

    #[test]
    fn time_is_cut_at_the_minute() {
        let got =
            settle(Timestamp(59_000), Timestamp(61_000), &[], &sample(500, 0), &BTreeMap::new());
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
        let at = |from, until| {
            settle(Timestamp(from), Timestamp(until), &held, &sample(1000, 9), &BTreeMap::new())
        };
        assert!(at(5_000, 4_000).is_empty());
        assert!(at(5_000, 5_000).is_empty());
        let jump = at(0, 3_600_000);
        assert_eq!(lines(&jump), vec![(0, Account::Unobserved, 3_600_000_000, 0)]);
        let at_limit = at(0, MAX_GAP.0);
        assert_eq!(at_limit.len(), 1);
        assert_eq!(at_limit[0].account, Account::Workload(WorkloadId(1)));
    }

    fn measured(of: &[(u64, u64, u64)]) -> BTreeMap<WorkloadId, Measured> {
        let one = |(id, active, memory): &(u64, u64, u64)| {
            (WorkloadId(*id), Measured { active: *active, memory: Bytes(*memory) })
        };
        of.iter().map(one).collect()
    }

    #[test]
    fn what_is_measured_stands_and_a_guess_is_none() {
        let (w1, w2) = (Account::Workload(WorkloadId(1)), Account::Workload(WorkloadId(2)));
        let held = [holding(1, 300, 0, None), holding(2, 500, 0, None)];
        let of = |own: &[(u64, u64, u64)]| {
            settle(Timestamp(0), Timestamp(1_000), &held, &sample(900, 9), &measured(own))
        };
        let got = of(&[(1, 250_000, 4)]);
        let seen: Vec<_> = got
            .iter()
            .map(|i| (i.account, i.allocated, i.active, i.memory, i.measured, i.sampled))
            .collect();
        let expected = [
            (w1, 300_000, 250_000, 4_000, 300_000, 0),
            // Nobody tells what of the rest is the second one's; memory falls to it by share.
            (w2, 500_000, 0, 5_000, 0, 0),
            (Account::Idle, 200_000, 650_000, 0, 0, 0),
        ];
        assert_eq!(seen, expected);
        // However much one claims, the other's is its own.
        let lied = of(&[(1, u64::MAX, u64::MAX), (2, 70_000, 1)]);
        assert_eq!((lied[0].active, lied[1].active, lied[1].memory), (u64::MAX, 70_000, 1_000));
    }

    #[test]
    fn what_is_measured_while_nobody_looked_is_not_lost() {
        let w1 = Account::Workload(WorkloadId(1));
        let held = [holding(1, 300, 0, None), holding(2, 500, 0, None)];
        let hour = 3_600_000;
        let own = measured(&[(1, 9_000, 4)]);
        let got = settle(Timestamp(7), Timestamp(hour + 7), &held, &sample(900, 9), &own);
        assert_eq!(
            lines(&got),
            vec![(7, w1, 300 * hour, 9_000), (7, Account::Unobserved, 700 * hour, 0)]
        );
        // What ended before, and comes late, is put down all the same.
        let late = settle(Timestamp(59_000), Timestamp(61_000), &[], &sample(0, 0), &own);
        assert_eq!(lines(&late)[0], (0, w1, 0, 9_000));
    }
}
