//! Unpacks archives below one folder, layer over layer, and never outside it.
//!
//! Each path is opened by the kernel with `RESOLVE_IN_ROOT` (`openat2(2)`): links met on the way
//! are followed as if the target folder were `/`, which is what layers of an image mean by them,
//! and which no link can leave. Final names are created exclusively and never followed.
//!
//! Contents only: a file becomes 0644 or 0755, a folder 0755, so that whoever a sandbox maps to
//! can read all of it and set-user-id bits are gone. Device nodes, pipes and sockets are skipped.
//! Whiteouts follow the OCI image specification, "Representing Changes".

use super::read::{Entry, Kind};
use super::{ArchiveError, Limits, Reader};
use rustix::fs::{AtFlags, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid};
use rustix::io::Errno;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Folders below one another: deeper trees serve only to exhaust whoever walks them.
const DEPTH_MAX: usize = 256;

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// A folder being filled.
pub(crate) struct Unpack {
    root: OwnedFd,
    owner: Option<(Uid, Gid)>,
    whiteouts: bool,
    /// Names this layer made, which its own opaque marks spare; empty without whiteouts.
    fresh: HashSet<PathBuf>,
    /// The folder of the last entry: archives list a folder's entries together.
    last: Option<(PathBuf, OwnedFd)>,
}

