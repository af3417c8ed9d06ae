//! Keys that others take the place of, while writers go on, and wherever it is cut off.

use crate::datasets::{ALL, NOW, Place, new, nothing};
use crate::{fast_dir, key, noise};
use std::path::{Path, PathBuf};
use weft_gateway::{Data, Notes, Packs, master};
use weft_store::{At, Expected};

fn file(dir: &Path) -> PathBuf {
    dir.join("master")
}

async fn open(dir: &Path) -> Place {
    Place::open(dir, &master(&file(dir), true).unwrap()).await
}

/// Objects, an upload with a part, and two datasets of a team.
async fn fill(place: &Place) {
    for n in 0..20 {
        place.put(&format!("{n}"), &noise(n, 100)).await;
    }
    let (data, dataset) = (&place.data, &place.dataset);
    data.make(new("twin"), nothing()).await.unwrap();
    let notes = Notes::from([("a".to_owned(), "b".to_owned())]);
    let upload = data.begin_upload(dataset, "big", notes, nothing(), NOW).await.unwrap();
    let staged = data.stage(dataset, &noise(99, 100)[..]).await.unwrap();
    data.keep_part(dataset, upload, 1, staged, Notes::new(), nothing(), NOW).await.unwrap();
}

/// All of it opens.
async fn assert_whole(place: &Place) {
    let (data, dataset) = (&place.data, &place.dataset);
    for n in 0..20 {
        assert_eq!(place.get(&format!("{n}"), At::Now, ALL).await, noise(n, 100));
    }
    let first = weft_store::UploadId(0);
    let uploads = data.uploads(dataset, "", ("", first), 9).await.unwrap();
    assert_eq!((uploads.len(), uploads[0].notes["a"].as_str()), (1, "b"));
    assert_eq!(data.parts(dataset, uploads[0].id, 0, 9).await.unwrap().len(), 1);
    let twin = place.store.read(|r| r.dataset(&"twin".parse().unwrap())).await.unwrap().unwrap();
    data.stage(&twin, &b"x"[..]).await.unwrap();
}

