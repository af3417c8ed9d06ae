//! Damage is told of each object that has it, whoever finds it, and stops nobody's work.

use crate::datasets::{ALL, NOW, Place, nothing};
use crate::{fast_dir, key, noise};
use std::sync::{Arc, Mutex};
use weft_gateway::{Damage, DataError, Notes, Scrubbed};
use weft_store::{At, ChunkPlace, Expected, NewObject};
use weft_types::Timestamp;

/// What a scrub finds.
async fn scrub(place: &Place) -> (Scrubbed, Vec<Damage>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let to = told.clone();
    let scrub = place.data.scrub(place.dataset.id, move |damage| to.lock().unwrap().push(damage));
    let scrubbed = scrub.await.unwrap();
    let told = told.lock().unwrap().clone();
    (scrubbed, told)
}

/// Turns a bit of what lies there.
fn damage(dir: &std::path::Path, at: ChunkPlace) {
    let path = dir.join(format!("packs/{:08}.pack", at.pack));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[at.offset as usize + at.length as usize / 2] ^= 4;
    std::fs::write(path, bytes).unwrap();
}

async fn place_of(place: &Place, path: &'static str) -> ChunkPlace {
    let object = place.data.object(&place.dataset, path, At::Now).await.unwrap().unwrap();
    let id = object.chunks().next().unwrap();
    place.store.read(move |r| r.chunk(&id.0)).await.unwrap().unwrap()
}

/// One that is cut off goes on behind the last object that it has seen, and forgets no damage.
#[tokio::test]
async fn a_look_that_was_cut_off_goes_on_where_it_was() {
    let dir = fast_dir();
    let place = Place::open(dir.path(), &key()).await;
    for n in 10..40 {
        place.put(&format!("some/{n}"), &noise(n, 1_000)).await;
    }
    damage(dir.path(), place_of(&place, "some/12").await);
    let (id, at) = (place.dataset.id, Arc::new(Mutex::new(None)));
    let (to, mut left) = (at.clone(), 20);
    let cut = place.data.scrub_from(id, None, drop, move |place| {
        left -= 1;
        *to.lock().unwrap() = place.cloned();
        left > 0
    });
    assert_eq!(cut.await.unwrap(), None);
    let kept = at.lock().unwrap().clone().unwrap();
    assert_eq!((kept.path.as_str(), kept.damaged), ("some/28", 1));
    let (keep, read) = (kept.clone(), move |r: &weft_store::Read<'_>| r.scrub_place(id));
    assert_eq!(place.store.read(read).await.unwrap(), None);
    place.store.write(move |w| w.scrubbed_up_to(id, &keep)).await.unwrap();
    let from = place.store.read(read).await.unwrap();
    assert_eq!(from, Some(kept));
    let rest = place.data.scrub_from(id, from, drop, |_| true).await.unwrap().unwrap();
    assert_eq!((rest.objects, rest.damaged), (11, 1), "of all of it, of thirty objects");
    place.store.write(move |w| w.scrubbed(id, 1, NOW)).await.unwrap();
    assert_eq!(place.store.read(read).await.unwrap(), None, "the next one is of all again");
}

#[tokio::test]
async fn every_chunk_is_opened_once_and_each_damaged_object_is_told() {
    let dir = fast_dir();
    let place = Place::open(dir.path(), &key()).await;
    let (data, dataset) = (&place.data, &place.dataset);
    for n in 0..250 {
        place.put(&format!("some/{n}"), &noise(n % 100, 1_000)).await;
    }
    place.put("again", &noise(7, 1_000)).await;
    place.put("again", b"another").await;
    let upload = data.begin_upload(dataset, "parts", Notes::new(), nothing(), NOW).await.unwrap();
    for (number, seed) in [(1, 7), (2, 500)] {
        let staged = data.stage(dataset, &noise(seed, 1_000)[..]).await.unwrap();
        let kept = data.keep_part(dataset, upload, number, staged, Notes::new(), nothing(), NOW);
        kept.await.unwrap();
    }
    let (whole, told) = scrub(&place).await;
    assert_eq!((whole.objects, whole.chunks, whole.damaged), (254, 102, 0), "{told:?}");
    assert_eq!(whole.bytes.0, 101 * 1_000 + 7);

    damage(dir.path(), place_of(&place, "some/7").await);
    let row = place.store.read({
        let id = dataset.id;
        move |r| r.object(id, "some/3", At::Now)
    });
    let row = row.await.unwrap().unwrap();
    let (bytes, tag, sealed) = (row.entry.bytes, row.entry.tag, row.sealed);
    let path = "swapped".to_owned();
    let new = NewObject { path, bytes, tag, parts: None, sealed, chunks: Vec::new() };
    let id = dataset.id;
    let put = move |w: &mut weft_store::Write<'_>| {
        w.put_object(id, &new, &Expected::Anything, NOW).map(drop)
    };
    place.store.write(put).await.unwrap();
    let (found, told) = scrub(&place).await;
    assert_eq!((found.objects, found.chunks, found.damaged), (255, 102, 6));
    let paths: Vec<_> = told.iter().map(|damage| &*damage.path).collect();
    assert_eq!(paths, ["again", "some/107", "some/207", "some/7", "swapped", "parts"]);
    assert!(told[0].change == 251 && told[0].chunk.is_some(), "the one that has ended");
    assert!(told[4].chunk.is_none() && told[4].why.contains("does not open"), "{:?}", told[4]);

    // Who reads it tells as well, once.
    assert!(data.damages().is_empty());
    for _ in 0..2 {
        let object = data.object(dataset, "some/107", At::Now).await.unwrap().unwrap();
        let refused = object.read(ALL, 0).await;
        assert!(matches!(refused, Err(DataError::Tampered { .. })));
    }
    let known: Vec<_> = data.damages().into_iter().map(|damage| damage.path).collect();
    assert_eq!(known, ["some/107"]);
    place.put("some/7", b"mended").await;
    assert_eq!(place.get("some/7", At::Now, ALL).await, b"mended");
}

