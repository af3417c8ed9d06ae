//! `cargo xtask crash`: kills the server at seeded moments and looks at what is left.
//!
//! `--runs N` and `--seed S` choose the runs, `--binary PATH` a debug binary built elsewhere.
//!
//! ```text
//! start ─► submit ─► struck (failpoint or kill -9) ─► two hours pass ─► start, struck again
//!       ─► start again ─► submit the rest ─► all end ─► stop
//!       ─► look: acknowledged, unique, in bounds, chained, nothing orphaned
//! ```
//!
//! A run is a pure function of its seed but for the scheduling of processes; a failing seed is
//! printed and can be tried again by `--seed S --runs 1`.

mod chance;
mod leftovers;
mod points;
mod run;

use crate::{Outcome, process, workspace};
use std::path::PathBuf;
use std::time::Instant;

/// Runs of the quick gate.
const RUNS: u64 = 50;

/// Runs one after the other, all of them, and prints the failing seeds.
pub(crate) fn run(args: &[String]) -> Outcome {
    let value = |flag: &str| {
        let at = args.iter().position(|arg| arg == flag);
        at.and_then(|at| args.get(at + 1))
    };
    let number = |flag: &str, default: u64| match value(flag).map(|text| text.parse()) {
        None => Ok(default),
        Some(number) => number.map_err(|_| format!("{flag} needs a number")),
    };
    let (runs, seed) = (number("--runs", RUNS)?, number("--seed", 1)?);
    let binary = match value("--binary") {
        Some(path) => PathBuf::from(path),
        None => debug_binary()?,
    };
    let points = points::all();
    println!("{runs} runs from seed {seed}; failpoints: {}", points.join(" "));

    let start = Instant::now();
    let mut failed = Vec::new();
    for seed in seed..seed.saturating_add(runs) {
        let outcome = run::once(&binary, &points, seed);
        let took = start.elapsed().as_secs();
        match outcome {
            Ok(summary) => println!("{took:>5} s  seed {seed}: {summary}"),
            Err(why) => {
                println!("{took:>5} s  seed {seed}: FAILED: {why}");
                failed.push(seed);
            }
        }
    }
    match failed.is_empty() {
        true => Ok(()),
        false => Err(format!("{} of {runs} runs failed, seeds {failed:?}", failed.len())),
    }
}

/// The debug binary: release ones hold no failpoints.
fn debug_binary() -> Result<PathBuf, String> {
    process::show(&mut process::cargo(&["build", "--workspace", "--locked", "--bin", "weft"]))?;
    Ok(workspace::target().join("debug/weft"))
}
