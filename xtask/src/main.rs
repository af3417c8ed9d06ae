//! The workspace's own commands: `cargo xtask <command>`.
//!
//! They need nothing but the toolchain and few crates the product has already built. Absent on
//! purpose: anything a user of Weft needs; that is the `weft` binary's.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool")]

mod abi;
mod bench;
mod ci;
mod crash;
mod deny;
mod fuzz;
mod mutants;
mod process;
mod prove;
mod s3_tests;
mod sanitize;
mod server;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

/// What a command answers: a sentence for people when it fails.
type Outcome = Result<(), String>;

type Command = (&'static str, fn(&[String]) -> Outcome, &'static str);

const COMMANDS: &[Command] = &[
    ("test", test::run, "install what the tests need, then run them [--full: PyTorch too]"),
    ("ci", ci::run, "every check a change must pass, with the time each took"),
    ("tidy", tidy::run, "the house's rules: arrows, sizes, names, documents"),
    ("deny", deny::run, "licences, sources and versions of dependencies"),
    ("bench", bench::run, "measure the promises; names pick some: start many size plan store"),
    (
        "prove",
        prove::run,
        "the planner and the ledger in large numbers [small|shares|mig|laws|orders …]",
    ),
    ("mutants", mutants::run, "how many small mistakes in the planner its tests notice [k/n]"),
    ("abi", abi::run, "the CUDA driver's functions against its public headers [--write]"),
    ("sanitize", sanitize::run, "the driver's libraries of ours under the address sanitizer"),
    ("fuzz", fuzz::run, "any input at all to each fuzz target [seconds of each]"),
    (
        "s3-tests",
        s3_tests::run,
        "ceph's S3 tests, by the list of what passes --checkout PATH [--python PATH] [--write]",
    ),
    ("crash", crash::run, "kill the server at seeded moments [--runs N] [--seed S]"),
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (name, rest) = args.split_first().map_or(("", &[][..]), |(n, rest)| (n.as_str(), rest));
    let Some((_, command, _)) = COMMANDS.iter().find(|(known, ..)| *known == name) else {
        eprintln!("cargo xtask <command>");
        for (known, _, what) in COMMANDS {
            eprintln!("  {known:<8} {what}");
        }
        return ExitCode::from(2);
    };
    match command(rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask {name}: {message}");
            ExitCode::FAILURE
        }
    }
}
