//! Kept folders: what a workload saves to go on from, from one of its starts to the next.
//!
//! ```text
//! kept/w42/0/    of member 0, seen inside as `/run/checkpoint`; nobody else ever sees it
//! ```
//!
//! The runs call this where they prepare a start, the server when a workload has ended. A folder
//! begins empty with the first start, is handed to the host user of each later one, and is
//! removed with the workload. It is never copied: what a program saved is what it finds. Its
//! content is under the workload's hand, so it is walked by descriptor and never through a link;
//! nothing of the workload lives while that is done.

use crate::claim::sync_parent;
use crate::launch::MemberKey;
use crate::remove;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, openat2, statat};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use weft_types::{Attempt, WorkloadId};

/// A file of this name in the folder says that a program which ends with 0 after it was asked to
/// has finished, and not only saved.
const FINISHED: &str = "finished";

/// All kept folders of one state directory.
#[derive(Debug)]
pub(crate) struct Kept {
    dir: PathBuf,
    /// Whose folders are here, so that looking for old ones costs no walk.
    here: Mutex<BTreeSet<WorkloadId>>,
}

impl Kept {
    /// Opens the folder and looks who has one.
    pub(crate) fn open(state_dir: &Path) -> io::Result<Kept> {
        let dir = state_dir.join("kept");
        DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        let dir = dir.canonicalize()?;
        let names = fs::read_dir(&dir)?.flatten().map(|entry| entry.file_name());
        let here = names.filter_map(|name| name.to_str()?.parse().ok()).collect();
        Ok(Kept { dir, here: Mutex::new(here) })
    }

    /// Makes the folder of a start ready: empty for the first, whatever lay there under its
    /// number; for a later one as it was left, and its user's own.
    pub(crate) fn furnish(&self, key: MemberKey, user: Option<u32>) -> io::Result<PathBuf> {
        let all = self.dir.join(key.workload.to_string());
        let own = all.join(key.member.to_string());
        self.here().insert(key.workload);
        if key.attempt == Attempt(1) {
            remove::tree(&own)?;
        }
        DirBuilder::new().recursive(true).mode(0o700).create(&own)?;
        sync_parent(&own)?;
        sync_parent(&all)?;
        remove_mark(&own)?;
        if let Some(user) = user {
            give(&own, user)?;
        }
        Ok(own)
    }

    /// Workloads that have a folder here.
    pub(crate) fn list(&self) -> Vec<WorkloadId> {
        self.here().iter().copied().collect()
    }

    /// Removes all that was kept for a workload. What fails can be tried again.
    pub(crate) fn remove(&self, workload: WorkloadId) -> io::Result<()> {
        // Before the work: two at once would be in each other's way.
        if !self.here().remove(&workload) {
            return Ok(());
        }
        remove::tree(&self.dir.join(workload.to_string())).inspect_err(|_| {
            self.here().insert(workload);
        })
    }

    fn here(&self) -> MutexGuard<'_, BTreeSet<WorkloadId>> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether its program says that it has finished.
pub(crate) fn has_finished(folder: &Path) -> bool {
    fs::symlink_metadata(folder.join(FINISHED)).is_ok_and(|meta| meta.is_file())
}

/// Makes what was saved survive a power failure.
pub(crate) fn sync(folder: &Path) -> io::Result<()> {
    // One flush of the file system instead of one per file: who saved may not have.
    Ok(rustix::fs::syncfs(File::open(folder)?)?)
}

/// What an earlier start said of itself is not said of this one.
fn remove_mark(folder: &Path) -> io::Result<()> {
    match fs::remove_file(folder.join(FINISHED)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // A folder of that name says nothing.
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => Ok(()),
        other => other,
    }
}

/// Makes a folder and all below it a host user's own: an earlier start may have been another's.
fn give(root: &Path, user: u32) -> io::Result<()> {
    let (uid, gid) = (rustix::fs::Uid::from_raw(user), rustix::fs::Gid::from_raw(user));
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let top = rustix::fs::open(root, flags, Mode::empty())?;
    let mut folders = vec![PathBuf::from(".")];
    while let Some(folder) = folders.pop() {
        let opened = open_below(&top, &folder)?;
        for entry in Dir::read_from(&opened)? {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let stat = statat(&opened, name, AtFlags::SYMLINK_NOFOLLOW)?;
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                folders.push(folder.join(OsStr::from_bytes(name.to_bytes())));
            } else if (stat.st_uid, stat.st_gid) != (user, user) {
                let flags = AtFlags::SYMLINK_NOFOLLOW;
                rustix::fs::chownat(&opened, name, Some(uid), Some(gid), flags)?;
            }
        }
        rustix::fs::fchown(&opened, Some(uid), Some(gid))?;
    }
    Ok(())
}

