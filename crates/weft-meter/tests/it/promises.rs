//! A device's random life: holdings come and go, samples come seldom, late, twice or not, the
//! clock jumps; then every sum must agree exactly with what is counted here the slow way.

use proptest::prelude::*;
use std::collections::BTreeMap;
use weft_meter::{
    Account, DeviceSample, FINE, HOUR, Holding, Interval, MAX_GAP, Measured, ProcessSample, WHOLE,
    balance, fold, settle, went_back,
};
use weft_types::{Bytes, DeviceId, Millis, NodeId, Timestamp, WorkloadId};

/// A device's history and how it was sampled.
#[derive(Debug, Clone)]
struct Life {
    holdings: Vec<Holding>,
    /// When samples came, in the order they came; what they said.
    samples: Vec<(Timestamp, DeviceSample)>,
}

prop_compose! {
    /// Lanes of 200 thousandths never give the device twice; in each, holdings follow another.
    fn lane(lane: u64)(
        spans in prop::collection::vec((0u64..40_000, 0u64..90_000, any::<bool>()), 0..8),
    ) -> Vec<Holding> {
        let mut at = 0;
        let mut out = Vec::new();
        for (n, (pause, length, open)) in (0u64..).zip(spans) {
            let from = at + pause;
            at = from + length;
            // Lanes share workloads: one may hold two pieces of a device.
            let workload = WorkloadId(1 + (lane + n) % 6);
            let until = (!open).then_some(Timestamp(at));
            out.push(Holding { workload, milli: 200, from: Timestamp(from), until });
            if open {
                break;
            }
        }
        out
    }
}

prop_compose! {
    fn sampled()(
        active_permille in 0u32..=1000,
        memory in 0u64..200_000_000_000,
        processes in prop::collection::vec(
            (1u64..8, prop::option::of(0u32..1200), 0u64..1 << 38),
            0..4,
        ),
    ) -> DeviceSample {
        let process = |(id, active_permille, memory)| ProcessSample {
            workload: WorkloadId(id),
            active_permille,
            memory: Bytes(memory),
        };
        DeviceSample {
            device: DeviceId { node: NodeId::new("n1").unwrap(), index: 0 },
            active_permille: Some(active_permille),
            memory: Bytes(memory),
            processes: processes.into_iter().map(process).collect(),
        }
    }
}

/// How far the next sample's clock is from the last one's.
fn step() -> impl Strategy<Value = i64> {
    prop_oneof![
        8 => 1i64..5_000,
        2 => 5_000i64..=MAX_GAP.0 as i64,
        1 => MAX_GAP.0 as i64 + 1..400_000,
        1 => -30_000i64..=0,
        1 => -300_000i64..-30_000,
    ]
}

prop_compose! {
    fn life()(
        lanes in (lane(0), lane(1), lane(2), lane(3), lane(4)),
        samples in prop::collection::vec((step(), sampled()), 1..60),
    ) -> Life {
        let (a, b, c, d, e) = lanes;
        let mut at = 0i64;
        let mut stamped = Vec::new();
        for (step, sample) in samples {
            at = (at + step).max(0);
            stamped.push((Timestamp(at.unsigned_abs()), sample));
        }
        Life { holdings: [a, b, c, d, e].concat(), samples: stamped }
    }
}

/// The spans that are settled, each by the sample at its end, and whether it was observed.
fn spans(life: &Life) -> Vec<(Timestamp, Timestamp, &DeviceSample, bool)> {
    let (mut settled, mut spans) = (Timestamp(0), Vec::new());
    for (at, sample) in &life.samples {
        if *at > settled {
            spans.push((settled, *at, sample, at.since(settled) <= MAX_GAP));
        }
        if *at > settled || went_back(settled, *at) {
            settled = *at;
        }
    }
    spans
}

/// What the store does: settle from the last sample that counted. With it, the time settled.
fn run(life: &Life) -> (Vec<Interval>, Millis) {
    let (mut settled, mut wall, mut all) = (Timestamp(0), Millis(0), Vec::new());
    for (at, sample) in &life.samples {
        all.extend(settle(settled, *at, &life.holdings, sample, &BTreeMap::new()));
        wall += at.since(settled);
        if *at > settled || went_back(settled, *at) {
            settled = *at;
        }
    }
    (all, wall)
}

fn sums(intervals: &[Interval]) -> BTreeMap<Account, (u128, u128, u128)> {
    let mut out = BTreeMap::new();
    for one in intervals {
        let sum: &mut (u128, u128, u128) = out.entry(one.account).or_default();
        sum.0 += u128::from(one.allocated);
        sum.1 += u128::from(one.active);
        sum.2 += u128::from(one.memory);
    }
    out
}

