//! What runs used of devices: each microsecond is on the ledger once, whoever speaks late, twice,
//! or for the first time; and each figure says where it comes from.

use crate::given::{
    assert_sound, device_id, end, fast_dir, mig, new_workload, node, placement, pool, share, start,
    used, whole,
};
use weft_meter::{DeviceSample, Sample, UseSample, WHOLE};
use weft_sched::Grant;
use weft_store::{CostLine, Store};
use weft_types::{Attempt, Bytes, Timestamp, UseSource, WorkloadId};

const SECOND_NS: u64 = 1_000_000_000;

/// A sample of the first device, of which the driver says that it is busy by 900 thousandths.
fn sample(at: u64, uses: Vec<UseSample>) -> Sample {
    let device = |index| DeviceSample {
        device: device_id(index),
        active_permille: (index < 3).then_some(900),
        memory: Bytes(1_000_000),
        processes: vec![],
    };
    Sample { at: Timestamp(at), devices: (0..4).map(device).collect(), workloads: vec![], uses }
}

async fn record(store: &Store, sample: Sample) {
    store.write(move |w| w.record_sample(&node(), &sample)).await.unwrap();
}

async fn begin(store: &Store, name: &'static str, grant: Grant, at: u64) -> u64 {
    let write = move |w: &mut weft_store::Write<'_>| {
        let id = w.submit_workload(new_workload(name, 1))?.id;
        start(w, id, vec![placement(0, vec![grant])], Timestamp(at))
    };
    store.write(write).await.unwrap().id.0
}

/// What a workload used in all, by the store's totals, by its curve and by the cost report of it
/// alone.
async fn told(store: &Store, id: u64, now: u64) -> (Option<u64>, u64, Vec<CostLine>) {
    let read = move |r: &weft_store::Read<'_>| -> Result<_, weft_store::StoreError> {
        let usage = r.usage(WorkloadId(id), Timestamp(now))?;
        let points = r.points(WorkloadId(id), Timestamp(0), 1_000)?;
        let curve = points.iter().map(|point| point.gpu_active).sum::<u64>() / WHOLE;
        Ok((usage.gpu_active_ms, curve, r.cost(None, None, Timestamp(0), Timestamp(now))?))
    };
    store.read(read).await.unwrap()
}

#[tokio::test]
async fn totals_are_counted_once_whoever_repeats_them() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    let id = begin(&store, "a", share(0, 300, 10_000), 100_000).await;
    record(&store, sample(100_000, vec![])).await;
    let says = |ns| vec![used(id, device_id(0), ns)];
    // Repeated, late, from an agent that begins anew and says less at first.
    for (at, ns) in [(1, 250), (2, 500), (2, 500), (3, 400), (4, 100), (5, 900)] {
        record(&store, sample(100_000 + at * 1_000, says(ns * 1_000_000))).await;
    }
    let (total, curve, cost) = told(&store, id, 105_000).await;
    assert_eq!((total, curve), (Some(900), 900));
    assert_eq!((cost[0].gpu_active_ms, cost[0].gpu_allocated_ms), (900, 1_500));
    assert_eq!((cost[0].gpu_measured_ms, cost[0].gpu_sampled_ms), (1_500, 0));
    // It ends between two samples. Its last word comes, again and again, then time is settled.
    store.write(move |w| end(w, WorkloadId(id), Timestamp(105_400))).await.unwrap();
    for _ in 0..2 {
        let uses = says(SECOND_NS);
        store.write(move |w| w.record_usage(Timestamp(105_500), &[], &uses)).await.unwrap();
    }
    assert_eq!(told(&store, id, 105_500).await.0, Some(1_000), "told at once");
    record(&store, sample(106_000, vec![])).await;
    record(&store, sample(107_000, vec![])).await;
    // And one that comes when its time is settled long since.
    let uses = says(SECOND_NS + 50_000_000);
    store.write(move |w| w.record_usage(Timestamp(107_500), &[], &uses)).await.unwrap();
    record(&store, sample(108_000, vec![])).await;
    let (total, curve, cost) = told(&store, id, 108_000).await;
    assert_eq!((total, curve, cost[0].gpu_active_ms), (Some(1_050), 1_050, 1_050));
    assert_eq!(cost[0].gpu_allocated_ms, 1_620, "0.3 of 5.4 s");
    assert_sound(&store).await;
}

#[tokio::test]
async fn what_one_tenant_claims_is_not_taken_from_another() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    let a = begin(&store, "a", share(0, 300, 10_000), 100_000).await;
    let b = begin(&store, "b", share(0, 500, 10_000), 100_000).await;
    record(&store, sample(100_000, vec![])).await;
    let (lie, truth) = (used(a, device_id(0), u64::MAX), used(b, device_id(0), SECOND_NS / 4));
    record(&store, sample(101_000, vec![lie, truth])).await;
    assert_eq!(told(&store, b, 101_000).await.0, Some(250));
}

