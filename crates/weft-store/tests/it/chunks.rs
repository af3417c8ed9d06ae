//! Chunks: counted exactly, and never collected under a writer that has found them.

use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use weft_store::{ChunkKey, ChunkPlace, PackUse, Store, StoreError};
use weft_types::Timestamp;

fn id(n: u8) -> ChunkKey {
    [n; 32]
}

fn place(offset: u64) -> ChunkPlace {
    ChunkPlace { pack: offset / 10, offset, length: 1 }
}

/// A step of one of several writers, or of the collection.
#[derive(Debug, Clone)]
enum Step {
    /// Pins some chunks and looks them up.
    Look {
        writer: usize,
        chunks: BTreeSet<u8>,
    },
    /// Uses what it looked up, and unpins.
    Use {
        writer: usize,
    },
    /// Gives up the oldest object.
    Release,
    Doom,
    Collect,
    /// Another copy of a chunk.
    Move {
        chunk: u8,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let chunks = prop::collection::btree_set(0..6u8, 1..4);
    prop_oneof![
        3 => (0..3usize, chunks).prop_map(|(writer, chunks)| Step::Look { writer, chunks }),
        3 => (0..3usize).prop_map(|writer| Step::Use { writer }),
        3 => Just(Step::Release),
        2 => Just(Step::Doom),
        2 => Just(Step::Collect),
        1 => (0..6u8).prop_map(|chunk| Step::Move { chunk }),
    ]
}

/// What should be so, kept beside the store.
#[derive(Default)]
struct Model {
    /// By writer: what it pinned, and where it has appended what was not there.
    writers: [Option<BTreeMap<u8, Option<ChunkPlace>>>; 3],
    /// The chunks of each object.
    objects: Vec<BTreeSet<u8>>,
    appended: u64,
    /// Places whose bytes are gone.
    gone: BTreeSet<ChunkPlace>,
}

async fn take(store: &Store, model: &mut Model, step: Step, now: u64) -> Result<(), StoreError> {
    match step {
        Step::Look { writer, chunks } => {
            let mut found = BTreeMap::new();
            for chunk in chunks {
                let known = store.read(move |r| r.chunk(&id(chunk))).await?;
                model.appended += u64::from(known.is_none());
                found.insert(chunk, known.is_none().then(|| place(model.appended)));
            }
            model.writers[writer] = Some(found);
        }
        Step::Use { writer } => {
            let Some(found) = model.writers[writer].take() else { return Ok(()) };
            model.objects.push(found.keys().copied().collect());
            let all = found.into_iter().map(|(chunk, appended)| (id(chunk), appended));
            store.write(move |w| w.use_chunks(weft_store::DatasetId(1), all)).await?;
        }
        Step::Release if model.objects.is_empty() => {}
        Step::Release => {
            let object = model.objects.remove(0);
            let all = object.into_iter().map(id);
            store
                .write(move |w| w.release_chunks(weft_store::DatasetId(1), all, Timestamp(now)))
                .await?;
        }
        Step::Doom => {
            store.write(move |w| w.doom_chunks(Timestamp(now), 2).map(drop)).await?;
        }
        Step::Collect => {
            let pinned = model.writers.iter().flatten().flat_map(|found| found.keys().copied());
            let pinned: BTreeSet<ChunkKey> = pinned.map(id).collect();
            let gone = store.write(move |w| w.collect_chunks(|id| pinned.contains(id))).await?;
            model.gone.extend(gone.into_iter().map(|(_, place)| place));
        }
        Step::Move { chunk } => {
            let Some(from) = store.read(move |r| r.chunk(&id(chunk))).await? else { return Ok(()) };
            model.appended += 1;
            let to = place(model.appended);
            assert!(store.write(move |w| w.move_chunk(&id(chunk), from, to)).await?);
            let again = store.write(move |w| w.move_chunk(&id(chunk), from, to)).await?;
            assert!(!again, "it lies there no more");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn no_chunk_goes_that_somebody_has_found(steps in prop::collection::vec(step(), 0..60)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::open(dir.path()).unwrap();
            let mut model = Model::default();
            for (now, step) in steps.into_iter().enumerate() {
                // A use that fails would be of a chunk that went under its writer.
                take(&store, &mut model, step, now as u64).await.unwrap();
                for chunk in model.objects.iter().flatten().copied() {
                    let found = store.read(move |r| r.chunk(&id(chunk))).await.unwrap();
                    let found = found.expect("an object needs it");
                    assert!(!model.gone.contains(&found), "{found:?} is gone");
                }
            }
            // With nobody about, what nobody needs goes, all of it.
            model.writers = Default::default();
            let later = Timestamp(u64::MAX >> 1);
            store.write(move |w| w.doom_chunks(later, 100).map(drop)).await.unwrap();
            store.write(|w| w.collect_chunks(|_| false).map(drop)).await.unwrap();
            let left: u64 = store.read(|r| r.packs()).await.unwrap().iter().map(|p| p.chunks).sum();
            let needed: BTreeSet<_> = model.objects.iter().flatten().collect();
            assert_eq!(left, needed.len() as u64);
        });
    }
}

#[tokio::test]
async fn packs_tell_what_of_them_is_needed() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let new = [(id(1), Some(place(31))), (id(2), Some(place(35))), (id(3), Some(place(40)))];
    store.write(move |w| w.use_chunks(weft_store::DatasetId(1), new)).await.unwrap();
    let packs = store.read(|r| r.packs()).await.unwrap();
    let of = |pack, chunks| PackUse { pack, chunks, bytes: chunks };
    assert_eq!(packs, [of(3, 2), of(4, 1)]);
    let chunks = store.read(|r| r.chunks_of(3)).await.unwrap();
    assert_eq!(chunks, [(id(1), place(31)), (id(2), place(35))]);
    // Whole or not at all, and not below nothing.
    let some = [(id(1), None), (id(9), None)];
    let missing =
        store.write(move |w| w.use_chunks(weft_store::DatasetId(1), some)).await.unwrap_err();
    assert!(matches!(missing, StoreError::NotFound { what: "chunk", .. }), "{missing:?}");
    store
        .write(|w| w.release_chunks(weft_store::DatasetId(1), [id(1)], Timestamp(1)))
        .await
        .unwrap();
    let below = store
        .write(|w| w.release_chunks(weft_store::DatasetId(1), [id(1)], Timestamp(1)))
        .await
        .unwrap_err();
    assert!(matches!(below, StoreError::Damaged(_)), "{below:?}");
}
