//! The files that are taken along, as one tar archive that is the same for the same content.
//!
//! Sorted by path; no times, owners or modes but whether a file can be executed; so that its
//! digest tells whether the server has it. Links are packed as links where they stay inside.
//! What git is told to ignore in a folder is left out; `.weftignore`, written the same way, has
//! the last word in both directions. What is named itself is taken whatever they say.

use crate::failure::sentence;
use ignore::WalkBuilder;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};
use tempfile::NamedTempFile;

/// Largest archive: the server's limit. Larger data is a dataset, not a file taken along.
const BYTES_MAX: u64 = 1 << 30;

/// Says what is not to be taken along, as `.gitignore` does.
const OWN_IGNORE: &str = ".weftignore";

/// Directories nobody means to take along: caches and repositories, made anew where needed.
const LEFT_OUT: [&str; 10] = [
    ".git",
    ".hg",
    ".svn",
    ".venv",
    "__pycache__",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".ipynb_checkpoints",
    "node_modules",
];

/// Something to be packed.
pub(super) struct Item {
    /// Where it is.
    pub(super) from: PathBuf,
    /// What it was called.
    pub(super) name: String,
    /// Its path in the archive; none: its own name.
    pub(super) to: Option<String>,
}

/// A packed archive.
pub(super) struct Packed {
    pub(super) file: NamedTempFile,
    pub(super) sha256: String,
    pub(super) bytes: u64,
    /// Files and links in it.
    pub(super) files: usize,
}

/// Packs them. An error tells which item, and what is wrong with it.
pub(super) fn pack(items: &[Item]) -> Result<Packed, (usize, String)> {
    let mut entries = BTreeMap::new();
    for (n, item) in items.iter().enumerate() {
        collect(item, &mut entries).map_err(|message| (n, message))?;
    }
    write(&entries).map_err(|error| (0, format!("packing: {error}")))
}

/// Finds every file below an item, by its path in the archive.
fn collect(item: &Item, entries: &mut BTreeMap<PathBuf, PathBuf>) -> Result<(), String> {
    let meta = fs::metadata(&item.from)
        .map_err(|e| format!("`{}`: {}", item.name, sentence(&e, &item.from)))?;
    let to = match (&item.to, meta.is_dir()) {
        (Some(to), _) => normal(Path::new(to)),
        // Of a directory that is not below, or of this one: its content, not its name.
        (None, true) => normal(Path::new(&item.name)),
        (None, false) => normal(Path::new(&item.name)),
    };
    let Some(to) = to else {
        return Err(format!("`{}` lies outside; say where it goes: `{0}:name`", item.name));
    };
    if !meta.is_dir() {
        let name = item.from.file_name().map(PathBuf::from).unwrap_or_default();
        entries.insert(if to.as_os_str().is_empty() { name } else { to }, item.from.clone());
        return Ok(());
    }
    for entry in walk(&item.from) {
        let entry = entry.map_err(|e| e.to_string())?;
        let kind = entry.file_type();
        if kind.is_some_and(|kind| kind.is_file() || kind.is_symlink()) {
            let path = entry.into_path();
            let below = path.strip_prefix(&item.from).unwrap_or(&path);
            entries.insert(to.join(below), path);
        }
    }
    Ok(())
}

/// All there is below a folder but what is ignored. Only what lies in the project says what
/// that is, not the user's own settings of git: the same files make the same archive.
fn walk(folder: &Path) -> ignore::Walk {
    let mut walk = WalkBuilder::new(folder);
    walk.hidden(false).ignore(false).git_global(false).git_exclude(false).require_git(false);
    walk.add_custom_ignore_filename(OWN_IGNORE);
    walk.filter_entry(|entry| {
        let folder = entry.depth() > 0 && entry.file_type().is_some_and(|kind| kind.is_dir());
        !(folder && LEFT_OUT.iter().any(|left| entry.file_name() == *left))
    });
    walk.build()
}

/// The path without `.`; none where it leads outside.
fn normal(path: &Path) -> Option<PathBuf> {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => out.push(name),
            Component::CurDir => {}
            _ => return None,
        }
    }
    Some(out)
}

fn write(entries: &BTreeMap<PathBuf, PathBuf>) -> io::Result<Packed> {
    let file = NamedTempFile::new()?;
    let out = Hashed { to: BufWriter::new(file.reopen()?), hash: Sha256::new(), bytes: 0 };
    let mut archive = tar::Builder::new(out);
    archive.mode(tar::HeaderMode::Deterministic);
    for (to, from) in entries {
        append(&mut archive, to, from)
            .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", from.display())))?;
    }
    let mut out = archive.into_inner()?;
    out.flush()?;
    let (hash, bytes) = (out.hash, out.bytes);
    let digest = hash.finalize();
    let sha256 = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Packed { file, sha256, bytes, files: entries.len() })
}

fn append<W: Write>(archive: &mut tar::Builder<W>, to: &Path, from: &Path) -> io::Result<()> {
    let meta = fs::symlink_metadata(from)?;
    let mut header = tar::Header::new_gnu();
    header.set_mtime(0);
    if meta.is_symlink() {
        let target = fs::read_link(from)?;
        if !stays_inside(to, &target) {
            return Err(io::Error::other("a link that leads outside; take its target along"));
        }
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        header.set_mode(0o777);
        return archive.append_link(&mut header, to, target);
    }
    let executable = meta.permissions().mode() & 0o111 != 0;
    header.set_mode(if executable { 0o755 } else { 0o644 });
    header.set_size(meta.len());
    // No more than was announced, should it grow.
    let content = io::Read::take(fs::File::open(from)?, meta.len());
    archive.append_data(&mut header, to, content)
}

