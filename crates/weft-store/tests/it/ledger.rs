//! The ledger in the store: sums agree with the history of placements, through folds and jumps.

use crate::given::{
    assert_sound, device_id, end, fast_dir, new_workload, node, placement, pool, share, start,
    used, whole,
};
use weft_meter::{DeviceSample, ProcessSample, Sample, WHOLE, WorkloadSample};
use weft_store::{Store, StoreError};
use weft_types::{Attempt, Bytes, Member, Phase, Timestamp, WorkloadId};

const DAY: u64 = 86_400_000;

fn sample(at: u64, active: [u32; 2], members: Vec<WorkloadSample>) -> Sample {
    let device = |(index, active_permille)| DeviceSample {
        device: device_id(index),
        active_permille: Some(active_permille),
        memory: Bytes(1_000_000),
        processes: vec![],
    };
    let devices = (0u32..).zip(active).map(device).collect();
    Sample { at: Timestamp(at), devices, workloads: members, uses: vec![] }
}

fn member(id: u64, attempt: u32, cpu_us: u64) -> WorkloadSample {
    WorkloadSample {
        workload: WorkloadId(id),
        attempt: Attempt(attempt),
        member: Member(0),
        cpu_us,
        memory: Bytes(5_000),
        memory_peak: Bytes(9_000 + cpu_us),
    }
}

async fn record(store: &Store, sample: Sample) {
    store.write(move |w| w.record_sample(&node(), &sample)).await.unwrap();
}

async fn begin(
    store: &Store,
    name: &'static str,
    grants: Vec<weft_sched::Grant>,
    at: u64,
) -> WorkloadId {
    let row = store
        .write(move |w| {
            let id = w.submit_workload(new_workload(name, 1))?.id;
            start(w, id, vec![placement(0, grants)], Timestamp(at))
        })
        .await
        .unwrap();
    row.id
}

#[tokio::test]
async fn device_time_is_charged_by_event_time_and_adds_up() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    record(&store, sample(100_000, [0, 0], vec![])).await;
    let a = begin(&store, "a", vec![whole(0)], 100_250).await;
    let b = begin(&store, "b", vec![share(1, 400, 0)], 100_500).await;
    record(&store, sample(101_000, [800, 500], vec![])).await;
    store.write(move |w| end(w, a, Timestamp(101_300))).await.unwrap();
    record(&store, sample(102_000, [0, 500], vec![])).await;
    let check = store.read(|r| r.ledger_check()).await.unwrap();
    let sums: Vec<_> = check.iter().map(|d| (d.balance.wall, d.balance.allocated)).collect();
    assert_eq!(sums, [(2_000 * WHOLE, 1_050 * WHOLE), (2_000 * WHOLE, 1_500 * 400)]);
    assert!(check.iter().all(|d| d.balance.error_ppm() == 0));
    let usage = |id| {
        let store = store.clone();
        async move { store.read(move |r| r.usage(id, Timestamp(102_000))).await.unwrap() }
    };
    let (of_a, of_b) = (usage(a).await, usage(b).await);
    assert_eq!((of_a.gpu_allocated_ms, of_a.gpu_active_ms), (1_050, Some(600)), "0.8 of 750 ms");
    assert_eq!((of_b.gpu_allocated_ms, of_b.gpu_active_ms), (600, None), "nobody can tell");
    let lines = store.read(|r| r.cost(None, None, Timestamp(0), Timestamp(102_000))).await.unwrap();
    assert_eq!(lines.len(), 1);
    assert_eq!((lines[0].workloads, lines[0].phase), (2, Phase::Training));
    assert_eq!((lines[0].gpu_allocated_ms, lines[0].gpu_active_ms), (1_650, 600));
    assert_eq!((lines[0].gpu_measured_ms, lines[0].gpu_sampled_ms), (0, 1_050));
    assert_eq!(lines[0].gpu_simulated_ms, 1_650);
    assert_eq!(lines[0].cpu_allocated_ms, 1_050 + 1_500);
    let none = store.read(|r| r.cost(None, Some(Phase::Concept), Timestamp(0), Timestamp(102_000)));
    assert!(none.await.unwrap().is_empty());
    assert_sound(&store).await;
}

