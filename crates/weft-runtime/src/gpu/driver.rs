//! Where the machine's driver is: as the loader would find it, or in a folder that is named.

use super::cache::Cache;
use super::mps::CONTROL;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The driver and its management library, by the names that programs open.
pub(super) const DRIVER: &str = "libcuda.so.1";
pub(super) const MANAGEMENT: &str = "libnvidia-ml.so.1";
/// What the names of the driver's own libraries begin with: those for computing, which it opens
/// itself or which are opened beside it.
const OWN: [&str; 8] = [
    "libcuda.so",
    "libcudadebugger.so",
    "libnvidia-ml.so",
    "libnvidia-cfg.so",
    "libnvidia-gpucomp.so",
    "libnvidia-nvvm",
    "libnvidia-opencl.so",
    "libnvidia-ptxjitcompiler.so",
];
/// Where the loader looks without a cache, by what distributions build into it.
pub(super) const LOADER_FOLDERS: [&str; 6] = [
    "/usr/lib/x86_64-linux-gnu",
    "/lib/x86_64-linux-gnu",
    "/usr/lib64",
    "/lib64",
    "/usr/lib",
    "/lib",
];
/// The machine's cache of the loader.
pub(super) const LOADER_CACHE: &str = "/etc/ld.so.cache";
/// Where the driver's packages put its programs.
const PROGRAMS: &str = "/usr/bin";
/// Files of a folder that is named, at most: a driver has a few dozen.
const FILES_MAX: usize = 64;

/// The driver's files on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Driver {
    /// Each with a name of its own.
    files: Vec<PathBuf>,
    /// The program that controls MPS, where the driver has one.
    #[serde(default)]
    control: Option<PathBuf>,
}

impl Driver {
    /// The machine's driver, where its loader finds one.
    pub fn of_machine() -> Option<Driver> {
        let cache = fs::read(LOADER_CACHE).ok().and_then(|bytes| Cache::read(&bytes));
        let cached = cache.iter().flat_map(|cache| cache.paths(DRIVER));
        let usual = LOADER_FOLDERS.iter().map(|folder| Path::new(folder).join(DRIVER));
        let library = cached.chain(usual).find(|path| path.is_file())?;
        let own = |name: &str| OWN.iter().any(|own| name.starts_with(own));
        let control = Some(Path::new(PROGRAMS).join(CONTROL)).filter(|path| path.is_file());
        Some(Driver { control, ..Self::in_folder(library.parent()?, own)? })
    }

    /// The driver in a folder that an operator names: all files of it belong to it.
    ///
    /// # Errors
    /// A sentence that says what is missing there.
    pub fn named(folder: &Path) -> Result<Driver, String> {
        let missing = |what: &str| format!("{}: {what}", folder.display());
        let folder = folder.canonicalize().map_err(|error| missing(&error.to_string()))?;
        // The program is nothing that a run needs.
        let found = Self::in_folder(&folder, |name| name != CONTROL);
        let found = found.ok_or_else(|| missing("the folder cannot be read"))?;
        if let Some(name) = [DRIVER, MANAGEMENT].into_iter().find(|name| !found.has(name)) {
            return Err(missing(&format!("there is no {name}; name the folder of the driver")));
        }
        if found.files.len() > FILES_MAX {
            let rule = format!("more than {FILES_MAX} files; name a folder of the driver alone");
            return Err(missing(&rule));
        }
        let control = Some(folder.join(CONTROL)).filter(|path| path.is_file());
        Ok(Driver { control, ..found })
    }

    /// The program that controls MPS, where the driver has one.
    pub fn control(&self) -> Option<&Path> {
        self.control.as_deref()
    }

    /// Its files.
    pub(super) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Where its management library is.
    pub fn management(&self) -> Option<&Path> {
        let is = |path: &&PathBuf| path.file_name().is_some_and(|name| name == MANAGEMENT);
        self.files.iter().find(is).map(PathBuf::as_path)
    }

    fn has(&self, name: &str) -> bool {
        self.files.iter().any(|path| path.file_name().is_some_and(|own| own == name))
    }

    fn in_folder(folder: &Path, belongs: impl Fn(&str) -> bool) -> Option<Driver> {
        let names = fs::read_dir(folder).ok()?.flatten();
        let names = names.filter_map(|entry| entry.file_name().into_string().ok());
        let names: BTreeSet<String> = names.filter(|name| belongs(name)).collect();
        let files = names.into_iter().map(|name| folder.join(name)).filter(|path| path.is_file());
        Some(Driver { files: files.collect(), control: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_a_driver_when_both_libraries_are_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let said = |folder: &Path| Driver::named(folder).unwrap_err();
        assert!(said(&folder.path().join("none")).contains("No such file"));
        assert!(said(folder.path()).contains("there is no libcuda.so.1"));
        fs::write(folder.path().join("libcuda.so.580"), "x").unwrap();
        std::os::unix::fs::symlink("libcuda.so.580", folder.path().join(DRIVER)).unwrap();
        assert!(said(folder.path()).contains("there is no libnvidia-ml.so.1"));
        fs::write(folder.path().join(MANAGEMENT), "x").unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join("dangling")).unwrap();
        let found = Driver::named(folder.path()).unwrap();
        assert_eq!(found.files.len(), 3, "{found:?}");
        assert!(found.management().unwrap().ends_with(MANAGEMENT));
        for number in 0..FILES_MAX {
            fs::write(folder.path().join(number.to_string()), "").unwrap();
        }
        assert!(said(folder.path()).contains("more than 64 files"));
    }
}
