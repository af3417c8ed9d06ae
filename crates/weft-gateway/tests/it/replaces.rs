//! A dataset that becomes exactly what is put into it, and a version when that has arrived.

use crate::datasets::{NOW, Place, nothing};
use crate::{fast_dir, key};
use weft_gateway::{DataError, Notes, REPLACED_AT_ONCE, Replacing};
use weft_store::{At, DatasetRow, DatasetVersionRow, Listing, StoreError};

/// Objects of one transaction.
const SOME: usize = 256;

async fn now(place: &Place) -> DatasetRow {
    let id = place.dataset.id;
    place.store.read(move |r| r.dataset_by_id(id)).await.unwrap().unwrap()
}

async fn paths(place: &Place, at: At) -> Vec<String> {
    let listing = Listing { limit: 10_000, ..Listing::default() };
    let page = place.data.list(&place.dataset, at, listing, false).await.unwrap();
    page.entries.into_iter().map(|listed| listed.entry.path).collect()
}

async fn put(replacing: &mut Replacing, place: &Place, path: &str, body: &[u8]) {
    let staged = place.data.stage(&place.dataset, body).await.unwrap();
    replacing.put(path, staged, &Notes::new(), NOW).await.unwrap();
}

async fn finish(mut replacing: Replacing) -> Result<DatasetVersionRow, DataError> {
    replacing.finish(("ann".to_owned(), "made by w1".to_owned()), nothing(), NOW).await
}

/// As many as are several transactions, and as many others that go.
#[tokio::test]
async fn it_is_what_was_put_and_nothing_else() {
    let dir = fast_dir();
    let place = Place::open(dir.path(), &key()).await;
    for n in 0..600 {
        place.put(&format!("old/{n}"), b"old").await;
    }
    let id = place.dataset.id;
    place.store.write(move |w| w.make_version(id, "ann", "", NOW)).await.unwrap();
    let mut replacing = place.data.replace(&now(&place).await, SOME);
    let mut wanted: Vec<String> = (0..600).map(|n| format!("new/{n}")).collect();
    for path in &wanted {
        put(&mut replacing, &place, path, path.as_bytes()).await;
    }
    put(&mut replacing, &place, "old/7", b"old").await;
    assert_eq!(place.store.read(move |r| r.dataset_versions(id)).await.unwrap().len(), 1);
    let version = finish(replacing).await.unwrap();
    wanted.push("old/7".to_owned());
    wanted.sort();
    assert_eq!((version.number, version.objects), (2, 601));
    assert_eq!(paths(&place, At::Now).await, wanted);
    assert_eq!(paths(&place, At::Changes(600)).await.len(), 600, "the version before is whole");
    assert_eq!(place.get("new/9", At::Now, 0..9).await, b"new/9");

    // The same once more is the same version: nothing changes.
    let mut replacing = place.data.replace(&now(&place).await, SOME);
    for path in &wanted {
        let body = if path == "old/7" { "old" } else { path };
        put(&mut replacing, &place, path, body.as_bytes()).await;
    }
    assert_eq!(finish(replacing).await.unwrap().number, 2);
}

#[tokio::test]
async fn who_gives_up_leaves_what_was_there() {
    let dir = fast_dir();
    let place = Place::open(dir.path(), &key()).await;
    place.put("kept", b"kept").await;
    let mut replacing = place.data.replace(&now(&place).await, SOME);
    for n in 0..300 {
        put(&mut replacing, &place, &format!("new/{n}"), b"new").await;
    }
    assert!(paths(&place, At::Now).await.len() > 1, "some of many are there already");
    replacing.undo(NOW).await.unwrap();
    assert_eq!(paths(&place, At::Now).await, ["kept"]);
}

/// Nobody sees it on its way, and a crash before its end leaves what there was.
#[tokio::test]
async fn up_to_its_end_there_is_what_there_was() {
    let dir = fast_dir();
    let key = key();
    let place = Place::open(dir.path(), &key).await;
    for n in 0..300 {
        place.put(&format!("old/{n}"), b"old").await;
    }
    let before = paths(&place, At::Now).await;
    let mut replacing = place.data.replace(&now(&place).await, REPLACED_AT_ONCE);
    for n in 0..700 {
        put(&mut replacing, &place, &format!("new/{n}"), b"new").await;
    }
    assert_eq!(paths(&place, At::Now).await, before);
    // As if the server had been killed here.
    drop(replacing);
    let place = Place::open(dir.path(), &key).await;
    assert_eq!(paths(&place, At::Now).await, before);
    let mut replacing = place.data.replace(&now(&place).await, REPLACED_AT_ONCE);
    for n in 0..700 {
        put(&mut replacing, &place, &format!("new/{n}"), b"new").await;
    }
    assert_eq!(finish(replacing).await.unwrap().objects, 700);
    assert_eq!(paths(&place, At::Now).await.len(), 700);
}

#[tokio::test]
async fn whoever_writes_meanwhile_keeps_what_he_wrote_and_there_is_no_version() {
    let dir = fast_dir();
    let place = Place::open(dir.path(), &key()).await;
    let mut replacing = place.data.replace(&now(&place).await, SOME);
    put(&mut replacing, &place, "model", b"weights").await;
    place.put("mine", b"mine").await;
    let refused = finish(replacing).await.unwrap_err();
    assert!(matches!(refused, DataError::Moved), "{refused}");
    let id = place.dataset.id;
    assert_eq!(paths(&place, At::Now).await, ["mine"]);
    assert!(place.store.read(move |r| r.dataset_versions(id)).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_has_to_be_with_the_version_is_with_it_or_neither_is() {
    let dir = fast_dir();
    let place = Place::open(dir.path(), &key()).await;
    let mut replacing = place.data.replace(&now(&place).await, SOME);
    put(&mut replacing, &place, "model", b"weights").await;
    let also = Box::new(|_: &mut weft_store::Write<'_>, version: &DatasetVersionRow| {
        assert_eq!(version.number, 1);
        Err(StoreError::Closed)
    });
    let by = ("ann".to_owned(), String::new());
    assert!(replacing.finish(by, also, NOW).await.is_err());
    assert!(paths(&place, At::Now).await.is_empty(), "one that is small comes whole");
}
