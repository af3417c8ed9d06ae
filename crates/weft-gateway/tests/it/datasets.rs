//! Objects through the whole of it: put, kept in versions, read in ranges, collected, damaged, and
//! looked for on the disk.

use crate::{key, noise};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::task::Poll;
use weft_gateway::{Also, Data, LONGEST, Master, Notes, Packs, Put, SHORTEST};
use weft_store::{
    At, DatasetId, DatasetRow, Expected, Listing, NewDataset, Store, StoreError, Write,
};
use weft_types::{Bytes, Tier, Timestamp};

/// Bytes of a pack: small, so that there are several.
const PACK: u64 = 1_500_000;
pub(crate) const NOW: Timestamp = Timestamp(1_000);

pub(crate) fn new(name: &str) -> NewDataset {
    NewDataset {
        name: name.parse().unwrap(),
        queue: "lab".parse().unwrap(),
        owner: "ann".parse().unwrap(),
        tier: Tier::Internal,
        about: String::new(),
        at: NOW,
    }
}

/// What ended is kept so many days, from now on.
pub(crate) fn keep(w: &mut Write<'_>, id: DatasetId, days: u32) -> Result<(), StoreError> {
    w.set_keep_days(id, days, Timestamp(0))?;
    w.set_keep_days(id, days, Timestamp(1 << 50))
}

/// Nothing besides.
pub(crate) fn nothing<T>() -> Also<T> {
    Box::new(|_, _| Ok(()))
}

pub(crate) async fn put(
    data: &Data,
    dataset: &DatasetRow,
    path: &str,
    expected: Expected,
    body: impl tokio::io::AsyncRead + Unpin,
) -> Option<Put> {
    let staged = data.stage(dataset, body).await.unwrap();
    let notes = Notes::new();
    data.commit(dataset, path, staged, notes, expected, nothing(), NOW).await.unwrap()
}

pub(crate) struct Place {
    pub(crate) data: Data,
    pub(crate) store: Store,
    pub(crate) dataset: DatasetRow,
}

impl Place {
    pub(crate) async fn open(dir: &Path, master: &(impl Into<Master> + Clone)) -> Self {
        let store = Store::open(dir).unwrap();
        let room = weft_store::DataHeld { bytes: Bytes(1 << 40), objects: 1 << 40 };
        store.write(move |w| w.put_data_quota(&new("claims").queue, room)).await.unwrap();
        let packs = Packs::open(&dir.join("packs"), PACK).unwrap();
        let data = Data::new(store.clone(), packs, master.clone());
        let known = store.read(|r| r.dataset(&"claims".parse().unwrap())).await.unwrap();
        let dataset = match known {
            Some(known) => known,
            None => {
                let made = data.make(new("claims"), nothing()).await.unwrap();
                // What ended may be forgotten at once, but where a test is about that.
                let id = made.id;
                store.write(move |w| keep(w, id, 0)).await.unwrap();
                made
            }
        };
        Self { data, store, dataset }
    }

    /// Puts an object; bytes of it that were new.
    pub(crate) async fn put(&self, path: &str, body: &[u8]) -> u64 {
        let put = put(&self.data, &self.dataset, path, Expected::Anything, body).await;
        let put = put.expect("nothing was expected");
        assert_eq!(put.bytes.0, body.len() as u64);
        put.new.0
    }

    pub(crate) async fn get(&self, path: &str, at: At, range: std::ops::Range<u64>) -> Vec<u8> {
        let object = self.data.object(&self.dataset, path, at).await.unwrap().expect("it is there");
        let mut all = Vec::new();
        for part in 0..object.parts(range.clone()) {
            all.extend(object.read(range.clone(), part).await.unwrap());
        }
        all
    }

    pub(crate) async fn forget(&self) {
        let (id, late) = (self.dataset.id, Timestamp(NOW.0 + 1));
        let forget = move |w: &mut weft_store::Write<'_>| w.forget_objects(id, late, 1_000, late);
        self.store.write(forget).await.unwrap();
    }
}

