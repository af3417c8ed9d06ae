//! What queues have held of devices lately, from one server to the next: averages kept in the
//! store, and what was held since.
//!
//! Kept by the loop every ten minutes and when a server starts, so that a restart forgives nobody
//! and reads minutes, not weeks. What is kept is made from the store's holdings alone, in one
//! transaction: a crash loses at most a keeping, and the next one begins where the last ended. The
//! first time, and after a clock was set back, it is made from ten half-lives of holdings. Kept and
//! counted on gives what counting anew does, but for rounding (a test says how much), for what is
//! older than ten half-lives, for a device's worth, which is that of the time it was kept, and for
//! a queue that was removed and made again, which begins anew. No average needs a holding that
//! ended before the last keeping; bills do (`weft cost`), so none is removed here.

use super::lately::{HALF_LIFE, Line};
use std::collections::BTreeMap;
use weft_meter::Recent;
use weft_sched::Prices;
use weft_store::{HeldLately, Read, Store, StoreError};
use weft_types::{Millis, QueueName, Timestamp};

/// What is older counts less than a thousandth.
const MEMORY: Millis = Millis(10 * HALF_LIFE.0);

/// Averages are kept up to a moment so long ago that whatever began or ended before it is in the
/// store: a plan's moment lies before its commit by as long as planning takes.
const SETTLED: Millis = Millis::from_secs(60);

/// Keeps what queues have held lately.
pub(super) async fn keep(store: &Store, now: Timestamp) -> Result<(), StoreError> {
    let until = Timestamp(now.0.saturating_sub(SETTLED.0));
    // Nobody else keeps them, so what is read here is still so when it is written.
    let lines = store.read(move |r| recall(r, until)).await?;
    let recents = lines.into_iter().map(|(queue, line)| (queue, line.recent)).collect();
    store.write(move |w| w.keep_recents(&recents)).await
}

/// What each queue has held lately, up to a moment, and holds.
pub(super) fn recall(
    read: &Read<'_>,
    until: Timestamp,
) -> Result<BTreeMap<QueueName, Line>, StoreError> {
    let (snapshot, kept) = (read.snapshot()?, read.recents()?);
    let (since, mut lines) = begin(kept, until);
    for name in snapshot.queues.keys() {
        lines.entry(name.clone()).or_insert_with(|| line(Recent::since(until)));
    }
    lines.retain(|name, _| snapshot.queues.contains_key(name));
    let prices = Prices::of(&snapshot);
    for row in read.held_lately(since)? {
        if let Some(line) = lines.get_mut(&row.queue) {
            let milli = prices.priced(&row.device, row.milli);
            add(line, &HeldLately { milli, ..row }, since, until);
        }
    }
    Ok(lines)
}

/// From when on holdings are to be read, and what was held before.
fn begin(
    kept: BTreeMap<QueueName, Recent>,
    until: Timestamp,
) -> (Timestamp, BTreeMap<QueueName, Line>) {
    let at = kept.values().map(|recent| recent.kept().1).max();
    let Some(at) = at.filter(|at| *at <= until) else {
        return (Timestamp(until.0.saturating_sub(MEMORY.0)), BTreeMap::new());
    };
    let decayed = |mut recent: Recent| {
        recent.hold(0, until, HALF_LIFE);
        line(recent)
    };
    (at, kept.into_iter().map(|(name, recent)| (name, decayed(recent))).collect())
}

fn line(recent: Recent) -> Line {
    Line { recent, held: 0 }
}

