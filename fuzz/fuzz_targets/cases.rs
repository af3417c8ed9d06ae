//! Any text as a scheduler case: refused or planned, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = weft_sched::case::render(text);
});
