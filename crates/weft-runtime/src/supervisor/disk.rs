//! What a run holds on disk: its working folder, and files it has removed but still has open.
//!
//! The watch calls this while the run goes on, so everything here is under the workload's hand:
//! folders are opened below the working folder by the kernel, never through a link, and what
//! is hidden deeper than a path can be written counts as more than any limit. A supervisor
//! without rights makes a folder that was shut readable to its owner: it could not look inside.

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, openat2, statat};
use rustix::io::Errno;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Size of the blocks in `st_blocks`, whatever the file system's own are.
const BLOCK: u64 = 512;
/// What cannot be measured: above any limit the API takes (1 PiB), and sums of it still fit.
const BEYOND: u64 = 1 << 51;
/// Open files and mappings looked at: some 100 ms. A run with more is measured in part.
const OPEN_MAX: usize = 100_000;

/// What listing a folder and looking at its entries needs.
const LISTED: Mode = Mode::RUSR.union(Mode::XUSR);

/// Bytes on disk below a folder, each file once, without following links or other file systems.
pub(super) fn of_tree(root: &Path) -> u64 {
    // Only to begin paths at: it may be shut.
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Ok(top) = rustix::fs::open(root, flags, Mode::empty()) else { return 0 };
    let Ok(stat) = make_listable(&top) else { return 0 };
    let (device, mut seen) = (stat.st_dev, HashSet::new());
    let mut total = bytes(stat.st_blocks);
    let mut folders = vec![PathBuf::from(".")];
    while let Some(folder) = folders.pop() {
        let opened = match open_below(&top, &folder) {
            Ok(opened) => opened,
            // Deeper than a path can say, or shut again as soon as it is opened.
            Err(Errno::NAMETOOLONG | Errno::ACCESS) => return BEYOND,
            // Removed or replaced meanwhile.
            Err(_) => continue,
        };
        let Ok(entries) = Dir::read_from(&opened) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Ok(stat) = statat(&opened, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
            if matches!(name.to_bytes(), b"." | b"..")
                || stat.st_dev != device
                || stat.st_nlink > 1 && !is_folder && !seen.insert(stat.st_ino)
            {
                continue;
            }
            total += bytes(stat.st_blocks);
            if is_folder {
                folders.push(folder.join(OsStr::from_bytes(name.to_bytes())));
            }
        }
    }
    total
}

/// Opens a folder whose entries can be looked at. `ACCESS`: it is shut, and stays so.
fn open_below(top: &OwnedFd, folder: &Path) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    let open = |how: OFlags| {
        let flags = how | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat2(top, folder, flags, Mode::empty(), resolve)
    };
    make_listable(&open(OFlags::PATH)?)?;
    open(OFlags::RDONLY)
}

/// Opens a folder of our own that was shut to its owner; where rights do not go by its mode,
/// that is needless.
fn make_listable(folder: &OwnedFd) -> Result<Stat, Errno> {
    let (stat, own) = (rustix::fs::fstat(folder)?, rustix::process::geteuid());
    let mode = Mode::from_raw_mode(stat.st_mode);
    if !own.is_root() && stat.st_uid == own.as_raw() && !mode.contains(LISTED) {
        // By the descriptor: a name could have become a link to something else meanwhile.
        rustix::fs::chmod(format!("/proc/self/fd/{}", folder.as_raw_fd()), mode | LISTED)?;
    }
    Ok(stat)
}

fn bytes(blocks: i64) -> u64 {
    u64::try_from(blocks).unwrap_or(0).saturating_mul(BLOCK)
}

/// Bytes on the file system of `root` in files without a name that these processes have open or
/// mapped, each file once. Mappings are shown to a privileged supervisor only.
pub(super) fn of_removed(root: &Path, pids: &[i32]) -> u64 {
    let Ok(top) = fs::symlink_metadata(root) else { return 0 };
    let list = |path: PathBuf| fs::read_dir(path).into_iter().flatten().flatten();
    let open = pids.iter().flat_map(|pid| {
        let process = PathBuf::from(format!("/proc/{pid}"));
        // Of each thread: one may have a table of its own.
        let tables = list(process.join("task")).map(|thread| thread.path().join("fd"));
        tables.chain([process.join("map_files")]).flat_map(list)
    });
    let mut seen = HashSet::new();
    let mut total = 0;
    for entry in open.take(OPEN_MAX) {
        // Through the link, which leads to the file itself, whatever its name was.
        let Ok(meta) = fs::metadata(entry.path()) else { continue };
        let removed = meta.is_file() && meta.nlink() == 0 && meta.dev() == top.dev();
        if removed && seen.insert(meta.ino()) {
            total += meta.blocks().saturating_mul(BLOCK);
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_tree_is_measured_once_per_file_and_not_through_links() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("work");
        fs::create_dir_all(root.join("a/b")).unwrap();
        let empty = of_tree(&root);
        fs::write(root.join("a/b/data"), vec![1; 100_000]).unwrap();
        fs::hard_link(root.join("a/b/data"), root.join("again")).unwrap();
        std::os::unix::fs::symlink("/usr", root.join("usr")).unwrap();
        let grown = of_tree(&root) - empty;
        assert!((100_000..150_000).contains(&grown), "{grown}");
    }

    #[test]
    fn what_lies_deeper_than_a_path_can_say_is_too_much() {
        let dir = tempfile::tempdir().unwrap();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut at = rustix::fs::open(dir.path(), flags, Mode::empty()).unwrap();
        let name = "d".repeat(200);
        for _ in 0..25 {
            rustix::fs::mkdirat(&at, &name, Mode::RWXU).unwrap();
            at = rustix::fs::openat(&at, &name, flags, Mode::empty()).unwrap();
        }
        assert_eq!(of_tree(dir.path()), BEYOND);
        crate::remove::tree(dir.path()).unwrap();
    }

    #[test]
    fn a_removed_file_counts_while_it_is_open() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gone");
        let mut file = fs::File::create(&path).unwrap();
        file.write_all(&vec![1; 8 << 20]).unwrap();
        file.sync_all().unwrap();
        let own = [i32::try_from(std::process::id()).unwrap()];
        assert_eq!(of_tree(dir.path()) >> 23, 1);
        fs::remove_file(&path).unwrap();
        assert_eq!(of_tree(dir.path()) >> 23, 0);
        assert!(of_removed(dir.path(), &own) >= 8 << 20);
    }
}
