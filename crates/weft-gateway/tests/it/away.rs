//! Packs in a store: what is acknowledged is here or there, whatever dies in between, and what is
//! not here is read from there.

use crate::datasets::{ALL, NOW, Place, nothing};
use crate::{fast_dir, noise};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use weft_gateway::{Away, Data, DataError, Elsewhere, PackError, master};
use weft_store::{At, Expected};
use weft_types::{Bytes, Timestamp};

/// Set for the process that is to die: the state's folder.
const CHILD: &str = "WEFT_GATEWAY_AWAY";
const DAY: u64 = 24 * 3_600_000;

/// A state whose packs lie in `store` beside it; so many bytes of them stay on the disk.
async fn open(dir: &Path, cache: u64, back: bool) -> Place {
    let mut place = Place::open(dir, &master(&dir.join("master"), true).unwrap()).await;
    std::fs::create_dir_all(dir.join("store")).unwrap();
    let away = Away::new(Elsewhere::Folder(dir.join("store")), "store", Bytes(cache), back);
    place.data = place.data.with_away(away.sending_after(Duration::ZERO));
    place
}

fn files(dir: &Path, folder: &str) -> Vec<PathBuf> {
    let all = std::fs::read_dir(dir.join(folder)).unwrap();
    all.map(|entry| entry.unwrap().path()).collect()
}

async fn tend(data: &Data) {
    data.tend_away(NOW).await.unwrap();
}

#[tokio::test]
async fn packs_leave_the_disk_are_read_in_ranges_and_come_back() {
    let dir = fast_dir();
    let place = open(dir.path(), 0, false).await;
    let bodies: Vec<_> = (0..4).map(|n| noise(n, 900_000)).collect();
    for (n, body) in bodies.iter().enumerate() {
        place.put(&n.to_string(), body).await;
    }
    let packs = files(dir.path(), "packs").len();
    tend(&place.data).await;
    assert_eq!((files(dir.path(), "packs").len(), files(dir.path(), "store").len()), (0, packs));
    let state = place.data.away().unwrap();
    assert_eq!(
        (state.there, state.owed, state.here_bytes.0, state.failing),
        (packs as u64, 0, 0, None)
    );
    for path in files(dir.path(), "store") {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        assert!(name.len() == 32 && name.chars().all(|c| c.is_ascii_hexdigit()), "{name}");
    }
    assert_eq!(place.get("2", At::Now, 300_000..300_010).await, bodies[2][300_000..300_010]);
    assert_eq!(place.put("again", &bodies[1]).await, 0, "what is there is not sent again");

    // With another process numbers go on, though nothing is on the disk.
    drop(place);
    let place = open(dir.path(), 0, false).await;
    place.data.go_on().await.unwrap();
    place.put("new", &noise(9, 1_000)).await;
    let next = format!("{:08}.pack", packs + 1);
    assert_eq!(files(dir.path(), "packs")[0].file_name().unwrap(), &*next);

    // The store is away: what is there fails as that and is no damage, what is here goes on.
    std::fs::rename(dir.path().join("store"), dir.path().join("gone")).unwrap();
    assert!(place.data.tend_away(NOW).await.is_err());
    assert!(place.data.away().unwrap().failing.is_some());
    assert_eq!(place.get("new", At::Now, ALL).await, noise(9, 1_000));
    place.put("meanwhile", &noise(10, 1_000)).await;
    let object = place.data.object(&place.dataset, "3", At::Now).await.unwrap().unwrap();
    let refused = object.read(ALL, 0).await;
    assert!(matches!(refused, Err(DataError::Pack(PackError::Away { .. }))), "{refused:?}");
    assert!(place.data.damages().is_empty());
    std::fs::create_dir(dir.path().join("store")).unwrap();
    assert!(place.data.tend_away(NOW).await.is_err(), "an empty folder is not the store");
    assert!(files(dir.path(), "store").is_empty(), "so it is given nothing");
    std::fs::remove_dir(dir.path().join("store")).unwrap();
    std::fs::rename(dir.path().join("gone"), dir.path().join("store")).unwrap();
    tend(&place.data).await;
    assert_eq!(place.get("meanwhile", At::Now, ALL).await, noise(10, 1_000));

    // All of it comes back, and nothing stays there.
    let there = files(dir.path(), "store").len();
    drop(place);
    let place = open(dir.path(), 0, true).await;
    tend(&place.data).await;
    assert_eq!((files(dir.path(), "packs").len(), files(dir.path(), "store").len()), (there, 0));
    for (n, body) in bodies.iter().enumerate() {
        assert_eq!(place.get(&n.to_string(), At::Now, ALL).await, *body);
    }
}

