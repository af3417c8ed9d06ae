//! Objects with what is said of them: lists, heads, copies, what has to be so in the same
//! transaction, and uploads in parts.

use crate::datasets::{ALL, NOW, Place, new, nothing, put};
use crate::{Small, key, noise};
use weft_gateway::{DataError, Finish, LONGEST, NOTES_MAX, Notes, PackError, SHORTEST};
use weft_store::{At, Expected, Listing, NewObject, Sealed, StoreError, Write};
use weft_types::Timestamp;

fn notes(value: &str) -> Notes {
    Notes::from([("content-type".to_owned(), value.to_owned())])
}

/// Puts an object with notes.
async fn said(place: &Place, path: &str, body: &[u8], value: &str) {
    let staged = place.data.stage(&place.dataset, body).await.unwrap();
    let (data, dataset) = (&place.data, &place.dataset);
    let anything = Expected::Anything;
    let put = data.commit(dataset, path, staged, notes(value), anything, nothing(), NOW).await;
    put.unwrap().expect("nothing was expected");
}

#[tokio::test]
async fn notes_are_sealed_and_shown_in_heads_and_lists() {
    let dir = crate::fast_dir();
    let place = Place::open(dir.path(), &key()).await;
    said(&place, "a/1", b"one", "text/canary").await;
    said(&place, "a/2", b"two", "text/plain").await;
    said(&place, "b", b"three", "text/csv").await;
    let (data, dataset) = (&place.data, &place.dataset);
    let head = data.head(dataset, "a/1", At::Now).await.unwrap().unwrap();
    assert_eq!(head.notes, Some(notes("text/canary")));
    let listing = Listing { delimiter: Some("/".into()), limit: 10, ..Listing::default() };
    let page = data.list(dataset, At::Now, listing.clone(), true).await.unwrap();
    assert_eq!((page.prefixes, page.entries.len()), (vec!["a/".to_owned()], 1));
    assert_eq!(page.entries[0].notes, Some(notes("text/csv")));
    let bare = data.list(dataset, At::Now, listing, false).await.unwrap();
    assert_eq!(bare.entries[0].notes, None);
    for file in ["weft.db", "weft.db-wal"] {
        let bytes = std::fs::read(dir.path().join(file)).unwrap();
        assert!(!bytes.windows(11).any(|some| some == b"text/canary"), "{file}");
    }
    let staged = data.stage(dataset, &b"x"[..]).await.unwrap();
    let long = notes(&"x".repeat(NOTES_MAX));
    let refused = data.commit(dataset, "c", staged, long, Expected::Anything, nothing(), NOW).await;
    assert!(matches!(refused, Err(DataError::Notes(_))));
    for path in [String::new(), "x".repeat(1_025)] {
        let staged = data.stage(dataset, &b"x"[..]).await.unwrap();
        let refused =
            data.commit(dataset, &path, staged, Notes::new(), Expected::Anything, nothing(), NOW);
        assert!(matches!(refused.await, Err(DataError::Path(_))));
    }
}

