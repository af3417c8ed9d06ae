//! The files of a folder, found and opened below its descriptor: no link leads out of it, whatever
//! is exchanged meanwhile.
//!
//! Links to files inside are followed, links to folders are not; what is no file is left out. All
//! that is left out is named.

use crate::failure::{Failure, sentence};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use rustix::io::Errno;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Longest path of an object, in bytes: the server's limit.
const PATH_MAX: usize = 1_024;
/// Deepest folder: deeper ones come from programs that went wrong.
const DEPTH_MAX: usize = 128;

/// A file that is to be put.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// Where it goes.
    pub(super) object: String,
    /// Its bytes when it was found.
    pub(super) bytes: u64,
    /// When it was last changed, in nanoseconds since 1970.
    pub(super) modified_ns: i128,
    /// The folder that it was found below.
    root: Arc<OwnedFd>,
    /// Where it is below it.
    below: PathBuf,
}

/// What a walk came to.
#[derive(Debug, Default)]
pub(super) struct Walked {
    pub(super) files: Vec<Found>,
    /// What was left out, each with the reason.
    pub(super) left_out: Vec<(PathBuf, &'static str)>,
}

impl Found {
    /// Opens it, as it is found now.
    pub(super) fn open(&self) -> Result<(File, u64, i128), Failure> {
        let opened = open(&self.root, &self.below);
        let (file, bytes, modified) =
            opened.map_err(|e| Failure::local(self.object.as_str(), e))?;
        Ok((file, bytes, modified))
    }
}

/// Adds what is at a path: a file under the name `to`, a folder's files below it.
pub(super) fn walk(path: &Path, to: &str, walked: &mut Walked) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::usage(sentence(&e, path));
    let meta = std::fs::metadata(path).map_err(failed)?;
    if meta.is_dir() {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty()).map_err(|e| failed(e.into()))?;
        let before = walked.files.len();
        Walk { root: Arc::new(root), to, walked }.folder(PathBuf::new(), 0)?;
        walked.files[before..].sort_by(|a, b| a.object.cmp(&b.object));
        return Ok(());
    }
    // A file that is named is meant: its own name may be a link.
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Failure::usage(format!("{} is no file", path.display())));
    };
    let real = path.canonicalize().map_err(failed)?;
    let (parent, name) = match (real.parent(), real.file_name()) {
        (Some(parent), Some(name)) => (parent, name),
        _ => (parent, name),
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(parent, flags, Mode::empty()).map_err(|e| failed(e.into()))?;
    let (root, below) = (Arc::new(root), PathBuf::from(name));
    let (_, bytes, modified_ns) = open(&root, &below).map_err(|e| failed(e.into()))?;
    let object = checked(to.to_owned(), path)?;
    walked.files.push(Found { object, bytes, modified_ns, root, below });
    Ok(())
}

struct Walk<'a> {
    root: Arc<OwnedFd>,
    to: &'a str,
    walked: &'a mut Walked,
}

impl Walk<'_> {
    fn folder(&mut self, below: PathBuf, depth: usize) -> Result<(), Failure> {
        let at = || below.display().to_string();
        let failed = |e: Errno| Failure::local(at(), e);
        if depth > DEPTH_MAX {
            return Err(Failure::usage(format!("{}: folders {DEPTH_MAX} deep", at())));
        }
        let here = if below.as_os_str().is_empty() { Path::new(".") } else { &below };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let folder = openat2(self.root.as_fd(), here, flags, Mode::empty(), resolve);
        let folder = folder.map_err(failed)?;
        for entry in rustix::fs::Dir::read_from(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let Ok(name) = std::str::from_utf8(name) else {
                let name = String::from_utf8_lossy(name);
                let message = format!("`{name}` in {} is not UTF-8, as names of objects are", at());
                return Err(Failure::usage(message).hint("rename it"));
            };
            let path = below.join(name);
            match kind(&entry, &self.root, &path) {
                FileType::Directory => self.folder(path, depth + 1)?,
                FileType::RegularFile | FileType::Symlink => self.file(path)?,
                _ => self.walked.left_out.push((path, "no file")),
            }
        }
        Ok(())
    }

    fn file(&mut self, path: PathBuf) -> Result<(), Failure> {
        match open(&self.root, &path) {
            Ok((_, bytes, modified_ns)) => {
                let shown = path.to_str().unwrap_or_default();
                let object = checked(format!("{}{shown}", self.to), &path)?;
                let root = self.root.clone();
                self.walked.files.push(Found { object, bytes, modified_ns, root, below: path });
            }
            Err(Errno::XDEV | Errno::LOOP) => {
                self.walked.left_out.push((path, "a link that leads outside"));
            }
            Err(Errno::NOENT) => self.walked.left_out.push((path, "a link that leads nowhere")),
            Err(Errno::ISDIR) => self.walked.left_out.push((path, "a link to a folder")),
            Err(Errno::NXIO) => self.walked.left_out.push((path, "no file")),
            Err(error) => return Err(Failure::local(path.display(), error)),
        }
        Ok(())
    }
}

