//! Versions by name, what differs between two moments, and putting back what was, against a model
//! that keeps a copy of every moment.

use crate::objects::{dataset, make, object};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use weft_store::{
    At, DatasetId, Expected, Listing, ObjectEntry, Sealed, Store, StoreError, Summed, VersionName,
    Write,
};
use weft_types::Timestamp;

/// What there is: paths, and the content of each.
type Content = BTreeMap<&'static str, u8>;

const PATHS: [&str; 4] = ["a", "a/b", "b", "ü"];

async fn made() -> (tempfile::TempDir, Store, DatasetId) {
    let dir = crate::given::fast_dir();
    let store = Store::open(dir.path()).unwrap();
    let id = store.write(make).await.unwrap();
    (dir, store, id)
}

/// Puts, or deletes where the content is 0.
fn change(w: &mut Write<'_>, id: DatasetId, path: &str, content: u8) -> Result<(), StoreError> {
    let anything = Expected::Anything;
    match content {
        0 => w.delete_object(id, path, &anything, Timestamp(1)).map(drop),
        _ => w.put_object(id, &object(path, content), &anything, Timestamp(1)).map(drop),
    }
}

/// Each moment of a dataset after these changes.
async fn moments(store: &Store, id: DatasetId, steps: Vec<(usize, u8)>) -> Vec<Content> {
    let mut all = vec![Content::new()];
    for (path, content) in steps {
        let (path, mut now) = (PATHS[path], all.last().cloned().unwrap_or_default());
        store.write(move |w| change(w, id, path, content)).await.unwrap();
        let was = now.remove(path);
        now.extend((content != 0).then_some((path, content)));
        if content != 0 || was.is_some() {
            all.push(now);
        }
    }
    all
}

fn content(entry: Option<&ObjectEntry>) -> Option<u8> {
    entry.map(|entry| entry.tag[0])
}

