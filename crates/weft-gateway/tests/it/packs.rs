//! Packs under many writers, kills, damage and full disks.

use crate::{Small, key, noise};
use weft_gateway::{ChunkId, PACK_BYTES, PackError, Packs, Secret, seal};
use weft_store::ChunkPlace;

/// Sealed bytes and where they belong.
fn chunk(seed: u64, length: usize) -> (ChunkId, Vec<u8>) {
    let plain = noise(seed, length);
    let secret = Secret::of(&key(), &plain);
    (secret.id(), seal(&secret, &plain))
}

fn all(packs: &Packs, place: ChunkPlace) -> Vec<u8> {
    packs.read(place, 0..place.length as usize).unwrap()
}

#[test]
fn what_was_synced_is_there_for_the_next_process() {
    let folder = tempfile::tempdir().unwrap();
    let chunks: Vec<_> = (0..40).map(|n| chunk(n, 10 * n as usize)).collect();
    let packs = Packs::open(folder.path(), 4000).unwrap();
    let append = |(id, sealed): &(ChunkId, Vec<u8>)| packs.append(id, sealed).unwrap();
    let places: Vec<ChunkPlace> = chunks.iter().map(append).collect();
    packs.sync(*places.last().unwrap()).unwrap();
    assert!(places.last().unwrap().pack > 1, "they fill several packs");
    assert!(places.iter().all(|place| place.offset + u64::from(place.length) <= 4000));
    let holds = |packs: &Packs| {
        for ((id, sealed), place) in chunks.iter().zip(&places) {
            assert_eq!(all(packs, *place), *sealed);
            assert!(packs.records(place.pack).unwrap().contains(&(*id, *place)));
        }
    };
    holds(&packs);
    assert_eq!(packs.read(places[9], 3..7).unwrap(), chunks[9].1[3..7]);
    drop(packs);
    let next = Packs::open(folder.path(), 4000).unwrap();
    holds(&next);
    // What was there is not written again.
    let place = next.append(&chunks[0].0, &chunks[0].1).unwrap();
    assert!(!places.iter().any(|old| old.pack == place.pack));
}

