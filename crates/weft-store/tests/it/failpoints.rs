//! Failpoints that fail instead of dying: the error arrives, nothing is stored, and a restore
//! that is cut off at any of its steps leaves a state that opens.
//!
//! A failpoint is armed when a process starts, so each case is this binary started again.

use crate::given::{assert_sound, event, fast_dir, pool};
use std::path::Path;
use std::process::{Command, ExitStatus};
use weft_store::{EventFilter, Store, StoreError, restore};

fn run(test: &str, dir: &Path, failpoint: &str) -> ExitStatus {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--ignored"])
        .env("WEFT_STORE_CHILD", dir)
        .env("WEFT_FAILPOINT", failpoint)
        .output()
        .unwrap();
    output.status
}

#[test]
fn a_failed_commit_is_an_error_and_the_next_is_not() {
    for failpoint in ["store.commit.before:error:3", "store.begin:error:3"] {
        let dir = fast_dir();
        let status = run("failpoints::third_write_fails", dir.path(), failpoint);
        assert!(status.success(), "{failpoint}: {status:?}");
    }
    let dir = fast_dir();
    let unarmed = run("failpoints::third_write_fails", dir.path(), "");
    assert!(!unarmed.success(), "without the failpoint the child's own test must fail");
}

#[test]
fn a_failed_sync_closes_the_store_and_a_restart_goes_on() {
    let dir = fast_dir();
    let status = run("failpoints::syncs_fail", dir.path(), "store.commit.sync:error:3");
    assert!(status.success(), "{status:?}");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(dir.path()).unwrap();
        let events = store.read(|r| r.events(&EventFilter::default(), 0, 10)).await.unwrap();
        assert_eq!(events.len(), 1);
        assert_sound(&store).await;
    });
}

#[tokio::test]
#[ignore = "the child of a test: cargo test -p weft-store --test it failpoints::"]
async fn syncs_fail() {
    let Some(dir) = std::env::var_os("WEFT_STORE_CHILD") else { return };
    let store = pool(Path::new(&dir)).await;
    let write = || store.write(|w| w.append_event(event("w1", "tried")));
    write().await.unwrap();
    assert!(matches!(write().await, Err(StoreError::SyncFailed(_))));
    assert_eq!(write().await, Err(StoreError::Closed), "it does not try its luck again");
    assert!(store.read(|r| r.heads()).await.is_ok(), "reads go on");
}

/// Writes one and two are done before; the third fails, the fourth is stored.
#[tokio::test]
#[ignore = "the child of a test: cargo test -p weft-store --test it failpoints::"]
async fn third_write_fails() {
    let Some(dir) = std::env::var_os("WEFT_STORE_CHILD") else { return };
    let store = pool(Path::new(&dir)).await;
    let write = |what: &'static str| {
        let store = store.clone();
        async move { store.write(move |w| w.append_event(event("w1", what))).await }
    };
    write("second").await.unwrap();
    let failed = write("third").await;
    assert!(failed.is_err_and(|e| e.to_string().contains("failpoint")));
    write("fourth").await.unwrap();
    let events = store.read(|r| r.events(&EventFilter::default(), 0, 10)).await.unwrap();
    let seen: Vec<_> = events.iter().map(|e| e.event.what.as_str()).collect();
    assert_eq!(seen, ["second", "fourth"]);
}

#[tokio::test]
async fn a_restore_that_dies_leaves_one_state_or_the_other() {
    for (failpoint, events) in [
        ("store.backup.rename:abort", 2),
        ("store.restore.aside:abort", 2),
        ("store.restore.rename:abort", 2),
        ("", 1),
    ] {
        let dir = fast_dir();
        let store = pool(dir.path()).await;
        store.write(|w| w.append_event(event("w1", "kept"))).await.unwrap();
        store.backup(&dir.path().join("copy.db")).await.unwrap();
        store.write(|w| w.append_event(event("w1", "after"))).await.unwrap();
        store.close().await.unwrap();
        drop(store);
        let status = run("failpoints::restores", dir.path(), failpoint);
        assert_eq!(status.success(), failpoint.is_empty(), "{failpoint}: {status:?}");
        let store = Store::open(dir.path()).unwrap();
        assert_sound(&store).await;
        let found = store.read(|r| r.events(&EventFilter::default(), 0, 10)).await.unwrap();
        assert_eq!(found.len(), events, "{failpoint}");
        store.close().await.unwrap();
        drop(store);
        restore(dir.path(), &dir.path().join("copy.db")).expect("it can be done again");
    }
}

#[test]
#[ignore = "the child of a test: cargo test -p weft-store --test it failpoints::"]
fn restores() {
    let Some(dir) = std::env::var_os("WEFT_STORE_CHILD") else { return };
    let dir = Path::new(&dir);
    restore(dir, &dir.join("copy.db")).unwrap();
}
