//! Backup while it runs, restore while it does not; a copy that is not sound is refused.

use crate::given::{assert_sound, audit, event, fast_dir, new_workload, pool};
use weft_store::{Store, StoreError, restore};
use weft_types::{Epoch, WorkloadId};

async fn submit(store: &Store, name: String) -> WorkloadId {
    store
        .write(move |w| {
            let row = w.submit_workload(new_workload(&name, 1))?;
            w.append_event(event(&row.id.to_string(), "submitted"))?;
            w.append_audit(audit(&row.id.to_string()))?;
            Ok::<_, StoreError>(row.id)
        })
        .await
        .unwrap()
}

#[tokio::test]
async fn a_backup_under_writes_is_one_state_and_comes_back() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    for n in 0..50 {
        submit(&store, format!("before-{n}")).await;
    }
    let copy = dir.path().join("copy.db");
    let (writing, backing) = (store.clone(), store.clone());
    let crowd = tokio::spawn(async move {
        for n in 0..50 {
            submit(&writing, format!("during-{n}")).await;
        }
    });
    let report = backing.backup(&copy).await.unwrap();
    crowd.await.unwrap();
    assert!((50..=100).contains(&report.audit_rows), "{report:?}");
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&copy).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let instance = store.read(|r| r.meta()).await.unwrap().instance;
    let (epoch, last) = (store.epoch(), submit(&store, "last".into()).await);
    store.close().await.unwrap();
    drop((store, backing));

    let kept = restore(dir.path(), &copy).unwrap();
    assert!(kept.path.ends_with("weft.db.before-restore-1"), "{kept:?}");
    let back = Store::open(dir.path()).unwrap();
    let meta = back.read(|r| r.meta()).await.unwrap();
    assert_eq!(meta.instance, instance);
    assert!(back.epoch() > epoch, "agents refuse an epoch that goes back");
    assert_eq!(back.read(|r| r.verify_audit()).await.unwrap().rows, report.audit_rows);
    assert!(back.read(move |r| r.workload(last)).await.unwrap().is_none());
    let next = submit(&back, "next".into()).await;
    assert!(next > last, "{next}: an id of the replaced state is not given again");
    assert_sound(&back).await;
}

#[tokio::test]
async fn nothing_is_overwritten() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    let copy = dir.path().join("copy.db");
    std::fs::write(&copy, "precious").unwrap();
    let refused = store.backup(&copy).await;
    assert!(matches!(refused, Err(StoreError::Exists { .. })), "{refused:?}");
    assert_eq!(std::fs::read_to_string(&copy).unwrap(), "precious");
    let onto_itself = store.backup(store.path()).await;
    assert!(matches!(onto_itself, Err(StoreError::Exists { .. })), "{onto_itself:?}");
}

#[tokio::test]
async fn a_damaged_copy_is_refused_and_the_state_stays() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    for n in 0..20 {
        submit(&store, format!("w-{n}")).await;
    }
    let copy = dir.path().join("copy.db");
    store.backup(&copy).await.unwrap();
    store.close().await.unwrap();
    drop(store);
    let tampered = dir.path().join("tampered.db");
    std::fs::copy(&copy, &tampered).unwrap();
    let conn = rusqlite::Connection::open(&tampered).unwrap();
    conn.execute_batch(
        "DROP TRIGGER audit_no_update; UPDATE audit SET actor = 'eve' WHERE seq = 7",
    )
    .unwrap();
    drop(conn);
    let torn = dir.path().join("torn.db");
    let bytes = std::fs::read(&copy).unwrap();
    std::fs::write(&torn, &bytes[..bytes.len() / 2]).unwrap();
    let text = dir.path().join("text.db");
    std::fs::write(&text, "not a database").unwrap();
    let empty = dir.path().join("empty.db");
    drop(rusqlite::Connection::open(&empty).unwrap());
    std::fs::write(&empty, "").unwrap();
    for bad in [tampered, torn, text, empty, dir.path().join("missing.db")] {
        let refused = restore(dir.path(), &bad);
        assert!(refused.is_err(), "{}: {refused:?}", bad.display());
        let left: Vec<_> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.contains("restor") || name.ends_with(".part"))
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.read(|r| r.verify_audit()).await.unwrap().rows, 20);
}

#[tokio::test]
async fn a_state_that_cannot_be_read_is_kept_aside_and_numbers_leap() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    let id = submit(&store, "a".into()).await;
    let copy = dir.path().join("copy.db");
    store.backup(&copy).await.unwrap();
    store.close().await.unwrap();
    let epoch = store.epoch();
    drop(store);
    std::fs::write(dir.path().join("weft.db"), "torn to pieces").unwrap();
    let kept = restore(dir.path(), &copy).unwrap();
    assert_eq!(std::fs::read_to_string(&kept.path).unwrap(), "torn to pieces");
    let store = Store::open(dir.path()).unwrap();
    assert!(store.epoch() > Epoch(epoch.0 + 100), "{:?}", store.epoch());
    assert!(submit(&store, "b".into()).await.0 > id.0 + 1_000);
}