/// Binds nothing: what the gateway does with keys is its own.
fn rewrap(_: &Write<'_>, _: &ObjectEntry, _: u64, sealed: Sealed) -> Result<Sealed, StoreError> {
    Ok(sealed)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn two_moments_differ_where_copies_of_them_do(
        steps in prop::collection::vec((0..4usize, 0..4u8), 0..25),
        one in any::<prop::sample::Index>(), other in any::<prop::sample::Index>(), limit in 1..4u32,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (_dir, store, id) = made().await;
            let all = moments(&store, id, steps).await;
            let (one, other) = (one.index(all.len()), other.index(all.len()));
            let at = |moment: usize| match moment + 1 == all.len() {
                true => At::Now,
                false => At::Changes(moment as u64),
            };
            let (mut found, mut behind, both) = (Vec::new(), String::new(), (at(one), at(other)));
            loop {
                let from = behind.clone();
                let page = store.read(move |r| r.differences(id, both, &from, limit)).await.unwrap();
                let Some(last) = page.last() else { break };
                behind = last.path().to_owned();
                found.extend(page.iter().map(|difference| {
                    let (before, after) = (difference.before.as_ref(), difference.after.as_ref());
                    (difference.path().to_owned(), content(before), content(after))
                }));
            }
            let wanted = PATHS.iter().map(|path| {
                ((*path).to_owned(), all[one].get(path).copied(), all[other].get(path).copied())
            });
            let wanted: Vec<_> = wanted.filter(|(_, before, after)| before != after).collect();
            prop_assert_eq!(found, wanted);
            Ok(())
        })?;
    }

    #[test]
    fn what_was_is_put_back_and_all_in_between_stays(
        steps in prop::collection::vec((0..4usize, 0..4u8), 0..25),
        then in any::<prop::sample::Index>(), limit in 1..4u32,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (_dir, store, id) = made().await;
            let all = moments(&store, id, steps).await;
            let (then, last) = (then.index(all.len()), all.len() - 1);
            let mut behind = Some(String::new());
            while let Some(from) = behind {
                let both = (At::Now, At::Changes(then as u64));
                let found = store.read(move |r| r.differences(id, both, &from, limit)).await;
                let found = found.unwrap();
                behind = found.last().map(|last| last.path().to_owned());
                let put = move |w: &mut Write<'_>| {
                    w.restore_objects(id, then as u64, &found, Timestamp(2), rewrap)
                };
                prop_assert_eq!(store.write(put).await.unwrap().next, None);
            }
            let listing = Listing { limit: 100, ..Listing::default() };
            for (at, wanted) in [(At::Now, then), (At::Changes(last as u64), last)] {
                let listing = listing.clone();
                let page = store.read(move |r| r.list_objects(id, at, &listing, false));
                let page = page.await.unwrap();
                let found = page.entries.iter().map(|(entry, _)| (&*entry.path, entry.tag[0]));
                prop_assert_eq!(found.collect::<BTreeMap<_, _>>(), all[wanted].clone());
            }
            // With all forgotten but what is now, the chunks of that are left.
            let forget = move |w: &mut Write<'_>| {
                w.set_keep_days(id, 0, Timestamp(0))?;
                w.set_keep_days(id, 0, Timestamp(1 << 50))?;
                w.forget_objects(id, Timestamp(9), 100, Timestamp(9))?;
                w.doom_chunks(Timestamp(10), 100)
            };
            store.write(forget).await.unwrap();
            store.write(|w| w.collect_chunks(|_| false)).await.unwrap();
            let left = store.read(|r| r.packs()).await.unwrap().iter().map(|p| p.chunks).sum::<u64>();
            let needed: BTreeSet<u8> = all[then].values().flat_map(|c| [*c, *c / 2]).collect();
            prop_assert_eq!(left, needed.len() as u64);
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn versions_are_found_by_number_day_and_name() {
    let (_dir, store, id) = made().await;
    let day = |n: u64| Timestamp(n * 24 * 3_600_000);
    for n in 1..=3_u8 {
        let made = store.write(move |w| {
            change(w, id, "a", n)?;
            w.make_version(id, "ann", "", day(u64::from(n) * 2))
        });
        assert_eq!(made.await.unwrap().number, u32::from(n));
    }
    let named = |name: &'static str| {
        let found = store.read(move |r| r.version_named(id, &name.parse::<VersionName>().unwrap()));
        async { found.await.unwrap().map(|version| version.number) }
    };
    // Made on the 3rd, the 5th and the 7th of January 1970.
    for (name, number) in [
        ("v2", Some(2)),
        ("v9", None),
        ("1970-01-02", None),
        ("1970-01-03", Some(1)),
        ("1970-01-06", Some(2)),
        ("2026-11-01", Some(3)),
        ("golden", None),
    ] {
        assert_eq!(named(name).await, number, "{name}");
    }
    for number in [1, 3] {
        store.write(move |w| w.tag_version(id, "golden", number)).await.unwrap();
        assert_eq!(named("golden").await, Some(number));
    }
    let tags = store.read(move |r| r.version_tags(id)).await.unwrap();
    assert_eq!(tags, [("golden".to_owned(), 3)]);
    assert!(store.write(move |w| w.tag_version(id, "other", 9)).await.is_err());
    // What a name points to stays; no number is given again.
    let used = store.write(move |w| w.remove_version(id, 3, day(8))).await.unwrap_err();
    assert!(matches!(used, StoreError::InUse { .. }), "{used:?}");
    assert!(store.write(move |w| w.untag_version(id, "golden")).await.unwrap());
    assert!(!store.write(move |w| w.untag_version(id, "golden")).await.unwrap());
    store.write(move |w| w.remove_version(id, 3, day(8))).await.unwrap();
    assert_eq!(named("2026-11-01").await, Some(2));
    assert!(store.write(move |w| w.remove_version(id, 3, day(8))).await.is_err());
    let again = store.write(move |w| w.make_version(id, "ann", "", day(9))).await.unwrap();
    assert_eq!(again.number, 4);
}

