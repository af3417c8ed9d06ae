//! The stand-in as programs meet it: loaded by name, called through C, by unmodified libraries.
//!
//! Each test is a Python program beside this file, in a process of its own with what
//! `WEFT_FAKECUDA` says, since a driver is made once in a process.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder in which the stand-in has its two names, and where programs run.
struct Trial {
    folder: tempfile::TempDir,
}

impl Trial {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["libcuda.so.1", "libnvidia-ml.so.1"] {
            std::os::unix::fs::symlink(library(), folder.path().join(name)).expect("a link");
        }
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a program with what the stand-in is to be.
    fn run(&self, program: &str, settings: &str, arguments: &[&str]) -> Output {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it").join(program);
        let mut command = Command::new("python3");
        command.arg(program).args(arguments).env("WEFT_FAKECUDA", settings);
        command.env("LD_LIBRARY_PATH", self.folder.path()).output().expect("python3 runs")
    }

    /// Runs a program that is to end well; what it printed.
    fn passes(&self, program: &str, settings: &str, arguments: &[&str]) -> String {
        let output = self.run(program, settings, arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments:?}: {}\n{said}", output.status);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The lines of the one trace that was written.
    fn trace(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).expect("the folder").flatten();
        let mut traces =
            entries.map(|e| e.path()).filter(|p| p.to_string_lossy().contains("calls."));
        let trace = traces.next().expect("a trace");
        let lines =
            fs::read_to_string(&trace).expect("a text").lines().map(str::to_owned).collect();
        fs::remove_file(trace).expect("it was there");
        lines
    }
}

/// The library, which cargo has built beside this test.
fn library() -> PathBuf {
    let test = std::env::current_exe().expect("this program");
    let folder = test.parent().expect("a folder");
    let beside = [folder.to_path_buf(), folder.parent().expect("a folder").to_path_buf()];
    let paths = beside.iter().map(|folder| folder.join("libweft_fakecuda.so"));
    paths.into_iter().find(|path| path.exists()).expect("cargo has built the library")
}

/// The runtime libraries that `cargo xtask test` has fetched: one of each line of drivers.
fn runtimes() -> Vec<PathBuf> {
    let target =
        library().parent().and_then(Path::parent).expect("the target folder").to_path_buf();
    let mut found = Vec::new();
    let mut folders = vec![target.join("cuda-packages"), target.join("../cuda-packages")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if name.starts_with("libcudart.so.1") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

#[test]
fn memory_is_the_devices_and_comes_back() {
    Trial::new().passes("memory.py", "devices=1xL4-24", &[]);
}

#[test]
fn kernels_by_name_compute_and_time_is_what_was_waited_for() {
    Trial::new().passes("kernels.py", "devices=1xH100-80 kernel=1ms kernel.fill=3ms", &[]);
}

#[test]
fn every_name_at_every_version_is_its_symbol() {
    let table = concat!(env!("CARGO_MANIFEST_DIR"), "/../weft-cuda-abi/driver.tsv");
    Trial::new().passes("names.py", "devices=1xH100-80", &[table]);
}

#[test]
fn no_call_with_nothing_but_nulls_ends_the_process() {
    let table = concat!(env!("CARGO_MANIFEST_DIR"), "/../weft-cuda-abi/driver.tsv");
    let management = concat!(env!("CARGO_MANIFEST_DIR"), "/../weft-cuda-abi/nvml.tsv");
    Trial::new().passes("nulls.py", "devices=2xH100-80", &[table, management]);
}

#[test]
fn management_answers_without_the_driver() {
    Trial::new().passes("management.py", "devices=2xH200-141", &[]);
}

#[test]
#[expect(clippy::print_stdout, reason = "says what ran, and what was left out")]
fn unmodified_runtimes_run() {
    let runtimes = runtimes();
    if runtimes.is_empty() {
        println!("left out: no runtime library; `cargo xtask test` fetches them");
    }
    for runtime in runtimes {
        let said =
            Trial::new().passes("runtime.py", "devices=2xH200-141", &[&runtime.to_string_lossy()]);
        println!("{said}");
    }
}

#[test]
fn the_same_program_leaves_the_same_trace() {
    let trial = Trial::new();
    let settings = format!("devices=1xL4-24 trace={}", trial.path("calls").display());
    trial.passes("memory.py", &settings, &[]);
    let first = trial.trace();
    trial.passes("memory.py", &settings, &[]);
    assert_eq!(trial.trace(), first);
    assert_eq!(first[0], "cuMemGetInfo_v2 & &");
    assert!(first.iter().any(|line| line == "cuMemAlloc_v2 & 0x100000"), "{first:?}");
}

#[test]
fn faults_come_at_their_call() {
    let trial = Trial::new();
    trial.passes("faults.py", "devices=1xL4-24 fault=cuMemAlloc_v2@2:2", &["2"]);
    let crashed = trial.run("faults.py", "devices=1xL4-24 fault=cuMemAlloc_v2@2:crash", &["2"]);
    assert!(!crashed.status.success());
    let refused = trial.run("faults.py", "devices=1xTPU-9", &["2"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("WEFT_FAKECUDA: `devices=1xTPU-9` is not understood"), "{said}");
}