/// Whether a link at `at` to `target` stays inside the archive.
fn stays_inside(at: &Path, target: &Path) -> bool {
    let mut depth = at.components().count() as i64 - 1;
    for part in target.components() {
        match part {
            Component::ParentDir => depth -= 1,
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return false,
        }
        if depth < 0 {
            return false;
        }
    }
    true
}

/// Counts and hashes what is written.
struct Hashed<W> {
    to: W,
    hash: Sha256,
    bytes: u64,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let written = self.to.write(data)?;
        self.hash.update(&data[..written]);
        self.bytes += written as u64;
        if self.bytes > BYTES_MAX {
            return Err(io::Error::other("the files have more than 1 GiB; take fewer along"));
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(packed: &Packed) -> Vec<String> {
        let mut archive = tar::Archive::new(packed.file.reopen().unwrap());
        let entries = archive.entries().unwrap();
        entries.map(|e| e.unwrap().path().unwrap().display().to_string()).collect()
    }

    fn item(base: &Path, name: &str, to: Option<&str>) -> Item {
        Item { from: base.join(name), name: name.to_owned(), to: to.map(str::to_owned) }
    }

    #[test]
    fn the_same_content_is_the_same_archive() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path();
        fs::create_dir_all(base.join("src/.git")).unwrap();
        fs::write(base.join("src/b.py"), "b").unwrap();
        fs::write(base.join("src/a.py"), "a").unwrap();
        fs::write(base.join("src/.git/x"), "x").unwrap();
        std::os::unix::fs::symlink("a.py", base.join("src/link")).unwrap();
        let first = pack(&[item(base, "src", None)]).unwrap();
        assert_eq!(names(&first), ["src/a.py", "src/b.py", "src/link"]);

        let other = tempfile::tempdir().unwrap();
        fs::create_dir_all(other.path().join("src")).unwrap();
        std::os::unix::fs::symlink("a.py", other.path().join("src/link")).unwrap();
        fs::write(other.path().join("src/a.py"), "a").unwrap();
        fs::write(other.path().join("src/b.py"), "b").unwrap();
        let second = pack(&[item(other.path(), "src", None)]).unwrap();
        assert_eq!(first.sha256, second.sha256);
        assert_eq!(first.bytes, fs::metadata(first.file.path()).unwrap().len());

        fs::write(other.path().join("src/b.py"), "c").unwrap();
        let third = pack(&[item(other.path(), "src", None)]).unwrap();
        assert_ne!(first.sha256, third.sha256);
    }

    #[test]
    fn files_go_where_they_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path();
        fs::create_dir_all(base.join("p")).unwrap();
        fs::write(base.join("p/x.py"), "x").unwrap();
        let at = |name, to| names(&pack(&[item(base, name, to)]).unwrap());
        assert_eq!(at("p/x.py", None), ["p/x.py"]);
        assert_eq!(at("p/x.py", Some("y.py")), ["y.py"]);
        assert_eq!(at("p", Some(".")), ["x.py"]);
        assert_eq!(at("p/", Some("q/r")), ["q/r/x.py"]);
        assert_eq!(at(".", None), ["p/x.py"]);
        assert!(pack(&[item(base, "nothing", None)]).is_err());
        assert!(pack(&[item(&base.join("p"), "../p", None)]).is_err());
    }

    #[test]
    fn what_git_ignores_is_not_taken_along() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path();
        fs::create_dir_all(base.join("p/data/raw")).unwrap();
        fs::create_dir_all(base.join("p/.venv")).unwrap();
        for file in ["x.py", ".env", "big.bin", "data/a.csv", "data/raw/b.csv", ".venv/lib"] {
            fs::write(base.join("p").join(file), "x").unwrap();
        }
        let at = |name| names(&pack(&[item(base, name, Some("."))]).unwrap());
        let all = [".env", "big.bin", "data/a.csv", "data/raw/b.csv", "x.py"];
        assert_eq!(at("p"), all);
        // That of a folder above counts as well, as it does for git.
        fs::write(base.join(".gitignore"), "*.bin\n").unwrap();
        fs::write(base.join("p/.gitignore"), ".env\n/data/\n").unwrap();
        assert_eq!(at("p"), [".gitignore", "x.py"]);
        fs::write(base.join("p/.weftignore"), "!/data/\nraw/\n.*ignore\n").unwrap();
        assert_eq!(at("p"), ["data/a.csv", "x.py"]);
        // What is named is meant.
        let file = Item { to: None, ..item(base, "p/big.bin", None) };
        assert_eq!(names(&pack(&[file]).unwrap()), ["p/big.bin"]);
        assert_eq!(at("p/data"), ["a.csv"]);
    }

    #[test]
    fn links_stay_inside() {
        assert!(stays_inside(Path::new("a/b"), Path::new("../c")));
        assert!(!stays_inside(Path::new("a"), Path::new("../c")));
        assert!(!stays_inside(Path::new("a/b"), Path::new("/etc/passwd")));
        assert!(!stays_inside(Path::new("a/b"), Path::new("../../x/../a")));
    }
}
