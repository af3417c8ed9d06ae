//! Any bytes as what a container shares with the agent: its ledger, its limits, its rates, the
//! library that is delivered. Read or refused, never a panic, and no sum that wraps.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weft_cuda_abi::ledger::DEVICES_MAX;
use weft_cuda_abi::reading::{BYTES, Reading, head};
use weft_cuda_abi::{folder, limits, mark, rates};

/// Bytes of a patch: where, and which word.
const PATCH: usize = 2 + 8;

fuzz_target!(|bytes: &[u8]| {
    let mut ledger = vec![0; BYTES];
    ledger[..head().len()].copy_from_slice(&head());
    for patch in bytes.chunks_exact(PATCH) {
        let at = usize::from(u16::from_le_bytes([patch[0], patch[1]])) * 4 % (BYTES - 8);
        ledger[at..at + 8].copy_from_slice(&patch[2..]);
    }
    for reading in [Reading::of(&ledger), Reading::of(bytes)].into_iter().flatten() {
        let total = reading.launches().max(reading.to_device()).max(reading.from_device());
        std::hint::black_box((total, reading.processes()));
        for device in 0..=DEVICES_MAX {
            let figures = (reading.memory(device), reading.memory_peak(device));
            std::hint::black_box((figures, reading.spent(device)));
        }
        assert!(reading.memory(DEVICES_MAX) == 0, "there is no such device");
    }
    assert!(limits::read(bytes).count() <= bytes.len());
    if let Some(words) = bytes.first_chunk::<16>() {
        let [word, now] =
            [0, 8].map(|at| u64::from_le_bytes(words[at..at + 8].try_into().unwrap()));
        assert!(rates::rate(word, now).is_none_or(|rate| rate <= 1000));
    }
    let mut library = bytes.to_vec();
    let _ = mark::read(&library);
    if folder::write(&mut library, b"/run/weft/gpu") {
        assert!(library.len() == bytes.len());
    }
});
