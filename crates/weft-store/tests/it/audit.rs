//! The audit chain: it verifies, and what was touched is found.

use crate::given::{audit, fast_dir, pool};
use weft_store::{AUDIT_DETAIL_MAX, NewAudit, Store, StoreError};

async fn with_rows(dir: &std::path::Path, rows: u32) -> Store {
    let store = pool(dir).await;
    for n in 0..rows {
        store.write(move |w| w.append_audit(audit(&format!("w{n}")))).await.unwrap();
    }
    store
}

#[tokio::test]
async fn a_sound_chain_verifies_and_reads_back() {
    let dir = fast_dir();
    let store = with_rows(dir.path(), 5).await;
    let check = store.read(|r| r.verify_audit()).await.unwrap();
    let rows = store.read(|r| r.audit(0, 10)).await.unwrap();
    assert_eq!((check.rows, check.broken_at), (5, None));
    assert_eq!(check.head, rows[4].hash);
    assert_eq!(rows[2].entry, audit("w2"));
    assert_eq!(store.read(|r| r.audit(3, 1)).await.unwrap()[0].seq, 4);
}

#[tokio::test]
async fn each_kind_of_tampering_is_found_where_it_was_done() {
    let cases = [
        ("UPDATE audit SET actor = 'eve' WHERE seq = 3", Some(3)),
        ("UPDATE audit SET decision = 'denied' WHERE seq = 1", Some(1)),
        ("UPDATE audit SET hash = zeroblob(32) WHERE seq = 5", Some(5)),
        ("UPDATE audit SET policies = 'no json' WHERE seq = 2", Some(2)),
        ("DELETE FROM audit WHERE seq = 2", Some(3)),
        ("DELETE FROM audit WHERE seq = 1", Some(2)),
        // A cut end is a valid shorter chain: only a head kept elsewhere shows it.
        ("DELETE FROM audit WHERE seq = 5", None),
    ];
    for (sql, broken_at) in cases {
        let dir = fast_dir();
        let store = with_rows(dir.path(), 5).await;
        let head = store.read(|r| r.verify_audit()).await.unwrap().head;
        let conn = rusqlite::Connection::open(store.path()).unwrap();
        assert!(conn.execute(sql, []).is_err(), "the triggers forbid it: {sql}");
        conn.execute_batch("DROP TRIGGER audit_no_update; DROP TRIGGER audit_no_delete;").unwrap();
        assert_eq!(conn.execute(sql, []), Ok(1), "{sql}");
        let check = store.read(|r| r.verify_audit()).await.unwrap();
        assert_eq!(check.broken_at, broken_at, "{sql}");
        assert_ne!(check.head, head, "{sql}");
    }
}

#[tokio::test]
async fn a_detail_that_is_too_long_is_refused_with_its_effect() {
    let dir = fast_dir();
    let store = pool(dir.path()).await;
    let detail = "x".repeat(AUDIT_DETAIL_MAX + 1);
    let refused = store.write(move |w| w.append_audit(NewAudit { detail, ..audit("w1") })).await;
    assert!(matches!(refused, Err(StoreError::TooLarge { .. })), "{refused:?}");
    assert_eq!(store.read(|r| r.verify_audit()).await.unwrap().rows, 0);
}
