//! What was is brought back; what is forgotten is gone from the index's file and from its log.

use crate::datasets::{ALL, NOW, Place, new, nothing};
use crate::{fast_dir, key, noise};
use std::collections::HashSet;
use std::path::Path;
use weft_gateway::{DataError, Notes};
use weft_store::{At, Expected, StoreError, Write};
use weft_types::Timestamp;

const DAY: u64 = 24 * 3_600_000;

#[tokio::test]
async fn one_call_puts_back_what_was() {
    let dir = fast_dir();
    let place = Place::open(dir.path(), &key()).await;
    let (data, dataset) = (&place.data, &place.dataset);
    let bodies: Vec<_> = (0..1_300).map(|n| noise(n, 10 + n as usize)).collect();
    for (n, body) in bodies.iter().enumerate().take(600) {
        place.put(&format!("{n:04}"), body).await;
    }
    let then = place.store.read(|r| r.datasets()).await.unwrap()[0].changes;
    // Somebody encrypts some, deletes some, and leaves a letter.
    for n in 0..550 {
        match n % 5 {
            0 => drop(place.put(&format!("{n:04}"), &noise(9_000 + n, 50)).await),
            _ => {
                let path = format!("{n:04}");
                data.delete(dataset, &path, Expected::Present, nothing(), NOW)
                    .await
                    .unwrap()
                    .unwrap();
            }
        }
    }
    place.put("READ ME", b"pay").await;
    let before = place.store.read(|r| r.packs()).await.unwrap();
    let told = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let also = told.clone();
    let also = Box::new(move |_: &mut Write<'_>, changes: &u64| {
        also.fetch_add(*changes, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    });
    let restored = data.restore(dataset, then, also, NOW).await.unwrap();
    assert_eq!((restored.put, restored.deleted, restored.next), (550, 1, None));
    assert_eq!(told.load(std::sync::atomic::Ordering::Relaxed), then, "once, with the first of it");
    assert_eq!(place.store.read(|r| r.packs()).await.unwrap(), before, "no byte was copied");
    for (n, body) in bodies.iter().enumerate().take(600).step_by(7) {
        assert_eq!(place.get(&format!("{n:04}"), At::Now, ALL).await, *body);
    }
    assert!(data.head(dataset, "READ ME", At::Now).await.unwrap().is_none());
    // Nothing is left to do.
    let again = data.restore(dataset, then, nothing(), NOW).await.unwrap();
    assert_eq!((again.put, again.deleted), (0, 0));
}

/// How many of the pieces of 16 bytes that these have are in the index's file or in its log: also
/// of what spans pages.
fn pieces_in_index(dir: &Path, secrets: &[Vec<u8>]) -> usize {
    let pieces = secrets.iter().flat_map(|secret| secret.as_chunks::<16>().0);
    let pieces: HashSet<&[u8; 16]> = pieces.collect();
    let mut found = HashSet::new();
    for file in ["weft.db", "weft.db-wal"] {
        let bytes = std::fs::read(dir.join(file)).unwrap();
        let windows = bytes.windows(16).filter_map(|some| some.first_chunk::<16>());
        found.extend(windows.filter(|some| pieces.contains(some)).copied());
    }
    found.len()
}

