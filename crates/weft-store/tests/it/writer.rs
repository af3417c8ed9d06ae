//! The writer's promises: a failing closure leaves nothing, a crowd shares commits, a replaced
//! server is refused.

use crate::given::{assert_sound, event, fast_dir, new_workload, pool, queue};
use weft_store::{EventFilter, Store, StoreError};
use weft_types::{Epoch, Generation};

#[tokio::test]
async fn a_failing_closure_leaves_nothing() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    let before = store.read(|r| r.heads()).await.unwrap();
    let failed = store
        .write(|w| {
            w.put_queue(&queue("other"), &Default::default(), None)?;
            w.append_event(event("w1", "submitted"))?;
            w.put_queue(&queue("none/below"), &Default::default(), None)
        })
        .await;
    assert!(matches!(failed, Err(StoreError::NotFound { .. })), "{failed:?}");
    let panicked = store
        .write(|w| -> Result<(), StoreError> {
            w.append_event(event("w1", "submitted"))?;
            panic!("on purpose")
        })
        .await;
    assert_eq!(panicked, Err(StoreError::Panicked("on purpose".into())));
    assert_eq!(store.read(|r| r.heads()).await.unwrap(), before);
}

#[tokio::test]
async fn a_reader_that_panics_gives_its_connection_back() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    for _ in 0..20 {
        let panicked = store.read(|_| -> Result<(), StoreError> { panic!("again") }).await;
        assert_eq!(panicked, Err(StoreError::Panicked("again".into())));
    }
    assert_eq!(store.read(|r| r.queues()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn failures_in_a_crowd_hurt_nobody_else() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    let tasks: Vec<_> = (0..200u32)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                store
                    .write(move |w| {
                        w.append_event(event(&format!("w{n}"), "tried"))?;
                        match n % 3 {
                            0 => Err(StoreError::Closed),
                            1 => panic!("on purpose"),
                            _ => Ok(n),
                        }
                    })
                    .await
            })
        })
        .collect();
    let mut kept = 0;
    for (n, task) in tasks.into_iter().enumerate() {
        let result = task.await.unwrap();
        assert_eq!(result.is_ok(), n % 3 == 2, "{n}: {result:?}");
        kept += usize::from(result.is_ok());
    }
    let events = store.read(|r| r.events(&EventFilter::default(), 0, 1000)).await.unwrap();
    assert_eq!(events.len(), kept);
    assert!(events.iter().all(|e| e.event.subject[1..].parse::<u32>().unwrap() % 3 == 2));
    assert!(events.is_sorted_by_key(|e| e.seq));
}

#[tokio::test]
async fn a_reader_sees_one_state_while_others_write() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    let (inside, wait) = (std::sync::Arc::new(std::sync::Barrier::new(2)), ());
    let (there, ()) = (inside.clone(), wait);
    let reading = store.clone();
    let read = tokio::spawn(async move {
        reading
            .read(move |r| -> Result<_, StoreError> {
                let first = r.heads()?;
                there.wait();
                there.wait();
                Ok((first, r.heads()?))
            })
            .await
    });
    let meet = inside.clone();
    tokio::task::spawn_blocking(move || meet.wait()).await.unwrap();
    store.write(|w| w.append_event(event("w1", "submitted"))).await.unwrap();
    tokio::task::spawn_blocking(move || inside.wait()).await.unwrap();
    let (first, second) = read.await.unwrap().unwrap();
    assert_eq!(first, second);
}

#[tokio::test]
async fn a_replaced_server_is_refused() {
    let dir = fast_dir();
    let old = pool(dir.path()).await;
    let new = Store::open(dir.path()).unwrap();
    assert!(new.epoch() > old.epoch());
    let refused = old.write(|w| w.append_event(event("w1", "submitted"))).await;
    assert_eq!(refused, Err(StoreError::Fenced { mine: old.epoch(), current: new.epoch() }));
    assert!(old.read(|r| r.queues()).await.is_ok(), "it may read still");
    new.write(|w| w.append_event(event("w1", "submitted"))).await.unwrap();
    // The old one's orderly end must not claim the new one's.
    old.close().await.unwrap();
    assert_sound(&new).await;
}

#[tokio::test]
async fn a_plan_commits_only_on_its_own_generation_and_epoch() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    let (epoch, base) = (store.epoch(), store.read(|r| r.heads()).await.unwrap().generation);
    store.write(move |w| w.commit_plan(epoch, base)).await.unwrap();
    store.write(|w| w.submit_workload(new_workload("a", 1))).await.unwrap();
    let stale = store.write(move |w| w.commit_plan(epoch, base)).await;
    assert_eq!(stale, Err(StoreError::Stale { base, current: Generation(base.0 + 1) }));
    let old = Epoch(epoch.0 - 1);
    let fenced = store.write(move |w| w.commit_plan(old, Generation(base.0 + 1))).await;
    assert_eq!(fenced, Err(StoreError::Fenced { mine: old, current: epoch }));
}

#[tokio::test]
async fn news_wake_the_watchers_and_old_news_do_not() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    let mut heads = store.watch();
    let before = *heads.borrow_and_update();
    store.write(|w| w.append_event(event("w1", "submitted"))).await.unwrap();
    heads.changed().await.unwrap();
    let after = *heads.borrow_and_update();
    assert_eq!((after.event_seq, after.generation), (before.event_seq + 1, before.generation));
    store.write(|w| w.node_seen(&crate::given::node(), weft_types::Timestamp(9))).await.unwrap();
    assert!(!heads.has_changed().unwrap(), "a heartbeat is no news");
}

#[tokio::test]
async fn a_closed_store_refuses_writes_and_says_so() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    store.close().await.unwrap();
    store.close().await.unwrap();
    let refused = store.write(|w| w.append_event(event("w1", "submitted"))).await;
    assert_eq!(refused, Err(StoreError::Closed));
}
