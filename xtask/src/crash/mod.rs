//! `cargo xtask crash [--runs N] [--seed S]`: kills the server at seeded moments and looks at
//! what is left.
//!
//! ```text
//! start ─► submit ─► struck (failpoint or kill -9) ─► start again ─► submit the rest
//!       ─► all end ─► stop ─► look: acknowledged, unique, in bounds, chained, nothing orphaned
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
    let number = |flag: &str, default: u64| {
        let at = args.iter().position(|arg| arg == flag);
        let value = at.and_then(|at| args.get(at + 1)).map(|text| text.parse());
        value
            .transpose()
            .map_err(|_| format!("{flag} needs a number"))
            .map(|n| n.unwrap_or(default))
    };
    let (runs, seed) = (number("--runs", RUNS)?, number("--seed", 1)?);
    let binary = debug_binary()?;
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
    process::show(&mut process::cargo(&["build", "--locked", "-p", "weft"]))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = target.unwrap_or_else(|| workspace::root().join("target"));
    Ok(target.join("debug/weft"))
}
