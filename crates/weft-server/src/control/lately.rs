//! What the planner is told of the past: what each queue has held of devices lately, and what is
//! usually asked for.
//!
//! Kept by the loop, told to its snapshots and to those of dry runs. Made from the store, the one
//! when a server starts, so that a restart forgives nobody, the other now and then. Absent on
//! purpose: what follows of it (`weft-sched`).

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use weft_meter::Recent;
use weft_sched::{Grant, Market, Prices, Snapshot, WorkloadState, gpu_milli};
use weft_store::{HeldLately, Read, Store, StoreError};
use weft_types::{MilliGpu, Millis, QueueName, Timestamp};

/// A week ago counts half: long enough that a night of training is made up for by the end of the
/// week, short enough that last month's deadline is forgotten. Slurm's default, too.
const HALF_LIFE: Millis = Millis::from_secs(7 * 24 * 3600);

/// What is older counts less than a thousandth.
const MEMORY: Millis = Millis(10 * HALF_LIFE.0);

/// What is usual is learned again after this time: demand moves over days, and learning takes up to
/// some twenty milliseconds.
const MARKET_AGE: Millis = Millis::from_secs(600);

/// Fewer members of workloads than this say nothing about what is usual; devices then go to what
/// fits best.
const MARKET_MIN: u64 = 200;

/// A queue's average, and what it has held since.
#[derive(Debug, Clone, Copy)]
struct Line {
    recent: Recent,
    held: u64,
}

/// What is usually asked for, and when that was learned.
#[derive(Debug, Default)]
struct Learned {
    market: Option<Market>,
    at: Option<Timestamp>,
}

/// What the planner is told of the past.
#[derive(Debug, Default)]
pub(super) struct Lately {
    lines: Mutex<BTreeMap<QueueName, Line>>,
    learned: Mutex<Learned>,
}

impl Lately {
    /// Reads what was held before this server.
    pub(super) async fn load(&self, store: &Store, now: Timestamp) -> Result<(), StoreError> {
        let since = Timestamp(now.0.saturating_sub(MEMORY.0));
        let read = store.read(move |r| -> Result<_, StoreError> {
            let (snapshot, rows) = (r.snapshot()?, r.held_lately(since)?);
            let prices = Prices::of(&snapshot);
            let priced = |row: HeldLately| {
                let milli = prices.priced(&row.device, row.milli);
                HeldLately { milli, ..row }
            };
            Ok(rows.into_iter().map(priced).collect::<Vec<_>>())
        });
        let rows = read.await?;
        let mut lines = self.lines();
        for row in rows {
            let new = || Line { recent: Recent::since(now), held: 0 };
            let line = lines.entry(row.queue).or_insert_with(new);
            let until = row.until.unwrap_or(now).min(now);
            line.recent.add(row.milli.0, row.from.max(since), until, HALF_LIFE);
            line.held += if row.until.is_none() { row.milli.0 } else { 0 };
        }
        Ok(())
    }

    /// Counts up to now what was held since the last look, notes what is held from now on, and
    /// tells the snapshot.
    pub(super) fn note(&self, snapshot: &mut Snapshot, now: Timestamp) {
        let held = held(snapshot);
        let mut lines = self.lines();
        for name in snapshot.queues.keys().chain(held.keys()) {
            let new = || Line { recent: Recent::since(now), held: 0 };
            lines.entry(name.clone()).or_insert_with(new);
        }
        for (name, line) in lines.iter_mut() {
            line.recent.hold(line.held, now, HALF_LIFE);
            line.held = held.get(name).copied().unwrap_or(0);
        }
        drop(lines);
        self.tell(snapshot);
    }

    /// Learns what is usual, where that is due.
    pub(super) fn learn(
        &self,
        read: &Read<'_>,
        snapshot: &Snapshot,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut learned = self.learned();
        if learned.at.is_some_and(|at| now.since(at) < MARKET_AGE && at <= now) {
            return Ok(());
        }
        let asked = read.asked_lately()?;
        let enough = asked.iter().map(|(_, _, times)| times).sum::<u64>() >= MARKET_MIN;
        let market = enough.then(|| Market::learn(snapshot, asked)).flatten();
        *learned = Learned { market, at: Some(now) };
        Ok(())
    }

    /// Tells a snapshot what was counted and learned last.
    pub(super) fn tell(&self, snapshot: &mut Snapshot) {
        snapshot.market = self.learned().market.clone();
        let lines = self.lines();
        for (name, queue) in &mut snapshot.queues {
            queue.recent = lines.get(name).map_or(MilliGpu(0), |it| MilliGpu(it.recent.milli()));
        }
    }

    fn learned(&self) -> MutexGuard<'_, Learned> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lines(&self) -> MutexGuard<'_, BTreeMap<QueueName, Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Thousandths of devices that each queue's own workloads hold, each device by its worth.
fn held(snapshot: &Snapshot) -> BTreeMap<QueueName, u64> {
    let prices = Prices::of(snapshot);
    let mut held = BTreeMap::new();
    for workload in snapshot.workloads.values() {
        let WorkloadState::Running(running) = &workload.state else { continue };
        let priced = |grant: &Grant| prices.priced(grant.device(), gpu_milli(snapshot, grant));
        let grants = running.placements.iter().flat_map(|placement| &placement.grants);
        let milli: u64 = grants.map(|grant| priced(grant).0).sum();
        if milli > 0 {
            *held.entry(workload.queue.clone()).or_default() += milli;
        }
    }
    held
}

#[cfg(test)]
mod tests {
    use super::*;
    use weft_sched::case::parse;

    #[test]
    fn a_scarce_device_counts_more() {
        let text = "node n h100-80 x1\nnode m t4-16 x1\nqueue a gpu=1\nqueue b gpu=1\n\
                    run w1 a gpu=1 on=n/0 ran=1h\nrun w2 b gpu=1 on=m/0 ran=1h\n";
        let case = parse(text).expect("a case");
        let (mut snapshot, recents) = (case.snapshot, Lately::default());
        recents.note(&mut snapshot, case.now);
        recents.note(&mut snapshot, case.now.after(HALF_LIFE));
        let recent: Vec<u64> = snapshot.queues.values().map(|queue| queue.recent.0).collect();
        // Of a mean of 48: 80 and 16, half of it in a half-life.
        assert_eq!(recent, [833, 166]);
    }

    #[test]
    fn what_was_held_is_told() {
        let text =
            "node n h100-80 x2\nqueue a gpu=2\nqueue b gpu=2\nrun w1 a gpu=1 on=n/0 ran=1h\n";
        let case = parse(text).expect("a case");
        let (mut snapshot, recents) = (case.snapshot, Lately::default());
        let name = |name: &str| name.parse::<QueueName>().expect("a name");
        recents.note(&mut snapshot, case.now);
        assert_eq!(snapshot.queues[&name("a")].recent, MilliGpu(0));
        recents.note(&mut snapshot, case.now.after(HALF_LIFE));
        assert_eq!(snapshot.queues[&name("a")].recent, MilliGpu(500));
        assert_eq!(snapshot.queues[&name("b")].recent, MilliGpu(0));
        snapshot.workloads.clear();
        recents.note(&mut snapshot, case.now.after(HALF_LIFE));
        recents.note(&mut snapshot, case.now.after(HALF_LIFE).after(HALF_LIFE));
        assert_eq!(snapshot.queues[&name("a")].recent, MilliGpu(250));
    }
}
