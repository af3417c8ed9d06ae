//! Uploads in parts against a model that counts who needs which chunk.

use crate::objects::{make, object, sealed};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use weft_store::{
    At, ChunkPlace, DatasetId, Expected, NewObject, NewPart, Store, StoreError, UploadId,
};
use weft_types::{Bytes, Timestamp};

const LATE: Timestamp = Timestamp(1 << 40);

fn part(number: u32, content: u8) -> NewPart {
    let place = ChunkPlace { pack: 1, offset: u64::from(content), length: 1 };
    NewPart {
        number,
        bytes: Bytes(u64::from(content)),
        tag: vec![content],
        sealed: sealed(content),
        // Shared with its neighbours, and twice in itself.
        chunks: [content, content / 2, content].map(|id| ([id; 32], Some(place))).to_vec(),
    }
}

/// The object that parts are together.
fn whole(path: &str, parts: &[u8]) -> NewObject {
    let chunks = parts.iter().flat_map(|content| [*content, *content / 2, *content]);
    let chunks = chunks.map(|id| ([id; 32], None)).collect();
    NewObject { chunks, parts: Some(parts.len() as u32), ..object(path, 9) }
}

/// The chunks that are left once all that nobody needs is collected.
async fn left(store: &Store) -> u64 {
    store.write(|w| w.doom_chunks(Timestamp(LATE.0 + 1), 1000)).await.unwrap();
    store.write(|w| w.collect_chunks(|_| false)).await.unwrap();
    store.read(|r| r.packs()).await.unwrap().iter().map(|pack| pack.chunks).sum()
}

async fn made() -> (tempfile::TempDir, Store, DatasetId) {
    let dir = crate::given::fast_dir();
    let store = Store::open(dir.path()).unwrap();
    let id = store.write(make).await.unwrap();
    (dir, store, id)
}

fn needed<'a>(contents: impl IntoIterator<Item = &'a u8>) -> u64 {
    let chunks = contents.into_iter().flat_map(|content| [*content, *content / 2]);
    chunks.collect::<BTreeSet<u8>>().len() as u64
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn chunks_are_those_of_parts_and_then_of_the_object(
        kept in prop::collection::vec((1..6u32, 0..8u8), 1..12), chosen in any::<u32>(),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (_dir, store, id) = made().await;
            let upload = store.write(move |w| w.begin_upload(id, "a", Timestamp(1))).await.unwrap();
            let mut parts = BTreeMap::new();
            for (number, content) in kept {
                let new = part(number, content);
                store.write(move |w| w.keep_part(upload, &new, LATE)).await.unwrap();
                parts.insert(number, content);
            }
            let rows = store.read(move |r| r.upload_parts(upload, 0, 100)).await.unwrap();
            let shown: BTreeMap<_, _> = rows.iter().map(|r| (r.number, r.tag[0])).collect();
            assert_eq!(shown, parts);
            assert_eq!(left(&store).await, needed(parts.values()));
            let chosen: Vec<_> =
                parts.into_iter().filter(|(number, _)| chosen >> number & 1 == 1).collect();
            let contents: Vec<u8> = chosen.iter().map(|(_, content)| *content).collect();
            let (new, tags) = (whole("a", &contents), chosen.into_iter().map(|(n, c)| (n, vec![c])));
            let tags: Vec<_> = tags.collect();
            let finish = store.write(move |w| {
                w.finish_upload(upload, &tags, &new, &Expected::Absent, LATE)
            });
            assert_eq!(finish.await.unwrap(), Some(1));
            assert_eq!(left(&store).await, needed(&contents));
            let row = store.read(move |r| r.object(id, "a", At::Now)).await.unwrap().unwrap();
            assert_eq!(row.entry.parts, Some(contents.len() as u32));
            // All of it goes with the object.
            let delete = store.write(move |w| {
                w.delete_object(id, "a", &Expected::Anything, Timestamp(5))?;
                w.set_keep_days(id, 0, Timestamp(5))?;
                w.forget_objects(id, LATE, 10, LATE)
            });
            assert_eq!(delete.await.unwrap(), 1);
            assert_eq!(left(&store).await, 0);
        });
    }
}

#[tokio::test]
async fn what_was_chosen_must_be_there_and_what_is_old_is_given_up() {
    let (_dir, store, id) = made().await;
    let begin = |path: &'static str, at: u64| {
        let begun = store.write(move |w| w.begin_upload(id, path, Timestamp(at)));
        async { begun.await.unwrap() }
    };
    let (first, second, third) = (begin("b", 1).await, begin("a", 5).await, begin("a", 9).await);
    assert!(first < second && second < third);
    for upload in [first, second, third] {
        let new = part(1, upload.0 as u8);
        store.write(move |w| w.keep_part(upload, &new, LATE)).await.unwrap();
    }
    for (number, content) in [(1, 7), (2, first.0 as u8)] {
        let finish = store.write(move |w| {
            let tags = [(number, vec![content])];
            w.finish_upload(first, &tags, &whole("b", &[1]), &Expected::Anything, LATE)
        });
        let missing = finish.await.unwrap_err();
        assert!(matches!(missing, StoreError::NotFound { what: "part", .. }), "{missing:?}");
    }
    // Where what was expected is not so, all stays as it was.
    let tags = [(1, vec![first.0 as u8])];
    let finish = store
        .write(move |w| w.finish_upload(first, &tags, &whole("b", &[1]), &Expected::Present, LATE));
    assert_eq!(finish.await.unwrap(), None);
    let paths = |prefix: &'static str, after: (&'static str, UploadId)| {
        let found = store.read(move |r| r.uploads(id, prefix, after, 10));
        async { found.await.unwrap().into_iter().map(|row| row.id).collect::<Vec<_>>() }
    };
    let begin = ("", UploadId(0));
    assert_eq!(paths("", begin).await, [second, third, first]);
    assert_eq!(paths("", ("a", second)).await, [third, first]);
    assert_eq!(paths("b", begin).await, [first]);
    let given_up = store.write(|w| w.give_up_uploads(Timestamp(6), 10, LATE)).await.unwrap();
    assert_eq!(given_up, 2);
    assert_eq!(paths("", begin).await, [third]);
    assert_eq!(left(&store).await, needed(&[third.0 as u8]));
    let gone = store.write(move |w| w.give_up_upload(first, LATE)).await.unwrap_err();
    assert!(matches!(gone, StoreError::NotFound { what: "upload", .. }), "{gone:?}");
    store.write(move |w| w.give_up_upload(third, LATE)).await.unwrap();
    assert_eq!(left(&store).await, 0);
    assert_eq!(store.read(move |r| r.upload(third)).await.unwrap(), None);
}