/// What an entry is; some file systems do not say it in the listing.
fn kind(entry: &rustix::fs::DirEntry, root: &OwnedFd, path: &Path) -> FileType {
    match entry.file_type() {
        FileType::Unknown => {
            let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
            let stat = rustix::fs::statat(root, path, flags);
            stat.map_or(FileType::Unknown, |stat| FileType::from_raw_mode(stat.st_mode))
        }
        known => known,
    }
}

/// Opens a file below a folder, by no way that leads out of it.
fn open(root: &OwnedFd, below: &Path) -> Result<(File, u64, i128), Errno> {
    // A pipe would be waited for without NONBLOCK.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let file = openat2(root.as_fd(), below, flags, Mode::empty(), resolve)?;
    let stat = fstat(&file)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {}
        FileType::Directory => return Err(Errno::ISDIR),
        _ => return Err(Errno::NXIO),
    }
    Ok((File::from(file), u64::try_from(stat.st_size).unwrap_or(0), modified_ns(&stat)))
}

/// When a file was last changed, in nanoseconds since 1970.
pub(super) fn modified_ns(stat: &rustix::fs::Stat) -> i128 {
    i128::from(stat.st_mtime) * 1_000_000_000 + i128::from(stat.st_mtime_nsec)
}

fn checked(object: String, path: &Path) -> Result<String, Failure> {
    match object.len() {
        1..=PATH_MAX => Ok(object),
        length => {
            let message = format!("{}: its path has {length} bytes", path.display());
            Err(Failure::usage(message).hint(format!("an object's has at most {PATH_MAX}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_lead_nowhere_else_and_what_is_left_out_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let (root, outside) = (dir.path().join("root"), dir.path().join("secret"));
        fs::create_dir_all(root.join("raw/deep")).unwrap();
        fs::write(&outside, "secret").unwrap();
        fs::write(root.join("raw/deep/b.csv"), "bb").unwrap();
        fs::write(root.join("a.csv"), "a").unwrap();
        fs::write(root.join(".hidden"), "").unwrap();
        symlink("raw/deep/b.csv", root.join("inside")).unwrap();
        symlink("../secret", root.join("outside")).unwrap();
        symlink(&outside, root.join("absolute")).unwrap();
        symlink("nothing", root.join("nowhere")).unwrap();
        symlink("raw", root.join("folder")).unwrap();
        symlink("/proc/self/fd/0", root.join("magic")).unwrap();
        let fifo = root.join("fifo");
        let mode = Mode::RUSR | Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, FileType::Fifo, mode, 0).unwrap();

        let mut walked = Walked::default();
        walk(&root, "to/", &mut walked).unwrap();
        let names: Vec<_> = walked.files.iter().map(|f| (f.object.as_str(), f.bytes)).collect();
        let wanted =
            [("to/.hidden", 0), ("to/a.csv", 1), ("to/inside", 2), ("to/raw/deep/b.csv", 2)];
        assert_eq!(names, wanted);
        let mut left: Vec<_> = walked.left_out.iter().map(|(p, _)| p.to_str().unwrap()).collect();
        left.sort_unstable();
        assert_eq!(left, ["absolute", "fifo", "folder", "magic", "nowhere", "outside"]);

        // One that became a link after it was found is not followed either.
        let found = walked.files[1].clone();
        assert!(found.open().is_ok());
        fs::remove_file(root.join("a.csv")).unwrap();
        symlink(&outside, root.join("a.csv")).unwrap();
        assert!(found.open().is_err());
    }

    #[test]
    fn a_file_that_is_named_is_meant() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), "a").unwrap();
        symlink(dir.path().join("a"), dir.path().join("link")).unwrap();
        let mut walked = Walked::default();
        walk(&dir.path().join("link"), "x", &mut walked).unwrap();
        assert_eq!((walked.files[0].object.as_str(), walked.files[0].bytes), ("x", 1));
        assert!(walk(&dir.path().join("none"), "x", &mut walked).is_err());
    }
}