/// Whoever writes into the index can put nothing in the place of another.
#[tokio::test]
async fn what_opens_an_object_opens_it_alone() {
    let dir = crate::fast_dir();
    let place = Place::open(dir.path(), &key()).await;
    said(&place, "a", b"one", "text/plain").await;
    said(&place, "b", b"two", "text/csv").await;
    let (data, dataset, id) = (&place.data, &place.dataset, place.dataset.id);
    let row = async |path: &'static str| {
        place.store.read(move |r| r.object(id, path, At::Now)).await.unwrap().unwrap()
    };
    let (a, b) = (row("a").await, row("b").await);
    let put = |path: &str, sealed: Sealed| {
        let entry = &a.entry;
        let (bytes, tag, path) = (entry.bytes, entry.tag.clone(), path.to_owned());
        let new = NewObject { path, bytes, tag, parts: None, sealed, chunks: Vec::new() };
        let put = move |w: &mut Write<'_>| w.put_object(id, &new, &Expected::Anything, NOW);
        place.store.write(put)
    };
    // The same again, at another change, and at another path.
    for path in ["a", "c"] {
        put(path, a.sealed.clone()).await.unwrap();
        let refused = data.head(dataset, path, At::Now).await.unwrap_err();
        assert!(matches!(refused, DataError::Key(_)), "{refused}");
    }
    let begun = async |said: &str| {
        data.begin_upload(dataset, "d", notes(said), nothing(), NOW).await.unwrap()
    };
    let (first, second) = (begun("first").await, begun("second").await);
    let store = &place.store;
    let read = |id| store.read(move |r| r.upload(id));
    let (mut mine, other) =
        (read(first).await.unwrap().unwrap(), read(second).await.unwrap().unwrap());
    for (sealed, of_key) in [
        (other.sealed.clone(), true),
        (Sealed { notes: other.sealed.notes, ..mine.sealed.clone() }, false),
        (Sealed { notes: b.sealed.notes, ..mine.sealed.clone() }, false),
    ] {
        store.write(move |w| w.put_upload_notes(first, &sealed)).await.unwrap();
        let refused = data.upload(dataset, first).await.unwrap_err();
        assert_eq!(matches!(refused, DataError::Key(_)), of_key, "{refused}");
    }
    mine.sealed.manifest.clear();
    store.write(move |w| w.put_upload_notes(first, &mine.sealed)).await.unwrap();
    assert_eq!(data.upload(dataset, first).await.unwrap().unwrap().notes, notes("first"));
}

