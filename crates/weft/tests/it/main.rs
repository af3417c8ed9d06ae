//! The binary as users meet it: each test in a world of its own.

mod admin;
mod autostart;
mod bench;
mod clients;
mod data;
mod data_parts;
mod example;
mod failing;
mod figures;
mod following;
mod help;
mod images;
mod imports;
mod inside;
mod kept;
mod lifecycle;
mod mounts;
mod mps;
mod outputs;
mod parts;
mod promises;
mod refusals;
mod refused_plans;
mod shared_time;
mod simulate;
mod simulated;
mod stack;
mod stand_in;
mod tls;
mod tracked;
mod views;

use std::path::PathBuf;
use weft_testkit::World;

/// A fresh world for the binary of this build.
fn world() -> World {
    World::new(env!("CARGO_BIN_EXE_weft"))
}

/// Compares with `golden/<name>.txt`.
fn golden(name: &str, fresh: &str) {
    let dir = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/golden"));
    weft_testkit::golden(&dir.join(format!("{name}.txt")), fresh);
}
