//! `cargo xtask test`: installs what the tests need, then runs every test of the workspace.
//!
//! One command, one feature set, one profile, so that nothing is compiled twice. What cannot be
//! installed is said; the tests that need it say so too and skip only themselves.
//!
//! The stock S3 clients, [`CLIENTS`], are fetched from Python's registry once, 1.4 gigabytes;
//! without them the tests have not passed.
//! `--full` runs NVIDIA's and PyTorch's own libraries on the stand-in as well: [`STACK`], some six
//! gigabytes that are fetched once, as many that `weft run` brings anew, and a quarter of an hour.

use crate::{Outcome, process, workspace};
use std::fs;
use std::path::Path;
use std::process::Command;

/// The packages of `--full`: PyTorch in one version, which brings cuBLAS, cuDNN, NCCL and Triton in
/// those it was built with.
const STACK: [&str; 2] = ["torch==2.15.0", "numpy"];

/// Two of them keep two small machines' processors busy and fit their memory.
const STACK_AT_ONCE: &str = "2";

/// Stock clients, in folders: what some of them need of others cannot be had together.
const CLIENTS: [(&str, &[&str]); 4] = [
    (
        "boto",
        &[
            "boto3==1.44.5",
            "awscli==1.46.3",
            "minio==7.2.20",
            "pyarrow==26.0.1",
            "polars==2.1.0",
            "deltalake==1.6.6",
            "pylance==14.0.2",
        ],
    ),
    (
        "aiobotocore",
        &[
            "boto3==1.43.117",
            "s3fs==2026.9.0",
            "pandas==3.1.1",
            "pyarrow==26.0.1",
            "dvc==3.67.1",
            "dvc-s3==3.3.0",
        ],
    ),
    // The last two are for its own SQL store, which answers are compared with.
    (
        "mlflow",
        &["mlflow-skinny==3.17.2", "sqlparse==0.5.3", "sqlalchemy==2.1.9", "alembic==1.20.1"],
    ),
    // What it logs by itself, beside it.
    ("sklearn", &["scikit-learn==1.9.1", "pandas==3.1.1"]),
];

/// Debian packages tests and benches use when they are there, and what for.
const PACKAGES: [(&str, &str, &str); 5] = [
    ("python3", "python3", "workloads of the end-to-end tests"),
    ("pip3", "python3-pip", "the headers that the CUDA driver's tables are checked against"),
    ("postgres", "postgresql", "imports from PostgreSQL"),
    ("mariadbd", "mariadb-server-core", "imports from MariaDB"),
    ("bwrap", "bubblewrap", "the peer the container bench compares with"),
];

/// Installs what is missing and can be installed, then runs the tests; arguments go to them.
pub(crate) fn run(args: &[String]) -> Outcome {
    let (full, args): (Vec<&String>, Vec<_>) = args.iter().partition(|arg| *arg == "--full");
    prepare();
    let outcome = every(&args).and(if args.is_empty() { clients() } else { Ok(()) });
    if full.is_empty() { outcome } else { outcome.and(stack()) }
}

/// Every test that needs nothing large.
fn every(args: &[&String]) -> Outcome {
    let mut command = process::cargo(&["test", "--workspace", "--locked", "--no-fail-fast"]);
    let mut sum = Sum::default();
    let outcome = process::show_lines(command.args(args), |line| sum.add(line));
    println!("\n{} tests passed, {} failed, {} left out", sum.passed, sum.failed, sum.ignored);
    outcome
}

/// The tests with [`CLIENTS`].
fn clients() -> Outcome {
    for (name, packages) in CLIENTS {
        fetch(&workspace::target().join("clients").join(name), packages)?;
    }
    let run = |package: &str| {
        let test = ["test", "--locked", "--package", package, "--test", "it"];
        let which = ["--", "--ignored", "--test-threads", STACK_AT_ONCE, "clients_"];
        process::show(process::cargo(&test).args(which))
    };
    run("weft-tracking")?;
    run("weft")
}

/// Packages of Python in a folder of their own, where they are not there yet.
fn fetch(folder: &Path, packages: &[&str]) -> Outcome {
    let (done, wanted) = (folder.join("done"), packages.join("\n"));
    if fs::read_to_string(&done).is_ok_and(|there| there == wanted) {
        return Ok(());
    }
    // What an interrupted fetch left would be taken for whole.
    let _ = fs::remove_dir_all(folder);
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--no-cache-dir", "--no-compile"]);
    process::show(pip.arg("--target").arg(folder).args(packages))?;
    fs::write(&done, wanted).map_err(|e| format!("{}: {e}", done.display()))
}

/// The tests with the packages of [`STACK`].
fn stack() -> Outcome {
    fetch(&workspace::target().join("cuda-stack"), &STACK)?;
    let run = |package: &str| {
        let test = ["test", "--locked", "--package", package, "--test", "it"];
        let which = ["--", "--ignored", "--test-threads", STACK_AT_ONCE, "stack_"];
        process::show(process::cargo(&test).args(which))
    };
    // Beside the driver's library alone, then in containers, then as a user has it.
    run("weft-cuda-shim")?;
    run("weft-runtime")?;
    run("weft")
}

/// What the closing lines of all test programs add up to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sum {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Sum {
    /// `test result: ok. 17 passed; 0 failed; 0 ignored; …` counts, any other line does not.
    fn add(&mut self, line: &str) {
        let Some(counts) = line.strip_prefix("test result: ") else { return };
        let words: Vec<&str> = counts.split([' ', ';', '.']).filter(|w| !w.is_empty()).collect();
        for pair in words.windows(2) {
            let count = pair[0].parse().unwrap_or(0);
            match pair[1] {
                "passed" => self.passed += count,
                "failed" => self.failed += count,
                "ignored" => self.ignored += count,
                _ => {}
            }
        }
    }
}

/// Toolchain components, Debian packages and the CUDA runtime's; never an error.
pub(crate) fn prepare() {
    for (probe, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if process::quiet(process::cargo(&[probe, "--version"]).env("RUSTUP_AUTO_INSTALL", "0"))
            .is_none()
        {
            attempt(Command::new("rustup").args(["component", "add", component]));
        }
    }
    packages();
    if let Err(message) = crate::abi::fetch() {
        println!("going on without the CUDA runtime's packages: {message}");
    }
}

/// Debian packages.
fn packages() {
    let missing: Vec<_> = PACKAGES.iter().filter(|(program, ..)| !on_path(program)).collect();
    if missing.is_empty() {
        return;
    }
    if rustix::process::geteuid().is_root() && on_path("apt-get") {
        let install = ["install", "--yes", "--quiet", "--no-install-recommends"];
        attempt(Command::new("apt-get").args(["update", "--quiet"]));
        let names = missing.iter().map(|(_, package, _)| package);
        attempt(Command::new("apt-get").args(install).args(names));
    } else {
        for (program, package, what) in missing {
            println!("not installed: {program} (Debian's `{package}`), for {what}");
        }
    }
}

fn attempt(command: &mut Command) {
    if let Err(message) = process::show(command) {
        println!("going on without it: {message}");
    }
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_summed() {
        let mut sum = Sum::default();
        sum.add("test result: ok. 17 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out");
        sum.add("test result: FAILED. 2 passed; 3 failed; 0 ignored; finished in 0.5s");
        sum.add("test some::thing ... ok");
        assert_eq!(sum, Sum { passed: 19, failed: 3, ignored: 1 });
    }
}
