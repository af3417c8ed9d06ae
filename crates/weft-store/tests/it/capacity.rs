//! Capacity: what is given is held once, by whoever the record says, and the planner sees it.

use crate::given::{
    DEVICE_MEMORY, assert_sound, end, fast_dir, mig, new_workload, placement, pool, share, start,
    whole,
};
use weft_lifecycle::{Event, StopReason};
use weft_sched::{Grant, WorkloadState};
use weft_store::{Store, StoreError, WorkloadRow, Write};
use weft_types::{Timestamp, WorkloadId};

const AT: Timestamp = Timestamp(10_000);

async fn submitted(store: &Store, name: &'static str) -> WorkloadId {
    store.write(move |w| w.submit_workload(new_workload(name, 1))).await.unwrap().id
}

async fn started(
    store: &Store,
    name: &'static str,
    grants: Vec<Grant>,
) -> Result<WorkloadRow, StoreError> {
    let id = submitted(store, name).await;
    store.write(move |w| start(w, id, vec![placement(0, grants)], AT)).await
}

#[tokio::test]
async fn no_device_unit_is_given_twice() {
    const HALF: u64 = DEVICE_MEMORY / 2;
    let cases: [(&str, Grant, Grant, bool); 9] = [
        ("whole and whole", whole(0), whole(0), false),
        ("whole, then a share", whole(0), share(0, 1, 0), false),
        ("a share, then whole", share(0, 1, 0), whole(0), false),
        ("shares beyond the device", share(0, 600, 0), share(0, 401, 0), false),
        ("memory beyond the device", share(0, 1, HALF), share(0, 1, HALF + 1), false),
        ("MIG instances that overlap", mig(3, 2), mig(3, 2), false),
        ("shares that fill the device", share(0, 600, HALF), share(0, 400, HALF), true),
        ("MIG instances side by side", mig(3, 2), mig(3, 3), true),
        ("two devices", whole(0), whole(1), true),
    ];
    for (name, first, second, good) in cases {
        let dir = fast_dir();
        let store = pool(dir.path()).await;
        started(&store, "first", vec![first]).await.unwrap();
        match started(&store, "second", vec![second]).await {
            Err(StoreError::DoubleAllocation(why)) => assert!(!good, "{name}: {why}"),
            other => assert!(good && other.is_ok(), "{name}: {other:?}"),
        }
        assert_sound(&store).await;
    }
}

#[tokio::test]
async fn a_device_that_is_not_there_or_not_divided_is_not_given() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    let missing = started(&store, "a", vec![whole(9)]).await;
    assert!(matches!(missing, Err(StoreError::NotFound { what: "device", .. })), "{missing:?}");
    let undivided = started(&store, "b", vec![mig(0, 0)]).await;
    assert!(matches!(undivided, Err(StoreError::DoubleAllocation(_))), "{undivided:?}");
}

#[tokio::test]
async fn a_life_from_submit_to_end_is_seen_by_the_planner() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    let id = submitted(&store, "a").await;
    let given = vec![placement(0, vec![whole(0), whole(1)])];
    let held = given.clone();
    let row = store.write(move |w| start(w, id, held, AT)).await.unwrap();
    let (snapshot, stored) = store
        .read(move |r| -> Result<_, StoreError> { Ok((r.snapshot()?, r.workload(id)?.unwrap())) })
        .await
        .unwrap();
    assert_eq!(stored, row);
    assert_eq!(snapshot.workloads.get(&id), stored.planner_view().as_ref());
    let Some(WorkloadState::Running(running)) = snapshot.workloads.get(&id).map(|w| &w.state)
    else {
        panic!("it holds capacity: {snapshot:?}");
    };
    assert_eq!((running.since, running.stopping, &running.placements), (AT, false, &given));
    store.write(move |w| end(w, id, Timestamp(20_000))).await.unwrap();
    let after = store.read(|r| r.snapshot()).await.unwrap();
    assert!(after.workloads.is_empty());
    assert_eq!(after.generation.0, snapshot.generation.0 + 1);
    let usage = store.read(move |r| r.usage(id, Timestamp(99_000))).await.unwrap();
    assert_eq!((usage.held_ms, usage.gpu_allocated_ms), (10_000, 20_000));
    assert_eq!(usage.cpu_allocated_ms, 10_000);
    assert!(started(&store, "b", vec![whole(0)]).await.is_ok(), "it is free again");
    assert_sound(&store).await;
}