/// Adds what of a holding lies between two moments.
fn add(line: &mut Line, row: &HeldLately, since: Timestamp, until: Timestamp) {
    let ended = row.until.unwrap_or(until).min(until);
    line.recent.add(row.milli.0, row.from.max(since), ended, HALF_LIFE);
    line.held += if row.until.is_none() { row.milli.0 } else { 0 };
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use weft_types::{DeviceId, MilliGpu};

    fn name() -> QueueName {
        QueueName::new("lab").expect("a name")
    }

    /// A start in which no more is kept than this, at a moment: what the store would tell.
    fn recalled(
        kept: BTreeMap<QueueName, Recent>,
        holdings: &[HeldLately],
        now: Timestamp,
    ) -> Line {
        let (since, lines) = begin(kept, now);
        let mut sum = lines.get(&name()).copied().unwrap_or(line(Recent::since(now)));
        for row in holdings.iter().filter(|row| row.from <= now) {
            let until = row.until.filter(|until| *until <= now);
            if until.is_none_or(|until| until > since) {
                add(&mut sum, &HeldLately { until, ..row.clone() }, since, now);
            }
        }
        sum
    }

    prop_compose! {
        fn holding()(
            milli in 1..=8_000u64,
            from in 0..HALF_LIFE.0 * 9,
            length in prop_oneof![0..3_600_000u64, 0..HALF_LIFE.0 * 9],
            ends in any::<bool>(),
        ) -> HeldLately {
            HeldLately {
                queue: name(),
                device: DeviceId { node: "n".parse().expect("a name"), index: 0 },
                milli: MilliGpu(milli),
                from: Timestamp(from),
                until: ends.then_some(Timestamp(from + length)),
            }
        }
    }

    proptest! {
        /// However often it was kept, and whichever way clocks went, it is within a thousandth of a
        /// device and a hundred-thousandth of what counting anew gives.
        #[test]
        fn kept_and_counted_on_is_counted_anew(
            holdings in prop::collection::vec(holding(), 0..40),
            mut moments in prop::collection::vec(0..HALF_LIFE.0 * 9, 0..40),
            forward in prop::bool::weighted(0.8),
            after in 0..HALF_LIFE.0,
        ) {
            if forward {
                moments.sort_unstable();
            }
            let mut kept = BTreeMap::new();
            for moment in moments {
                let line = recalled(kept, &holdings, Timestamp(moment));
                kept = BTreeMap::from([(name(), line.recent)]);
            }
            let now = Timestamp(HALF_LIFE.0 * 9 + after);
            let on = recalled(kept, &holdings, now);
            let anew = recalled(BTreeMap::new(), &holdings, now);
            let (is, must) = (on.recent.milli(), anew.recent.milli());
            prop_assert!(is.abs_diff(must) <= 1 + must / 100_000, "{is}, and anew {must}");
            prop_assert_eq!(on.held, anew.held);
        }
    }

    #[test]
    fn ten_weeks_kept_every_ten_minutes_are_within_it() {
        let mut recent = Recent::since(Timestamp(0));
        let (mut at, end) = (0, MEMORY.0);
        while at < end {
            at += 600_000;
            let kept = Recent::from_kept(recent.kept().0, recent.kept().1);
            let (_, lines) = begin(BTreeMap::from([(name(), kept)]), Timestamp(at));
            recent = lines[&name()].recent;
            recent.add(800_000, Timestamp(at - 600_000), Timestamp(at), HALF_LIFE);
        }
        let mut anew = Recent::since(Timestamp(end));
        anew.add(800_000, Timestamp(0), Timestamp(end), HALF_LIFE);
        assert!(recent.milli().abs_diff(anew.milli()) <= 8, "{recent:?} {anew:?}");
    }

    #[tokio::test]
    async fn a_start_after_a_crash_reads_what_came_since() {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::open(dir.path()).expect("a store");
        let queues = ["lab", "gone"].map(|name| QueueName::new(name).expect("a name"));
        let day = |days: u64| Timestamp(days * 86_400_000);
        let half = Recent::from_kept(500 << 20, day(7));
        let [lab, gone] = queues.clone();
        let put = store.write(move |w| -> Result<(), StoreError> {
            for queue in &queues {
                w.put_queue(queue, &Default::default(), None)?;
            }
            let [lab, gone] = queues;
            w.keep_recents(&BTreeMap::from([(lab, half), (gone, half)]))
        });
        put.await.expect("kept");
        let removed = gone.clone();
        store.write(move |w| w.delete_queue(&removed)).await.expect("removed");
        // No clean stop.
        drop(store);
        let store = Store::open(dir.path()).expect("it opens");
        let lines = store.read(move |r| recall(r, day(14))).await.expect("read");
        assert_eq!(lines.keys().collect::<Vec<_>>(), [&lab], "what is gone is not kept");
        assert_eq!(lines[&lab].recent.milli(), 250);
        let again = store.write(move |w| w.put_queue(&gone, &Default::default(), None));
        again.await.expect("made again");
        keep(&store, day(14)).await.expect("kept again");
        let kept = store.read(|r| r.recents()).await.expect("read");
        let all: Vec<_> = kept.values().map(|recent| (recent.milli(), recent.kept().1)).collect();
        let at = Timestamp(day(14).0 - SETTLED.0);
        assert_eq!(all, [(0, at), (250, at)]);
    }
}