#[tokio::test]
async fn an_event_older_than_the_last_sample_starts_after_it() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    record(&store, sample(100_000, [0, 0], vec![])).await;
    record(&store, sample(101_000, [0, 0], vec![])).await;
    // Its commit was slow: the sample went first. That second is idle in the ledger already.
    let id = begin(&store, "a", vec![whole(0)], 100_400).await;
    store.write(move |w| end(w, id, Timestamp(100_900))).await.unwrap();
    let usage = store.read(move |r| r.usage(id, Timestamp(200_000))).await.unwrap();
    assert_eq!(usage.gpu_allocated_ms, 0);
    assert_sound(&store).await;
}

#[tokio::test]
async fn a_jump_is_unobserved_and_a_clock_that_goes_back_counts_nothing() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    begin(&store, "a", vec![whole(0)], 99_000).await;
    for at in [100_000, 101_000, 101_000, 60_000, 4_000_000, 3_950_000, 4_001_000] {
        record(&store, sample(at, [1000, 0], vec![])).await;
    }
    let check = store.read(|r| r.ledger_check()).await.unwrap();
    let first = check[0].balance;
    assert_eq!(first.wall, (4_001_000 - 100_000) * WHOLE);
    assert_eq!(first.unobserved, (4_000_000 - 101_000) * WHOLE);
    assert_eq!(first.allocated, 2_000 * WHOLE);
    assert_sound(&store).await;
}

#[tokio::test]
async fn a_wrong_clock_that_is_set_right_does_not_stop_the_ledger() {
    const YEAR: u64 = 365 * DAY;
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    record(&store, sample(100_000, [0, 0], vec![])).await;
    record(&store, sample(YEAR, [0, 0], vec![])).await;
    let id = begin(&store, "a", vec![whole(0)], YEAR + 1).await;
    record(&store, sample(YEAR + 1_000, [1000, 0], vec![])).await;
    // Set right: what is held is held from here on.
    for at in [200_000, 201_000, 202_000] {
        record(&store, sample(at, [1000, 0], vec![])).await;
    }
    store.write(move |w| end(w, id, Timestamp(202_500))).await.unwrap();
    record(&store, sample(203_000, [0, 0], vec![])).await;
    let check = store.read(|r| r.ledger_check()).await.unwrap();
    let first = check[0].balance;
    assert_eq!(first.unobserved, (YEAR - 100_000) * WHOLE);
    assert_eq!(first.allocated, (999 + 2_500) * WHOLE);
    assert_eq!(first.wall, (YEAR - 100_000 + 1_000 + 3_000) * WHOLE);
    let usage = store.read(move |r| r.usage(id, Timestamp(300_000))).await.unwrap();
    assert_eq!((usage.gpu_active_ms, usage.held_ms), (Some(999 + 2_000), 2_500));
    assert_sound(&store).await;
}

#[tokio::test]
async fn counters_grow_by_start_and_late_samples_count_nothing() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    let id = begin(&store, "a", vec![whole(0)], 99_000).await;
    let n = id.0;
    for (at, attempt, cpu_us) in [
        (100_000, 1, 500),
        (101_000, 1, 900),
        (101_000, 1, 900),
        (100_500, 1, 700),
        (102_000, 2, 50),
        (102_500, 1, 1_000),
        (103_000, 2, 80),
    ] {
        record(&store, sample(at, [0, 0], vec![member(n, attempt, cpu_us)])).await;
    }
    let usage = store.read(move |r| r.usage(id, Timestamp(103_000))).await.unwrap();
    assert_eq!(usage.cpu_us, 900 + 80);
    assert_eq!(usage.memory_peak, Bytes(9_900));
    let points = store.read(move |r| r.points(id, Timestamp(0), 1000)).await.unwrap();
    let seen: Vec<_> = points.iter().map(|p| (p.at.0, p.span_ms, p.cpu_us)).collect();
    assert_eq!(seen[0], (100_000, 1_000, 500), "from when its capacity was given");
    assert_eq!(points.iter().map(|p| p.cpu_us).sum::<u64>(), usage.cpu_us);
    let last = store.read(move |r| r.points(id, Timestamp(0), 1)).await.unwrap();
    assert_eq!(last[0].at, Timestamp(103_000), "the newest, where not all are asked for");
}

