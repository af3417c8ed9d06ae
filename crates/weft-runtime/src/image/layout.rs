//! Reads an image out of a folder: an OCI image layout, or what `docker save` wrote.
//!
//! Paths come from the folder's own documents and links may be among its files, so each is
//! opened as if the folder were `/` (`RESOLVE_IN_ROOT`), and blobs are found by digest.

use super::assemble::verify;
use super::references::hex_of;
use super::{DOCUMENT_BYTES_MAX, ImageError, Layer, Source};
use oci_client::manifest::{ImageIndexEntry, OciDescriptor, OciImageManifest, OciManifest};
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, openat2};
use serde::Deserialize;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Indexes may point to indexes; no tool nests them deeper.
const NESTING_MAX: u32 = 4;

/// An image found in a folder, and the names its archive gives it.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) source: Source,
    pub(super) names: Vec<String>,
    /// Keeps open what the layers' paths lead through.
    _files: Vec<File>,
}

/// One entry of docker's `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// Reads the one image of the folder that fits this machine.
pub(super) fn read(folder: &Path) -> Result<Found, ImageError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(folder, flags, Mode::empty()).map_err(std::io::Error::from)?;
    let layout = Layout { root, files: Vec::new() };
    match layout.open("index.json") {
        Ok(_) => layout.oci(),
        Err(_) => layout.saved(),
    }
}

struct Layout {
    root: OwnedFd,
    files: Vec<File>,
}

impl Layout {
    fn oci(mut self) -> Result<Found, ImageError> {
        let index = self.document("index.json")?;
        let OciManifest::ImageIndex(index) = parse(&index)? else {
            return Err(ImageError::Format("its index.json is no index".into()));
        };
        let mut found = Vec::new();
        self.collect(index.manifests, 0, &mut found)?;
        let (entry, manifest) = one(found)?;
        let config = self.blob(&manifest.config)?;
        let layers =
            manifest.layers.iter().map(|l| self.layer_blob(l)).collect::<Result<Vec<_>, _>>()?;
        let mut names = names_of(&entry);
        names.extend(
            self.saved_entries().into_iter().flatten().filter_map(|s| s.repo_tags).flatten(),
        );
        names.dedup();
        let source = Source { digest: entry.digest, config, layers };
        Ok(Found { source, names, _files: self.files })
    }

    fn saved(mut self) -> Result<Found, ImageError> {
        let entries = self.saved_entries().ok_or_else(|| {
            ImageError::Format("it has neither index.json (OCI) nor manifest.json (docker)".into())
        })?;
        let saved = one(entries)?;
        let config = self.document(&saved.config)?;
        // Its name is its only digest: the image's id.
        let digest =
            format!("sha256:{}", hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&config)));
        let layers = saved.layers.iter().map(|path| self.layer(path, None));
        let layers = layers.collect::<Result<Vec<_>, _>>()?;
        let names = saved.repo_tags.unwrap_or_default();
        Ok(Found { source: Source { digest, config, layers }, names, _files: self.files })
    }

    /// Image manifests that fit this machine, through nested indexes.
    fn collect(
        &self,
        entries: Vec<ImageIndexEntry>,
        depth: u32,
        found: &mut Vec<(ImageIndexEntry, OciImageManifest)>,
    ) -> Result<(), ImageError> {
        for entry in entries.into_iter().filter(fits) {
            let path = blob_path(&entry.digest)?;
            let bytes = self.document(&path)?;
            verify("a manifest", &bytes, &entry.digest)?;
            match parse(&bytes)? {
                OciManifest::Image(manifest) => found.push((entry, manifest)),
                OciManifest::ImageIndex(inner) if depth < NESTING_MAX => {
                    self.collect(inner.manifests, depth + 1, found)?;
                }
                OciManifest::ImageIndex(_) => {
                    return Err(ImageError::Format("its indexes are nested too deep".into()));
                }
            }
        }
        Ok(())
    }

    fn saved_entries(&self) -> Option<Vec<Saved>> {
        serde_json::from_slice(&self.document("manifest.json").ok()?).ok()
    }

    fn blob(&self, descriptor: &OciDescriptor) -> Result<Vec<u8>, ImageError> {
        let bytes = self.document(&blob_path(&descriptor.digest)?)?;
        verify("a document", &bytes, &descriptor.digest)?;
        Ok(bytes)
    }

    fn layer_blob(&mut self, descriptor: &OciDescriptor) -> Result<Layer, ImageError> {
        self.layer(&blob_path(&descriptor.digest)?, Some(descriptor.digest.clone()))
    }

    fn layer(&mut self, path: &str, digest: Option<String>) -> Result<Layer, ImageError> {
        let file = self.open(path)?;
        // By the open file: the path inside the folder may lead through its links.
        let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        self.files.push(file);
        Ok(Layer { path, digest })
    }

    fn document(&self, path: &str) -> Result<Vec<u8>, ImageError> {
        let mut bytes = Vec::new();
        self.open(path)?.take(DOCUMENT_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > DOCUMENT_BYTES_MAX {
            return Err(ImageError::TooMuch {
                limit: DOCUMENT_BYTES_MAX,
                what: "bytes of metadata",
            });
        }
        Ok(bytes)
    }

    fn open(&self, path: &str) -> Result<File, ImageError> {
        let missing = || ImageError::Format(format!("`{path}` is missing in it"));
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let file =
            openat2(&self.root, path, flags, Mode::empty(), resolve).map_err(|_| missing())?;
        let stat = rustix::fs::fstat(&file).map_err(std::io::Error::from)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok(File::from(file)),
            _ => Err(missing()),
        }
    }
}

fn parse(bytes: &[u8]) -> Result<OciManifest, ImageError> {
    serde_json::from_slice(bytes)
        .map_err(|e| ImageError::Format(format!("a manifest does not read: {e}")))
}

fn blob_path(digest: &str) -> Result<String, ImageError> {
    Ok(format!("blobs/sha256/{}", hex_of(digest)?))
}

/// Manifests without a platform are looked at; their configuration says what they are for.
pub(super) fn fits(entry: &ImageIndexEntry) -> bool {
    entry.platform.as_ref().is_none_or(|platform| {
        platform.os == Default::default() && platform.architecture == Default::default()
    })
}

/// Names in full; a bare tag, as the specification allows here, names nothing.
fn names_of(entry: &ImageIndexEntry) -> Vec<String> {
    let known = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];
    let annotations = entry.annotations.as_ref();
    let name = known.iter().find_map(|key| annotations?.get(*key)).cloned();
    name.filter(|name| name.contains([':', '/'])).into_iter().collect()
}

fn one<T>(mut found: Vec<T>) -> Result<T, ImageError> {
    match (found.pop(), found.len()) {
        (Some(image), 0) => Ok(image),
        (None, _) => Err(ImageError::Format("no image in it is for this machine".into())),
        (Some(_), more) => Err(ImageError::Format(format!(
            "it holds {} images; save and import them one at a time",
            more + 1
        ))),
    }
}