/// Within the days that a dataset keeps what ended, all of it comes back; after them nothing does.
#[tokio::test]
async fn what_ended_is_kept_as_long_as_was_said() {
    let (_dir, store, id) = made().await;
    let day = |n: u64| Timestamp(n * 24 * 3_600_000 + 1);
    let forget = async |at: u64| {
        let forget = move |w: &mut Write<'_>| w.forget_objects(id, day(at), 100, day(at));
        store.write(forget).await.unwrap()
    };
    let make = move |w: &mut Write<'_>| {
        change(w, id, "a", 1)?;
        w.make_version(id, "ann", "", day(0))?;
        change(w, id, "a", 2)?;
        w.remove_version(id, 1, day(10))
    };
    store.write(make).await.unwrap();
    assert_eq!(forget(17).await, 0, "a removed version keeps what it holds for seven days");
    store.write(move |w| w.revive_version(id, 1)).await.unwrap();
    assert_eq!(forget(99).await, 0);
    store.read(move |r| r.whole(id, 1)).await.unwrap();
    store.write(move |w| w.remove_version(id, 1, day(100))).await.unwrap();
    // To keep less takes as long as it was to be kept.
    store.write(move |w| w.set_keep_days(id, 1, day(101))).await.unwrap();
    assert_eq!(forget(107).await, 0);
    assert_eq!(forget(108).await, 1);
    let unknown = store.read(move |r| r.whole(id, 1)).await.unwrap_err();
    assert!(matches!(unknown, StoreError::NotFound { .. }), "{unknown:?}");
    let moments = (At::Changes(1), At::Now);
    assert!(store.read(move |r| r.differences(id, moments, "", 9)).await.is_err());
    // To keep more is so at once.
    store.write(move |w| w.set_keep_days(id, 30, day(109))).await.unwrap();
    store
        .write(move |w| {
            let new = object("a", 3);
            w.put_object(id, &new, &Expected::Anything, day(110))
        })
        .await
        .unwrap();
    assert_eq!(forget(140).await, 0);

    // A dataset that ended frees its name, and comes back if nobody has taken that.
    assert!(store.write(move |w| w.forget_dataset(id, None, day(999))).await.is_err());
    store.write(move |w| w.end_dataset(id, day(200))).await.unwrap();
    assert_eq!(store.read(|r| r.dataset(&dataset().name)).await.unwrap(), None);
    let other = store.write(crate::objects::make).await.unwrap();
    let taken = store.write(move |w| w.revive_dataset(id, None)).await;
    // Without keys it counts as forgotten: the gateway has put none.
    assert!(taken.is_err());
    assert!(other > id);
    let early = store.write(move |w| w.forget_dataset(id, None, day(230))).await.unwrap_err();
    assert!(matches!(early, StoreError::InUse { .. }), "{early:?}");
    // What was summed before is believed as long as nothing has changed since.
    let summed = store.read(move |r| r.sum_objects(id)).await.unwrap();
    assert_eq!(summed.objects, 1);
    let counted = async |summed| {
        let gone = store.write(move |w| w.forget_dataset(id, Some(summed), day(231)));
        gone.await.unwrap().objects
    };
    assert_eq!(counted(Summed { objects: 42, ..summed }).await, 42);
    assert_eq!(counted(Summed { objects: 42, changes: 1, ..summed }).await, 1);
    let gone = store.write(move |w| w.forget_dataset(id, None, day(231))).await.unwrap();
    assert_eq!((gone.objects, gone.was.id), (1, id));
    while store.write(move |w| w.forget_rows(id, 1, day(231))).await.unwrap() {}
    assert_eq!(store.read(move |r| r.dataset_by_id(id)).await.unwrap(), None);
    store.write(move |w| w.doom_chunks(day(999), 100)).await.unwrap();
    store.write(|w| w.collect_chunks(|_| false)).await.unwrap();
    assert!(store.read(|r| r.packs()).await.unwrap().is_empty());
}

/// What was summed before counts, but where something has changed since.
#[tokio::test]
async fn a_version_says_what_is_there_whenever_it_was_summed() {
    let (_dir, store, id) = made().await;
    store.write(move |w| change(w, id, "a", 1)).await.unwrap();
    let first = store.read(move |r| r.sum_objects(id)).await.unwrap();
    assert_eq!((first.changes, first.objects, first.bytes.0), (1, 1, 1));
    store.write(move |w| change(w, id, "b", 2)).await.unwrap();
    let make =
        move |w: &mut Write<'_>| w.make_version_of(id, Some(first), ("ann", ""), Timestamp(1));
    let version = store.write(make).await.unwrap();
    let now = store.read(move |r| r.sum_objects(id)).await.unwrap();
    assert_eq!((version.changes, version.objects, version.bytes.0), (2, 2, 3));
    assert_eq!((version.digest, version.digest == first.digest), (now.digest, false));
    // Taken as it is where nothing has: the digest here is a made-up one.
    store.write(move |w| change(w, id, "c", 3)).await.unwrap();
    let sum = store.read(move |r| r.sum_objects(id)).await.unwrap();
    let sum = weft_store::Summed { digest: [9; 32], ..sum };
    let make = move |w: &mut Write<'_>| w.make_version_of(id, Some(sum), ("ann", ""), Timestamp(1));
    assert_eq!(store.write(make).await.unwrap().digest, [9; 32]);
}
