//! What the past says to the planner: what was held lately, and what was asked for.

use crate::given::{fast_dir, new_workload, placement, pool, queue, share, start};
use std::collections::BTreeMap;
use weft_lifecycle::{End, Event, Exit};
use weft_meter::Recent;
use weft_store::{HeldLately, NewWorkload, StoreError};
use weft_types::{Attempt, Member, MilliGpu, Timestamp};

#[tokio::test]
async fn what_was_held_is_told_with_its_queue_and_times() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    let queue = new_workload("one", 1).queue;
    let seen = store
        .write(move |w| -> Result<_, StoreError> {
            let one = w.submit_workload(new_workload("one", 1))?.id;
            let two = w.submit_workload(new_workload("two", 1))?.id;
            start(w, one, vec![placement(0, vec![share(0, 300, 0)])], Timestamp(1_000))?;
            start(w, two, vec![placement(0, vec![share(0, 200, 0)])], Timestamp(2_000))?;
            let mut row = w.workload(one)?.expect("it is there");
            let exit = Exit { end: End::Exited(0), at: Timestamp(6_000), detail: String::new() };
            let ended = Event::MemberEnded { attempt: Attempt(1), member: Member(0), exit };
            row.record.apply(ended, Timestamp(6_000)).expect("it runs");
            row.placements.clear();
            w.save_workload(&row, Timestamp(6_000))?;
            Ok((w.held_lately(Timestamp(0))?, w.held_lately(Timestamp(6_000))?))
        })
        .await
        .unwrap();
    let held = |milli, from, until: Option<u64>| HeldLately {
        queue: queue.clone(),
        device: share(0, milli, 0).device().clone(),
        milli: MilliGpu(milli),
        from: Timestamp(from),
        until: until.map(Timestamp),
    };
    assert_eq!(seen.0, [held(300, 1_000, Some(6_000)), held(200, 2_000, None)]);
    assert_eq!(seen.1, [held(200, 2_000, None)], "what ended before is left out");
}

#[tokio::test]
async fn what_was_asked_for_is_counted_by_members() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    let gang = NewWorkload { gang: 3, ..new_workload("gang", 1) };
    let (request, phase) = (gang.request.clone(), gang.phase);
    let asked = store
        .write(move |w| -> Result<_, StoreError> {
            w.submit_workload(new_workload("one", 1))?;
            w.submit_workload(gang)?;
            w.asked_lately()
        })
        .await
        .unwrap();
    let [(usual, of, times)] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!((usual.cpu, &usual.gpu, of, times), (request.cpu, &request.gpu, &phase, &4));
}

#[tokio::test]
async fn who_was_there_lately_is_told_with_what_each_member_asked_for() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    let gang = NewWorkload { gang: 3, ..new_workload("gang", 1) };
    let (request, came) = (gang.request.clone(), gang.submitted_at);
    let now = came.after(weft_types::Millis(9_000));
    let seen = store
        .write(move |w| -> Result<_, StoreError> {
            w.submit_workload(gang)?;
            Ok((w.present_since(Timestamp(0), now)?, w.present_since(now, now)?))
        })
        .await
        .unwrap();
    let ([asked], since) = (&seen.0.0[..], seen.0.1) else { panic!("{seen:?}") };
    assert_eq!((&asked.request, asked.members), (&request, 3));
    assert_eq!((asked.from, asked.until, since), (came, now, came), "it waits still");
    assert!(seen.1.0.is_empty(), "nobody was there after now");
}

#[tokio::test]
async fn averages_are_kept_with_their_queues() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    let (lab, new) = (queue("lab"), queue("new"));
    let one = |average| Recent::from_kept(average, Timestamp(7));
    let first = BTreeMap::from([(lab.clone(), one(1)), (new.clone(), one(2))]);
    let kept = store
        .write(move |w| -> Result<_, StoreError> {
            let base = w.meta()?.generation;
            w.keep_recents(&first)?;
            Ok((w.recents()?, base))
        })
        .await
        .unwrap();
    assert_eq!(kept.0, BTreeMap::from([(lab.clone(), one(1))]), "there is no queue `new`");
    let generation = store.read(|r| r.meta()).await.unwrap().generation;
    assert_eq!(kept.1, generation, "the planner need not look again");
    let seen = store
        .write(move |w| -> Result<_, StoreError> {
            w.put_queue(&new, &Default::default(), None)?;
            // What is beyond the column is cut.
            w.keep_recents(&BTreeMap::from([(lab.clone(), one(3)), (new.clone(), one(u64::MAX))]))?;
            w.put_queue(&lab, &Default::default(), None)?;
            let changed = w.recents()?;
            w.delete_queue(&new)?;
            Ok((changed, w.recents()?))
        })
        .await
        .unwrap();
    let all = |recents: &BTreeMap<_, Recent>| -> Vec<u64> {
        recents.values().map(|recent| recent.kept().0).collect()
    };
    assert_eq!((all(&seen.0), all(&seen.1)), (vec![3, i64::MAX as u64], vec![3]));
}
