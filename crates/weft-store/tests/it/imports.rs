//! Imports on record.

use weft_store::{
    Came, DatasetId, IMPORTS_KEPT, ImportState, NewDataset, NewImport, Store, StoreError, Write,
};
use weft_types::{Tier, Timestamp};

fn dataset(w: &mut Write<'_>, name: &str) -> Result<DatasetId, StoreError> {
    w.make_dataset(&NewDataset {
        name: name.parse().unwrap(),
        queue: "lab".parse().unwrap(),
        owner: "ann".parse().unwrap(),
        tier: Tier::Internal,
        about: String::new(),
        at: Timestamp(1),
    })
}

fn begin(w: &mut Write<'_>, dataset: DatasetId) -> Result<u64, StoreError> {
    let (what, at) = ("public.orders".to_owned(), Timestamp(2));
    let (query, by) = (String::new(), "ann".to_owned());
    w.begin_import(&NewImport { dataset, source: None, what, query, by, at })
}

#[tokio::test]
async fn the_newest_are_kept_and_all_that_run() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let (orders, other, running) = store
        .write(|w| {
            let (orders, other) = (dataset(w, "orders")?, dataset(w, "other")?);
            let running = begin(w, orders)?;
            for into in [orders, other] {
                for _ in 0..=IMPORTS_KEPT {
                    let id = begin(w, into)?;
                    let ended = ImportState::Done;
                    w.end_import(id, ended, &Came::default(), (None, ""), Timestamp(3))?;
                }
            }
            Ok::<_, StoreError>((orders, other, running))
        })
        .await
        .unwrap();
    let last = store.write(move |w| begin(w, orders)).await.unwrap();
    let kept = store.read(move |r| r.imports(orders, u32::MAX)).await.unwrap();
    let ids: Vec<_> = kept.iter().map(|row| row.id).collect();
    assert_eq!((ids.first(), ids.last()), (Some(&last), Some(&running)));
    assert_eq!(ids.len(), IMPORTS_KEPT as usize + 2);
    let others = store.read(move |r| r.imports(other, u32::MAX)).await.unwrap();
    assert_eq!(others.len(), IMPORTS_KEPT as usize + 1, "those of others stay");
}