#[tokio::test]
async fn what_is_forgotten_is_in_no_file() {
    let dir = fast_dir();
    let place = Place::open(dir.path(), &key()).await;
    let (data, dataset, id) = (&place.data, &place.dataset, place.dataset.id);
    // Enough that pages split and rows move, some over several pages.
    for n in 0..300_u64 {
        place.put(&format!("{:03}", n * 7 % 300), &noise(n, 30)).await;
    }
    let staged = data.stage(dataset, &b"x"[..]).await.unwrap();
    let long = Notes::from([("said".to_owned(), "x".repeat(10_000))]);
    let put = data.commit(dataset, "long", staged, long, Expected::Absent, nothing(), NOW);
    put.await.unwrap().unwrap();
    assert!(place.store.fold().await.unwrap(), "so that there is less to look through");
    let paths = || (0..300).step_by(3).map(|n| format!("{n:03}")).chain(["long".to_owned()]);
    let mut secrets = Vec::new();
    for path in paths() {
        let row = place.store.read(move |r| r.object(id, &path, At::Now)).await.unwrap().unwrap();
        secrets.extend([row.sealed.key, row.sealed.manifest, row.sealed.notes]);
    }
    assert!(pieces_in_index(dir.path(), &secrets) > 2 * secrets.len());
    for path in paths() {
        let deleted = data.delete(dataset, &path, Expected::Present, nothing(), NOW).await;
        deleted.unwrap().unwrap();
    }
    let forgotten = data.forget(Timestamp(NOW.0 + 1)).await.unwrap();
    assert_eq!((forgotten.objects, forgotten.folded), (101, true));
    assert_eq!(pieces_in_index(dir.path(), &secrets), 0);
    assert_eq!(place.get("001", At::Now, ALL).await.len(), 30);
}

#[tokio::test]
async fn a_dataset_ends_for_good_after_its_days_and_a_certificate_tells() {
    let dir = fast_dir();
    let place = Place::open(dir.path(), &key()).await;
    let (data, store) = (&place.data, &place.store);
    let gone = data.make(new("gone"), nothing()).await.unwrap();
    let staged = data.stage(&gone, &noise(1, 5_000)[..]).await.unwrap();
    let put = data.commit(&gone, "a", staged, Default::default(), Expected::Absent, nothing(), NOW);
    put.await.unwrap().unwrap();
    data.begin_upload(&gone, "b", Default::default(), nothing(), NOW).await.unwrap();
    let id = gone.id;
    let version = store.write(move |w| w.make_version(id, "ann", "", NOW)).await.unwrap();
    store.write(move |w| w.tag_version(id, "golden", 1)).await.unwrap();
    let keys = store.read(move |r| r.dataset_keys(id)).await.unwrap();
    store.write(move |w| w.end_dataset(id, NOW)).await.unwrap();
    assert!(data.shred(id, nothing(), Timestamp(NOW.0 + 7 * DAY)).await.is_err(), "too early");
    // Within its days it comes back, with all that was in it.
    store.write(move |w| w.revive_dataset(id, None)).await.unwrap();
    let object = data.object(&gone, "a", At::Now).await.unwrap().unwrap();
    object.verify().await.unwrap();
    store.write(move |w| w.end_dataset(id, NOW)).await.unwrap();
    let late = Timestamp(NOW.0 + 7 * DAY + 1);
    let told = std::sync::Arc::new(std::sync::Mutex::new(None));
    let also = told.clone();
    let also = Box::new(move |_: &mut Write<'_>, certificate: &weft_gateway::Certificate| {
        *also.lock().unwrap() = Some(certificate.clone());
        Ok(())
    });
    let certificate = data.shred(id, also, late).await.unwrap();
    assert_eq!(told.lock().unwrap().as_ref(), Some(&certificate), "in the same transaction");
    assert_eq!((certificate.of.digest, certificate.of.objects), (version.digest, 1));
    assert_eq!((&certificate.of.was.is, certificate.of.at), (&gone.is, late));
    assert_ne!(certificate.fingerprint, [0; 32]);
    assert_eq!(pieces_in_index(dir.path(), &[keys.key, keys.content]), 0);
    let refused = data.object(&gone, "a", At::Now).await.err().map(|e| e.to_string());
    assert!(refused.is_none_or(|said| said.contains("no dataset")));
    let again = data.shred(id, nothing(), late).await;
    assert!(matches!(again, Err(DataError::Store(StoreError::NotFound { .. }))));
    let collected = data.housekeep(Timestamp(late.0 + DAY)).await.unwrap();
    assert_eq!(collected.objects, 0);
    assert!(store.read(|r| r.packs()).await.unwrap().is_empty(), "its chunks were collected");
}
