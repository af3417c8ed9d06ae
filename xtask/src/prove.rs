//! `cargo xtask prove [small|shares|mig|laws …] [--cases N] [--seconds S]`: what the planner's
//! tests try in small numbers, in large ones.
//!
//! | part | what |
//! |--|--|
//! | `small` | 10,000 small pools: the plan against the best there is |
//! | `shares` | every small tree of queues against the rules of shares |
//! | `mig` | every sequence of up to six instances on a device against every arrangement |
//! | `laws` | a million random inputs to the laws of plans, or as many as fit the seconds |
//!
//! The tests themselves lie in `crates/weft-sched/tests/it/`; this only builds them for speed and
//! says how much is asked.

use crate::{Outcome, process};

/// A part: its name, the tests it runs, the variable that says how much, and how much if `--cases`
/// does not say.
type Part = (&'static str, &'static [&'static str], &'static str, &'static str);

const PARTS: [Part; 4] = [
    ("small", &["small::starts_are_nearly_always_the_best"], "WEFT_PROVE_SMALL", "10000"),
    ("shares", &["shares::"], "WEFT_PROVE_SHARES", "1"),
    ("mig", &["mig::"], "WEFT_MIG_LENGTH", "6"),
    ("laws", &["laws::every_law_in_bulk", "--ignored"], "WEFT_PROVE_CASES", "1000000"),
];

/// Runs the parts named, or all, also after one failed.
pub(crate) fn run(args: &[String]) -> Outcome {
    let (mut names, mut cases, mut seconds) = (Vec::new(), None, None);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut number = || match args.next().map(|text| (text, text.parse::<u64>())) {
            Some((text, Ok(_))) => Ok(Some(text.clone())),
            _ => Err(format!("{arg} needs a number")),
        };
        match arg.as_str() {
            "--cases" => cases = number()?,
            "--seconds" => seconds = number()?,
            name if PARTS.iter().any(|(known, ..)| *known == name) => names.push(name),
            other => {
                return Err(format!("`{other}` is no part; known are small, shares, mig, laws"));
            }
        }
    }
    let asked = |part: &&Part| names.is_empty() || names.contains(&part.0);
    let mut failed = Vec::new();
    for (name, tests, variable, default) in PARTS.iter().filter(asked) {
        let args = ["test", "--release", "--locked", "-p", "weft-sched", "--test", "it", "--"];
        let mut command = process::cargo(&args);
        command.args(*tests).arg("--nocapture");
        let counted = cases.as_deref().filter(|_| matches!(*name, "small" | "laws"));
        command.env(variable, counted.unwrap_or(default));
        command.envs(seconds.iter().map(|seconds| ("WEFT_PROVE_SECONDS", seconds)));
        println!("\n=== {name}");
        if let Err(why) = process::show(&mut command) {
            failed.push(format!("{name}: {why}"));
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n")) }
}
