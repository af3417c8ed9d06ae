//! What is under seal opens as it was, in every range, and nothing else opens at all.

use crate::{key, noise};
use proptest::prelude::*;
use std::ops::Range;
use weft_gateway::{SEGMENT, SEGMENT_TAG, Secret, Tampered, needed, open, seal, sealed_len};

fn read(
    secret: &Secret,
    sealed: &[u8],
    range: Range<usize>,
    plain: usize,
) -> Result<Vec<u8>, Tampered> {
    let bytes = needed(&range, plain);
    let bytes = sealed.get(bytes).unwrap_or_default().to_vec();
    open(secret, bytes, range, plain)
}

/// Lengths about which something may be wrong, and others.
fn length() -> impl Strategy<Value = usize> {
    let edge = (0..4usize, 0..3usize).prop_map(|(n, off)| (n * SEGMENT + off).saturating_sub(1));
    prop_oneof![edge, 0..3 * SEGMENT]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_range_is_read_as_it_was(length in length(), from in 0.0..1.1f64, some in 0.0..1.1f64) {
        let plain = noise(length as u64, length);
        let secret = Secret::of(&key(), &plain);
        let sealed = seal(&secret, &plain);
        prop_assert_eq!(sealed.len(), sealed_len(length));
        let from = (from * length as f64) as usize;
        let range = from..from + (some * length as f64) as usize;
        let wanted = &plain[from.min(length)..range.end.min(length)];
        prop_assert_eq!(read(&secret, &sealed, range.clone(), length).unwrap(), wanted);
        // No more is opened than the segments that it touches.
        let touched = range.len().div_ceil(SEGMENT) + 1;
        prop_assert!(needed(&range, length).len() <= touched * (SEGMENT + SEGMENT_TAG));
    }

    #[test]
    fn a_bit_that_was_turned_is_found(length in length(), at in 0.0..1.0f64, bit in 0..8u32) {
        let plain = noise(length as u64, length);
        let secret = Secret::of(&key(), &plain);
        let mut sealed = seal(&secret, &plain);
        let at = (at * sealed.len() as f64) as usize;
        sealed[at] ^= 1 << bit;
        let found = read(&secret, &sealed, 0..length, length).unwrap_err();
        prop_assert_eq!(found.segment as usize, at / (SEGMENT + SEGMENT_TAG));
    }

    #[test]
    fn what_is_cut_off_or_said_to_be_longer_is_found(length in length(), other in length()) {
        prop_assume!(length != other);
        let plain = noise(length as u64, length);
        let secret = Secret::of(&key(), &plain);
        let mut sealed = seal(&secret, &plain);
        sealed.resize(sealed_len(other), 0);
        prop_assert!(open(&secret, sealed, 0..other, other).is_err());
    }
}

#[test]
fn segments_stay_in_their_place_and_their_chunk() {
    let (dataset, length) = (key(), 3 * SEGMENT);
    let [one, two] = [1, 2].map(|seed| noise(seed, length));
    let [first, second] = [&one, &two].map(|plain| Secret::of(&dataset, plain));
    let (sealed, other) = (seal(&first, &one), seal(&second, &two));
    let segment = |at: usize| at * (SEGMENT + SEGMENT_TAG)..(at + 1) * (SEGMENT + SEGMENT_TAG);
    let mut swapped = sealed.clone();
    swapped[segment(0)].copy_from_slice(&sealed[segment(1)]);
    assert_eq!(read(&first, &swapped, 0..1, length), Err(Tampered { segment: 0 }));
    let mut mixed = sealed.clone();
    mixed[segment(2)].copy_from_slice(&other[segment(2)]);
    assert_eq!(read(&first, &mixed, 0..length, length), Err(Tampered { segment: 2 }));
    // What is not touched does not matter to who does not read it.
    assert_eq!(read(&first, &mixed, 0..SEGMENT, length).unwrap(), one[..SEGMENT]);
    assert!(read(&second, &sealed, 0..length, length).is_err());
}

#[test]
fn equal_chunks_are_one_in_a_dataset_and_strangers_in_two() {
    let (here, there, plain) = (key(), key(), noise(7, 1000));
    let secrets = [&here, &here, &there].map(|dataset| Secret::of(dataset, &plain));
    assert_eq!(secrets[0].id(), secrets[1].id());
    assert_eq!(seal(&secrets[0], &plain), seal(&secrets[1], &plain));
    assert_ne!(secrets[0].id(), secrets[2].id());
    assert_ne!(seal(&secrets[0], &plain), seal(&secrets[2], &plain));
    // Neither id nor seal has a piece of the plain bytes, and nothing shown has the secret.
    let sealed = seal(&secrets[0], &plain);
    assert!(!sealed.windows(16).any(|w| plain.windows(16).any(|p| p == w)));
    assert_eq!(format!("{:?} {:?}", here, secrets[0]).matches("Key(…)").count(), 1);
}
