//! What the planner is told of the past: what each queue has held of devices lately, and what is
//! usually asked for.
//!
//! Counted by the loop, told to its snapshots and to those of dry runs. Made from the store, the
//! one when a server starts (`kept.rs`), the other now and then. Absent on purpose: what follows of
//! it (`weft-sched`).

use super::kept;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use weft_meter::Recent;
use weft_sched::{Grant, Large, Market, Prices, Snapshot, WorkloadState, gpu_milli};
use weft_store::{Read, Store, StoreError};
use weft_types::{MilliGpu, Millis, QueueName, Timestamp};

/// A week ago counts half: long enough that a night of training is made up for by the end of the
/// week, short enough that last month's deadline is forgotten. Slurm's default, too.
pub(super) const HALF_LIFE: Millis = Millis::from_secs(7 * 24 * 3600);

/// After this time what is usual is learned again, since demand moves over days, and what was held
/// is kept: the one takes up to some twenty milliseconds, the other reads what was held since.
const AGE: Millis = Millis::from_secs(600);

/// Fewer members of workloads than this say nothing about what is usual; devices then go to what
/// fits best.
const MARKET_MIN: u64 = 200;

/// A queue's average, and what it has held since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) recent: Recent,
    pub(super) held: u64,
}

/// Over so long the machines that large requests take are averaged: working days and others.
const LARGE_SPAN: Millis = Millis::from_secs(7 * 24 * 3600);

/// A pool that is younger is taken to be so old: one request in its first hour is not what is
/// usual.
const LARGE_SPAN_MIN: Millis = Millis::from_secs(24 * 3600);

/// What is usually asked for, and when that was learned.
#[derive(Debug, Default)]
struct Learned {
    market: Option<Market>,
    large: Vec<Large>,
    at: Option<Timestamp>,
}

/// What the planner is told of the past.
#[derive(Debug, Default)]
pub(super) struct Lately {
    lines: Mutex<BTreeMap<QueueName, Line>>,
    /// When the lines were kept last.
    kept: Mutex<Option<Timestamp>>,
    learned: Mutex<Learned>,
}

impl Lately {
    /// Reads what was held before this server.
    pub(super) async fn load(&self, store: &Store, now: Timestamp) -> Result<(), StoreError> {
        kept::keep(store, now).await?;
        let lines = store.read(move |r| kept::recall(r, now)).await?;
        *self.lines() = lines;
        *self.kept() = Some(now);
        Ok(())
    }

    /// Keeps what was held for the next server, where that is due.
    pub(super) async fn keep(&self, store: &Store, now: Timestamp) -> Result<(), StoreError> {
        if fresh(*self.kept(), now) {
            return Ok(());
        }
        kept::keep(store, now).await?;
        *self.kept() = Some(now);
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
        lines.retain(|name, _| snapshot.queues.contains_key(name) || held.contains_key(name));
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
        if fresh(learned.at, now) {
            return Ok(());
        }
        let asked = read.asked_lately()?;
        let enough = asked.iter().map(|(_, _, times)| times).sum::<u64>() >= MARKET_MIN;
        let market = enough.then(|| Market::learn(snapshot, asked)).flatten();
        let (asked, known) =
            read.present_since(Timestamp(now.0.saturating_sub(LARGE_SPAN.0)), now)?;
        let since = known.min(Timestamp(now.0.saturating_sub(LARGE_SPAN_MIN.0)));
        let large = Large::learn(snapshot, asked, since, now);
        *learned = Learned { market, large, at: Some(now) };
        Ok(())
    }

    /// Tells a snapshot what was counted and learned last.
    pub(super) fn tell(&self, snapshot: &mut Snapshot) {
        let learned = self.learned();
        snapshot.market.clone_from(&learned.market);
        snapshot.large.clone_from(&learned.large);
        drop(learned);
        let lines = self.lines();
        for (name, queue) in &mut snapshot.queues {
            queue.recent = lines.get(name).map_or(MilliGpu(0), |it| MilliGpu(it.recent.milli()));
        }
    }

    fn kept(&self) -> MutexGuard<'_, Option<Timestamp>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn learned(&self) -> MutexGuard<'_, Learned> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lines(&self) -> MutexGuard<'_, BTreeMap<QueueName, Line>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether what was done at a moment need not be done again yet; a clock that was set back makes it
/// due.
fn fresh(at: Option<Timestamp>, now: Timestamp) -> bool {
    at.is_some_and(|at| at <= now && now.since(at) < AGE)
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
