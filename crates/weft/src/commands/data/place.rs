//! Where fetched files go: below one folder, step by step along descriptors, by no link.
//!
//! What an object is called was chosen by whoever put it: a name that could lead elsewhere is no
//! name here. A file is written aside and gets its name when it is whole.

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags, Timespec, Timestamps};
use rustix::fs::{futimens, mkdirat, openat, renameat, renameat_with, statat, unlinkat};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;

/// Longest name of a file: Linux's.
const NAME_MAX: usize = 255;
/// What a file is called while it is not whole begins and ends so.
const ASIDE: (&str, &str) = (".weft-", ".part");

/// A folder that files are fetched into.
pub(super) struct Place {
    path: PathBuf,
    /// The folder, once it is there.
    root: Mutex<Option<std::sync::Arc<OwnedFd>>>,
}

/// What is at a name already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum There {
    Nothing,
    /// A file of so many bytes, changed last in this nanosecond since 1970.
    File(u64, i128),
    /// A folder, a link, something else; or what is on the way to it is no folder.
    Other,
}

/// A file on its way to be whole.
pub(super) struct Aside {
    pub(super) file: File,
    folder: OwnedFd,
    name: String,
    last: String,
}

/// An object's path as names of folders and a file; none where it could be no path below a folder.
pub(super) fn names(path: &str) -> Option<Vec<&str>> {
    let names: Vec<_> = path.split('/').collect();
    let legal = |name: &&str| {
        let aside = name.starts_with(ASIDE.0) && name.ends_with(ASIDE.1);
        !matches!(*name, "" | "." | "..")
            && name.len() <= NAME_MAX
            && !name.contains('\0')
            && !aside
    };
    names.iter().all(legal).then_some(names)
}

impl Place {
    /// The folder of that path; it is made when the first file comes.
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), root: Mutex::new(None) }
    }

    /// What is there under that name.
    pub(super) fn there(&self, names: &[&str]) -> Result<There, Errno> {
        let root = match self.root(false) {
            Ok(root) => root,
            Err(Errno::NOENT) => return Ok(There::Nothing),
            Err(error) => return Err(error),
        };
        let Some((last, folders)) = names.split_last() else { return Ok(There::Other) };
        let folder = match below(&root, folders, false) {
            Ok(folder) => folder,
            Err(Errno::NOENT) => return Ok(There::Nothing),
            Err(Errno::NOTDIR | Errno::LOOP) => return Ok(There::Other),
            Err(error) => return Err(error),
        };
        let stat = match statat(&folder, *last, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(There::Nothing),
            Err(error) => return Err(error),
        };
        Ok(match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                let bytes = u64::try_from(stat.st_size).unwrap_or(0);
                There::File(bytes, super::walk::modified_ns(&stat))
            }
            _ => There::Other,
        })
    }

    /// Opens what is there, to be read.
    pub(super) fn open(&self, names: &[&str]) -> Result<File, Errno> {
        let root = self.root(false)?;
        let Some((last, folders)) = names.split_last() else { return Err(Errno::INVAL) };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        Ok(openat(below(&root, folders, false)?, *last, flags, Mode::empty())?.into())
    }

    /// How much an earlier fetch of the same content left.
    pub(super) fn had(&self, names: &[&str], tag: &str) -> Result<u64, Errno> {
        let root = self.root(false)?;
        let Some((last, folders)) = names.split_last() else { return Err(Errno::INVAL) };
        let folder = below(&root, folders, false)?;
        let stat = statat(&folder, aside_name(last, tag), AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok(u64::try_from(stat.st_size).unwrap_or(0)),
            _ => Err(Errno::INVAL),
        }
    }

    /// A file beside the name, with what an earlier fetch of the same content left in it.
    pub(super) fn aside(&self, names: &[&str], tag: &str) -> Result<Aside, Errno> {
        let Some((last, folders)) = names.split_last() else { return Err(Errno::INVAL) };
        let folder = below(&*self.root(true)?, folders, true)?;
        let name = aside_name(last, tag);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&folder, &*name, flags, Mode::from_raw_mode(0o666))?;
        Ok(Aside { file: file.into(), folder, name, last: (*last).to_owned() })
    }

    fn root(&self, make: bool) -> Result<std::sync::Arc<OwnedFd>, Errno> {
        let mut root = self.root.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(root) = &*root {
            return Ok(root.clone());
        }
        if make {
            std::fs::create_dir_all(&self.path)
                .map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))?;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = rustix::fs::open(&self.path, flags, Mode::empty())?;
        Ok(root.insert(std::sync::Arc::new(opened)).clone())
    }
}