#[tokio::test]
async fn what_has_to_be_so_is_so_together_or_not_at_all() {
    let dir = crate::fast_dir();
    let place = Place::open(dir.path(), &key()).await;
    let (data, dataset) = (&place.data, &place.dataset);
    place.put("kept", b"kept").await;
    let staged = data.stage(dataset, &b"x"[..]).await.unwrap();
    let refused = data
        .commit(
            dataset,
            "a",
            staged,
            Notes::new(),
            Expected::Anything,
            Box::new(|_, put| {
                assert_eq!(put.bytes.0, 1);
                Err(StoreError::Closed)
            }),
            NOW,
        )
        .await;
    assert!(matches!(refused, Err(DataError::Store(StoreError::Closed))));
    assert!(data.head(dataset, "a", At::Now).await.unwrap().is_none());
    let also = Box::new(|_: &mut weft_store::Write<'_>, _: &weft_gateway::Deleted| {
        Err(StoreError::Closed)
    });
    let refused = data.delete(dataset, "kept", Expected::Anything, also, NOW).await;
    assert!(matches!(refused, Err(DataError::Store(StoreError::Closed))));
    assert_eq!(place.get("kept", At::Now, ALL).await, b"kept");
    let made = data.make(
        new("other"),
        Box::new(|_, made| {
            assert_eq!(made.is.name.as_str(), "other");
            Err(StoreError::Closed)
        }),
    );
    assert!(made.await.is_err());
    assert_eq!(place.store.read(|r| r.datasets()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_copy_shares_within_a_dataset_and_nothing_with_another() {
    let dir = crate::fast_dir();
    let place = Place::open(dir.path(), &key()).await;
    let (data, dataset) = (&place.data, &place.dataset);
    let body = noise(1, 2 * LONGEST);
    said(&place, "a", &body, "text/csv").await;
    let from = data.object(dataset, "a", At::Now).await.unwrap().unwrap();
    let before = place.store.read(|r| r.packs()).await.unwrap();
    let copied = data.copy(&from, dataset, "b", None, Expected::Absent, nothing(), NOW).await;
    let copied = copied.unwrap().expect("there was none");
    assert_eq!((copied.bytes, &copied.tag), (from.entry.bytes, &from.entry.tag));
    assert_eq!(place.store.read(|r| r.packs()).await.unwrap(), before);
    let again = data.copy(&from, dataset, "b", None, Expected::Absent, nothing(), NOW).await;
    assert_eq!(again.unwrap(), None);
    // What is copied stays when what it is of goes.
    data.delete(dataset, "a", Expected::Present, nothing(), NOW).await.unwrap().unwrap();
    place.forget().await;
    data.collect(Timestamp(NOW.0 + 2)).await.unwrap();
    assert_eq!(place.get("b", At::Now, ALL).await, body);
    let head = data.head(dataset, "b", At::Now).await.unwrap().unwrap();
    assert_eq!(head.notes, Some(notes("text/csv")));

    let twin = data.make(new("twin"), nothing()).await.unwrap();
    let from = data.object(dataset, "b", At::Now).await.unwrap().unwrap();
    let said = Some(notes("text/plain"));
    let put = data.copy(&from, &twin, "c", said, Expected::Anything, nothing(), NOW).await;
    let put = put.unwrap().unwrap();
    assert_eq!((put.new, put.bytes), (from.entry.bytes, from.entry.bytes), "nothing is shared");
    assert_ne!(put.tag, from.entry.tag);
    let there = data.object(&twin, "c", At::Now).await.unwrap().unwrap();
    there.verify().await.unwrap();
    assert_eq!(there.notes, notes("text/plain"));
    // One that cannot be read is not copied as if it were shorter.
    for pack in std::fs::read_dir(dir.path().join("packs")).unwrap() {
        let path = pack.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.iter_mut().for_each(|byte| *byte ^= 1);
        std::fs::write(&path, bytes).unwrap();
    }
    let damaged = data.copy(&from, &twin, "d", None, Expected::Anything, nothing(), NOW).await;
    assert!(matches!(damaged, Err(DataError::Tampered { .. })));
    assert!(data.head(&twin, "d", At::Now).await.unwrap().is_none());
    // Nor one whose chunks were collected meanwhile.
    data.delete(dataset, "b", Expected::Present, nothing(), NOW).await.unwrap().unwrap();
    place.forget().await;
    data.collect(Timestamp(NOW.0 + 2)).await.unwrap();
    let gone = data.copy(&from, dataset, "e", None, Expected::Anything, nothing(), NOW).await;
    assert!(matches!(gone, Err(DataError::Missing(_))));
}

#[tokio::test]
async fn parts_come_in_any_order_and_finishing_moves_no_byte() {
    let dir = crate::fast_dir();
    let place = Place::open(dir.path(), &key()).await;
    let (data, dataset) = (&place.data, &place.dataset);
    let upload = data.begin_upload(dataset, "big", notes("x/y"), nothing(), NOW).await.unwrap();
    let bodies = [noise(1, LONGEST + 7), noise(2, SHORTEST), noise(3, 11), Vec::new()];
    let mut tags = std::collections::BTreeMap::new();
    for (number, at) in [(9, 3), (7, 0), (2, 2), (2, 0), (7, 1), (8, 2), (1, 3)] {
        let staged = data.stage(dataset, &bodies[at][..]).await.unwrap();
        let said = notes(&format!("part {number}"));
        let kept = data.keep_part(dataset, upload, number, staged, said, nothing(), NOW).await;
        tags.insert(number, kept.unwrap().tag);
    }
    let shown = data.parts(dataset, upload, 1, 3).await.unwrap();
    let shown: Vec<_> =
        shown.into_iter().map(|part| (part.number, part.bytes.0, part.notes)).collect();
    let part = |number: u32, at: usize| {
        (number, bodies[at].len() as u64, notes(&format!("part {number}")))
    };
    assert_eq!(shown, [part(2, 0), part(7, 1), part(8, 2)]);
    // A part that was put again is not what it was.
    let chosen =
        |numbers: &[u32]| numbers.iter().map(|n| (*n, tags[n].clone())).collect::<Vec<_>>();
    let mut old = chosen(&[2, 7]);
    old[1].1 = tags[&2].clone();
    let finish = |parts| Finish { parts, notes: notes("a/b"), expected: Expected::Absent };
    let refused = data.finish_upload(dataset, upload, finish(old), nothing(), NOW).await;
    assert!(matches!(refused, Err(DataError::Part(7))));
    let before = place.store.read(|r| r.packs()).await.unwrap();
    let put = data.finish_upload(dataset, upload, finish(chosen(&[2, 7, 8])), nothing(), NOW).await;
    let put = put.unwrap().expect("there was none");
    assert_eq!((put.parts, place.store.read(|r| r.packs()).await.unwrap()), (Some(3), before));
    assert_eq!(place.get("big", At::Now, ALL).await, bodies[..3].concat());
    let object = data.object(dataset, "big", At::Now).await.unwrap().unwrap();
    object.verify().await.unwrap();
    assert_eq!((&object.notes, object.entry.parts), (&notes("a/b"), Some(3)));
    // It has ended; its parts went with it, and the object keeps what it has of them.
    let ended = data.finish_upload(dataset, upload, finish(chosen(&[2])), nothing(), NOW).await;
    assert!(matches!(ended, Err(DataError::Store(StoreError::NotFound { .. }))));
    data.collect(Timestamp(NOW.0 + 2)).await.unwrap();
    object.verify().await.unwrap();
}

#[tokio::test]
async fn uploads_are_of_their_dataset_and_end_with_age() {
    let dir = crate::fast_dir();
    let place = Place::open(dir.path(), &key()).await;
    let (data, dataset) = (&place.data, &place.dataset);
    let twin = data.make(new("twin"), nothing()).await.unwrap();
    let begin = async |path: &'static str, at: u64| {
        let said = notes(path);
        let begun = data.begin_upload(dataset, path, said, nothing(), Timestamp(at));
        begun.await.unwrap()
    };
    let (old, young) = (begin("old", 1).await, begin("young", 9).await);
    let staged = data.stage(dataset, &noise(1, 1000)[..]).await.unwrap();
    data.keep_part(dataset, old, 1, staged, Notes::new(), nothing(), NOW).await.unwrap();
    assert!(data.upload(&twin, old).await.unwrap().is_none());
    assert!(data.give_up_upload(&twin, old, nothing(), NOW).await.is_err());
    assert!(data.parts(&twin, old, 0, 9).await.is_err());
    let found = data.uploads(dataset, "", ("", weft_store::UploadId(0)), 9).await.unwrap();
    let found: Vec<_> = found.into_iter().map(|upload| (upload.id, upload.notes)).collect();
    assert_eq!(found, [(old, notes("old")), (young, notes("young"))]);
    assert_eq!(data.give_up_uploads(Timestamp(9), NOW).await.unwrap(), 1);
    assert!(data.upload(dataset, old).await.unwrap().is_none());
    assert_eq!(data.collect(Timestamp(NOW.0 + 1)).await.unwrap().chunks, 1);
    data.give_up_upload(dataset, young, nothing(), NOW).await.unwrap();
    let put = put(data, &twin, "young", Expected::Absent, &b"x"[..]).await;
    assert!(put.is_some());
}

#[tokio::test]
async fn a_copy_that_finds_no_room_says_so() {
    let Some(small) = Small::mount(32 << 20, 8 << 20) else { return };
    let place = Place::open(small.path(), &key()).await;
    let (data, dataset) = (&place.data, &place.dataset);
    // Longer than what is on its way at a time: its sender writes still when the disk is full.
    said(&place, "a", &noise(1, 8 << 20), "text/csv").await;
    let from = data.object(dataset, "a", At::Now).await.unwrap().unwrap();
    let twin = data.make(new("twin"), nothing()).await.unwrap();
    let filled = std::fs::write(small.path().join("more"), vec![1; 32 << 20]);
    assert_eq!(filled.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    let full = data.copy(&from, &twin, "a", None, Expected::Anything, nothing(), NOW).await;
    assert!(matches!(full, Err(DataError::Pack(PackError::Full(_)))), "{full:?}");
}
