//! The library that stands before the driver: which file it is, and the copy that runs get.
//!
//! It comes with the program, as a file beside it. A run never gets that file itself: an upgrade
//! that writes over it must not change what runs. It gets a copy in the state directory, named by
//! its digest, into which is written where everything lies in a run. A file that is missing, or of
//! another build than this program, is refused: whoever asked for a part of a device is told, and
//! gets nothing unguarded.

use super::{FOLDER, GpuError, check};
use rustix::fs::{AtFlags, CWD, accessat};
use sha2::{Digest, Sha256};
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use weft_cuda_abi::{folder, ledger, mark};

/// The library's name as it is built.
const FILE: &str = "libweft_cuda_shim.so";
/// Where it is from the program's folder: beside it, where cargo builds it before it is copied
/// there, or where packages keep libraries.
const BESIDE: [&str; 3] = ["", "deps", "../lib/weft"];
/// Largest file that is taken for it: thirty times its size.
const BYTES_MAX: u64 = 256 << 20;
/// What this program and the library are both built as.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A run that was handed a copy has mounted it by then: a supervisor takes a run over in seconds.
const STARTED_BY: Duration = Duration::from_secs(3_600);

/// The library in the folder of a copy.
const COPY: &str = "library.so";

/// The library of one program, and its copy in one state directory.
#[derive(Debug)]
pub(super) struct Library {
    program: PathBuf,
    copies: PathBuf,
    ready: Mutex<Option<(Seen, Ready)>>,
}

/// A copy that runs can get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ready {
    /// The library.
    pub(super) library: PathBuf,
    /// The programs that see whether it answers, by the name each asks for.
    pub(super) checks: Vec<(&'static str, PathBuf)>,
}

/// A file as it was when it was read: another one is read again.
type Seen = (PathBuf, u64, u64, i64, i64);

impl Library {
    /// Of this program, with its copies in a state directory. Touches neither.
    pub(super) fn of_this_program(state_dir: &Path) -> Self {
        let program = std::env::current_exe().ok();
        let folder = program.as_deref().and_then(Path::parent);
        Self::of(folder.unwrap_or(Path::new("/")), state_dir)
    }

    /// Of the program in this folder, with its copies below this one. Touches neither.
    fn of(program: &Path, state_dir: &Path) -> Self {
        let (program, copies) = (program.to_owned(), state_dir.join("gpu"));
        Self { program, copies, ready: Mutex::default() }
    }

    /// The copy, made where it is not.
    pub(super) fn ready(&self) -> Result<Ready, GpuError> {
        let source = self.find()?;
        let about = fs::metadata(&source).map_err(GpuError::io(source.display().to_string()))?;
        if about.len() > BYTES_MAX {
            return Err(GpuError::NoLibrary(source));
        }
        let seen = (source, about.ino(), about.len(), about.mtime(), about.mtime_nsec());
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, ready)) = ready.as_ref().filter(|(of, copy)| *of == seen && copy.is_there())
        {
            return Ok(ready.clone());
        }
        let made = self.copy(&seen.0)?;
        *ready = Some((seen, made.clone()));
        Ok(made)
    }

    /// The file beside the program; of several the newest, since a build leaves older ones behind.
    fn find(&self) -> Result<PathBuf, GpuError> {
        let places = BESIDE.iter().map(|place| self.program.join(place).join(FILE));
        let made = |path: &PathBuf| Some(fs::metadata(path).ok()?.modified().ok());
        let found = places.filter(|path| path.is_file()).max_by_key(made);
        found.ok_or_else(|| GpuError::LibraryMissing(self.program.join(FILE)))
    }

    /// Whether there is one, of this program's build.
    pub(super) fn check(&self) -> Result<(), GpuError> {
        self.find().and_then(|source| written(&source)).map(drop)
    }

    fn copy(&self, source: &Path) -> Result<Ready, GpuError> {
        let bytes = written(source)?;
        let digest = hex::encode(&Sha256::digest(&bytes)[..8]);
        let dir = self.copies.join(digest);
        let failed = GpuError::io(dir.display().to_string());
        let made = (|| {
            fs::create_dir_all(&dir)?;
            let library = whole(&dir, COPY, &bytes)?;
            let checks = check::NAMES.map(|(name, library, asks)| {
                Ok::<_, io::Error>((name, whole(&dir, name, &check::program(library, asks))?))
            });
            let checks = checks.into_iter().collect::<io::Result<_>>()?;
            self.remove_older(&dir);
            Ok(Ready { library, checks })
        })();
        made.map_err(failed)
    }

    /// Removes copies that no run is being started with any more. What runs has its files open.
    fn remove_older(&self, but: &Path) {
        for entry in fs::read_dir(&self.copies).into_iter().flatten().flatten() {
            let made = entry.metadata().and_then(|about| about.modified()).ok();
            let old = made.and_then(|at| at.elapsed().ok()).is_some_and(|age| age > STARTED_BY);
            if old && entry.path() != but {
                let _ = crate::remove::tree(&entry.path());
            }
        }
    }
}

