//! `cargo xtask fuzz [seconds]`: each fuzz target for so long, on the toolchain that builds Weft.
//!
//! libFuzzer needs the compiler to count edges and compares, which the stable one does by the flags
//! below; a sanitizer it has not, and this code has nothing unsafe to sanitize. Seeds are the
//! examples and the planner's cases; what is found stays in the target folder for the next time.

use crate::{Outcome, process, workspace};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Each target, and the folder and ending of its seeds.
const TARGETS: [(&str, &str, &str); 5] = [
    ("spec", "examples", ".weft.yaml"),
    ("cases", "crates/weft-sched/cases", ".txt"),
    ("api_bodies", "docs", "openapi.json"),
    ("tenants", "crates/weft-cuda-abi/src", ".rs"),
    ("searches", "crates/weft-tracking/tests/it", ".rs"),
];
const SECONDS: u32 = 60;

/// What cargo-fuzz passes too, less the address sanitizer: coverage by counters and compares.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Cdebug-assertions -Coverflow-checks -Ccodegen-units=1 --cfg fuzzing";
/// Named, so that the flags do not reach build scripts.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// Builds the targets and runs each; the first that finds something ends it.
pub(crate) fn run(args: &[String]) -> Outcome {
    let seconds = match args.first().map(|text| text.parse::<u32>()) {
        None => SECONDS,
        Some(Ok(seconds)) => seconds.max(1),
        Some(Err(_)) => return Err("the argument is a number of seconds a target".to_owned()),
    };
    let built = workspace::target().join("fuzz");
    let args = ["build", "--release", "--target", PLATFORM, "--target-dir"];
    let mut build = process::cargo(&args);
    build.arg(&built).current_dir(workspace::root().join("fuzz")).env("RUSTFLAGS", FLAGS);
    process::show(&mut build)?;
    for (target, folder, ending) in TARGETS {
        let corpus = built.join("corpus").join(target);
        seed(&corpus, &workspace::root().join(folder), ending)?;
        let mut run = Command::new(built.join(PLATFORM).join("release").join(target));
        run.arg(&corpus).current_dir(&corpus);
        run.args([format!("-max_total_time={seconds}"), "-timeout=10".to_owned()]);
        run.args(["-rss_limit_mb=3000", "-max_len=4096", "-print_final_stats=1"]);
        println!("{target}: {seconds} s");
        tell(target, &mut run)?;
    }
    Ok(())
}

/// Runs a target; prints its figures, or all it said where it found something.
fn tell(target: &str, run: &mut Command) -> Outcome {
    let output = run.output().map_err(|error| format!("{target}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let found = !output.status.success();
    for line in said.lines().filter(|line| found || line.starts_with("stat::")) {
        println!("  {}", line.trim_start_matches("stat::"));
    }
    if found { Err(format!("{target} found something, see above")) } else { Ok(()) }
}

/// Copies the seeds into the corpus.
fn seed(corpus: &Path, folder: &Path, ending: &str) -> Outcome {
    let failed = |error: std::io::Error| format!("{}: {error}", corpus.display());
    fs::create_dir_all(corpus).map_err(failed)?;
    let mut folders: Vec<PathBuf> = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(failed)?.flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(ending) {
                let from = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
                fs::copy(&path, corpus.join(format!("{from}-{name}"))).map_err(failed)?;
            }
        }
    }
    Ok(())
}