impl Unpack {
    /// Fills the existing folder `root`; everything made is given to `owner`, where given.
    pub(crate) fn into(root: &Path, owner: Option<(u32, u32)>) -> Result<Self, ArchiveError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(root, flags, Mode::empty())
            .map_err(|e| ArchiveError::io(format!("opening {}", root.display()), e))?;
        let owner = owner.map(|(uid, gid)| (Uid::from_raw(uid), Gid::from_raw(gid)));
        Ok(Self { root, owner, whiteouts: false, fresh: HashSet::new(), last: None })
    }

    /// Unpacks one layer of an image over what is there.
    pub(crate) fn layer<R: Read>(&mut self, input: R, limits: Limits) -> Result<R, ArchiveError> {
        self.whiteouts = true;
        self.fresh.clear();
        self.archive(input, limits)
    }

    /// Unpacks an archive; gives its input back, read to the archive's end.
    pub(crate) fn archive<R: Read>(&mut self, input: R, limits: Limits) -> Result<R, ArchiveError> {
        let mut reader = Reader::new(input, limits);
        while let Some(entry) = reader.next()? {
            self.place(&entry, &mut reader)?;
        }
        Ok(reader.into_inner())
    }

    fn place(&mut self, entry: &Entry, content: &mut impl Read) -> Result<(), ArchiveError> {
        let Some(name) = entry.path.file_name() else { return Ok(()) };
        if entry.path.components().count() > DEPTH_MAX {
            let path = entry.path.display().to_string();
            return Err(ArchiveError::Path { path, rule: "is more than 256 folders deep" });
        }
        let doing =
            |e: io::Error| ArchiveError::io(format!("unpacking {}", entry.path.display()), e);
        let parent = entry.path.parent().unwrap_or(Path::new(""));
        if self.whiteouts && name.as_bytes().starts_with(WHITEOUT) {
            return self.white_out(parent, name).map_err(doing);
        }
        self.enter(parent).map_err(doing)?;
        self.make(entry, name, content).map_err(doing)?;
        if self.whiteouts {
            self.fresh.insert(entry.path.clone());
        }
        Ok(())
    }

    fn make(&mut self, entry: &Entry, name: &OsStr, content: &mut impl Read) -> io::Result<()> {
        let folder = match &self.last {
            Some((_, folder)) => folder.as_fd(),
            None => self.root.as_fd(),
        };
        match &entry.kind {
            Kind::Special => return Ok(()),
            Kind::Folder => {
                make_folder(folder, name)?;
                self.own(folder, name)?;
                self.forget_folder();
            }
            Kind::File => {
                displace(folder, name)?;
                self.write_file(folder, name, entry, content)?;
            }
            Kind::Link(text) => {
                displace(folder, name)?;
                rustix::fs::symlinkat(text, folder, name)?;
                self.own(folder, name)?;
                self.forget_folder();
            }
            Kind::Same(target) => {
                let other = self.open_folder(target.parent().unwrap_or(Path::new("")))?;
                let other_name = target.file_name().ok_or(Errno::ISDIR)?;
                if other_name == name && same_folder(&other, folder)? {
                    return Ok(());
                }
                displace(folder, name)?;
                rustix::fs::linkat(&other, other_name, folder, name, AtFlags::empty())?;
            }
        }
        Ok(())
    }

    fn write_file(
        &self,
        folder: impl AsFd,
        name: &OsStr,
        entry: &Entry,
        content: &mut impl Read,
    ) -> io::Result<()> {
        let mode = Mode::from_raw_mode(if entry.executable { 0o755 } else { 0o644 });
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::openat(folder, name, flags, mode)?);
        io::copy(content, &mut file)?;
        if let Some((uid, gid)) = self.owner {
            rustix::fs::fchown(&file, Some(uid), Some(gid))?;
        }
        // The umask may have taken bits from the mode.
        rustix::fs::fchmod(&file, mode)?;
        let seconds = i64::try_from(entry.modified).unwrap_or(0);
        let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
        // Compiled Python files are tied to the time of their source.
        rustix::fs::futimens(&file, &Timestamps { last_access: time, last_modification: time })?;
        Ok(())
    }

    fn own(&self, folder: impl AsFd, name: &OsStr) -> io::Result<()> {
        if let Some((uid, gid)) = self.owner {
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            rustix::fs::chownat(folder, name, Some(uid), Some(gid), flags)?;
        }
        Ok(())
    }

    /// Removes what a whiteout hides of lower layers.
    fn white_out(&mut self, parent: &Path, name: &OsStr) -> io::Result<()> {
        let folder = match self.open_folder(parent) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        self.forget_folder();
        if name.as_bytes() == OPAQUE {
            for entry in std::fs::read_dir(proc_path(&folder, OsStr::new("")))? {
                let entry = entry?;
                if !self.fresh.contains(&parent.join(entry.file_name())) {
                    crate::remove::tree(&entry.path())?;
                }
            }
            return Ok(());
        }
        match &name.as_bytes()[WHITEOUT.len()..] {
            b"" | b"." | b".." => Err(io::ErrorKind::InvalidInput.into()),
            hidden => crate::remove::tree(&proc_path(&folder, OsStr::from_bytes(hidden))),
        }
    }

    /// Makes the folder of the next entry, and those above it, current.
    fn enter(&mut self, path: &Path) -> io::Result<()> {
        if self.last.as_ref().is_some_and(|(last, _)| last == path) {
            return Ok(());
        }
        let folder = match self.open_folder(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                self.make_missing(path)?;
                self.open_folder(path)?
            }
            other => other?,
        };
        self.last = Some((path.to_owned(), folder));
        Ok(())
    }

    fn make_missing(&self, path: &Path) -> io::Result<()> {
        for folder in path.ancestors().collect::<Vec<_>>().into_iter().rev().skip(1) {
            if self.open_folder(folder).is_err() {
                let name = folder.file_name().ok_or(Errno::INVAL)?;
                let above = self.open_folder(folder.parent().unwrap_or(Path::new("")))?;
                make_folder(&above, name)?;
                self.own(&above, name)?;
            }
        }
        Ok(())
    }

    fn open_folder(&self, path: &Path) -> io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        Ok(rustix::fs::openat2(&self.root, path, flags, Mode::empty(), resolve)?)
    }

    /// A folder or link was made or removed: the remembered folder may have moved.
    fn forget_folder(&mut self) {
        self.last = None;
    }
}

