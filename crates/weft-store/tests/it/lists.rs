//! Lists by prefix and delimiter, and histories of paths, against models that walk everything.

use crate::objects::{make, object};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use weft_store::{At, DatasetId, Expected, Listing, Store, StoreError, Write};
use weft_types::Timestamp;

async fn made() -> (tempfile::TempDir, Store, DatasetId) {
    let dir = crate::given::fast_dir();
    let store = Store::open(dir.path()).unwrap();
    let id = store.write(make).await.unwrap();
    (dir, store, id)
}

fn put(w: &mut Write<'_>, id: DatasetId, path: &str, content: u8) -> Result<(), StoreError> {
    let new = object(path, content);
    w.put_object(id, &new, &Expected::Anything, Timestamp(1)).map(drop)
}

/// Entries and common prefixes in the order of their bytes; prefixes are told apart by `true`.
fn expected(paths: &BTreeSet<String>, listing: &Listing) -> Vec<(String, bool)> {
    let mut all: Vec<(String, bool)> = Vec::new();
    for path in paths {
        let Some(rest) = path.strip_prefix(&listing.prefix) else { continue };
        let delimiter = listing.delimiter.as_ref();
        let common = delimiter.and_then(|d| Some(rest.find(d.as_str())? + d.len()));
        let shown =
            common.map_or(path.clone(), |length| path[..listing.prefix.len() + length].to_owned());
        let entry = (shown, common.is_some());
        if entry.0 > listing.after && all.last() != Some(&entry) {
            all.push(entry);
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn pages_are_what_a_walk_over_everything_says(
        paths in prop::collection::btree_set("[ab/\u{10ffff}é]{1,5}", 0..30),
        prefix in "[ab/]{0,2}", delimiter in prop::option::of("/|ab|\u{10ffff}"), limit in 1..4u32,
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (_dir, store, id) = made().await;
            let all = paths.clone();
            store.write(move |w| all.iter().try_for_each(|path| put(w, id, path, 1))).await.unwrap();
            let mut listing = Listing { prefix, delimiter, after: String::new(), limit };
            let wanted = expected(&paths, &listing);
            for at in [At::Now, At::Changes(paths.len() as u64)] {
                let mut found = Vec::new();
                listing.after = String::new();
                loop {
                    let of = listing.clone();
                    let page = store.read(move |r| r.list_objects(id, at, &of, true)).await.unwrap();
                    let entries = page.entries.iter().map(|(entry, notes)| {
                        assert_eq!(notes.as_ref().unwrap().notes, [4, 1]);
                        (entry.path.clone(), false)
                    });
                    let mut some: Vec<_> = entries.collect();
                    some.extend(page.prefixes.into_iter().map(|prefix| (prefix, true)));
                    some.sort();
                    prop_assert!(some.len() <= limit as usize);
                    let last = some.last().map(|(shown, _)| shown.clone());
                    prop_assert!(page.next.is_none() || page.next == last);
                    found.extend(some);
                    let Some(next) = page.next else { break };
                    listing.after = next;
                }
                prop_assert_eq!(&found, &wanted);
            }
            Ok(())
        })?;
    }

    #[test]
    fn histories_tell_each_put_and_each_deletion(
        steps in prop::collection::vec((0..4usize, 0..4u8), 0..25), limit in 1..5u32,
        prefix in "|a|a/", delimiter in prop::option::of("/"),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (_dir, store, id) = made().await;
            // By path: the change, and what it put.
            let mut told: BTreeMap<&str, Vec<(u64, Option<u8>)>> = BTreeMap::new();
            let mut change = 0;
            for (path, content) in steps {
                let path = ["a", "a/b", "a/c/d", "b"][path];
                let moments = told.entry(path).or_default();
                if content == 0 {
                    let delete = move |w: &mut Write<'_>| {
                        w.delete_object(id, path, &Expected::Anything, Timestamp(7))
                    };
                    let there = moments.last().is_some_and(|(_, put)| put.is_some());
                    change += u64::from(there);
                    let deleted = store.write(delete).await.unwrap();
                    assert_eq!(deleted, Some(there.then_some(change)));
                    moments.extend(there.then_some((change, None)));
                } else {
                    store.write(move |w| put(w, id, path, content)).await.unwrap();
                    change += 1;
                    moments.push((change, Some(content)));
                }
            }
            let listing = Listing { prefix, delimiter, after: String::new(), limit };
            let paths = told.iter().filter(|(_, moments)| !moments.is_empty());
            let paths = paths.map(|(path, _)| (*path).to_owned()).collect();
            // Of a common prefix nothing but its name is told.
            let wanted = expected(&paths, &listing).into_iter().flat_map(|(shown, is_prefix)| {
                let moments = if is_prefix { &[] } else { &told[&*shown][..] };
                let latest = moments.last().map(|(change, _)| *change);
                let each = moments.iter().rev();
                let told: Vec<_> = each
                    .map(|(change, put)| {
                        (shown.clone(), Some((*change, Some(*change) == latest, *put)))
                    })
                    .collect();
                is_prefix.then_some((shown, None)).into_iter().chain(told).collect::<Vec<_>>()
            });
            let wanted: Vec<_> = wanted.collect();
            let (mut found, mut of, mut after) = (Vec::new(), listing, 0);
            loop {
                let (asked, change) = (of.clone(), after);
                let page = store.read(move |r| r.object_history(id, &asked, change)).await.unwrap();
                let mut some: Vec<_> = page.prefixes.into_iter().map(|p| (p, None)).collect();
                some.extend(page.entries.into_iter().map(|is| {
                    (is.path, Some((is.change, is.is_latest, is.put.map(|put| put.tag[0]))))
                }));
                assert!(some.len() <= limit as usize);
                // By path; within one the newest first, as they came.
                some.sort_by(|a, b| a.0.cmp(&b.0));
                found.extend(some);
                let Some((path, change)) = page.next else { break };
                (of.after, after) = (path, change.unwrap_or(0));
            }
            prop_assert_eq!(found, wanted);
            Ok(())
        })?;
    }
}
