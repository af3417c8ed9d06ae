//! Objects and versions against a model that copies everything.

use proptest::prelude::*;
use std::collections::BTreeMap;
use weft_store::{
    At, DatasetId, DatasetKeys, Expected, Listing, NewDataset, NewObject, ObjectEntry, Sealed,
    Store, StoreError, Write,
};
use weft_types::{Bytes, Tier, Timestamp};

pub(crate) fn dataset() -> NewDataset {
    NewDataset {
        name: "claims".parse().unwrap(),
        queue: "lab".parse().unwrap(),
        owner: "ann".parse().unwrap(),
        tier: Tier::Confidential,
        about: "what was claimed".to_owned(),
        at: Timestamp(1),
    }
}

pub(crate) fn object(path: &str, content: u8) -> NewObject {
    let place = weft_store::ChunkPlace { pack: 1, offset: u64::from(content), length: 1 };
    NewObject {
        path: path.to_owned(),
        bytes: Bytes(u64::from(content)),
        tag: vec![content],
        parts: None,
        sealed: sealed(content),
        // Shared with its neighbours, and twice in itself.
        chunks: [content, content / 2, content].map(|id| ([id; 32], Some(place))).to_vec(),
    }
}

pub(crate) fn sealed(content: u8) -> Sealed {
    let (key, notes, manifest) = (vec![2; 60], vec![4, content], vec![3, content]);
    Sealed { key_number: 1, key, notes, manifest }
}

/// What there is at a moment: paths, and the content of each.
type Content = BTreeMap<String, u8>;

fn shown(entries: Vec<ObjectEntry>) -> Content {
    entries.into_iter().map(|entry| (entry.path, entry.tag[0])).collect()
}

async fn list(store: &Store, id: DatasetId, at: At) -> Content {
    // Two at a time: each page begins behind the last.
    let (mut all, mut after) = (Vec::new(), String::new());
    loop {
        let from = after.clone();
        let listing = Listing { after: from, limit: 2, ..Listing::default() };
        let page = store.read(move |r| r.list_objects(id, at, &listing, false)).await.unwrap();
        all.extend(page.entries.into_iter().map(|(entry, _)| entry));
        let Some(next) = page.next else { return shown(all) };
        after = next;
    }
}

#[derive(Debug, Clone)]
enum Step {
    Put { path: String, content: u8, expected: u8 },
    Delete { path: String },
    Version,
    Forget { before: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let path = || prop::sample::select(vec!["a", "a/b", "a/b/ä", "a0", "b", "ü"]);
    let (path, other) = (path().prop_map(str::to_owned), path().prop_map(str::to_owned));
    prop_oneof![
        5 => (path, 0..8u8, 0..10u8)
            .prop_map(|(path, content, expected)| Step::Put { path, content, expected }),
        2 => other.prop_map(|path| Step::Delete { path }),
        2 => Just(Step::Version),
        1 => (0..60u64).prop_map(|before| Step::Forget { before }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn versions_stay_as_they_were(steps in prop::collection::vec(step(), 0..40)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let store = Store::open(dir.path()).unwrap();
            let id = store.write(make).await.unwrap();
            let all = move |w: &mut Write<'_>| {
                w.set_keep_days(id, 0, Timestamp(0))?;
                w.set_keep_days(id, 0, Timestamp(1 << 50))
            };
            store.write(all).await.unwrap();
            let (mut now, mut versions) = (Content::new(), Vec::new());
            for (at, step) in steps.into_iter().enumerate() {
                take(&store, id, (&mut now, &mut versions), step, at as u64).await;
                assert_eq!(list(&store, id, At::Now).await, now);
            }
            for (changes, content, digest) in &versions {
                assert_eq!(list(&store, id, At::Changes(*changes)).await, *content);
                let same = versions.iter().filter(|(_, other, _)| other == content);
                assert!(same.clone().all(|(.., other)| other == digest), "by content alone");
                let other = versions.iter().filter(|(_, other, _)| other != content);
                assert!(other.clone().all(|(.., other)| other != digest));
            }
            uses_are_those_of_objects(&store, id, &now, &versions).await;
        });
    }
}

/// The changes of a version, what was in it, and its digest.
type Version = (u64, Content, [u8; 32]);