pub(crate) const ALL: std::ops::Range<u64> = 0..u64::MAX;

/// On both sides of what is opened on the thread that asks: an object's list, and a part of it.
#[tokio::test]
async fn short_and_long_objects_and_parts_are_read_as_they_were_put() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::open(dir.path(), &key()).await;
    for (n, length) in [1, 65_536, 65_537, 8 << 20, (8 << 20) + 1].into_iter().enumerate() {
        let (path, body) = (n.to_string(), noise(n as u64, length));
        place.put(&path, &body).await;
        assert!(place.get(&path, At::Now, ALL).await == body, "{length}");
        let last = length as u64 - 1;
        assert_eq!(place.get(&path, At::Now, last..last + 1).await, body[last as usize..]);
    }
    assert!(place.data.object(&place.dataset, "5", At::Now).await.unwrap().is_none());
}

/// A small object that somebody has opened: its only chunk is read where it lies by then.
#[tokio::test]
async fn a_small_object_is_read_though_its_chunk_was_moved_after_it_was_opened() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::open(dir.path(), &key()).await;
    let kept = noise(1, 4_096);
    place.put("kept", &kept).await;
    place.put("large", &noise(2, PACK as usize - 100_000)).await;
    // The next pack is begun, so that the first may be emptied.
    place.put("next", &noise(3, PACK as usize - 100_000)).await;
    let opened = place.data.object(&place.dataset, "kept", At::Now).await.unwrap().unwrap();
    let late = Timestamp(NOW.0 + 10);
    for path in ["large", "next"] {
        let (data, dataset) = (&place.data, &place.dataset);
        data.delete(dataset, path, Expected::Anything, nothing(), NOW).await.unwrap();
    }
    place.forget().await;
    let collected = place.data.collect(late).await.unwrap();
    assert!(collected.packs > 0, "{collected:?}");
    assert_eq!(opened.read(0..4_096, 0).await.unwrap(), kept);
}

#[tokio::test]
async fn versions_share_what_is_equal_and_stay_when_the_rest_is_collected() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::open(dir.path(), &key()).await;
    let first = noise(1, 3 * LONGEST / 2);
    assert_eq!(place.put("a/table", &first).await, first.len() as u64);
    let id = place.dataset.id;
    let keep = move |w: &mut weft_store::Write<'_>| w.make_version(id, "ann", "", NOW);
    let version = place.store.write(keep).await.unwrap();

    // The same again, elsewhere, is not written; what is appended costs its end.
    assert_eq!(place.put("copy", &first).await, 0);
    let longer = [&first[..], &noise(2, 1000)[..]].concat();
    let new = place.put("a/table", &longer).await;
    assert!(new > 0 && new <= LONGEST as u64, "{new}");
    place.put("empty", b"").await;
    place.put("small", b"x").await;
    assert_eq!(place.get("a/table", At::Now, ALL).await, longer);
    assert_eq!(place.get("a/table", At::Changes(version.changes), ALL).await, first);
    assert_eq!(place.get("empty", At::Now, ALL).await, b"");
    let edge = SHORTEST as u64;
    for range in [0..1, edge - 1..edge + 1, 70_000..2_000_000, longer.len() as u64 - 3..u64::MAX] {
        let wanted = range.start as usize..longer.len().min(range.end as usize);
        assert_eq!(place.get("a/table", At::Now, range).await, longer[wanted]);
    }

    let delete = move |w: &mut weft_store::Write<'_>| {
        for path in ["a/table", "copy", "small", "empty"] {
            assert!(w.delete_object(id, path, &Expected::Anything, NOW)?.is_some());
        }
        Ok::<_, weft_store::StoreError>(())
    };
    place.store.write(delete).await.unwrap();
    place.forget().await;
    let before = place.data.collect(Timestamp(NOW.0 + 1)).await.unwrap();
    assert_eq!(before.chunks, 0, "not yet: {before:?}");
    let collected = place.data.collect(Timestamp(NOW.0 + 2)).await.unwrap();
    assert!(collected.chunks >= 1, "{collected:?}");
    let object = place.data.object(&place.dataset, "a/table", At::Changes(version.changes)).await;
    object.unwrap().unwrap().verify().await.unwrap();
    assert!(place.data.object(&place.dataset, "copy", At::Now).await.unwrap().is_none());
}

