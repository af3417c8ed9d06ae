//! `cargo xtask mutants [k/n]`: how many small mistakes in the planner its tests notice.
//!
//! cargo-mutants makes each mistake in a copy of the tree, one at a time, and runs the planner's
//! tests on it. `k/n` tries every n-th mistake from the k-th on; all of them take hours. The score
//! is what was noticed, a test that fails or never ends, of what compiles.

use crate::{Outcome, process, workspace};
use std::fs;

/// Of a hundred mistakes, those that are noticed at least.
const BAR: usize = 80;
/// One in so many is tried if nothing else is said.
const SAMPLE: &str = "0/20";
/// A test run that takes longer never ends: a hundred times what it takes, on a busy machine too.
const TIMEOUT_SECONDS: &str = "600";

/// Tries the mistakes, prints those that nobody noticed, and the score beside its bar.
pub(crate) fn run(args: &[String]) -> Outcome {
    if process::quiet(&mut process::cargo(&["mutants", "--version"])).is_none() {
        return Err("cargo-mutants is missing: cargo install --locked cargo-mutants".to_owned());
    }
    let sample = args.first().map_or(SAMPLE, String::as_str);
    let folder = workspace::target().join("mutants");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut command = process::cargo(&["mutants", "--package", "weft-sched", "--no-shuffle"]);
    command.args(["--shard", sample, "--sharding", "round-robin", "--timeout", TIMEOUT_SECONDS]);
    command.arg("--output").arg(&folder).args(["--", "--lib", "--test", "it"]);
    // It fails when one mistake is not noticed; the score says more.
    let outcome = process::show(&mut command);
    let count = |name: &str| {
        let text = fs::read_to_string(folder.join("mutants.out").join(name));
        text.map(|text| text.lines().count()).unwrap_or_default()
    };
    let (noticed, missed) = (count("caught.txt") + count("timeout.txt"), count("missed.txt"));
    if noticed == 0 {
        return outcome.and(Err(format!("no mistake of {sample} was noticed")));
    }
    let score = noticed * 100 / (noticed + missed);
    println!("{noticed} of {} mistakes noticed: {score} %, bar {BAR} %", noticed + missed);
    if score >= BAR { Ok(()) } else { Err(format!("{score} % is below {BAR} %")) }
}