fn open_below(top: &OwnedFd, folder: &Path) -> io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat2(top, folder, flags, Mode::empty(), resolve).map_err(|error| match error {
        Errno::NAMETOOLONG => io::Error::other("its folders lie too deep in one another"),
        error => error.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    fn key(text: &str) -> MemberKey {
        text.parse().unwrap()
    }

    #[test]
    fn a_folder_begins_empty_is_kept_and_goes_with_its_workload() {
        let state = tempfile::tempdir().unwrap();
        let kept = Kept::open(state.path()).unwrap();
        let own = kept.furnish(key("w1-1-0"), None).unwrap();
        assert_eq!(fs::metadata(&own).unwrap().permissions().mode() & 0o777, 0o700);
        fs::write(own.join("saved"), "1").unwrap();
        fs::write(own.join(FINISHED), "").unwrap();
        assert!(has_finished(&own));
        // As after the death of the server.
        let kept = Kept::open(state.path()).unwrap();
        assert_eq!(kept.list(), [WorkloadId(1)]);
        assert_eq!(kept.furnish(key("w1-2-0"), None).unwrap(), own);
        assert_eq!(fs::read_to_string(own.join("saved")).unwrap(), "1");
        assert!(!has_finished(&own), "said of the start before");
        // A number that is given again, after a restored backup: nothing of the one before.
        kept.furnish(key("w1-1-0"), None).unwrap();
        assert_eq!(fs::read_dir(&own).unwrap().count(), 0);
        kept.remove(WorkloadId(1)).unwrap();
        kept.remove(WorkloadId(1)).unwrap();
        assert_eq!(fs::read_dir(state.path().join("kept")).unwrap().count(), 0);
    }

    #[test]
    fn members_have_a_folder_each() {
        let state = tempfile::tempdir().unwrap();
        let kept = Kept::open(state.path()).unwrap();
        let first = kept.furnish(key("w1-1-0"), None).unwrap();
        fs::write(first.join("saved"), "").unwrap();
        let second = kept.furnish(key("w1-1-1"), None).unwrap();
        assert_eq!(fs::read_dir(second).unwrap().count(), 0);
        assert!(first.join("saved").exists());
    }

    #[test]
    fn a_mark_that_is_no_file_says_nothing() {
        let dir = tempfile::tempdir().unwrap();
        symlink("/etc/passwd", dir.path().join(FINISHED)).unwrap();
        assert!(!has_finished(dir.path()));
        remove_mark(dir.path()).unwrap();
        assert!(Path::new("/etc/passwd").exists());
        fs::create_dir(dir.path().join(FINISHED)).unwrap();
        assert!(!has_finished(dir.path()));
        remove_mark(dir.path()).unwrap();
    }

    #[test]
    #[expect(clippy::print_stderr, reason = "a skipped test says so")]
    fn everything_is_given_and_nothing_outside() {
        let Some(user) = crate::runs::a_host_user() else {
            eprintln!("SKIPPED: no user can be given a file here");
            return;
        };
        let dir = tempfile::tempdir().unwrap();
        let (outside, own) = (dir.path().join("outside"), dir.path().join("own"));
        fs::create_dir_all(own.join("a/b")).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("file"), "").unwrap();
        fs::write(own.join("a/b/file"), "").unwrap();
        fs::hard_link(own.join("a/b/file"), own.join("again")).unwrap();
        symlink(&outside, own.join("a/link")).unwrap();
        symlink(outside.join("file"), own.join("file-link")).unwrap();
        fs::set_permissions(own.join("a"), fs::Permissions::from_mode(0o000)).unwrap();
        give(&own, user).unwrap();
        let owner = |path: &Path| fs::symlink_metadata(path).unwrap().uid();
        for inside in ["", "a", "a/b", "a/b/file", "again", "a/link", "file-link"] {
            assert_eq!(owner(&own.join(inside)), user, "{inside}");
        }
        assert_ne!(owner(&outside), user);
        assert_ne!(owner(&outside.join("file")), user);
    }

    #[test]
    fn folders_deeper_than_a_path_can_say_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut at = rustix::fs::open(dir.path(), flags, Mode::empty()).unwrap();
        for _ in 0..25 {
            let name = "d".repeat(200);
            rustix::fs::mkdirat(&at, &name, Mode::RWXU).unwrap();
            at = rustix::fs::openat(&at, &name, flags, Mode::empty()).unwrap();
        }
        let refused = give(dir.path(), rustix::process::geteuid().as_raw()).unwrap_err();
        assert!(refused.to_string().contains("too deep"), "{refused}");
        remove::tree(dir.path()).unwrap();
    }
}
