//! Any bytes as each body the API takes: refused or read, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weft_api::wire::{CreateToken, CreateUser, NodeUpdate, Queue, Stop, Submit};

fuzz_target!(|bytes: &[u8]| {
    let _ = serde_json::from_slice::<Submit>(bytes);
    let _ = serde_json::from_slice::<Stop>(bytes);
    let _ = serde_json::from_slice::<Queue>(bytes);
    let _ = serde_json::from_slice::<NodeUpdate>(bytes);
    let _ = serde_json::from_slice::<CreateUser>(bytes);
    let _ = serde_json::from_slice::<CreateToken>(bytes);
});