#[tokio::test]
async fn a_gang_is_started_whole_and_gives_everything_back() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    let id = store.write(|w| w.submit_workload(new_workload("pair", 2))).await.unwrap().id;
    let half = store.write(move |w| start(w, id, vec![placement(0, vec![whole(0)])], AT)).await;
    assert_eq!(half, Err(StoreError::Gang { id, found: 1, gang: 2, most: 2 }));
    let both = vec![placement(0, vec![whole(0)]), placement(1, vec![whole(1)])];
    store.write(move |w| start(w, id, both, AT)).await.unwrap();
    store
        .write(move |w| {
            let mut row = w.workload(id)?.unwrap();
            let attempt = row.record.attempt;
            for member in [0, 1].map(weft_types::Member) {
                let end = weft_lifecycle::End::Exited(0);
                let exit = weft_lifecycle::Exit { end, at: AT, detail: String::new() };
                row.record.apply(Event::MemberEnded { attempt, member, exit }, AT).unwrap();
            }
            // A caller that forgets to clear the placements frees them all the same.
            w.save_workload(&row, AT)
        })
        .await
        .unwrap();
    assert!(started(&store, "next", vec![whole(0), whole(1)]).await.is_ok());
    assert_sound(&store).await;
}

/// A gang between two sizes starts with any between them, and what it had last is remembered.
#[tokio::test]
async fn an_elastic_gang_has_the_members_it_is_placed_with() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    let new = weft_store::NewWorkload { gang_most: 3, ..new_workload("some", 1) };
    let row = store.write(|w| w.submit_workload(new)).await.unwrap();
    assert_eq!((row.gang, row.gang_most, row.members), (1, 3, 1));
    let id = row.id;
    let size = |row: &WorkloadRow| row.planner_view().map(|workload| workload.members());
    assert_eq!(size(&row), Some((1, 3)));
    let members = |n: u32| (0..n).map(|at| placement(at, vec![whole(at)])).collect::<Vec<_>>();
    let four = store.write(move |w| start(w, id, members(4), AT)).await;
    assert_eq!(four, Err(StoreError::Gang { id, found: 4, gang: 1, most: 3 }));
    let read = || store.read(move |r| r.workload(id));
    for (size, attempt) in [(2, 1), (3, 2), (1, 3)] {
        store.write(move |w| start(w, id, members(size), AT)).await.unwrap();
        let row = read().await.unwrap().unwrap();
        assert_eq!((row.members, row.placements.len() as u32), (size, size));
        assert_sound(&store).await;
        let snapshot = store.read(|r| r.snapshot()).await.unwrap();
        assert_eq!(snapshot.workloads[&id].members(), (1, 3));
        store.write(move |w| again(w, id, attempt)).await.unwrap();
        let row = read().await.unwrap().unwrap();
        assert_eq!((row.members, row.placements.len()), (size, 0));
        assert_sound(&store).await;
    }
}

/// Stops a start for another, so that it waits again.
fn again(w: &mut Write<'_>, id: WorkloadId, attempt: u32) -> Result<(), StoreError> {
    let mut row = w.workload(id)?.unwrap();
    let (attempt, reason) = (weft_types::Attempt(attempt), StopReason::Reclaimed(WorkloadId(99)));
    row.record.apply(Event::StopPlanned { attempt, reason }, AT).unwrap();
    for member in (0..row.members).map(weft_types::Member) {
        let end = weft_lifecycle::End::Stopped;
        let exit = weft_lifecycle::Exit { end, at: AT, detail: String::new() };
        row.record.apply(Event::MemberEnded { attempt, member, exit }, AT).unwrap();
    }
    row.placements.clear();
    w.save_workload(&row, AT)?;
    Ok(())
}

