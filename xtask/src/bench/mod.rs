//! `cargo xtask bench`: measures what is promised and prints figure against bar.
//!
//! Whole-binary benches drive the release binary in folders of their own; the crates' own
//! benches are run through cargo. Run it on an idle machine: nothing here corrects for load.

mod many;
mod mount;
mod peer;
mod s3;
mod size;
mod start;
mod suites;
mod table;
mod tracking;

use crate::{Outcome, process, workspace};
use std::path::{Path, PathBuf};
use table::Row;

type Bench = (&'static str, fn(&Path) -> Result<Vec<Row>, String>);

const BENCHES: &[Bench] = &[
    ("start", start::measure),
    ("many", many::measure),
    ("size", size::measure),
    ("s3", s3::measure),
    ("mount", mount::measure),
    ("tracking", tracking::measure),
    ("plan", |_| suites::measure("weft-sched", "plan", "p99 <= 100 ms")),
    ("store", |_| suites::measure("weft-store", "mutations", ">= 500/s, p99 <= 100 ms")),
    ("container", |_| suites::measure("weft-runtime", "container", "<= 1.5 x bubblewrap")),
];

/// Runs the benches named, or all; `--binary PATH` measures a binary built elsewhere.
pub(crate) fn run(args: &[String]) -> Outcome {
    let (binary, names) = match args {
        [flag, path, names @ ..] if flag == "--binary" => (Some(PathBuf::from(path)), names),
        names => (None, names),
    };
    if let Some(name) = names.iter().find(|name| !BENCHES.iter().any(|(known, _)| known == name)) {
        let known: Vec<_> = BENCHES.iter().map(|(name, _)| *name).collect();
        return Err(format!("there is no bench `{name}`; known are {}", known.join(", ")));
    }
    let binary = match binary {
        Some(binary) => binary,
        None => release()?,
    };
    let mut rows = Vec::new();
    for (name, measure) in
        BENCHES.iter().filter(|(name, _)| names.is_empty() || names.iter().any(|n| n == name))
    {
        println!("=== {name}");
        rows.extend(measure(&binary).unwrap_or_else(|why| vec![Row::broken(name, why)]));
    }
    table::print(&rows)
}

/// The release binary, built now.
fn release() -> Result<PathBuf, String> {
    process::show(&mut process::cargo(&["build", "--release", "--locked", "-p", "weft"]))?;
    Ok(workspace::target().join("release/weft"))
}
