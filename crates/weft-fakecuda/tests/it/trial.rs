//! A Python program with libraries of ours in the driver's place; for the tests of the library that
//! stands between, too.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

/// Set by `cargo xtask sanitize`: where the libraries are that the address sanitizer watches.
const SANITIZED: &str = "WEFT_SANITIZED";

/// A folder in which programs find the driver, and keep what they write.
pub(crate) struct Trial {
    folder: tempfile::TempDir,
}

impl Trial {
    /// With a library under the driver's two names.
    pub(crate) fn new(library: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["libcuda.so.1", "libnvidia-ml.so.1"] {
            std::os::unix::fs::symlink(library, folder.path().join(name)).expect("a link");
        }
        Self { folder }
    }

    /// A file of this trial.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A program with what the stand-in is to be, not yet run.
    pub(crate) fn command(&self, program: &str, settings: &str, arguments: &[&str]) -> Command {
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
        let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../weft-fakecuda/tests/it");
        let program = [own.join(program), shared.join(program)];
        let program = program.iter().find(|path| path.exists()).expect("the program");
        let mut command = Command::new("python3");
        command.arg(program).args(arguments).env("WEFT_FAKECUDA", settings);
        command.env("PYTHONPATH", shared).env("PYTHONDONTWRITEBYTECODE", "1");
        command.env("LD_LIBRARY_PATH", self.folder.path());
        command
    }

    /// Runs a program with what the stand-in is to be.
    pub(crate) fn run(&self, program: &str, settings: &str, arguments: &[&str]) -> Output {
        self.command(program, settings, arguments).output().expect("python3 runs")
    }

    /// Runs a program that is to end well; what it printed.
    pub(crate) fn passes(&self, program: &str, settings: &str, arguments: &[&str]) -> String {
        let output = self.run(program, settings, arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments:?}: {}\n{said}", output.status);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The lines of the traces that were written, by name of their files, which are gone then.
    pub(crate) fn traces(&self) -> Vec<Vec<String>> {
        let entries = fs::read_dir(self.folder.path()).expect("the folder").flatten();
        let is_trace = |path: &PathBuf| path.to_string_lossy().contains("calls.");
        let mut paths: Vec<_> = entries.map(|entry| entry.path()).filter(is_trace).collect();
        paths.sort();
        let lines = |path: PathBuf| {
            let text = fs::read_to_string(&path).expect("a text");
            fs::remove_file(path).expect("it was there");
            text.lines().map(str::to_owned).collect()
        };
        paths.into_iter().map(lines).collect()
    }

    /// The lines of the one trace that was written, which is gone then.
    pub(crate) fn trace(&self) -> Vec<String> {
        let mut traces = self.traces();
        assert_eq!(traces.len(), 1, "one process, one thread");
        traces.pop().unwrap_or_default()
    }
}

/// A library that cargo has built beside this test, or with the address sanitizer.
pub(crate) fn built(name: &str) -> PathBuf {
    if let Some(folder) = env::var_os(SANITIZED) {
        return Path::new(&folder).join(name);
    }
    let test = env::current_exe().expect("this program");
    let folders = test.ancestors().skip(1).take(2).map(|folder| folder.join(name));
    let found = folders.into_iter().find(|path| path.exists());
    found.unwrap_or_else(|| panic!("cargo has built {name}"))
}

/// The runtime libraries that `cargo xtask test` has fetched: one of each line of drivers.
pub(crate) fn runtimes() -> Vec<PathBuf> {
    let test = env::current_exe().expect("this program");
    let mut folders: Vec<_> =
        test.ancestors().take(5).map(|folder| folder.join("cuda-packages")).collect();
    let mut found = Vec::new();
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
