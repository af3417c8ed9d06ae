//! What a chunk costs on its way to the disk and back, on one core.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::hint::black_box;
use std::time::Instant;
use weft_gateway::{Cutter, Key, PACK_BYTES, Packs, Secret, open, seal, sealed_len};

/// Bytes of a run.
const ALL: usize = 256 << 20;
const CHUNK: usize = 1 << 20;
/// Small objects that are made durable one by one.
const SMALL: u32 = 2000;

fn main() {
    let key = Key::fresh().expect("random numbers");
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    let plain: Vec<u8> = (0..ALL).map(|_| next()).collect();
    rate("cut", || {
        let mut cutter = Cutter::new(&key);
        let mut chunks = 0;
        let mut take = |_: &[u8]| -> Result<(), ()> {
            chunks += 1;
            Ok(())
        };
        plain.chunks(CHUNK).for_each(|some| cutter.push(some, &mut take).expect("taken"));
        cutter.finish(&mut take).expect("taken");
        black_box(chunks);
    });
    let chunks = || plain.chunks(CHUNK);
    rate("name (BLAKE3)", || chunks().for_each(|chunk| drop(black_box(Secret::of(&key, chunk)))));
    let secrets: Vec<_> = chunks().map(|chunk| Secret::of(&key, chunk)).collect();
    let mut sealed = Vec::new();
    rate("seal (AES-256-GCM)", || {
        sealed = chunks().zip(&secrets).map(|(chunk, secret)| seal(secret, chunk)).collect();
    });
    rate("open", || {
        for (secret, chunk) in secrets.iter().zip(&sealed) {
            black_box(open(secret, chunk.clone(), 0..CHUNK, CHUNK).expect("as it was"));
        }
    });
    let folder = tempfile::tempdir().expect("a folder");
    let packs = Packs::open(folder.path(), PACK_BYTES).expect("a folder");
    rate("append and sync", || {
        let all = secrets.iter().zip(&sealed);
        let places: Vec<_> =
            all.map(|(secret, chunk)| packs.append(&secret.id(), chunk).expect("room")).collect();
        packs.sync(*places.last().expect("some")).expect("synced");
    });
    let small = seal(&secrets[0], &plain[..4096]);
    assert_eq!(small.len(), sealed_len(4096));
    let begun = Instant::now();
    for _ in 0..SMALL {
        let place = packs.append(&secrets[0].id(), &small).expect("room");
        packs.sync(place).expect("synced");
    }
    println!(
        "4 KiB, each durable: {:.3} ms",
        begun.elapsed().as_secs_f64() * 1e3 / f64::from(SMALL)
    );
}

fn rate(what: &str, run: impl FnOnce()) {
    let begun = Instant::now();
    run();
    println!("{what}: {:.2} GB/s", ALL as f64 / 1e9 / begun.elapsed().as_secs_f64());
}