/// The file's bytes, of this build, with the folder of runs written into them.
fn written(source: &Path) -> Result<Vec<u8>, GpuError> {
    let mut bytes = fs::read(source).map_err(GpuError::io(source.display().to_string()))?;
    let of = mark::read(&bytes).ok_or_else(|| GpuError::NoLibrary(source.to_owned()))?;
    if (of.layout, of.version) != (ledger::LAYOUT, VERSION) {
        let found = format!("{} with files of layout {}", of.version, of.layout);
        let wanted = format!("{VERSION} with {}", ledger::LAYOUT);
        return Err(GpuError::LibraryOther { path: source.to_owned(), found, wanted });
    }
    if !folder::write(&mut bytes, FOLDER.as_bytes()) {
        return Err(GpuError::NoLibrary(source.to_owned()));
    }
    Ok(bytes)
}

impl Ready {
    fn is_there(&self) -> bool {
        let programs = self.checks.iter().map(|(_, path)| path);
        let there = |path: &PathBuf| {
            accessat(CWD, path, rustix::fs::Access::READ_OK, AtFlags::empty()).is_ok()
        };
        std::iter::once(&self.library).chain(programs).all(there)
    }
}

/// Writes a file whole or not at all; one that is there has the same bytes.
fn whole(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
    let (path, new) = (dir.join(name), dir.join(format!("{name}.{}.new", std::process::id())));
    if !path.exists() {
        let mut file = File::create(&new)?;
        file.write_all(bytes)?;
        file.set_permissions(Permissions::from_mode(0o555))?;
        file.sync_all()?;
        fs::rename(new, &path)?;
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(version: &str, layout_off: u8) -> Vec<u8> {
        let mut mark = mark::this(version);
        mark[mark::LAYOUT_AT] += layout_off;
        [&b"\x7fELF"[..], &mark, &folder::with(b"/elsewhere")].concat()
    }

    fn said(file: Option<&[u8]>) -> String {
        let (program, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        if let Some(file) = file {
            fs::write(program.path().join(FILE), file).unwrap();
        }
        Library::of(program.path(), state.path()).ready().unwrap_err().to_string()
    }

    #[test]
    fn another_build_or_none_is_refused_with_what_to_do() {
        assert!(said(None).contains("libweft_cuda_shim.so is missing"), "{}", said(None));
        let older = said(Some(&built("0.0.9", 0)));
        assert!(older.contains("is of 0.0.9") && older.contains("install"), "{older}");
        let layout = said(Some(&built(VERSION, 1)));
        assert!(layout.contains("layout 2"), "{layout}");
        assert!(said(Some(b"\x7fELF")).contains("is not"), "{}", said(Some(b"\x7fELF")));
        assert!(said(Some(&mark::this(VERSION))).contains("is not"), "no place for the folder");
    }

    #[test]
    fn a_copy_is_made_once_and_says_where_everything_lies() {
        let (program, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (deps, library) =
            (program.path().join("deps"), Library::of(program.path(), state.path()));
        fs::create_dir(&deps).unwrap();
        fs::write(deps.join(FILE), built(VERSION, 0)).unwrap();
        let first = library.ready().unwrap();
        let copy = fs::read(&first.library).unwrap();
        assert!(copy.windows(FOLDER.len()).any(|bytes| bytes == FOLDER.as_bytes()));
        assert_eq!(library.ready().unwrap(), first);
        // A newer one is the program's; what it was before stays for its runs.
        let newer = program.path().join(FILE);
        fs::write(&newer, [built(VERSION, 0), vec![1]].concat()).unwrap();
        let later = std::time::SystemTime::now() + std::time::Duration::from_secs(60);
        File::options().write(true).open(newer).unwrap().set_modified(later).unwrap();
        let second = library.ready().unwrap();
        assert_ne!(second.library, first.library);
        assert_eq!(fs::read(&first.library).unwrap(), copy);
        // One that is older than any start goes with the next copy that is made.
        let old = std::time::SystemTime::now() - 2 * STARTED_BY;
        File::open(first.library.parent().unwrap()).unwrap().set_modified(old).unwrap();
        fs::write(program.path().join(FILE), [built(VERSION, 0), vec![2]].concat()).unwrap();
        let newer = File::options().write(true).open(program.path().join(FILE)).unwrap();
        newer.set_modified(later + Duration::from_secs(60)).unwrap();
        let third = library.ready().unwrap();
        assert!(!first.library.exists() && second.library.exists());
        // A copy that somebody removed is made anew.
        fs::remove_dir_all(state.path().join("gpu")).unwrap();
        assert_eq!(library.ready().unwrap(), third);
        assert!(third.library.exists());
    }
}
