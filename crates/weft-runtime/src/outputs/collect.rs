//! Copies the named outputs out of a working folder, all or nothing.

use super::pattern::{is_glob, matches, parts};
use super::{DEPTH_MAX, OUTPUT_BYTES_MAX, OUTPUT_ENTRIES_MAX, OutputError};
use crate::claim::sync_parent;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What was copied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// Regular files.
    pub files: u64,
    /// Their contents.
    pub bytes: u64,
    /// Patterns that named nothing.
    pub missing: Vec<String>,
    /// Links, pipes, devices and sockets that were left out.
    pub skipped: u64,
}

/// Copies what `patterns` name in the working folder `work` to the folder `dest`, replacing it.
/// `dest` appears whole, durable and by one rename, or stays as it was. It holds at most `most`
/// bytes, the run's own limit: holes and second names of one file are written out in the copy,
/// and would make a small folder a large one. Blocks on the disk.
pub fn collect(
    work: &Path,
    patterns: &[String],
    dest: &Path,
    most: u64,
) -> Result<Collected, OutputError> {
    let patterns = patterns.iter().map(|p| Ok((p, parts(p)?))).collect::<Result<Vec<_>, _>>()?;
    let fresh = beside(dest, ".new");
    let io = |e: io::Error| OutputError::io(dest, e);
    crate::remove::tree(&fresh).map_err(io)?;
    fs::create_dir_all(&fresh).map_err(io)?;
    let mut copy = Copy {
        at: PathBuf::new(),
        to: fresh.clone(),
        done: Collected::default(),
        entries: 0,
        most: most.min(OUTPUT_BYTES_MAX),
    };
    let result = copy.patterns(work, &patterns).and_then(|()| replace(&fresh, dest).map_err(io));
    // After success there is nothing left to remove; after an error, removing is best effort.
    let _ = crate::remove::tree(&fresh);
    result.map(|()| copy.done)
}

/// `dest` with a suffix, in the same folder, so that a rename moves it.
fn beside(dest: &Path, suffix: &str) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(dest.file_name().unwrap_or_default());
    name.push(suffix);
    dest.with_file_name(name)
}

fn replace(fresh: &Path, dest: &Path) -> io::Result<()> {
    rustix::fs::syncfs(File::open(fresh)?)?;
    let old = beside(dest, ".old");
    crate::remove::tree(&old)?;
    match fs::rename(dest, &old) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        other => other?,
    }
    fs::rename(fresh, dest)?;
    sync_parent(dest)?;
    crate::remove::tree(&old)
}

/// The copy under way: `at` below the working folder is copied to the same place below `to`.
struct Copy {
    at: PathBuf,
    to: PathBuf,
    done: Collected,
    entries: u64,
    /// Bytes at most.
    most: u64,
}

