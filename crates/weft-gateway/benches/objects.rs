//! A dataset of a million small objects: how fast they come in, a page of a list, a scrub of large
//! ones. `cargo bench -p weft-gateway --bench objects -- 50000` for fewer.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::path::Path;
use std::time::{Duration, Instant};
use weft_gateway::{Also, Data, Key, Notes, PACK_BYTES, Packs, Put};
use weft_store::{At, DatasetRow, Expected, Listing, NewDataset, Store};
use weft_types::{Bytes, Tier, Timestamp};

/// Objects, where the command line says nothing else.
const OBJECTS: u64 = 1_000_000;
/// Bytes of each.
const SMALL: usize = 4 << 10;
/// Those who put at the same time.
const WRITERS: u64 = 256;
/// Pages that are asked for.
const PAGES: u64 = 300;
/// Entries of a page: S3's.
const PAGE: u32 = 1_000;
/// Bytes that are scrubbed, in objects of 64 MiB.
const SCRUBBED: usize = 1 << 30;
const LARGE: usize = 64 << 20;

#[tokio::main]
async fn main() {
    let objects = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(OBJECTS);
    let dir = tempfile::tempdir().expect("a folder");
    let (data, dataset) = made(dir.path(), "small").await;
    let (begun, busy) = (Instant::now(), cpu());
    ingest(&data, &dataset, objects).await;
    let rate = objects as f64 / begun.elapsed().as_secs_f64();
    let by_core = objects as f64 / (cpu() - busy).as_secs_f64();
    println!(
        "ingest of {objects} objects of {SMALL} bytes by {WRITERS} writers: {rate:.0}/s; by a \
         core's time {by_core:.0}/s"
    );
    for (what, delimiter, with_notes) in
        [("bare", None, false), ("with notes", None, true), ("folders", Some("/"), false)]
    {
        pages(&data, &dataset, objects, what, (delimiter, with_notes)).await;
    }
    for (what, dataset) in [("small", dataset), ("large", large(&data).await)] {
        let (begun, cpu) = (Instant::now(), cpu());
        let found = data.scrub(dataset.id, |damage| panic!("{damage:?}")).await.expect("read");
        let busy = (self::cpu() - cpu).as_secs_f64();
        let (objects, bytes) = (found.objects as f64, found.bytes.0 as f64);
        println!(
            "verify of {objects} {what} objects: {:.2} GB/s, {:.0} objects/s; by a core's time \
             {:.2} GB/s",
            bytes / begun.elapsed().as_secs_f64() / 1e9,
            objects / begun.elapsed().as_secs_f64(),
            bytes / busy / 1e9,
        );
    }
}

async fn made(dir: &Path, name: &str) -> (Data, DatasetRow) {
    let store = Store::open(dir).expect("a store");
    let packs = Packs::open(&dir.join("packs"), PACK_BYTES).expect("packs");
    let room = weft_store::DataHeld { bytes: Bytes(1 << 50), objects: 1 << 50 };
    let lab = "lab".parse().expect("a queue");
    store.write(move |w| w.put_data_quota(&lab, room)).await.expect("room");
    let data = Data::new(store, packs, Key::fresh().expect("random numbers"));
    let dataset = make(&data, name).await;
    (data, dataset)
}

async fn make(data: &Data, name: &str) -> DatasetRow {
    let new = NewDataset {
        name: name.parse().expect("a name"),
        queue: "lab".parse().expect("a name"),
        owner: "ann".parse().expect("a name"),
        tier: Tier::Internal,
        about: String::new(),
        at: Timestamp(1),
    };
    data.make(new, Box::new(|_, _| Ok(()))).await.expect("made")
}

/// Bytes that are the same for the same seed, and equal to nobody else's.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let mut hash = blake3::Hasher::new();
    hash.update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

fn path(n: u64) -> String {
    format!("train/{:04}/{n:09}.jpg", n / 1_000)
}

async fn ingest(data: &Data, dataset: &DatasetRow, objects: u64) {
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (data, dataset) = (data.clone(), dataset.clone());
            tokio::spawn(async move {
                for n in (writer..objects).step_by(WRITERS as usize) {
                    put(&data, &dataset, &path(n), &noise(n, SMALL)).await;
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.expect("it put all");
    }
}

async fn put(data: &Data, dataset: &DatasetRow, path: &str, body: &[u8]) {
    let staged = data.stage(dataset, body).await.expect("staged");
    let notes = Notes::from([("content-type".to_owned(), "image/jpeg".to_owned())]);
    let (anything, also): (_, Also<Put>) = (Expected::Anything, Box::new(|_, _| Ok(())));
    let put = data.commit(dataset, path, staged, notes, anything, also, Timestamp(1)).await;
    put.expect("put").expect("nothing was expected");
}

async fn pages(
    data: &Data,
    dataset: &DatasetRow,
    objects: u64,
    what: &str,
    (delimiter, with_notes): (Option<&str>, bool),
) {
    let mut took = Vec::new();
    for n in 0..PAGES {
        // Anywhere: a page that nobody has asked for before.
        let after = path(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) % objects);
        let prefix = if delimiter.is_some() { "train/".to_owned() } else { String::new() };
        let (after, delimiter) = match delimiter {
            Some(_) => (String::new(), delimiter.map(str::to_owned)),
            None => (after, None),
        };
        let listing = Listing { prefix, delimiter, after, limit: PAGE };
        let begun = Instant::now();
        data.list(dataset, At::Now, listing, with_notes).await.expect("listed");
        took.push(begun.elapsed());
    }
    took.sort();
    let at = |part: usize| took[took.len() * part / 100];
    println!("list of {PAGE}, {what}: p50 {:?}, p95 {:?}", at(50), at(95));
}

async fn large(data: &Data) -> DatasetRow {
    let dataset = make(data, "large").await;
    for n in 0..SCRUBBED / LARGE {
        put(data, &dataset, &n.to_string(), &noise(n as u64, LARGE)).await;
    }
    dataset
}

/// The time that this process was busy.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