#[tokio::test]
async fn what_nobody_needs_goes_there_too_a_week_later() {
    let dir = fast_dir();
    let place = open(dir.path(), 0, false).await;
    for n in 0..4 {
        place.put(&n.to_string(), &noise(n, 900_000)).await;
    }
    let packs = files(dir.path(), "packs").len();
    tend(&place.data).await;
    let (data, dataset) = (&place.data, &place.dataset);
    for path in ["0", "1"] {
        data.delete(dataset, path, Expected::Present, nothing(), NOW).await.unwrap().unwrap();
    }
    place.forget().await;
    let collected = data.collect(Timestamp(NOW.0 + 2)).await.unwrap();
    assert!(collected.packs >= 1 && collected.unreadable == 0, "{collected:?}");
    let before = files(dir.path(), "store");
    assert_eq!(before.len(), packs, "a backup of the index may need it");
    data.tend_away(Timestamp(NOW.0 + 8 * DAY)).await.unwrap();
    let left = before.iter().filter(|path| path.exists()).count() as u64;
    assert_eq!(left, packs as u64 - collected.packs, "what was collected is gone there");
    assert_eq!(place.get("2", At::Now, ALL).await, noise(2, 900_000));
    assert_eq!(place.get("3", At::Now, ALL).await, noise(3, 900_000));
}

#[tokio::test]
async fn what_the_disk_has_spoilt_is_read_from_the_store() {
    let dir = fast_dir();
    let place = open(dir.path(), u64::MAX, false).await;
    place.put("a", &noise(1, 50_000)).await;
    tend(&place.data).await;
    let pack = files(dir.path(), "packs").remove(0);
    let mut bytes = std::fs::read(&pack).unwrap();
    bytes[9_000] ^= 1;
    std::fs::write(&pack, bytes).unwrap();
    // Where the store has another pack than was put there, what is here stays.
    let there = files(dir.path(), "store").remove(0);
    let whole = std::fs::read(&there).unwrap();
    std::fs::write(&there, [&whole[..], b"x"].concat()).unwrap();
    assert_eq!(place.get("a", At::Now, ALL).await, noise(1, 50_000));
    assert!(pack.exists(), "one range is no reason to remove all");
    std::fs::write(&there, &whole).unwrap();
    assert_eq!(place.get("a", At::Now, ALL).await, noise(1, 50_000));
    assert!(!pack.exists(), "the spoilt copy is gone");
    // What is spoilt there as well is never given.
    let pack = files(dir.path(), "store").remove(0);
    let mut bytes = std::fs::read(&pack).unwrap();
    bytes[9_000] ^= 1;
    std::fs::write(&pack, bytes).unwrap();
    let object = place.data.object(&place.dataset, "a", At::Now).await.unwrap().unwrap();
    assert!(matches!(object.read(ALL, 0).await, Err(DataError::Tampered { .. })));
}

#[tokio::test]
async fn what_is_spoilt_on_its_way_back_is_not_removed_there() {
    let dir = fast_dir();
    let place = open(dir.path(), u64::MAX, false).await;
    place.put("a", &noise(1, 50_000)).await;
    tend(&place.data).await;
    drop(place);
    let pack = files(dir.path(), "packs").remove(0);
    let mut bytes = std::fs::read(&pack).unwrap();
    bytes[9_000] ^= 1;
    std::fs::write(&pack, bytes).unwrap();

    let place = open(dir.path(), 0, true).await;
    let refused = place.data.tend_away(NOW).await.unwrap_err().to_string();
    assert!(refused.contains("fetched again"), "{refused}");
    assert_eq!(files(dir.path(), "store").len(), 1);
    tend(&place.data).await;
    assert_eq!((files(dir.path(), "store").len(), files(dir.path(), "packs").len()), (0, 1));
    assert_eq!(place.get("a", At::Now, ALL).await, noise(1, 50_000));
}

/// Puts, sends, brings back until it dies; for the next test.
#[tokio::test]
#[ignore = "the child of a test: cargo test -p weft-gateway --test it away"]
async fn sends_until_it_dies() {
    let Some(dir) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let place = open(&dir, 0, false).await;
    place.data.go_on().await.unwrap();
    let put = place.put("a", &noise(1, 900_000)).await + place.put("b", &noise(2, 900_000)).await;
    assert!(put > 0);
    std::fs::write(dir.join("acknowledged"), []).unwrap();
    tend(&place.data).await;
    drop(place);
    tend(&open(&dir, 0, true).await.data).await;
}

#[tokio::test]
async fn whatever_dies_at_each_step_what_was_acknowledged_is_there() {
    for step in ["named", "put", "there", "back", "removed"] {
        for nth in 1..=2 {
            let dir = fast_dir();
            let child = Command::new(std::env::current_exe().unwrap())
                .args(["--ignored", "--exact", "away::sends_until_it_dies"])
                .env(CHILD, dir.path())
                .env("WEFT_FAILPOINT", format!("gateway.away.{step}:abort:{nth}"))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            assert!(!child.unwrap().success(), "it died at {step}");
            assert!(dir.path().join("acknowledged").exists());
            let place = open(dir.path(), 0, false).await;
            place.data.go_on().await.unwrap();
            for _ in 0..2 {
                for (path, seed) in [("a", 1), ("b", 2)] {
                    let got = place.get(path, At::Now, ALL).await;
                    assert!(got == noise(seed, 900_000), "{path} after {step} {nth}");
                }
                tend(&place.data).await;
            }
            let state = place.data.away().unwrap();
            assert_eq!((state.owed, state.failing), (0, None), "{step} {nth}");
            let there = files(dir.path(), "store").len() as u64;
            assert_eq!(there, state.there, "nothing there that no row knows: {step} {nth}");
        }
    }
}
