//! Where versions came from, and outputs on their way into datasets.

use crate::given::{new_workload, pool};
use weft_store::{
    DatasetId, NewDataset, NewOrigin, OriginInput, OriginKind, PublicationRow, Published, Store,
    StoreError, Write,
};
use weft_types::{Tier, Timestamp, WorkloadId};

/// A workload with these outputs, which waits.
fn submits(w: &mut Write<'_>, name: &str, outputs: &[&str]) -> Result<WorkloadId, StoreError> {
    let id = w.submit_workload(new_workload(name, 1))?.id;
    let outputs: Vec<_> =
        outputs.iter().map(|path| ((*path).to_owned(), "digits".parse().unwrap())).collect();
    w.declare_publications(id, &outputs)?;
    Ok(id)
}

fn ends(w: &mut Write<'_>, id: WorkloadId) -> Result<u64, StoreError> {
    let mut row = w.workload(id)?.unwrap();
    row.record.apply(weft_lifecycle::Event::StopRequested, Timestamp(9)).unwrap();
    w.save_workload(&row, Timestamp(9))
}

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
    let store = pool(dir.path()).await;
    let id = store.write(|w| submits(w, "trains", &["model/"])).await.unwrap();
    let open = async || {
        let open = store.read(|r| r.open_publications(None, 10)).await.unwrap();
        open.into_iter().map(|(row, _)| row).collect::<Vec<_>>()
    };
    assert!(open().await.is_empty(), "its workload has not ended");
    store.write(move |w| ends(w, id)).await.unwrap();
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
    let store = pool(dir.path()).await;
    let mut ids = Vec::new();
    for name in ["one", "two", "three"] {
        ids.push(store.write(move |w| submits(w, name, &["a/", "b/"])).await.unwrap());
    }
    let (first, last) = (ids[0], ids[2]);
    store.write(move |w| ends(w, first).and(ends(w, last))).await.unwrap();
    let (mut found, mut after) = (Vec::new(), None);
    while let [(row, team)] = &store.read(move |r| r.open_publications(after, 1)).await.unwrap()[..]
    {
        assert_eq!(team.as_str(), "lab");
        found.push((row.workload, row.entry));
        after = Some((row.workload, row.entry));
    }
    assert_eq!(found, [(first, 0), (first, 1), (last, 0), (last, 1)]);
}