/// A folder of this name, kept where it is one, in place of anything else.
fn make_folder(at: impl AsFd, name: &OsStr) -> io::Result<()> {
    let mode = Mode::from_raw_mode(0o755);
    if let Err(error) = rustix::fs::mkdirat(&at, name, mode) {
        let there = rustix::fs::statat(&at, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if error != Errno::EXIST {
            return Err(error.into());
        }
        if rustix::fs::FileType::from_raw_mode(there.st_mode).is_dir() {
            return Ok(());
        }
        rustix::fs::unlinkat(&at, name, AtFlags::empty())?;
        rustix::fs::mkdirat(&at, name, mode)?;
    }
    Ok(rustix::fs::chmodat(&at, name, mode, AtFlags::empty())?)
}

/// Clears the name for a new file or link.
fn displace(at: impl AsFd, name: &OsStr) -> io::Result<()> {
    match rustix::fs::unlinkat(&at, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::ISDIR) => crate::remove::tree(&proc_path(&at, name)),
        Err(error) => Err(error.into()),
    }
}

fn same_folder(a: impl AsFd, b: impl AsFd) -> io::Result<bool> {
    let (a, b) = (rustix::fs::fstat(a)?, rustix::fs::fstat(b)?);
    Ok((a.st_dev, a.st_ino) == (b.st_dev, b.st_ino))
}

