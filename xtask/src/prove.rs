//! `cargo xtask prove [small|shares|mig|laws|orders …] [--cases N] [--seconds S]`: what tests try
//! in small numbers, in large ones or in all.
//!
//! | part | what |
//! |--|--|
//! | `small` | 10,000 small pools: the plan against the best there is |
//! | `shares` | every small tree of queues against the rules of shares |
//! | `mig` | every sequence of up to six instances on a device against every arrangement |
//! | `laws` | a million random inputs to the laws of plans, or as many as fit the seconds |
//! | `orders` | the ledger of a device's tenants, in every order of its threads' accesses |
//!
//! The tests themselves lie in the `tests/it/` of the planner and of `weft-cuda-abi`; this only
//! builds them for speed and says how much is asked.

use crate::{Outcome, process, workspace};
use std::process::Command;

/// A part of the proof.
struct Part {
    name: &'static str,
    package: &'static str,
    /// The tests that it runs.
    tests: &'static [&'static str],
    /// The variable that says how much, how much that is, and whether `--cases` may say else.
    much: Option<(&'static str, &'static str, bool)>,
    /// What the compiler is told beside; such a part has build outputs of its own.
    flags: Option<&'static str>,
}

const fn of_planner(
    name: &'static str,
    tests: &'static [&'static str],
    much: (&'static str, &'static str, bool),
) -> Part {
    Part { name, package: "weft-sched", tests, much: Some(much), flags: None }
}

const PARTS: [Part; 5] = [
    of_planner(
        "small",
        &["small::starts_are_nearly_always_the_best"],
        ("WEFT_PROVE_SMALL", "10000", true),
    ),
    of_planner("shares", &["shares::"], ("WEFT_PROVE_SHARES", "1", false)),
    of_planner("mig", &["mig::"], ("WEFT_MIG_LENGTH", "6", false)),
    of_planner(
        "laws",
        &["laws::every_law_in_bulk", "--ignored"],
        ("WEFT_PROVE_CASES", "1000000", true),
    ),
    Part {
        name: "orders",
        package: "weft-cuda-abi",
        tests: &["orders::"],
        much: None,
        flags: Some("--cfg loom"),
    },
];

impl Part {
    fn command(&self, cases: Option<&str>, seconds: Option<&str>) -> Command {
        let args = ["test", "--release", "--locked", "-p", self.package, "--test", "it", "--"];
        let mut command = process::cargo(&args);
        command.args(self.tests).arg("--nocapture");
        if let Some((variable, default, counted)) = self.much {
            command.env(variable, cases.filter(|_| counted).unwrap_or(default));
        }
        command.envs(seconds.map(|seconds| ("WEFT_PROVE_SECONDS", seconds)));
        if let Some(flags) = self.flags {
            let target = workspace::target().join(self.name);
            command.env("RUSTFLAGS", flags).env("CARGO_TARGET_DIR", target);
        }
        command
    }
}

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
            name if PARTS.iter().any(|part| part.name == name) => names.push(name),
            other => {
                let known: Vec<&str> = PARTS.iter().map(|part| part.name).collect();
                return Err(format!("`{other}` is no part; known are {}", known.join(", ")));
            }
        }
    }
    let asked = |part: &&Part| names.is_empty() || names.contains(&part.name);
    let mut failed = Vec::new();
    for part in PARTS.iter().filter(asked) {
        println!("\n=== {}", part.name);
        let mut command = part.command(cases.as_deref(), seconds.as_deref());
        if let Err(why) = process::show(&mut command) {
            failed.push(format!("{}: {why}", part.name));
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n")) }
}
