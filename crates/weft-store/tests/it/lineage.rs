//! Where versions came from, and outputs on their way into datasets.

use weft_store::{
    DatasetId, NewDataset, NewOrigin, OriginInput, OriginKind, PublicationRow, Published, Store,
    Write,
};
use weft_types::{Tier, Timestamp, WorkloadId};

fn new(name: &str) -> NewDataset {
    NewDataset {
        name: name.parse().unwrap(),
        queue: "lab".parse().unwrap(),
        owner: "ann".parse().unwrap(),
        tier: Tier::Internal,
        about: String::new(),
        at: Timestamp(1),
    }
}

#[tokio::test]
async fn a_version_is_followed_back_and_forth() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let made = |w: &mut Write<'_>| -> Result<_, weft_store::StoreError> {
        let ids = [w.make_dataset(&new("digits"))?, w.make_dataset(&new("digits-model"))?];
        for id in ids {
            w.make_version(id, "ann", "", Timestamp(2))?;
        }
        let input = OriginInput { dataset: ids[0], number: 1, name: "digits".to_owned() };
        // Two that are not known here any more, of an equal number.
        let lost =
            |name: &str| OriginInput { dataset: DatasetId(0), number: 1, name: name.to_owned() };
        let all = vec![input.clone(), lost("lost-a"), lost("lost-b")];
        let origin = NewOrigin {
            kind: OriginKind::Run,
            what: "w1".to_owned(),
            actor: "ann".parse().unwrap(),
            queue: "lab".parse().unwrap(),
            bundle: Some("ab".repeat(32)),
            detail: "{}".to_owned(),
            // One that is mounted twice was read.
            inputs: [all.clone(), vec![input]].concat(),
            at: Timestamp(3),
        };
        w.put_origin(ids[1], 1, &origin)?;
        Ok((ids, NewOrigin { inputs: all, ..origin }))
    };
    let (ids, origin) = store.write(made).await.unwrap();
    let [back, forth, none] = store
        .read(move |r| {
            Ok::<_, weft_store::StoreError>([
                r.origins(ids[1], 1)?,
                r.derived(ids[0], 1, 10)?,
                r.derived(ids[1], 1, 10)?,
            ])
        })
        .await
        .unwrap();
    assert_eq!(back, forth);
    assert_eq!((back.len(), &back[0].is, none.len()), (1, &origin, 0));
    // The code is kept as long as what it made.
    let bundles = async || store.read(|r| r.origin_bundles()).await.unwrap();
    assert_eq!(bundles().await.into_iter().collect::<Vec<_>>(), ["ab".repeat(32)]);
}

#[tokio::test]
async fn an_output_waits_until_something_becomes_of_it_and_its_files_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let id = WorkloadId(7);
    let outputs = [("model/".to_owned(), "digits-model".parse().unwrap())];
    store.write(move |w| w.declare_publications(id, &outputs)).await.unwrap();
    let open = async || store.read(|r| r.open_publications(None, 10)).await.unwrap();
    let waiting = open().await;
    assert_eq!((waiting.len(), waiting[0].state, waiting[0].files), (1, Published::Waiting, true));
    let behind = store.read(move |r| r.open_publications(Some((id, 0)), 10)).await.unwrap();
    assert!(behind.is_empty());
    let made = PublicationRow {
        state: Published::Made,
        version: Some(3),
        why: String::new(),
        ..waiting[0].clone()
    };
    let saved = made.clone();
    store.write(move |w| w.save_publication(&saved)).await.unwrap();
    assert_eq!(open().await, std::slice::from_ref(&made), "its files are there yet");
    let cleared = PublicationRow { files: false, ..made };
    store.write(move |w| w.save_publication(&cleared)).await.unwrap();
    assert!(open().await.is_empty());
    let kept = store.read(move |r| r.publications(id)).await.unwrap();
    assert_eq!((kept[0].version, kept[0].path.as_str()), (Some(3), "model/"));
}

#[tokio::test]
async fn open_outputs_are_walked_from_behind_one_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    for workload in [7, 9] {
        let outputs = ["a/", "b/"].map(|path| (path.to_owned(), "digits".parse().unwrap()));
        store.write(move |w| w.declare_publications(WorkloadId(workload), &outputs)).await.unwrap();
    }
    let (mut found, mut after) = (Vec::new(), None);
    while let [row] = &store.read(move |r| r.open_publications(after, 1)).await.unwrap()[..] {
        found.push((row.workload.0, row.entry));
        after = Some((row.workload, row.entry));
    }
    assert_eq!(found, [(7, 0), (7, 1), (9, 0), (9, 1)]);
}