/// A path to an entry of an open folder; `name` is one component, so nothing is followed.
fn proc_path(folder: impl AsFd, name: &OsStr) -> PathBuf {
    Path::new("/proc/self/fd").join(folder.as_fd().as_raw_fd().to_string()).join(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use tar::EntryType;

    const LIMITS: Limits = Limits { entries: 100, bytes: 1 << 20 };

    /// An archive of `(type, path, content or link)`, with no check of what is put in.
    fn archive(entries: &[(EntryType, &str, &str)]) -> Vec<u8> {
        let mut out = Vec::new();
        for (kind, path, text) in entries {
            let mut header = tar::Header::new_gnu();
            header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
            header.set_entry_type(*kind);
            header.set_mode(0o6755);
            header.set_mtime(1_000);
            let file = *kind == EntryType::Regular;
            if !file {
                header.as_mut_bytes()[157..157 + text.len()].copy_from_slice(text.as_bytes());
            }
            header.set_size(if file { text.len() as u64 } else { 0 });
            header.set_cksum();
            out.extend_from_slice(header.as_bytes());
            if file {
                out.extend_from_slice(text.as_bytes());
                out.resize(out.len().next_multiple_of(512), 0);
            }
        }
        out
    }

    struct Ground {
        temp: tempfile::TempDir,
        root: PathBuf,
    }

    fn ground() -> Ground {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("root");
        fs::create_dir(&root).unwrap();
        fs::write(temp.path().join("outside"), "untouched").unwrap();
        Ground { temp, root }
    }

    impl Ground {
        fn layer(&self, entries: &[(EntryType, &str, &str)]) -> Result<(), ArchiveError> {
            let mut unpack = Unpack::into(&self.root, None)?;
            unpack.layer(archive(entries).as_slice(), LIMITS).map(drop)
        }

        fn outside_is_untouched(&self) -> bool {
            let outside = self.temp.path().join("outside");
            fs::read_to_string(outside).unwrap() == "untouched"
                && fs::read_dir(self.temp.path()).unwrap().count() == 2
        }
    }

    use EntryType::{Directory as D, Link as H, Regular as F, Symlink as S};

    #[test]
    fn contents_modes_and_times() {
        let g = ground();
        g.layer(&[(D, "a", ""), (F, "a/b/file", "text"), (H, "a/same", "a/b/file")]).unwrap();
        let meta = fs::metadata(g.root.join("a/b/file")).unwrap();
        assert_eq!(meta.permissions().mode() & 0o7777, 0o755, "set-user-id bits are dropped");
        assert_eq!((meta.mtime(), meta.nlink()), (1_000, 2));
        assert_eq!(fs::read_to_string(g.root.join("a/same")).unwrap(), "text");
    }

    #[test]
    fn links_lead_within_the_root() {
        let g = ground();
        let up = "../../../../../..";
        g.layer(&[
            (D, "usr/lib", ""),
            (S, "lib", "/usr/lib"),
            (F, "lib/one", "1"),
            (S, "up", up),
            (F, "up/outside", "x"),
            (S, "file", "../outside"),
            (F, "file", "replaced"),
        ])
        .unwrap();
        assert_eq!(fs::read_to_string(g.root.join("usr/lib/one")).unwrap(), "1");
        assert_eq!(fs::read_to_string(g.root.join("outside")).unwrap(), "x");
        assert_eq!(fs::read_to_string(g.root.join("file")).unwrap(), "replaced");
        assert!(g.outside_is_untouched());
    }

    #[test]
    fn hostile_entries_are_refused_or_contained() {
        let outside = "/outside";
        let cases: &[&[(EntryType, &str, &str)]] = &[
            &[(F, "../outside", "x")],
            &[(F, "a/../../outside", "x")],
            &[(H, "mine", "../outside")],
            &[(S, "out", ".."), (H, "mine", "out/outside")],
            &[(S, "out", "/"), (H, "mine", outside)],
            &[(S, "out", ".."), (F, "out/.wh.outside", "")],
            &[(S, "out", ".."), (F, "out/.wh..wh..opq", "")],
            &[(F, ".wh...", "")],
            &[(F, ".wh..", "")],
            &[(S, "mine", "../outside"), (H, "also", "mine"), (F, "also", "x")],
        ];
        for case in cases {
            let g = ground();
            let _ = g.layer(case);
            assert!(g.outside_is_untouched(), "{case:?}");
        }
    }

    #[test]
    fn a_link_already_there_is_not_written_through() {
        let g = ground();
        symlink("../outside", g.root.join("f")).unwrap();
        symlink("..", g.root.join("d")).unwrap();
        g.layer(&[(F, "f", "x"), (D, "d", ""), (F, "d/g", "y")]).unwrap();
        assert!(g.outside_is_untouched());
        assert!(fs::symlink_metadata(g.root.join("d")).unwrap().is_dir());
    }

    #[test]
    fn devices_are_skipped() {
        let g = ground();
        g.layer(&[(EntryType::Char, "null", ""), (EntryType::Fifo, "pipe", "")]).unwrap();
        assert_eq!(fs::read_dir(&g.root).unwrap().count(), 0);
    }

    #[test]
    fn whiteouts() {
        let g = ground();
        g.layer(&[(F, "a/one", ""), (F, "a/two", ""), (F, "b/old", ""), (F, "c", "")]).unwrap();
        g.layer(&[
            (F, "a/.wh.one", ""),
            (F, "b/new", ""),
            (F, "b/.wh..wh..opq", ""),
            (F, "none/.wh.x", ""),
            (F, "c/now-a-folder", ""),
        ])
        .unwrap_err();
        g.layer(&[(F, ".wh.c", ""), (F, "c/now-a-folder", "")]).unwrap();
        let names = |dir: &str| {
            let entries = fs::read_dir(g.root.join(dir)).unwrap();
            let mut names: Vec<_> =
                entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
            names.sort_unstable();
            names.join(" ")
        };
        assert_eq!(names("a"), "two");
        assert_eq!(names("b"), "new", "an opaque mark spares what its own layer made");
        assert_eq!(names("c"), "now-a-folder");
    }

    #[test]
    fn too_deep_is_refused() {
        let g = ground();
        let mut builder = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        header.set_mode(0o644);
        builder.append_data(&mut header, "d/".repeat(300) + "f", io::empty()).unwrap();
        let bytes = builder.into_inner().unwrap();
        let refused = Unpack::into(&g.root, None).unwrap().layer(bytes.as_slice(), LIMITS);
        assert!(refused.err().unwrap().to_string().contains("256"));
    }
}