#[tokio::test]
async fn a_stop_for_another_is_handed_over() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    let row = started(&store, "a", vec![whole(0)]).await.unwrap();
    let (id, attempt) = (row.id, row.record.attempt);
    store
        .write(move |w| {
            let mut row = w.workload(id)?.unwrap();
            let reason = weft_lifecycle::StopReason::Preempted(WorkloadId(77));
            row.record.apply(Event::StopPlanned { attempt, reason }, AT).unwrap();
            w.save_workload(&row, AT)
        })
        .await
        .unwrap();
    let snapshot = store.read(|r| r.snapshot()).await.unwrap();
    let WorkloadState::Running(running) = &snapshot.workloads[&id].state else { panic!() };
    assert!(running.stopping);
    assert_eq!(running.handover, Some(WorkloadId(77)));
    let stored = store.read(move |r| r.workload(id)).await.unwrap().unwrap();
    assert_eq!(snapshot.workloads.get(&id), stored.planner_view().as_ref());
}

#[tokio::test]
async fn a_row_read_before_another_change_is_not_saved_over_it() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    let id = submitted(&store, "a").await;
    let old = store.read(move |r| r.workload(id)).await.unwrap().unwrap();
    let (first, second) = (old.clone(), old);
    assert_eq!(store.write(move |w| w.save_workload(&first, AT)).await, Ok(2));
    let late = store.write(move |w| w.save_workload(&second, AT)).await;
    assert!(matches!(late, Err(StoreError::Conflict { expected: 1, found: 2, .. })), "{late:?}");
}

#[tokio::test]
async fn a_device_that_disappears_stays_while_it_is_held() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    let row = started(&store, "a", vec![whole(0)]).await.unwrap();
    let mut report = crate::given::report(Timestamp(30_000));
    report.devices.drain(..2);
    let again = report.clone();
    store.write(move |w| w.report_node(&report)).await.unwrap();
    let devices = store.read(|r| r.devices()).await.unwrap();
    let seen: Vec<_> = devices.iter().map(|d| (d.id.index, d.fault.is_none())).collect();
    assert_eq!(seen, [(0, false), (2, true), (3, true)]);
    let id = row.id;
    store.write(move |w| end(w, id, Timestamp(40_000))).await.unwrap();
    store.write(move |w| w.report_node(&again)).await.unwrap();
    assert_eq!(store.read(|r| r.devices()).await.unwrap().len(), 2);
    assert_sound(&store).await;
}

#[tokio::test]
async fn the_invariants_can_fail() {
    let cases = [
        "UPDATE grants SET milli = 700; UPDATE grants SET device = 0",
        "UPDATE workloads SET state = 'queued' WHERE id = 1",
        "DELETE FROM placements WHERE workload = 1",
        "UPDATE holdings SET until_ms = 1 WHERE workload = 1",
        "UPDATE workloads SET attempt = 9 WHERE id = 1",
        "UPDATE grants SET memory = 90000000000",
    ];
    for sql in cases {
        let dir = fast_dir();
        let store = pool(dir.path()).await;
        started(&store, "a", vec![share(0, 500, 0)]).await.unwrap();
        started(&store, "b", vec![share(1, 500, 0)]).await.unwrap();
        assert_sound(&store).await;
        let conn = rusqlite::Connection::open(store.path()).unwrap();
        conn.execute_batch(sql).unwrap();
        let broken = store.read(|r| r.check_invariants()).await.unwrap();
        assert!(!broken.is_empty(), "{sql}");
    }
}