proptest! {
    #[test]
    fn every_millisecond_is_on_exactly_one_account(life in life()) {
        let (intervals, wall) = run(&life);
        let balance = balance(&intervals, wall);
        prop_assert_eq!(balance.accounted(), balance.wall);
        prop_assert_eq!(balance.error_ppm(), 0);
    }

    #[test]
    fn a_workload_is_charged_what_it_held_while_observed(life in life()) {
        let (intervals, _) = run(&life);
        let mut expected: BTreeMap<WorkloadId, u128> = BTreeMap::new();
        for holding in &life.holdings {
            for (from, until, _, _) in spans(&life).into_iter().filter(|span| span.3) {
                let end = holding.until.unwrap_or(until).min(until);
                let held = end.since(holding.from.max(from)).0;
                *expected.entry(holding.workload).or_default() += u128::from(held * holding.milli);
            }
        }
        let sums = sums(&intervals);
        for (workload, held) in expected {
            let charged = sums.get(&Account::Workload(workload)).map_or(0, |s| s.0);
            prop_assert_eq!(charged, held, "{}", workload);
        }
    }

    #[test]
    fn active_and_memory_time_are_what_was_sampled(life in life()) {
        let (intervals, _) = run(&life);
        let (mut active, mut memory) = (0u128, 0u128);
        for (from, until, sample, _) in spans(&life).into_iter().filter(|span| span.3) {
            let span = u128::from(until.since(from).0);
            active += u128::from(sample.active_permille.unwrap_or(0)) * span;
            memory += u128::from(sample.memory.0) * span;
        }
        let sums = sums(&intervals);
        prop_assert_eq!(sums.values().map(|s| s.1).sum::<u128>(), active);
        prop_assert_eq!(sums.values().map(|s| s.2).sum::<u128>(), memory);
    }

    #[test]
    fn folding_changes_no_sum_and_is_done_once(life in life()) {
        let (intervals, _) = run(&life);
        let hourly = fold(&intervals, HOUR);
        prop_assert_eq!(sums(&hourly), sums(&intervals));
        prop_assert_eq!(fold(&hourly, HOUR), hourly.clone());
        prop_assert_eq!(fold(&fold(&intervals, FINE), HOUR), hourly);
    }

    #[test]
    fn sampling_more_often_moves_nothing(life in life(), middle in 1u64..59_999) {
        let sample = &life.samples[0].1;
        let settle = |from, until| {
            settle(Timestamp(from), Timestamp(until), &life.holdings, sample, &BTreeMap::new())
        };
        let whole = settle(0, 60_000);
        let mut halves = settle(0, middle);
        halves.extend(settle(middle, 60_000));
        let allocated = |i: &[Interval]| {
            sums(i).into_iter().map(|(a, s)| (a, s.0)).filter(|(_, n)| *n > 0).collect::<Vec<_>>()
        };
        prop_assert_eq!(allocated(&halves), allocated(&whole));
        prop_assert_eq!(whole.iter().map(|i| i.allocated).sum::<u64>(), 60_000 * WHOLE);
    }

    #[test]
    fn what_is_measured_arrives_and_moves_nothing_else(
        life in life(),
        own in prop::collection::btree_map(1u64..8, (0u64..1 << 50, 0u64..1 << 30), 0..4),
        lie in 0u64..1 << 50,
    ) {
        let measured: BTreeMap<_, _> = own
            .into_iter()
            .map(|(id, (active, memory))| {
                (WorkloadId(id), Measured { active, memory: Bytes(memory) })
            })
            .collect();
        let (mut settled, mut wall, mut all) = (Timestamp(0), Millis(0), Vec::new());
        let (mut due, mut lied, mut honest) = (measured.clone(), Vec::new(), None);
        for (at, sample) in &life.samples {
            let lines = settle(settled, *at, &life.holdings, sample, &due);
            if let Some(first) = measured.keys().next() {
                let mut bent = due.clone();
                bent.entry(*first).and_modify(|own| own.active += lie);
                lied.extend(settle(settled, *at, &life.holdings, sample, &bent));
                honest = Some(*first);
            }
            if *at > settled {
                due.values_mut().for_each(|own| own.active = 0);
            }
            all.extend(lines);
            wall += at.since(settled);
            if *at > settled || went_back(settled, *at) {
                settled = *at;
            }
        }
        prop_assert_eq!(balance(&all, wall).error_ppm(), 0);
        let (found, bent) = (sums(&all), sums(&lied));
        let active = |sums: &BTreeMap<_, (u128, u128, u128)>, who: &WorkloadId| {
            sums.get(&Account::Workload(*who)).map_or(0, |sum| sum.1)
        };
        for (who, own) in measured.iter().filter(|_| wall > Millis::ZERO) {
            prop_assert_eq!(active(&found, who), u128::from(own.active), "{}", who);
            if honest != Some(*who) {
                prop_assert_eq!(active(&bent, who), u128::from(own.active), "a lie moved {}", who);
            }
        }
    }
}
