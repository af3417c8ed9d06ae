//! The driver's files in a sandbox, and our library in the driver's places.
//!
//! Called by `mounts` while the tree is put together. What an image holds at a place is resolved
//! by the kernel inside the tree: a link there leads nowhere else.

use super::mounts::Tree;
use crate::gpu::{Delivery, FOLDER, open_inside};
use rustix::fs::{CWD, Mode, OFlags, fstat, stat};
use rustix::io::Errno;
use rustix::mount::mount_bind_recursive;
use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

/// Mounts what was made ready.
pub(super) fn mount(tree: &Tree, it: &Delivery) -> io::Result<()> {
    for bind in &it.binds {
        let at = Path::new(FOLDER).join(&bind.at);
        if let Some(folder) = at.parent() {
            tree.folder(folder)?;
        }
        match bind.writable {
            false => tree.bind_sealed(&bind.from, &at)?,
            true => tree.bind_inert(&bind.from, &at)?,
        }
    }
    let library = Delivery::cover();
    for place in &it.covers {
        cover(tree, place, &library)?;
    }
    let (cache, place) = Delivery::cache();
    if it.cached { cover(tree, place, &cache) } else { Ok(()) }
}

/// Puts a file of the tree over what is at a place in it; nothing where nothing is. The mount has
/// the file's own rights, which are sealed.
fn cover(tree: &Tree, place: &Path, file: &Path) -> io::Result<()> {
    let root = rustix::fs::openat(CWD, tree.root(), OFlags::PATH, Mode::empty())?;
    let found = match open_inside(&root, place, OFlags::PATH | OFlags::CLOEXEC) {
        // A link that leads to nothing is no library.
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
        other => other?,
    };
    let target = format!("/proc/self/fd/{}", found.as_raw_fd());
    let source = tree.inside(file);
    let (there, ours) = (fstat(&found)?, stat(&source)?);
    let same = (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino);
    let of_ours = fs::read_link(&target)?.starts_with(tree.inside(Path::new(FOLDER)));
    let regular = rustix::fs::FileType::from_raw_mode(there.st_mode).is_file();
    if same || of_ours || !regular {
        return Ok(());
    }
    Ok(mount_bind_recursive(&source, &target)?)
}
