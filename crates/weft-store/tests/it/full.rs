//! A full disk, for real, on a small tmpfs: clear errors, nothing changed, still readable, and
//! whole again by itself.

use crate::given::{assert_sound, audit, event, pool};
use std::path::Path;
use std::process::Command;
use weft_store::{NewEvent, Store, StoreError};

/// Smaller than a test's patience, larger than an empty state with its WAL.
const SIZE: &str = "size=3m";

/// A tmpfs that is unmounted whatever happens.
struct Small(tempfile::TempDir);

impl Small {
    fn mount() -> Option<Small> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", SIZE, "weft-test"])
            .arg(dir.path())
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Small(dir)),
            _ => {
                let skipped = b"SKIPPED a test of a full disk: mounting a tmpfs needs root\n";
                let _ = std::io::Write::write_all(&mut std::io::stderr(), skipped);
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Lazily: a failing test may still hold the database open.
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

async fn write(store: &Store, n: u32) -> Result<(), StoreError> {
    store
        .write(move |w| {
            let detail = "x".repeat(1000);
            w.append_event(NewEvent { detail, ..event(&format!("w{n}"), "tried") })?;
            w.append_audit(audit(&format!("w{n}"))).map(drop)
        })
        .await
}

#[tokio::test]
async fn a_full_disk_refuses_clearly_and_recovers() {
    let Some(small) = Small::mount() else { return };
    let store = pool(small.path()).await;
    let ballast = small.path().join("ballast");
    std::fs::write(&ballast, vec![0u8; 1 << 20]).unwrap();
    let mut written = 0;
    let error = loop {
        match write(&store, written).await {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 10_000, "the disk never filled");
    };
    assert!(matches!(error, StoreError::DiskFull(_)), "{error:?}");
    assert!(error.to_string().contains("free some space"), "{error}");
    for n in 0..20 {
        let again = write(&store, n).await;
        assert!(matches!(again, Err(StoreError::DiskFull(_))), "{again:?}");
    }
    let check = store.read(|r| r.verify_audit()).await.unwrap();
    assert_eq!((check.rows, check.broken_at), (written.into(), None), "all that was acknowledged");
    assert_eq!(store.read(|r| r.heads()).await.unwrap().event_seq, u64::from(written));

    std::fs::remove_file(&ballast).unwrap();
    for n in 0..50 {
        write(&store, written + n).await.unwrap();
    }
    assert_sound(&store).await;
    assert_eq!(store.read(|r| r.verify_audit()).await.unwrap().rows, u64::from(written) + 50);
    store.close().await.unwrap();
}

#[tokio::test]
async fn a_crowd_on_a_full_disk_is_acknowledged_truly() {
    let Some(small) = Small::mount() else { return };
    let store = pool(small.path()).await;
    let tasks: Vec<_> = (0..4_000u32)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move { (n, write(&store, n).await) })
        })
        .collect();
    let mut acknowledged = Vec::new();
    for task in tasks {
        match task.await.unwrap() {
            (n, Ok(())) => acknowledged.push(format!("w{n}")),
            (_, Err(StoreError::DiskFull(_))) => {}
            (n, Err(other)) => panic!("{n}: {other:?}"),
        }
    }
    assert!(!acknowledged.is_empty() && acknowledged.len() < 4_000, "{}", acknowledged.len());
    let mut stored = Vec::new();
    loop {
        let after = stored.len() as u64;
        let page = store.read(move |r| r.audit(after, 1000)).await.unwrap();
        if page.is_empty() {
            break;
        }
        stored.extend(page.into_iter().map(|row| row.entry.resource));
    }
    acknowledged.sort();
    stored.sort();
    assert_eq!(stored, acknowledged);
}