#[tokio::test]
async fn what_cannot_be_read_does_not_stop_collection() {
    let dir = fast_dir();
    let place = Place::open(dir.path(), &key()).await;
    let (data, dataset) = (&place.data, &place.dataset);
    // Three packs; of each most goes, and the end of the first is cut off.
    for pack in 0..3 {
        place.put(&format!("kept/{pack}"), &noise(pack, 1_000)).await;
        place.put(&format!("gone/{pack}"), &noise(10 + pack, 900_000)).await;
        place.put(&format!("last/{pack}"), &noise(20 + pack, 100_000)).await;
        place.put(&format!("gone/{pack}"), &noise(30 + pack, 499_000)).await;
    }
    let first = dir.path().join("packs/00000001.pack");
    let last = place_of(&place, "last/0").await;
    assert_eq!(last.pack, 1);
    std::fs::File::options().write(true).open(&first).unwrap().set_len(last.offset + 9).unwrap();
    for pack in 0..3 {
        let path = format!("gone/{pack}");
        data.delete(dataset, &path, Expected::Present, nothing(), NOW).await.unwrap().unwrap();
    }
    place.forget().await;
    for _ in 0..2 {
        let collected = data.collect(Timestamp(NOW.0 + 2)).await.unwrap();
        assert_eq!(collected.unreadable, 1, "{collected:?}");
        assert!(first.exists());
    }
    assert!(!dir.path().join("packs/00000002.pack").exists());
    for pack in 0..3 {
        assert_eq!(place.get(&format!("kept/{pack}"), At::Now, ALL).await, noise(pack, 1_000));
    }
    let object = data.object(dataset, "last/0", At::Now).await.unwrap().unwrap();
    assert!(object.verify().await.is_err());
}