#[tokio::test]
async fn each_key_rotates_and_the_one_before_opens_nothing() {
    let dir = fast_dir();
    let place = open(dir.path()).await;
    fill(&place).await;
    let (data, dataset, id) = (&place.data, &place.dataset, place.dataset.id);
    let old_file = std::fs::read(file(dir.path())).unwrap();
    let old = place.store.read(move |r| r.dataset_keys(id)).await.unwrap();
    data.rotate_master(nothing()).await.unwrap();
    data.rotate_team(&dataset.is.queue, nothing()).await.unwrap();
    assert_eq!(data.rotate_dataset(dataset, nothing()).await.unwrap(), 22);
    assert_whole(&place).await;
    let now = place.store.read(move |r| r.dataset_keys(id)).await.unwrap();
    assert_eq!((now.number, &now.old), (2, &None));
    for (before, after) in [(old.team, now.team), (old.key, now.key), (old.content, now.content)] {
        assert_ne!(before, after);
        for file in ["weft.db", "weft.db-wal"] {
            let bytes = std::fs::read(dir.path().join(file)).unwrap();
            assert!(!bytes.windows(16).any(|some| some == &before[..16]), "{file}");
        }
    }
    // The same bytes are found again: what finds them stays.
    assert_eq!(place.put("again", &noise(3, 100)).await, 0);
    let again = master(&file(dir.path()), false).unwrap();
    assert!(!again.is_rotating());
    let packs = || Packs::open(&dir.path().join("packs"), 1 << 20).unwrap();
    let reopened = Data::new(place.store.clone(), packs(), again);
    assert!(reopened.object(dataset, "3", At::Now).await.unwrap().is_some());
    std::fs::write(file(dir.path()), old_file).unwrap();
    let before = Data::new(place.store.clone(), packs(), master(&file(dir.path()), false).unwrap());
    assert!(before.object(dataset, "3", At::Now).await.is_err());
    // A key that is in no file is not put into none.
    let bare = Data::new(place.store.clone(), packs(), key());
    let refused = bare.rotate_master(nothing()).await.unwrap_err().to_string();
    assert!(refused.contains("no file"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_go_on_while_a_dataset_is_wrapped_anew() {
    let dir = fast_dir();
    let place = std::sync::Arc::new(open(dir.path()).await);
    let writers: Vec<_> = (0..3_u64)
        .map(|writer| {
            let place = place.clone();
            tokio::spawn(async move {
                for n in 0..60 {
                    // Some anew, some again, some in parts.
                    let path = format!("{writer}/{}", n % 40);
                    place.put(&path, &noise(n, 50)).await;
                    if n % 10 == 0 {
                        put_in_parts(&place, &format!("{path}/parts")).await;
                    }
                }
            })
        })
        .collect();
    let mut rotations = 0;
    while !writers.iter().all(tokio::task::JoinHandle::is_finished) || rotations < 2 {
        place.data.rotate_dataset(&place.dataset, nothing()).await.unwrap();
        place.data.rotate_team(&place.dataset.is.queue, nothing()).await.unwrap();
        place.data.rotate_master(nothing()).await.unwrap();
        rotations += 1;
    }
    for writer in writers {
        writer.await.unwrap();
    }
    let id = place.dataset.id;
    place.data.rotate_dataset(&place.dataset, nothing()).await.unwrap();
    let keys = place.store.read(move |r| r.dataset_keys(id)).await.unwrap();
    let listing = weft_store::Listing { limit: 1_000, ..Default::default() };
    let all = place.data.list(&place.dataset, At::Now, listing, true).await.unwrap().entries;
    assert_eq!(all.len(), 3 * 40 + 3 * 4);
    for listed in all {
        let path = listed.entry.path;
        let object = place.data.object(&place.dataset, &path, At::Now).await.unwrap().unwrap();
        object.verify().await.unwrap();
        let row = place.store.read(move |r| r.object(id, &path, At::Now)).await.unwrap().unwrap();
        assert_eq!(row.sealed.key_number, keys.number);
    }
}

async fn put_in_parts(place: &Place, path: &str) {
    let (data, dataset) = (&place.data, &place.dataset);
    let upload = data.begin_upload(dataset, path, Notes::new(), nothing(), NOW).await.unwrap();
    let staged = data.stage(dataset, &noise(5, 60)[..]).await.unwrap();
    let kept = data.keep_part(dataset, upload, 1, staged, Notes::new(), nothing(), NOW);
    let parts = vec![(1, kept.await.unwrap().tag)];
    let finish = weft_gateway::Finish { parts, notes: Notes::new(), expected: Expected::Anything };
    data.finish_upload(dataset, upload, finish, nothing(), NOW).await.unwrap().unwrap();
}

/// Set for the process that is to die: the state's folder.
const CHILD: &str = "WEFT_GATEWAY_ROTATES";

/// Rotates the master key and a dataset's until it dies; for the next test.
#[tokio::test]
#[ignore = "the child of a test: cargo test -p weft-gateway --test it wherever_it_dies"]
async fn rotates_until_it_dies() {
    let Some(dir) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let place = open(&dir).await;
    place.data.rotate_master(nothing()).await.unwrap();
    place.data.rotate_dataset(&place.dataset, nothing()).await.unwrap();
}

/// Each point at which a process may die, and what dies there.
#[cfg(debug_assertions)]
#[tokio::test]
async fn wherever_it_dies_the_file_that_is_there_opens_everything() {
    // Once the file has both keys, the next to be written is the one that has the new one alone.
    let points = [
        ("gateway.master.written", 1, true),
        ("gateway.master.replaced", 1, true),
        ("gateway.master.rewrapped", 1, true),
        ("gateway.master.written", 1, true),
        ("gateway.master.replaced", 1, true),
        ("gateway.dataset.rewrap", 1, true),
        ("gateway.dataset.rewrap", 2, true),
        ("none", 1, false),
    ];
    let dir = fast_dir();
    let place = open(dir.path()).await;
    fill(&place).await;
    place.store.close().await.unwrap();
    drop(place);
    for (point, nth, dies) in points {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--ignored", "--exact", "rotations::rotates_until_it_dies"]);
        child.env(CHILD, dir.path()).env("WEFT_FAILPOINT", format!("{point}:abort:{nth}"));
        let status = child.output().unwrap().status;
        assert_eq!(status.success(), !dies, "{point} {nth}: {status}");
        let place = open(dir.path()).await;
        assert_whole(&place).await;
        place.store.close().await.unwrap();
    }
    // The last went through: nothing is left of what was cut off.
    assert!(!master(&file(dir.path()), false).unwrap().is_rotating());
    let place = open(dir.path()).await;
    let id = place.dataset.id;
    assert_eq!(place.store.read(move |r| r.dataset_keys(id)).await.unwrap().old, None);
    let names = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let fresh = names.filter(|name| name.to_string_lossy().starts_with(".key-"));
    assert_eq!(fresh.count(), 0, "what a process left that died was removed");
}