impl Aside {
    /// Gives it its name, over what is there where that is wanted.
    pub(super) fn finish(self, modified_ns: Option<i128>, over: bool) -> Result<(), Errno> {
        if let Some(modified) = modified_ns {
            let (seconds, rest) =
                (modified.div_euclid(1_000_000_000), modified.rem_euclid(1_000_000_000));
            let time = Timespec {
                tv_sec: i64::try_from(seconds).unwrap_or(0),
                tv_nsec: i64::try_from(rest).unwrap_or(0),
            };
            futimens(&self.file, &Timestamps { last_access: time, last_modification: time })?;
        }
        let (folder, from, to) = (self.folder.as_fd(), &*self.name, &*self.last);
        match over {
            true => renameat(folder, from, folder, to),
            false => renameat_with(folder, from, folder, to, RenameFlags::NOREPLACE),
        }
    }

    /// Takes it away: what it has is of no use.
    pub(super) fn discard(self) {
        // One that stays is begun anew.
        let _ = unlinkat(&self.folder, &*self.name, AtFlags::empty());
    }
}

/// What a file of this name and content is called while it is not whole.
fn aside_name(last: &str, tag: &str) -> String {
    let digest = Sha256::digest(format!("{last}\0{tag}"));
    let digest: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{}{digest}{}", ASIDE.0, ASIDE.1)
}

/// A folder below another, made where that is wanted; a link on the way is none.
fn below(root: &OwnedFd, folders: &[&str], make: bool) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut at = openat(root, ".", flags, Mode::empty())?;
    for name in folders {
        at = match openat(&at, *name, flags, Mode::empty()) {
            Err(Errno::NOENT) if make => {
                match mkdirat(&at, *name, Mode::from_raw_mode(0o777)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error),
                }
                openat(&at, *name, flags, Mode::empty())?
            }
            next => next?,
        };
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write as _;
    use std::os::unix::fs::symlink;

    #[test]
    fn names_that_lead_elsewhere_are_none() {
        assert_eq!(names("raw/a.csv"), Some(vec!["raw", "a.csv"]));
        let long = "x".repeat(NAME_MAX + 1);
        for bad in ["", "/", "/etc/passwd", "../x", "a/../../x", "a//b", "./a", "a/.", "a/", &long]
        {
            assert_eq!(names(bad), None, "{bad}");
        }
        assert_eq!(names("a/.weft-0011.part"), None, "the name of what is not whole");
    }

    #[test]
    fn no_link_is_followed_and_nothing_is_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let (root, outside) = (dir.path().join("root"), dir.path().join("outside"));
        fs::create_dir_all(&outside).unwrap();
        let place = Place::new(&root);
        assert_eq!(place.there(&["a"]), Ok(There::Nothing));
        assert!(!root.exists(), "a look makes nothing");

        let mut aside = place.aside(&["raw", "a"], "t1").unwrap();
        aside.file.write_all(b"one").unwrap();
        drop(aside);
        assert_eq!(place.had(&["raw", "a"], "t1"), Ok(3), "it goes on where it was");
        assert!(place.had(&["raw", "a"], "t2").is_err(), "of other content");
        let aside = place.aside(&["raw", "a"], "t1").unwrap();
        aside.finish(Some(1_500_000_000_000_000_007), false).unwrap();
        let there = place.there(&["raw", "a"]).unwrap();
        assert_eq!(there, There::File(3, 1_500_000_000_000_000_007));
        assert_eq!(place.there(&["raw"]).unwrap(), There::Other);
        assert_eq!(place.there(&["raw", "a", "b"]).unwrap(), There::Other);

        let again = place.aside(&["raw", "a"], "t2").unwrap();
        assert_eq!(again.finish(None, false), Err(Errno::EXIST));
        symlink(&outside, root.join("out")).unwrap();
        assert_eq!(place.there(&["out", "x"]).unwrap(), There::Other);
        assert!(place.aside(&["out", "x"], "t").is_err());
        symlink(outside.join("y"), root.join("y")).unwrap();
        let over = place.aside(&["y"], "t").unwrap();
        over.finish(None, true).unwrap();
        assert!(!outside.join("y").exists() && root.join("y").is_file());
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    }
}