async fn take(
    store: &Store,
    id: DatasetId,
    (now, versions): (&mut Content, &mut Vec<Version>),
    step: Step,
    at: u64,
) {
    let time = Timestamp(at);
    match step {
        Step::Put { path, content, expected } => {
            let (expected, fits) = match expected {
                0 => (Expected::Absent, !now.contains_key(&path)),
                1..5 => (Expected::Tag(vec![expected]), now.get(&path) == Some(&expected)),
                _ => (Expected::Anything, true),
            };
            let new = object(&path, content);
            let put = store.write(move |w| w.put_object(id, &new, &expected, time)).await;
            assert_eq!(put.unwrap().is_some(), fits);
            if fits {
                now.insert(path, content);
            }
        }
        Step::Delete { path } => {
            let gone = path.clone();
            let delete = move |w: &mut weft_store::Write<'_>| {
                w.delete_object(id, &gone, &Expected::Anything, time)
            };
            let deleted = store.write(delete).await.unwrap().expect("nothing was expected");
            assert_eq!(deleted.is_some(), now.remove(&path).is_some());
        }
        Step::Version => {
            let made = store.write(move |w| w.make_version(id, "ann", "", time)).await.unwrap();
            assert_eq!((made.objects, made.bytes.0), sums(now));
            if versions.last().is_none_or(|(changes, ..)| *changes != made.changes) {
                versions.push((made.changes, now.clone(), made.digest));
            }
            assert_eq!(made.number as usize, versions.len());
        }
        Step::Forget { before } => {
            let before = Timestamp(before);
            store.write(move |w| w.forget_objects(id, before, 100, time)).await.unwrap();
        }
    }
}

fn sums(content: &Content) -> (u64, u64) {
    (content.len() as u64, content.values().map(|bytes| u64::from(*bytes)).sum())
}

/// Once all is forgotten that may be, exactly the chunks of what is left are there.
async fn uses_are_those_of_objects(
    store: &Store,
    id: DatasetId,
    now: &Content,
    versions: &[Version],
) {
    let late = Timestamp(1 << 40);
    store.write(move |w| w.forget_objects(id, late, 1000, late)).await.unwrap();
    store.write(move |w| w.doom_chunks(Timestamp(late.0 + 1), 1000)).await.unwrap();
    store.write(|w| w.collect_chunks(|_| false)).await.unwrap();
    let contents = versions.iter().map(|(_, content, _)| content).chain([now]);
    let needed = contents.flat_map(|content| content.values().flat_map(|c| [*c, *c / 2]));
    let needed: std::collections::BTreeSet<u8> = needed.collect();
    let left: u64 = store.read(|r| r.packs()).await.unwrap().iter().map(|pack| pack.chunks).sum();
    assert_eq!(left, needed.len() as u64);
}

#[tokio::test]
async fn a_name_is_given_once_and_an_object_is_found_by_the_change_that_put_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let id = store.write(make).await.unwrap();
    let taken = store.write(|w| w.make_dataset(&dataset())).await.unwrap_err();
    assert!(matches!(taken, StoreError::Exists { what: "dataset", .. }), "{taken:?}");
    let row = store.read(|r| r.dataset(&dataset().name)).await.unwrap().unwrap();
    assert_eq!((row.id, &row.is), (id, &dataset()));
    let wrapped = DatasetKeys {
        queue: dataset().queue,
        team: vec![7; 60],
        content: vec![8; 60],
        number: 1,
        key: vec![9; 60],
        old: None,
    };
    let keys = wrapped.clone();
    let put = move |w: &mut Write<'_>| {
        w.put_team_key(&keys.queue, &keys.team)?;
        w.put_dataset_keys(id, &keys)
    };
    store.write(put).await.unwrap();
    assert_eq!(store.read(move |r| r.dataset_keys(id)).await.unwrap(), wrapped);
    for path in ["logs/2", "logs", "logs/1", "logs-old", "ma/1"] {
        let new = object(path, 1);
        store
            .write(move |w| w.put_object(id, &new, &Expected::Anything, Timestamp(1)))
            .await
            .unwrap();
    }
    let found = store.read(move |r| r.object(id, "logs", At::Now)).await.unwrap().unwrap();
    assert_eq!((found.sealed, found.entry.since), (sealed(1), 2));
    assert_eq!(store.read(move |r| r.object(id, "logs", At::Changes(1))).await.unwrap(), None);
    let entry = store.read(move |r| r.object_entry(id, "logs", At::Put(2))).await.unwrap();
    assert_eq!(entry, Some(found.entry));
    assert_eq!(store.read(move |r| r.object(id, "logs", At::Put(1))).await.unwrap(), None);
}

/// Makes it, with room for what tests put.
pub(crate) fn make(w: &mut Write<'_>) -> Result<DatasetId, StoreError> {
    let room = weft_store::DataHeld { bytes: Bytes(1 << 40), objects: 1 << 40 };
    w.put_data_quota(&dataset().queue, room)?;
    w.make_dataset(&dataset())
}