#[tokio::test]
async fn processes_that_a_driver_tells_apart_are_charged_their_own() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    let a = begin(&store, "a", vec![share(0, 500, 0)], 99_000).await;
    let b = begin(&store, "b", vec![share(0, 500, 0)], 99_000).await;
    record(&store, sample(100_000, [0, 0], vec![])).await;
    let mut told = sample(101_000, [900, 0], vec![]);
    told.devices[0].processes = vec![
        ProcessSample { workload: a, active_permille: Some(700), memory: Bytes(100) },
        ProcessSample { workload: b, active_permille: None, memory: Bytes(300) },
    ];
    record(&store, told).await;
    let active = |id| {
        let store = store.clone();
        async move { store.read(move |r| r.usage(id, Timestamp(0))).await.unwrap().gpu_active_ms }
    };
    assert_eq!((active(a).await, active(b).await), (Some(700), None));
    let points = store.read(move |r| r.points(b, Timestamp(0), 9)).await.unwrap();
    assert_eq!(points.last().unwrap().gpu_memory, Bytes(300));
}

#[tokio::test]
async fn folding_changes_no_sum() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    let id = begin(&store, "a", vec![share(0, 300, 0)], 0).await;
    store
        .write(move |w| -> Result<(), StoreError> {
            for minute in 0..600u64 {
                let cpu = member(id.0, 1, minute * 1_000);
                let mut sample = sample(minute * 60_000 + 7, [500, 1], vec![cpu]);
                sample.uses = vec![used(id.0, device_id(0), minute * 10_000_000)];
                w.record_sample(&node(), &sample)?;
            }
            Ok(())
        })
        .await
        .unwrap();
    let all = move |store: Store| async move {
        store
            .read(move |r| -> Result<_, StoreError> {
                let now = Timestamp(2 * DAY);
                let points = r.points(id, Timestamp(0), 1000)?;
                let curve = points.iter().map(|p| (p.cpu_us, p.gpu_active, p.span_ms));
                let sum = curve.fold((0, 0, 0), |a, b| (a.0 + b.0, a.1 + b.1, a.2 + b.2));
                Ok((
                    points.len(),
                    (
                        sum,
                        r.ledger_check()?,
                        r.usage(id, now)?,
                        r.cost(None, None, Timestamp(0), now)?,
                    ),
                ))
            })
            .await
            .unwrap()
    };
    let (fine, before) = all(store.clone()).await;
    let told = &before.3[0];
    assert_eq!((told.gpu_active_ms, told.gpu_measured_ms), (5_990, told.gpu_allocated_ms));
    store.housekeep(Timestamp(DAY)).await.unwrap();
    assert_eq!(all(store.clone()).await, (fine, before.clone()), "a day is kept fine");
    store.housekeep(Timestamp(DAY + 10 * 3_600_000)).await.unwrap();
    let (coarse, after) = all(store.clone()).await;
    assert_eq!(after, before);
    assert_eq!((fine, coarse), (600, 10), "ten hours");
    store.housekeep(Timestamp(DAY + 10 * 3_600_000)).await.unwrap();
    assert_eq!(all(store.clone()).await, (coarse, after), "twice is once");
    assert_sound(&store).await;
}