#[tokio::test]
async fn what_is_expected_is_looked_at_as_it_is_put() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::open(dir.path(), &key()).await;
    let mine = async |expected: Expected, body: &'static [u8]| {
        put(&place.data, &place.dataset, "log/0", expected, body).await
    };
    let first = mine(Expected::Absent, b"one").await.expect("there was none");
    assert_eq!(mine(Expected::Absent, b"two").await, None);
    assert_eq!(mine(Expected::Tag(vec![0; 16]), b"two").await, None);
    assert_eq!(place.get("log/0", At::Now, ALL).await, b"one");
    let second = mine(Expected::Tag(first.tag.clone()), b"two").await.expect("as it was read");
    assert!(second.change > first.change && second.tag != first.tag);
    // Of eight at once one wins.
    let both = (0..8).map(|_| {
        let (data, dataset) = (place.data.clone(), place.dataset.clone());
        tokio::spawn(
            async move { put(&data, &dataset, "log/1", Expected::Absent, &b"mine"[..]).await },
        )
    });
    let mut won = 0;
    for one in both.collect::<Vec<_>>() {
        won += u32::from(one.await.unwrap().is_some());
    }
    assert_eq!(won, 1);
}

/// Files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[tokio::test]
async fn nothing_of_it_lies_in_clear_and_no_other_key_opens_it() {
    let dir = tempfile::tempdir().unwrap();
    let master = key();
    let place = Place::open(dir.path(), &master).await;
    let canary = b"the-canary-in-the-coal-mine";
    place.put("cage", &canary.repeat(100_000)).await;
    place.put("small", canary).await;
    for file in files(dir.path()) {
        let bytes = std::fs::read(&file).unwrap();
        let found = bytes.windows(canary.len()).any(|window| window == canary);
        assert!(!found, "{} has it", file.display());
    }
    let packs = Packs::open(&dir.path().join("packs"), PACK).unwrap();
    let other = Data::new(place.store.clone(), packs, key());
    let refused = other.object(&place.dataset, "small", At::Now).await.err().expect("no key");
    assert!(refused.to_string().contains("does not open"), "{refused}");
    // Of another dataset of the same team, nothing is shared, and nothing opens.
    let twin = place.data.make(new("twin"), nothing()).await.unwrap();
    let put = put(&place.data, &twin, "small", Expected::Anything, &canary[..]).await;
    assert_eq!(put.unwrap().new.0, canary.len() as u64);
}

#[tokio::test]
async fn damage_is_found_and_never_served() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::open(dir.path(), &key()).await;
    let body = noise(3, 700_000);
    place.put("whole", &body).await;
    let pack = files(&dir.path().join("packs")).remove(0);
    let whole = std::fs::read(&pack).unwrap();
    // What stands before a record is for finding it again; reading does not need it.
    let places = place.store.read(|r| r.chunks_of(1)).await.unwrap();
    let inside = |at: usize| {
        places
            .iter()
            .any(|(_, p)| (p.offset..p.offset + u64::from(p.length)).contains(&(at as u64)))
    };
    let object = place.data.object(&place.dataset, "whole", At::Now).await.unwrap().unwrap();
    object.verify().await.unwrap();
    for round in 0..100_u64 {
        let at = noise(round + 9, 8);
        let at = u64::from_le_bytes(at.try_into().unwrap()) as usize % 700_000;
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (round % 8);
        std::fs::write(&pack, damaged).unwrap();
        assert_eq!(object.verify().await.is_err(), inside(at), "byte {at}");
    }
    std::fs::write(&pack, &whole[..body.len() / 2]).unwrap();
    assert!(object.verify().await.is_err());
    std::fs::write(&pack, whole).unwrap();
    object.verify().await.unwrap();
}

