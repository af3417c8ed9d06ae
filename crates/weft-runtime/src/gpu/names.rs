//! Where a file system has libraries of the driver's names of its own: each of them is covered.
//!
//! Images for accelerators bring a driver, for machines with an older one; a machine has its own.
//! A program that opens one of those by its path, or by a folder it adds, would find it in the
//! place of our library. An image is walked once, since it never changes; of the machine's own
//! file system, the folders are looked at that loaders and the toolkit use.

use super::cache::Cache;
use super::driver::{DRIVER, LOADER_CACHE, LOADER_FOLDERS, MANAGEMENT};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// What the names begin with: with nothing behind it for who builds, a version else.
const BEGIN: [&str; 2] = ["libcuda.so", "libnvidia-ml.so"];
/// Places in one file system, at most: images have a handful. What is beyond is left out, and the
/// check before the command still sees what the loader finds.
const PLACES_MAX: usize = 256;
/// Where the toolkit and its packages keep a driver.
const TOOLKIT: &str = "/usr/local";

/// The places, by file system.
#[derive(Debug, Default)]
pub(super) struct Names(Mutex<BTreeMap<PathBuf, Arc<[PathBuf]>>>);

impl Names {
    /// In an image, by their paths inside.
    pub(super) fn of_image(&self, image: &Path) -> Arc<[PathBuf]> {
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = known().get(image) {
            return places.clone();
        }
        let mut found = Vec::new();
        walk(image, &mut found);
        let inside = found.iter().filter_map(|path| path.strip_prefix(image).ok());
        let places: Arc<[PathBuf]> = inside.map(|path| Path::new("/").join(path)).collect();
        known().insert(image.to_owned(), places.clone());
        places
    }

    /// In what runs see of the machine's own file system.
    pub(super) fn of_machine() -> Vec<PathBuf> {
        let cache = fs::read(LOADER_CACHE).ok().and_then(|bytes| Cache::read(&bytes));
        let cached = cache
            .iter()
            .flat_map(|cache| [DRIVER, MANAGEMENT].into_iter().flat_map(|name| cache.paths(name)));
        let mut found: Vec<PathBuf> = cached.filter(|path| path.exists()).collect();
        let toolkits = entries(Path::new(TOOLKIT)).filter(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("cuda"))
        });
        let toolkits = toolkits.map(|toolkit| toolkit.join("compat"));
        for folder in LOADER_FOLDERS.iter().map(PathBuf::from).chain(toolkits) {
            found.extend(entries(&folder).filter(|path| is_one(path)));
        }
        found.sort();
        found.dedup();
        found.truncate(PLACES_MAX);
        found
    }
}

/// Every file and link of such a name; no link is followed.
fn walk(from: &Path, found: &mut Vec<PathBuf>) {
    let mut folders = vec![from.to_owned()];
    while let Some(folder) = folders.pop().filter(|_| found.len() < PLACES_MAX) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if found.len() == PLACES_MAX {
                break;
            }
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(_) if is_one(&entry.path()) => found.push(entry.path()),
                _ => {}
            }
        }
    }
    found.sort();
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

pub(super) fn is_one(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    BEGIN.iter().any(|begin| {
        name.strip_prefix(begin).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_of_an_image_is_found_once_it_is_looked_at() {
        let image = tempfile::tempdir().unwrap();
        let make = |path: &str| {
            let path = image.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        };
        make("usr/local/cuda-12.4/compat/libcuda.so.550.54");
        make("usr/lib/libnvidia-ml.so.1");
        make("opt/app/libcudart.so.12");
        make("opt/app/libcuda.so");
        make("opt/app/libcuda.sofar");
        std::os::unix::fs::symlink("/", image.path().join("opt/all")).unwrap();
        std::os::unix::fs::symlink("x", image.path().join("usr/lib/libcuda.so.1")).unwrap();
        let names = Names::default();
        let places = names.of_image(image.path());
        let places: Vec<_> = places.iter().map(|path| path.to_str().unwrap()).collect();
        assert_eq!(
            places,
            [
                "/opt/app/libcuda.so",
                "/usr/lib/libcuda.so.1",
                "/usr/lib/libnvidia-ml.so.1",
                "/usr/local/cuda-12.4/compat/libcuda.so.550.54",
            ]
        );
        drop(image);
    }
}
