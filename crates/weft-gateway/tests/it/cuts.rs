//! Chunks are all of a stream, of bounded length, and the same where the content is.

use crate::{key, noise};
use proptest::prelude::*;
use std::collections::BTreeSet;
use weft_gateway::{Cutter, Key, LONGEST, SHORTEST};

/// The chunks of these bytes, pushed so many at a time.
fn cut(dataset: &Key, bytes: &[u8], step: usize) -> Vec<Vec<u8>> {
    let mut chunks = Vec::new();
    let mut take = |chunk: &[u8]| {
        chunks.push(chunk.to_vec());
        Ok::<(), ()>(())
    };
    let mut cutter = Cutter::new(dataset);
    bytes.chunks(step.max(1)).for_each(|some| cutter.push(some, &mut take).unwrap());
    cutter.finish(&mut take).unwrap();
    chunks
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]
    #[test]
    fn nothing_is_lost_however_it_comes(
        length in 0..6 * LONGEST / 4, step in 1_000..3_000_000usize, even in any::<bool>(),
    ) {
        let bytes = if even { vec![7; length] } else { noise(length as u64, length) };
        let dataset = key();
        let chunks = cut(&dataset, &bytes, step);
        prop_assert_eq!(&chunks.concat(), &bytes);
        prop_assert!(chunks.iter().all(|chunk| !chunk.is_empty() && chunk.len() <= LONGEST));
        let last = chunks.len().saturating_sub(1);
        prop_assert!(chunks.iter().take(last).all(|chunk| chunk.len() >= SHORTEST));
        prop_assert_eq!(chunks, cut(&dataset, &bytes, bytes.len()));
    }
}

#[test]
fn what_is_inserted_changes_a_chunk_or_two_and_another_dataset_cuts_elsewhere() {
    let (dataset, bytes) = (key(), noise(1, 16 << 20));
    let before = cut(&dataset, &bytes, 1 << 20);
    let mut more = bytes.clone();
    more.splice(5_000_000..5_000_000, *b"inserted");
    let known: BTreeSet<_> = before.iter().collect();
    let after = cut(&dataset, &more, 1 << 20);
    let new = after.iter().filter(|chunk| !known.contains(chunk)).count();
    assert!(new <= 3 && after.len() >= 8, "{new} of {} are new", after.len());
    let lengths = |chunks: &[Vec<u8>]| chunks.iter().map(Vec::len).collect::<Vec<_>>();
    assert_ne!(lengths(&cut(&key(), &bytes, 1 << 20)), lengths(&before));
}

#[test]
fn who_takes_chunks_may_refuse() {
    let mut cutter = Cutter::new(&key());
    assert_eq!(cutter.push(&[0; LONGEST], |_| Err("full")), Err("full"));
}