impl Copy {
    fn patterns(
        &mut self,
        work: &Path,
        patterns: &[(&String, Vec<&str>)],
    ) -> Result<(), OutputError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let work_folder =
            rustix::fs::open(work, flags, Mode::empty()).map_err(|e| OutputError::io(work, e))?;
        for (pattern, parts) in patterns {
            let before = self.entries;
            self.pattern(&work_folder, parts)?;
            if self.entries == before {
                self.done.missing.push((*pattern).clone());
            }
        }
        Ok(())
    }

    /// Copies what the parts name below an open folder.
    fn pattern(&mut self, folder: &OwnedFd, parts: &[&str]) -> Result<(), OutputError> {
        let Some((first, rest)) = parts.split_first() else { return self.folder(folder) };
        let names = match is_glob(first) {
            true => self.names(folder, |name| matches(first, name.as_bytes()))?,
            false => vec![OsStr::new(first).to_owned()],
        };
        for name in names {
            self.inside(&name, |copy| match rest {
                [] => copy.entry(folder, &name),
                _ => match open_in(folder, &name, OFlags::DIRECTORY) {
                    Ok(inner) => copy.pattern(&inner, rest),
                    Err(e) if absent(e) => Ok(()),
                    Err(e) => Err(OutputError::io(&copy.at, e)),
                },
            })?;
        }
        Ok(())
    }

    fn folder(&mut self, folder: &OwnedFd) -> Result<(), OutputError> {
        self.count(|_| true)?;
        let to = self.to.join(&self.at);
        fs::create_dir_all(&to).map_err(|e| OutputError::io(&self.at, e))?;
        for name in self.names(folder, |_| true)? {
            self.inside(&name, |copy| copy.entry(folder, &name))?;
        }
        Ok(())
    }

    fn entry(&mut self, folder: &OwnedFd, name: &OsStr) -> Result<(), OutputError> {
        // Not blocking: a pipe would wait for a writer.
        let opened = match open_in(folder, name, OFlags::NONBLOCK | OFlags::NOFOLLOW) {
            Ok(opened) => opened,
            Err(Errno::NOENT) => return Ok(()),
            // A link, or a socket.
            Err(Errno::LOOP | Errno::NXIO) => {
                self.done.skipped += 1;
                return Ok(());
            }
            Err(e) => return Err(OutputError::io(&self.at, e)),
        };
        let stat = rustix::fs::fstat(&opened).map_err(|e| OutputError::io(&self.at, e))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => self.folder(&opened),
            FileType::RegularFile => self.file(File::from(opened), stat.st_mode & 0o100 != 0),
            _ => {
                self.done.skipped += 1;
                Ok(())
            }
        }
    }

    fn file(&mut self, from: File, executable: bool) -> Result<(), OutputError> {
        let (most, left) = (self.most, self.most - self.done.bytes);
        let io = |e: io::Error| OutputError::io(&self.at, e);
        let path = self.to.join(&self.at);
        if path.exists() {
            return Ok(()); // Two patterns name it.
        }
        fs::create_dir_all(path.parent().unwrap_or(&self.to)).map_err(io)?;
        let mode = if executable { 0o755 } else { 0o644 };
        let mut options = fs::OpenOptions::new();
        let mut to = options.write(true).create_new(true).mode(mode).open(&path).map_err(io)?;
        // Sizes as read: a sparse file may claim more than any disk has.
        let size = from.metadata().map_err(io)?.len();
        let copied = match size > left {
            true => size,
            false => io::copy(&mut from.take(left + 1), &mut to).map_err(io)?,
        };
        self.count(|done| {
            done.files += 1;
            done.bytes = done.bytes.saturating_add(copied);
            done.bytes <= most
        })
    }

    /// Counts one more entry, and what it holds.
    fn count(&mut self, add: impl FnOnce(&mut Collected) -> bool) -> Result<(), OutputError> {
        let over = |limit, what| OutputError::TooMuch { path: self.at.clone(), limit, what };
        self.entries += 1;
        if self.entries > OUTPUT_ENTRIES_MAX {
            return Err(over(OUTPUT_ENTRIES_MAX, "files and folders"));
        }
        if add(&mut self.done) { Ok(()) } else { Err(over(self.most, "bytes")) }
    }

    /// Names in a folder, sorted, so that a limit falls on the same file each time.
    fn names(
        &self,
        folder: &OwnedFd,
        keep: impl Fn(&OsStr) -> bool,
    ) -> Result<Vec<std::ffi::OsString>, OutputError> {
        let io = |e: Errno| OutputError::io(&self.at, e);
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(folder).map_err(io)? {
            let entry = entry.map_err(io)?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if !matches!(name.as_bytes(), b"." | b"..") && keep(name) {
                names.push(name.to_owned());
            }
            if names.len() as u64 > OUTPUT_ENTRIES_MAX {
                let (limit, what) = (OUTPUT_ENTRIES_MAX, "files and folders");
                return Err(OutputError::TooMuch { path: self.at.clone(), limit, what });
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Does something one name further in.
    fn inside(
        &mut self,
        name: &OsStr,
        act: impl FnOnce(&mut Self) -> Result<(), OutputError>,
    ) -> Result<(), OutputError> {
        self.at.push(name);
        if self.at.components().count() > DEPTH_MAX {
            let (limit, what) = (DEPTH_MAX as u64, "folders deep");
            return Err(OutputError::TooMuch { path: self.at.clone(), limit, what });
        }
        let result = act(self);
        self.at.pop();
        result
    }
}

/// Opens one name of a folder for reading, never through a link.
fn open_in(folder: impl AsFd, name: &OsStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    openat2(folder, name, flags | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty(), resolve)
}

fn absent(error: Errno) -> bool {
    matches!(error, Errno::NOENT | Errno::NOTDIR | Errno::LOOP)
}
