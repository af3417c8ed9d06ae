//! What an object is made of: found again in order, and only with its version's key.

use crate::{key, noise};
use proptest::prelude::*;
use weft_gateway::{Manifest, Piece, Secret};

fn manifest(lengths: &[u32]) -> Manifest {
    let dataset = key();
    let mut manifest = Manifest::default();
    for (at, length) in lengths.iter().enumerate() {
        let secret = Secret::of(&dataset, &noise(at as u64, 8));
        manifest.push(Piece { secret, length: *length });
    }
    manifest
}

proptest! {
    #[test]
    fn a_range_is_covered_once_and_in_order(
        lengths in prop::collection::vec(0..50u32, 0..20), from in 0..1000u64, some in 0..1000u64,
    ) {
        let manifest = manifest(&lengths);
        let all: Vec<(usize, usize)> = lengths.iter().enumerate()
            .flat_map(|(piece, length)| (0..*length as usize).map(move |byte| (piece, byte)))
            .collect();
        prop_assert_eq!(manifest.length(), all.len() as u64);
        let read: Vec<_> = manifest.parts(from..from + some)
            .flat_map(|part| {
                let at = manifest.pieces().iter().position(|p| p == part.piece).unwrap();
                part.bytes.map(move |byte| (at, byte))
            })
            .collect();
        let until = all.len().min((from + some) as usize);
        prop_assert_eq!(read, &all[until.min(from as usize)..until]);
    }

    #[test]
    fn it_opens_for_its_version_alone_and_unchanged(
        lengths in prop::collection::vec(0..50u32, 0..9), at in 0.0..1.0f64, bit in 0..8u32,
    ) {
        let (manifest, version) = (manifest(&lengths), key());
        let mut sealed = manifest.seal(&version, b"claims 7 a/b");
        prop_assert_eq!(&Manifest::open(&version, b"claims 7 a/b", &sealed).unwrap(), &manifest);
        prop_assert!(Manifest::open(&version, b"claims 8 a/b", &sealed).is_err());
        prop_assert!(Manifest::open(&key(), b"claims 7 a/b", &sealed).is_err());
        let at = (at * sealed.len() as f64) as usize;
        sealed[at] ^= 1 << bit;
        prop_assert!(Manifest::open(&version, b"claims 7 a/b", &sealed).is_err());
        prop_assert!(Manifest::open(&version, b"claims 7 a/b", &sealed[..at]).is_err());
    }
}
