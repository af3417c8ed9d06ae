//! Removes a folder and all below it, however deep and however it is guarded.
//!
//! What workloads and archives leave may be nested deeper than a recursive removal has stack or
//! open files for. So depth is flattened: every folder found inside a child of the root is first
//! moved up to be a child itself, which needs three open folders at any depth.

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, RenameFlags, chmodat, openat, renameat_with, unlinkat,
};
use rustix::io::Errno;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Removes `path`, a folder or a file, without following links. Absent is done.
pub(crate) fn tree(path: &Path) -> io::Result<()> {
    let root = match open(rustix::fs::CWD, path) {
        Ok(root) => root,
        Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTDIR | Errno::LOOP) => return std::fs::remove_file(path),
        Err(error) => return Err(error.into()),
    };
    let mut moved = 0_u64;
    loop {
        let folders = clear(root.as_fd())?;
        if folders.is_empty() {
            break;
        }
        for folder in folders {
            flatten(root.as_fd(), &folder, &mut moved)?;
        }
    }
    match std::fs::remove_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Opens a folder for listing, making it usable by its owner where it is not.
fn open(at: impl AsFd, name: impl rustix::path::Arg + Copy) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = openat(&at, name, flags, Mode::empty());
    match opened {
        Err(Errno::ACCESS) => {
            chmodat(&at, name, Mode::RWXU, AtFlags::empty())?;
            openat(&at, name, flags, Mode::empty())
        }
        Ok(folder) => {
            // Best effort: where it matters, removing an entry says so.
            let _ = rustix::fs::fchmod(&folder, Mode::RWXU);
            Ok(folder)
        }
        other => other,
    }
}

/// Removes what is no folder; the names of those that are.
fn clear(folder: BorrowedFd<'_>) -> io::Result<Vec<CString>> {
    let mut folders = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let known_folder = entry.file_type() == FileType::Directory;
        match if known_folder {
            Err(Errno::ISDIR)
        } else {
            unlinkat(folder, name, AtFlags::empty())
        } {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(Errno::ISDIR) => folders.push(name.to_owned()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(folders)
}

/// Empties one child of the root by moving its folders up beside it, and removes it.
fn flatten(root: BorrowedFd<'_>, name: &CString, moved: &mut u64) -> io::Result<()> {
    let folder = match open(root, name.as_c_str()) {
        Err(Errno::NOENT) => return Ok(()),
        other => other?,
    };
    for inner in clear(folder.as_fd())? {
        loop {
            *moved += 1;
            let up = format!(".removed-{moved}");
            match renameat_with(&folder, &inner, root, up, RenameFlags::NOREPLACE) {
                Err(Errno::EXIST) => {}
                Ok(()) | Err(Errno::NOENT) => break,
                // A folder its owner may not write cannot be moved: its `..` would change.
                Err(Errno::ACCESS) => drop(open(&folder, inner.as_c_str())?),
                Err(error) => return Err(error.into()),
            }
        }
    }
    match unlinkat(root, name.as_c_str(), AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn deep_guarded_and_linked() {
        let temp = tempfile::tempdir().unwrap();
        let kept = temp.path().join("kept");
        fs::write(&kept, "").unwrap();
        let root = temp.path().join("root");
        fs::create_dir_all(root.join("shut/inner")).unwrap();
        fs::create_dir(root.join(".removed-1")).unwrap();
        std::os::unix::fs::symlink(temp.path(), root.join("shut/link")).unwrap();
        fs::set_permissions(root.join("shut"), fs::Permissions::from_mode(0o000)).unwrap();
        nest(&root, 5_000);
        tree(&root).unwrap();
        assert!(!root.exists());
        assert!(kept.exists());
        tree(&root).unwrap();
        tree(&kept).unwrap();
        assert!(!kept.exists());
    }

    /// Deeper than a path can be written, so step by step.
    fn nest(root: &Path, depth: u32) {
        let mut at = open(rustix::fs::CWD, root).unwrap();
        for _ in 0..depth {
            rustix::fs::mkdirat(&at, "d", Mode::RWXU).unwrap();
            at = open(&at, "d").unwrap();
        }
    }
}