#[tokio::test]
async fn time_in_which_nobody_looked_is_on_the_ledger_where_it_is_measured() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    let id = begin(&store, "a", share(0, 300, 10_000), 100_000).await;
    record(&store, sample(100_000, vec![])).await;
    let hour = 3_600_000;
    record(&store, sample(100_000 + hour, vec![used(id, device_id(0), 600 * SECOND_NS)])).await;
    let (total, curve, cost) = told(&store, id, 100_000 + hour).await;
    assert_eq!((total, curve), (Some(600_000), 600_000));
    assert_eq!((cost[0].gpu_allocated_ms, cost[0].gpu_measured_ms), (1_080_000, 1_080_000));
    assert_sound(&store).await;
}

#[tokio::test]
async fn each_figure_says_where_it_comes_from() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    let ids = [
        begin(&store, "measured", share(0, 300, 10_000), 100_000).await,
        begin(&store, "sampled", whole(1), 100_000).await,
        begin(&store, "untold", mig(3, 0), 100_000).await,
        begin(&store, "share", share(0, 300, 10_000), 100_000).await,
    ];
    record(&store, sample(100_000, vec![])).await;
    for second in 1..=2 {
        let uses = vec![used(ids[0], device_id(0), second * 1_000_000)];
        record(&store, sample(100_000 + second * 1_000, uses)).await;
    }
    let rows = |id| {
        let store = store.clone();
        async move { store.read(move |r| r.device_use(WorkloadId(id), None)).await.unwrap() }
    };
    let measured = rows(ids[0]).await.remove(0);
    assert_eq!((measured.source, measured.attempt), (UseSource::Measured, Attempt(1)));
    assert_eq!(measured.used.gpu_ns, Some(2_000_000));
    assert_eq!(measured.used.work.unwrap().launches, 2_000);
    assert_eq!(measured.used.active_at, Some(Timestamp(102_000)), "when something was counted");
    let sampled = rows(ids[1]).await.remove(0);
    assert_eq!((sampled.source, sampled.used.gpu_ns), (UseSource::Sampled, Some(1_800_000_000)));
    assert_eq!((sampled.used.work, sampled.used.memory), (None, Bytes(1_000_000)));
    assert_eq!(sampled.used.active_at, Some(Timestamp(102_000)));
    assert!(rows(ids[2]).await.is_empty() && rows(ids[3]).await.is_empty(), "nobody can tell");
    for (id, known, source) in [
        (0, Some(2), Some(UseSource::Measured)),
        (1, Some(1_800), Some(UseSource::Sampled)),
        (2, None, None),
        (3, None, None),
    ] {
        let usage = store.read(move |r| r.usage(WorkloadId(ids[id]), Timestamp(102_000)));
        let usage = usage.await.unwrap();
        assert_eq!((usage.gpu_active_ms, usage.gpu_source), (known, source), "{id}");
    }
    let cost = told(&store, ids[0], 102_000).await.2.remove(0);
    assert_eq!((cost.gpu_measured_ms, cost.gpu_sampled_ms), (600, 2_000));
    assert_eq!(cost.gpu_active_ms, 1_802);
    assert_sound(&store).await;
}

#[tokio::test]
async fn memory_goes_up_and_down_and_its_peak_stays() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    let id = begin(&store, "a", share(0, 300, 10_000), 100_000).await;
    for (second, now, most, peak) in [(1, 5, 9, 9), (2, 0, 9, 9), (3, 7, 8, 9), (4, 12, 12, 12)] {
        let mut says = used(id, device_id(0), 0);
        (says.used.memory, says.used.memory_peak) = (Bytes(now), Bytes(most));
        record(&store, sample(100_000 + second * 1_000, vec![says])).await;
        let held = store.read(move |r| {
            r.devices_held(WorkloadId(id), Attempt(1), Timestamp(100_000 + second * 1_000))
        });
        let held = held.await.unwrap().remove(0);
        assert_eq!((held.milli.0, held.held_us), (300, 300_000 * second));
        let used = held.used.unwrap().used;
        assert_eq!((used.memory, used.memory_peak), (Bytes(now), Bytes(peak)), "{second}");
    }
}

#[tokio::test]
async fn who_is_idle_was_active_before() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    let id = begin(&store, "a", share(0, 300, 10_000), 100_000).await;
    let active = |at, ns: u64, seen: Option<u64>| {
        let store = store.clone();
        async move {
            let mut says = used(id, device_id(0), ns);
            says.used.active_at = seen.map(Timestamp);
            record(&store, sample(at, vec![says])).await;
            let rows = store.read(move |r| r.device_use(WorkloadId(id), None)).await.unwrap();
            rows[0].used.active_at.map(|at| at.0)
        }
    };
    assert_eq!(active(101_000, 0, None).await, None);
    assert_eq!(active(102_000, 5_000, Some(101_900)).await, Some(101_900));
    assert_eq!(active(103_000, 5_000, Some(101_900)).await, Some(101_900), "idle");
    // The next server's agent has not seen when, and nothing is new.
    assert_eq!(active(104_000, 5_000, None).await, Some(101_900));
    assert_eq!(active(105_000, 9_000, None).await, Some(105_000));
    assert_eq!(active(106_000, 9_000, Some(900_000)).await, Some(106_000), "not in the future");
}