/// Heads are more than half of a pack of small chunks: that is no reason to copy it for ever.
#[tokio::test]
async fn a_pack_of_small_chunks_stays_where_it_is() {
    let (dir, master) = (fast_dir(), key());
    let place = Place::open(dir.path(), &master).await;
    for n in 0..50 {
        place.put(&format!("{n}"), &[n; 2]).await;
    }
    place.store.close().await.unwrap();
    drop(place);
    // Another process begins another pack.
    let place = Place::open(dir.path(), &master).await;
    place.put("other", b"x").await;
    let collected = place.data.collect(Timestamp(NOW.0 + 2)).await.unwrap();
    assert_eq!((collected.packs, collected.unreadable), (0, 0), "{collected:?}");
    assert_eq!(place.get("7", At::Now, ALL).await, [7; 2]);
}

/// Corruptions of pack files that are tried.
const CORRUPTIONS: u64 = 10_000;

/// Whatever happens to the bytes of a chunk, they are not served; whatever happens elsewhere, they
/// are.
#[tokio::test]
async fn no_corruption_is_ever_served() {
    let dir = fast_dir();
    let place = Place::open(dir.path(), &key()).await;
    let bodies: Vec<_> = (0..8).map(|n| noise(n, 200 + 150 * n as usize)).collect();
    let mut objects = Vec::new();
    for (n, body) in bodies.iter().enumerate() {
        place.put(&n.to_string(), body).await;
        let path = n.to_string();
        let object = place.data.object(&place.dataset, &path, At::Now).await.unwrap().unwrap();
        let id = object.chunks().next().unwrap();
        let lies = place.store.read(move |r| r.chunk(&id.0)).await.unwrap().unwrap();
        let lies = lies.offset as usize..lies.offset as usize + lies.length as usize;
        objects.push((object, lies));
    }
    let path = dir.path().join("packs/00000001.pack");
    let whole = std::fs::read(&path).unwrap();
    let end = objects.last().unwrap().1.end;
    let (mut detected, mut elsewhere) = (0, 0);
    for round in 0..CORRUPTIONS {
        let damaged = corrupted(&whole[..end], round);
        // In place, as a disk does it.
        std::fs::File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
        std::fs::write(&path, &damaged).unwrap();
        let is_whole =
            |lies: &std::ops::Range<usize>| damaged.get(lies.clone()) == Some(&whole[lies.clone()]);
        for (n, (object, lies)) in objects.iter().enumerate() {
            // Those that were hit, and one that was not, by turns.
            let hit = !is_whole(lies);
            if !hit && n as u64 != round % 8 {
                continue;
            }
            match object.read(ALL, 0).await {
                Ok(read) => assert!(!hit && read == bodies[n], "round {round}: object {n}"),
                Err(_) => assert!(hit, "round {round}: object {n} is whole"),
            }
            (detected, elsewhere) = (detected + u64::from(hit), elsewhere + u64::from(!hit));
        }
    }
    assert!(detected > CORRUPTIONS / 2 && elsewhere > CORRUPTIONS / 4, "{detected}, {elsewhere}");
}

/// A bit, a run of other bytes or of zeros, something of elsewhere, or the end cut off.
fn corrupted(whole: &[u8], round: u64) -> Vec<u8> {
    let dice = noise(round + 77, 24);
    let roll = |at: usize, sides: usize| {
        u64::from_le_bytes(dice[at * 8..at * 8 + 8].try_into().unwrap()) as usize % sides
    };
    let (at, length) = (roll(0, whole.len()), 1 + roll(1, 200));
    let until = whole.len().min(at + length);
    let mut bytes = whole.to_vec();
    match round % 5 {
        0 => bytes[at] ^= 1 << (length % 8),
        1 => bytes[at..until].copy_from_slice(&noise(round, until - at)),
        2 => bytes[at..until].fill(0),
        3 => bytes.copy_within(at..until, roll(2, whole.len() - (until - at))),
        _ => bytes.truncate(at),
    }
    bytes
}
