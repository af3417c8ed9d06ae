//! The files that are taken along, as one tar archive that is the same for the same content.
//!
//! Sorted by path; no times, owners or modes but whether a file can be executed; so that its
//! digest tells whether the server has it. Links are packed as links where they stay inside.

use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};
use tempfile::NamedTempFile;

/// Largest archive: the server's limit. Larger data is a dataset, not a file taken along.
const BYTES_MAX: u64 = 1 << 30;

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
    let failed = |path: &Path, error: io::Error| format!("{}: {error}", path.display());
    let meta = fs::metadata(&item.from).map_err(|e| failed(&item.from, e))?;
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
    let mut open = vec![(item.from.clone(), to)];
    while let Some((dir, to)) = open.pop() {
        for entry in fs::read_dir(&dir).map_err(|e| failed(&dir, e))? {
            let entry = entry.map_err(|e| failed(&dir, e))?;
            let (path, name) = (entry.path(), entry.file_name());
            let kind = entry.file_type().map_err(|e| failed(&path, e))?;
            let to = to.join(&name);
            if kind.is_dir() {
                if !LEFT_OUT.iter().any(|left| name == *left) {
                    open.push((path, to));
                }
            } else if kind.is_file() || kind.is_symlink() {
                entries.insert(to, path);
            }
        }
    }
    Ok(())
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
    Ok(Packed { file, sha256, bytes })
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
    fn links_stay_inside() {
        assert!(stays_inside(Path::new("a/b"), Path::new("../c")));
        assert!(!stays_inside(Path::new("a"), Path::new("../c")));
        assert!(!stays_inside(Path::new("a/b"), Path::new("/etc/passwd")));
        assert!(!stays_inside(Path::new("a/b"), Path::new("../../x/../a")));
    }
}
