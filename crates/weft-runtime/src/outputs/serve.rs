//! Lists and opens collected outputs for the API.

use super::{OUTPUT_ENTRIES_MAX, OutputError};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, openat2};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// One collected file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OutputFile {
    /// Below the outputs folder.
    pub path: PathBuf,
    /// Its content.
    pub bytes: u64,
}

/// All files below `dest`, sorted by path; none where nothing was collected.
pub fn list(dest: &Path) -> Result<Vec<OutputFile>, OutputError> {
    let mut files = Vec::new();
    let mut folders = vec![dest.to_owned()];
    while let Some(folder) = folders.pop() {
        let io = |e| OutputError::io(&folder, e);
        let entries = match fs::read_dir(&folder) {
            Err(e) if e.kind() == ErrorKind::NotFound => continue,
            other => other.map_err(io)?,
        };
        for entry in entries {
            let entry = entry.map_err(io)?;
            let meta = entry.metadata().map_err(io)?;
            if meta.is_dir() {
                folders.extend((folder != dest || !unfinished(&entry)).then(|| entry.path()));
            } else if meta.is_file() && (files.len() as u64) < OUTPUT_ENTRIES_MAX {
                let path = entry.path().strip_prefix(dest).map(Path::to_owned);
                files.extend(path.map(|path| OutputFile { path, bytes: meta.len() }));
            }
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// Whether it is the copy of a gang's member under way or cut off, `.3.new` beside `3`.
fn unfinished(entry: &fs::DirEntry) -> bool {
    let name = entry.file_name();
    let name = name.to_str().and_then(|name| name.strip_prefix('.'));
    let member = name.and_then(|name| name.strip_suffix(".new").or(name.strip_suffix(".old")));
    member.is_some_and(|member| member.parse::<u32>().is_ok())
}

/// Opens one file below `dest`, never outside it, never through a link.
pub fn open(dest: &Path, path: &Path) -> Result<File, OutputError> {
    let unknown = || OutputError::Unknown(path.to_owned());
    let folder = File::open(dest).map_err(|_| unknown())?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let file = openat2(&folder, path, flags, Mode::empty(), resolve).map_err(|_| unknown())?;
    let stat = rustix::fs::fstat(&file).map_err(|e| OutputError::io(path, e))?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Ok(File::from(file)),
        _ => Err(unknown()),
    }
}
