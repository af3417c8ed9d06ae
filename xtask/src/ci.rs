//! `cargo xtask ci`: every check a change must pass, in the order in which they fail fastest.
//!
//! Stages share one target folder and one profile. Clippy and the documentation use metadata
//! builds of the dependencies, the tests full ones: every dependency is compiled twice, no more.
//! The model checker of `orders` brings some of its own.

use crate::{Outcome, process, test, workspace};
use std::time::{Duration, Instant};

type Stage = (&'static str, fn() -> Outcome);

const STAGES: &[Stage] = &[
    ("prepare", prepare),
    ("format", || process::show(&mut process::cargo(&["fmt", "--all", "--check"]))),
    ("tidy", || crate::tidy::run(&[])),
    ("deny", || crate::deny::run(&[])),
    ("abi", || crate::abi::run(&[])),
    ("test", || test::run(&[])),
    ("orders", || crate::prove::run(&["orders".to_owned()])),
    ("clippy", clippy),
    ("docs", docs),
    ("crash", crash),
];

/// Runs every stage, also after one failed, and prints what each took.
pub(crate) fn run(_args: &[String]) -> Outcome {
    let mut results: Vec<(&str, Duration, Outcome)> = Vec::new();
    for (name, stage) in STAGES {
        println!("\n=== {name}");
        let start = Instant::now();
        let outcome = stage();
        results.push((name, start.elapsed(), outcome));
    }
    println!("\n{:<10} {:>8}  result", "stage", "seconds");
    for (name, took, outcome) in &results {
        let result = outcome.as_ref().map_or_else(String::clone, |()| "ok".to_owned());
        println!("{name:<10} {:>8.1}  {result}", took.as_secs_f64());
    }
    let total: Duration = results.iter().map(|(_, took, _)| *took).sum();
    println!("{:<10} {:>8.1}", "all", total.as_secs_f64());
    match results.iter().filter(|(.., outcome)| outcome.is_err()).count() {
        0 => Ok(()),
        failed => Err(format!("{failed} of {} stages failed", results.len())),
    }
}

fn prepare() -> Outcome {
    test::prepare();
    process::show(&mut process::cargo(&["fetch", "--locked"]))
}

fn clippy() -> Outcome {
    let args = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    process::show(&mut process::cargo(&args))
}

/// The quick gate of the crash harness, with the binary the tests have built.
fn crash() -> Outcome {
    let binary = workspace::target().join("debug/weft");
    crate::crash::run(&["--binary".to_owned(), binary.to_string_lossy().into_owned()])
}

fn docs() -> Outcome {
    let args = ["doc", "--workspace", "--no-deps", "--locked", "--document-private-items"];
    process::show(process::cargo(&args).env("RUSTDOCFLAGS", "-D warnings"))
}