#[test]
fn a_crowd_is_durable_and_each_has_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let packs = Packs::open(folder.path(), 100_000).unwrap();
    let places: Vec<(u64, ChunkPlace)> = std::thread::scope(|scope| {
        let write = |thread: u64| {
            let packs = &packs;
            move || {
                let one = |n: u64| {
                    let (id, sealed) = chunk(thread * 100 + n, 1 + 300 * (n % 7) as usize);
                    let place = packs.append(&id, &sealed).unwrap();
                    packs.sync(place).unwrap();
                    assert_eq!(all(packs, place), sealed);
                    (thread * 100 + n, place)
                };
                (0..50).map(one).collect::<Vec<_>>()
            }
        };
        let threads: Vec<_> = (0..8).map(|thread| scope.spawn(write(thread))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let mut spans: Vec<_> = places.iter().map(|(_, p)| (p.pack, p.offset, p.length)).collect();
    spans.sort_unstable();
    let apart = |two: &[(u64, u64, u32)]| {
        two[0].0 != two[1].0 || two[0].1 + u64::from(two[0].2) <= two[1].1
    };
    assert!(spans.len() == 400 && spans.windows(2).all(apart));
}

#[test]
fn what_a_kill_left_behind_is_cut_off_or_found() {
    let folder = tempfile::tempdir().unwrap();
    let (id, sealed) = chunk(1, 5000);
    let (second, _) = chunk(2, 10);
    let file = folder.path().join("00000001.pack");
    {
        let packs = Packs::open(folder.path(), PACK_BYTES).unwrap();
        let place = packs.append(&id, &sealed).unwrap();
        packs.sync(place).unwrap();
        packs.append(&second, &sealed).unwrap();
    }
    let whole = std::fs::read(&file).unwrap();
    let records = |bytes: &[u8]| {
        std::fs::write(&file, bytes).unwrap();
        let packs = Packs::open(folder.path(), PACK_BYTES).unwrap();
        packs.records(1).map(|records| records.len())
    };
    // Cut at any byte: the records before it are found, and nothing that is not one.
    let end = 16 + 2 * (40 + sealed.len());
    for cut in [end, end - 1, end / 2 + 40, end / 2 + 8, end / 2 + 7, 60, 17, 16] {
        let expected = [56 + sealed.len(), end].iter().filter(|end| **end <= cut).count();
        assert_eq!(records(&whole[..cut]).unwrap(), expected, "cut at {cut} of {end}");
        assert!(std::fs::metadata(&file).unwrap().len() <= end as u64, "space is given back");
    }
    // A head that was never written, and one of something else.
    for broken in [&whole[..10], b"#!/bin/sh\nsomething else"] {
        assert!(matches!(records(broken), Err(PackError::Damaged { .. })));
        assert_eq!(std::fs::read(&file).unwrap(), *broken, "it is left as it was");
    }
}

#[test]
fn what_is_gone_or_short_is_said_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let packs = Packs::open(folder.path(), 3000).unwrap();
    let (id, sealed) = chunk(1, 2000);
    let places = [1, 2, 3].map(|_| packs.append(&id, &sealed).unwrap());
    packs.sync(places[2]).unwrap();
    let file = std::fs::File::options().write(true).open(folder.path().join("00000001.pack"));
    file.unwrap().set_len(1000).unwrap();
    let said = packs.read(places[0], 0..2000).unwrap_err();
    assert!(matches!(said, PackError::Damaged { .. }), "{said}");
    assert!(said.to_string().contains("00000001.pack is damaged at byte 56"), "{said}");
    packs.remove(places[1].pack).unwrap();
    packs.remove(places[1].pack).unwrap();
    assert!(packs.read(places[1], 0..1).is_err());
    // The one that is appended to stays.
    packs.remove(places[2].pack).unwrap();
    assert_eq!(all(&packs, places[2]), sealed);
}

#[test]
fn a_damaged_head_costs_nothing_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    let chunks: Vec<_> = (0..3).map(|n| chunk(n, 1000)).collect();
    let packs = Packs::open(folder.path(), PACK_BYTES).unwrap();
    let places: Vec<_> = chunks.iter().map(|(id, s)| packs.append(id, s).unwrap()).collect();
    packs.sync(places[2]).unwrap();
    drop(packs);
    let file = folder.path().join("00000001.pack");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[places[1].offset as usize - 30] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let packs = Packs::open(folder.path(), PACK_BYTES).unwrap();
    assert_eq!(packs.records(1).unwrap().len(), 1);
    // The index knows where they lie.
    assert!(places.iter().zip(&chunks).all(|(place, (_, sealed))| all(&packs, *place) == *sealed));
}

#[test]
fn a_full_disk_refuses_and_keeps_what_it_has() {
    let Some(small) = Small::mount(1_536 << 10, 512 << 10) else { return };
    let packs = Packs::open(&small.path().join("packs"), 200_000).unwrap();
    let ballast = small.ballast();
    let mut kept = Vec::new();
    let error = loop {
        let (id, sealed) = chunk(kept.len() as u64, 50_000);
        match packs.append(&id, &sealed) {
            Ok(place) => {
                packs.sync(place).unwrap();
                kept.push((place, sealed));
            }
            Err(error) => break error,
        }
        assert!(kept.len() < 40, "it never filled");
    };
    assert!(matches!(error, PackError::Full(_)), "{error}");
    assert!(kept.len() >= 15, "space is not taken far ahead where there is little: {}", kept.len());
    assert!(kept.iter().all(|(place, sealed)| all(&packs, *place) == *sealed));
    std::fs::remove_file(&ballast).unwrap();
    let (id, sealed) = chunk(99, 50_000);
    let place = packs.append(&id, &sealed).unwrap();
    packs.sync(place).unwrap();
    assert_eq!(all(&packs, place), sealed);
    // Also where not even the beginning of a pack found room.
    let packs = Packs::open(&small.path().join("others"), 200_000).unwrap();
    let filled = std::fs::write(&ballast, vec![1; 2 << 20]);
    assert_eq!(filled.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    assert!(matches!(packs.append(&id, &sealed), Err(PackError::Full(_))));
    std::fs::remove_file(ballast).unwrap();
    let place = packs.append(&id, &sealed).unwrap();
    packs.sync(place).unwrap();
    assert_eq!(all(&packs, place), sealed);
}
