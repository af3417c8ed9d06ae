//! Where the workspace is and which files are ours to check.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders and files of the root that hold our own text.
const OURS: [&str; 14] = [
    ".ci",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.toml",
    "GLOSSARY.md",
    "README.md",
    "clippy.toml",
    "crates",
    "deny.toml",
    "docs",
    "examples",
    "fuzz/fuzz_targets",
    "xtask",
];

/// The workspace's root.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Where cargo puts what it builds.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// A file of ours.
pub(crate) struct File {
    /// Relative to the root, with `/` between parts.
    pub(crate) path: String,
    /// Its text.
    pub(crate) text: String,
}

impl File {
    /// Whether it is Rust.
    pub(crate) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
}

/// Every text file of ours, in order of path; what is no UTF-8 is no text.
pub(crate) fn files() -> Vec<File> {
    let root = root();
    let mut paths = Vec::new();
    for entry in OURS {
        collect(&root.join(entry), &mut paths);
    }
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).ok()?;
        let relative = path.strip_prefix(&root).ok()?.to_str()?.to_owned();
        Some(File { path: relative, text })
    };
    paths.into_iter().filter_map(read).collect()
}

fn collect(path: &Path, into: &mut Vec<PathBuf>) {
    if path.is_file() {
        into.push(path.to_path_buf());
        return;
    }
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        let built = entry.file_name() == "target" || entry.file_name() == "node_modules";
        if !hidden && !built && !entry.path().is_symlink() {
            collect(&entry.path(), into);
        }
    }
}

/// Names of the crates' folders.
pub(crate) fn crates() -> Vec<String> {
    let entries = fs::read_dir(root().join("crates")).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .filter(|entry| entry.path().join("Cargo.toml").is_file())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