/// With one thread for what blocks, what was begun is over when the next has run.
#[test]
fn who_stops_waiting_for_a_check_ends_it() {
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build();
    runtime.unwrap().block_on(async {
        let dir = crate::fast_dir();
        let place = Place::open(dir.path(), &key()).await;
        place.put("long", &noise(4, 3 * LONGEST)).await;
        let packs = files(&dir.path().join("packs"));
        assert!(packs.len() > 1, "its first chunk is whole");
        let last = packs.iter().max().unwrap();
        let mut bytes = std::fs::read(last).unwrap();
        bytes.iter_mut().for_each(|byte| *byte ^= 1);
        std::fs::write(last, bytes).unwrap();
        let object = place.data.object(&place.dataset, "long", At::Now).await.unwrap().unwrap();
        {
            let mut check = std::pin::pin!(object.verify());
            let begun = std::future::poll_fn(|cx| Poll::Ready(check.as_mut().poll(cx))).await;
            assert!(begun.is_pending());
        }
        tokio::task::spawn_blocking(|| ()).await.unwrap();
        assert!(place.data.damages().is_empty(), "it went on to the last chunk");
        assert!(object.verify().await.is_err());
        assert_eq!(place.data.damages().len(), 1);
    });
}

/// Writers that put, put again and delete what they have in common, while all that nobody needs is
/// collected at once, without a day of grace.
#[tokio::test(flavor = "multi_thread")]
async fn collecting_takes_nothing_from_under_writers() {
    let dir = tempfile::tempdir().unwrap();
    let place = std::sync::Arc::new(Place::open(dir.path(), &key()).await);
    let writers = (0..4_u64).map(|writer| {
        let place = place.clone();
        tokio::spawn(async move {
            for n in 0..25 {
                let path = format!("{writer}/{}", n % 3);
                // What another has, too, and what is its own.
                let seed = if n % 3 == 0 { n % 4 } else { 100 * writer + n };
                let body = noise(seed, 40_000);
                // Some give up in the middle, at one moment or another.
                let patience = std::time::Duration::from_micros(n * 977 % 6_000);
                let given_up = format!("{path}/given-up");
                let put = place.put(&given_up, &body);
                let _ = tokio::time::timeout(patience, put).await;
                place.put(&path, &body).await;
                let id = place.dataset.id;
                let delete = move |w: &mut weft_store::Write<'_>| {
                    w.delete_object(id, &path, &Expected::Anything, NOW)
                };
                if n % 2 == 0 {
                    place.store.write(delete).await.unwrap();
                }
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    let (mut chunks, mut packs) = (0, 0);
    while !writers.iter().all(tokio::task::JoinHandle::is_finished) {
        place.forget().await;
        let collected = place.data.collect(Timestamp(NOW.0 + 2)).await.unwrap();
        (chunks, packs) = (chunks + collected.chunks, packs + collected.packs);
    }
    for writer in writers {
        writer.await.unwrap();
    }
    assert!(chunks > 0 && packs > 0, "there was something to collect: {chunks}, {packs}");
    let mut read = 0;
    let all = Listing { limit: 100, ..Listing::default() };
    for listed in place.data.list(&place.dataset, At::Now, all, true).await.unwrap().entries {
        let object = place.data.object(&place.dataset, &listed.entry.path, At::Now).await.unwrap();
        object.unwrap().verify().await.unwrap();
        read += 1;
    }
    assert!(read >= 4, "{read}");
}

#[tokio::test]
async fn what_is_needed_of_a_pack_is_copied_before_it_goes() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::open(dir.path(), &key()).await;
    let kept: Vec<_> = (0..5).map(|n| noise(n, 1000 * n as usize)).collect();
    for (n, body) in kept.iter().enumerate() {
        place.put(&format!("kept/{n}"), body).await;
    }
    // Most of their pack is of one that goes, and another begins the next one.
    place.put("gone", &noise(8, 200_000)).await;
    place.put("large", &noise(9, 2 * PACK as usize)).await;
    for path in ["gone", "large"] {
        place.put(path, b"small").await;
    }
    place.forget().await;
    let collected = place.data.collect(Timestamp(NOW.0 + 2)).await.unwrap();
    assert!(collected.packs > 0 && collected.freed.0 > PACK, "{collected:?}");
    assert!(!dir.path().join("packs/00000001.pack").exists());
    for (n, body) in kept.iter().enumerate() {
        assert_eq!(place.get(&format!("kept/{n}"), At::Now, ALL).await, *body);
    }
}

#[tokio::test]
async fn a_slow_writer_keeps_what_it_found_and_what_it_appended() {
    let dir = tempfile::tempdir().unwrap();
    let place = Place::open(dir.path(), &key()).await;
    let (old, new) = (noise(1, 2 * LONGEST), noise(2, 2 * LONGEST));
    place.put("old", &old).await;
    let (mut body, reader) = tokio::io::duplex(1 << 20);
    let (data, dataset) = (place.data.clone(), place.dataset.clone());
    let slow = tokio::spawn(async move {
        put(&data, &dataset, "slow", Expected::Anything, reader).await.unwrap()
    });
    tokio::io::AsyncWriteExt::write_all(&mut body, &[&old[..], &new[..]].concat()).await.unwrap();
    // It has found what is old and fills packs with what is new; then the old one goes.
    let id = place.dataset.id;
    let delete =
        move |w: &mut weft_store::Write<'_>| w.delete_object(id, "old", &Expected::Anything, NOW);
    place.store.write(delete).await.unwrap();
    place.forget().await;
    place.put("other", &noise(3, LONGEST)).await;
    for _ in 0..3 {
        place.data.collect(Timestamp(NOW.0 + 2)).await.unwrap();
    }
    drop(body);
    assert!(slow.await.unwrap().new.0 <= new.len() as u64 + LONGEST as u64);
    assert_eq!(place.get("slow", At::Now, ALL).await, [old, new].concat());
}

/// Set for the process that is to be killed: the state's folder.
const CHILD: &str = "WEFT_GATEWAY_CHILD";
/// Rounds of killing; each at another moment.
const KILLS: u64 = 6;

/// Puts objects until it is killed, and says of each that it was acknowledged; for the next test.
#[tokio::test]
#[ignore = "the child of a test: cargo test -p weft-gateway --test it what_was_acknowledged"]
async fn puts_until_it_is_killed() {
    let Some(dir) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let master = weft_gateway::master(&dir.join("master"), true).unwrap();
    let place = Place::open(&dir, &master).await;
    let started = place.dataset.changes;
    for n in started..started + 100_000 {
        place.put(&format!("{n}"), &noise(n, 1 + (n % 5 * 300_000) as usize)).await;
        let said = format!("acknowledged {n}\n");
        std::io::Write::write_all(&mut std::io::stderr(), said.as_bytes()).unwrap();
    }
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..KILLS {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--ignored", "--exact", "datasets::puts_until_it_is_killed", "--nocapture"]);
        child.env(CHILD, dir.path()).stdout(std::process::Stdio::null());
        let mut child = child.stderr(std::process::Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let said = lines.map_while(Result::ok);
        let said = said.filter_map(|line| line.strip_prefix("acknowledged ")?.parse::<u64>().ok());
        acknowledged.extend(said.take(2 + 3 * round as usize));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let master = weft_gateway::master(&dir.path().join("master"), false).unwrap();
    let place = Place::open(dir.path(), &master).await;
    assert!(acknowledged.len() as u64 >= 2 * KILLS);
    for n in acknowledged {
        let body = noise(n, 1 + (n % 5 * 300_000) as usize);
        assert_eq!(place.get(&format!("{n}"), At::Now, ALL).await, body, "object {n}");
    }
}
