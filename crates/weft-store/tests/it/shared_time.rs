//! What a queue needs to share its time: service, limits, what is learned from ended runs.

use crate::given::{fast_dir, new_workload, placement, pool, queue, share, start, user};
use weft_lifecycle::{End, Event, Exit, StopReason};
use weft_sched::WorkloadState;
use weft_store::{NewWorkload, StoreError, WorkloadRow, Write};
use weft_types::{Attempt, Member, Millis, Timestamp, WorkloadId};

/// Ends the one member of the current start, having been given this much service so far.
fn ends(
    w: &mut Write<'_>,
    id: WorkloadId,
    end: End,
    (served, at): (u64, u64),
) -> Result<WorkloadRow, StoreError> {
    let mut row = w.workload(id)?.expect("it is there");
    let exit = Exit { end, at: Timestamp(at), detail: String::new() };
    let attempt = row.record.attempt;
    let ended = Event::MemberEnded { attempt, member: Member(0), exit };
    row.record.apply(ended, Timestamp(at)).expect("it runs");
    row.placements.clear();
    (row.served, row.released_at) = (Millis(served), Some(Timestamp(at)));
    w.save_workload(&row, Timestamp(at))?;
    Ok(row)
}

#[tokio::test]
async fn what_was_suspended_waits_since_then_with_its_service_and_the_rest_of_its_limit() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    let long = NewWorkload {
        max_duration: Some(Millis(10_000)),
        suspend: Some(Millis(7)),
        ..new_workload("long", 1)
    };
    let id = store
        .write(move |w| -> Result<_, StoreError> {
            let id = w.submit_workload(long)?.id;
            start(w, id, vec![placement(0, vec![share(0, 500, 0)])], Timestamp(5_000))?;
            let mut row = w.workload(id)?.expect("it is there");
            let reason = StopReason::Suspended(WorkloadId(9));
            let stopped = Event::StopPlanned { attempt: Attempt(1), reason };
            row.record.apply(stopped, Timestamp(8_000)).expect("it runs");
            w.save_workload(&row, Timestamp(8_000))?;
            ends(w, id, End::Stopped, (4_000, 9_000))?;
            Ok(id)
        })
        .await
        .unwrap();
    let (snapshot, row) =
        store.read(move |r| Ok::<_, StoreError>((r.snapshot()?, r.workload(id)?))).await.unwrap();
    let seen = &snapshot.workloads[&id];
    assert_eq!((seen.suspend, seen.served), (Some(Millis(7)), Millis(4_000)));
    assert_eq!(seen.max_duration, Some(Millis(6_000)), "what is left of it");
    let WorkloadState::Pending(pending) = &seen.state else { panic!("{seen:?}") };
    assert_eq!((pending.since, pending.next_attempt), (Timestamp(9_000), Attempt(2)));
    assert_eq!(row.unwrap().planner_view().as_ref(), Some(seen));
}

#[tokio::test]
async fn the_median_of_the_last_runs_that_ended_well_is_learned() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    let run = |name: String, took: u64, end: End| {
        let program = "train.py".to_owned();
        let new = NewWorkload { program, ..new_workload(&name, 1) };
        store.write(move |w| -> Result<_, StoreError> {
            let id = w.submit_workload(new)?.id;
            start(w, id, vec![placement(0, vec![share(0, 500, 0)])], Timestamp(5_000))?;
            ends(w, id, end, (took, 6_000))?;
            w.remove_workload(id)
        })
    };
    let asked = &store;
    let learned = |program: &'static str| async move {
        let read = asked.read(move |r| r.learned(&user(), &queue("lab"), program)).await.unwrap();
        read.map(|learned| (learned.expected.0, learned.runs))
    };
    for (n, took) in [50, 10].into_iter().enumerate() {
        run(format!("a{n}"), took, End::Exited(0)).await.unwrap();
    }
    run("failed".to_owned(), 9_999, End::Exited(1)).await.unwrap();
    assert_eq!(learned("train.py").await, None, "two say nothing");
    run("third".to_owned(), 1_000_000, End::Exited(0)).await.unwrap();
    assert_eq!(learned("train.py").await, Some((50, 3)), "one odd run is not the estimate");
    assert_eq!((learned("other.py").await, learned("").await), (None, None));
    for n in 0..20 {
        run(format!("b{n}"), 100 + n, End::Exited(0)).await.unwrap();
    }
    assert_eq!(learned("train.py").await, Some((110, 20)), "the last twenty only");
}
