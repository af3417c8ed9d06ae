//! Images: root file systems pulled from a registry or imported from an archive.
//!
//! An image is kept unpacked, read-only by use, in `images/<digest>/`: `rootfs/` and what the
//! image says about running it ([`ImageConfig`]). Every byte is checked against its digest before
//! it is used: manifest, configuration, compressed layer, unpacked layer. References (`python:3`)
//! are a table of names for digests ([`references`]).
//!
//! ```text
//! registry ── registry.rs ──┐
//! tar, folder ─ layout.rs ──┴─► Source (config, layers) ── assemble.rs ──► images/<digest>/
//! ```
//!
//! Absent on purpose: layers shared between images on disk, hooks, and the image's own choice of
//! users: what runs in it is decided by the workload. Specifications: OCI image and distribution.

mod assemble;
mod config;
mod gate;
mod layout;
mod references;
mod registry;
mod store;

use crate::archive::ArchiveError;
use std::io;
use std::path::PathBuf;

pub use config::ImageConfig;
pub use gate::Registries;
pub use store::{Image, Images};

/// Unpacked size of an image; the largest CUDA images are near 30 GB.
pub const IMAGE_BYTES_MAX: u64 = 64 << 30;

/// Files and folders of an image; the largest common ones have a quarter of it.
pub const IMAGE_ENTRIES_MAX: u64 = 2_000_000;

/// Layers of an image; registries and engines stop at 127.
const LAYERS_MAX: usize = 128;

/// A manifest or configuration: registries refuse larger ones.
const DOCUMENT_BYTES_MAX: u64 = 4 << 20;

/// What an image is made of: checked documents, layers still to be checked.
#[derive(Debug)]
struct Source {
    /// Of the manifest, or of the configuration where an archive has no manifest.
    digest: String,
    /// The configuration as it is stored.
    config: Vec<u8>,
    layers: Vec<Layer>,
}

/// A layer's archive, compressed or not.
#[derive(Debug)]
struct Layer {
    path: PathBuf,
    /// Of the file; none where the archive names layers by path only.
    digest: Option<String>,
}

impl ImageError {
    /// Whether it is for want of room on the disk.
    pub fn is_full(&self) -> bool {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(self);
        while let Some(error) = cause {
            let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
            if matches!(kind, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)) {
                return true;
            }
            cause = error.source();
        }
        // One that is transparent shows its cause's cause as its own.
        matches!(self, ImageError::Io(e) if e.kind() == io::ErrorKind::StorageFull)
            || matches!(self, ImageError::Archive(ArchiveError::Io { source, .. })
                if source.kind() == io::ErrorKind::StorageFull)
    }
}

/// Why an image is not there.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Text that is no reference.
    #[error("image `{text}` is not a reference ({reason}); write python:3.12-slim or a digest")]
    Reference {
        /// As written.
        text: String,
        /// What is wrong.
        reason: String,
    },
    /// A digest that was never pulled or imported.
    #[error("image {0} is not here; import it with `weft image import` or name it with a registry")]
    Unknown(String),
    /// The registry refused or could not be reached.
    #[error("pulling {reference}: {reason}")]
    Pull {
        /// Which image.
        reference: String,
        /// The registry's or the network's reason.
        reason: String,
    },
    /// Bytes that are not what their name promises.
    #[error("{what} has the digest {actual}, not {expected}: it was damaged or replaced")]
    Digest {
        /// Manifest, configuration or layer.
        what: String,
        /// Its name.
        expected: String,
        /// What its bytes have.
        actual: String,
    },
    /// An archive that is no image, or one of a kind that is not supported.
    #[error("not an image Weft can use: {0}")]
    Format(String),
    /// More than a limit allows.
    #[error("the image has more than {limit} {what}")]
    TooMuch {
        /// The limit.
        limit: u64,
        /// Of what.
        what: &'static str,
    },
    /// A layer or the imported archive does not unpack.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The disk failed or is full.
    #[error("storing the image: {0}")]
    Io(#[from] io::Error),
    /// A worker panicked or was cancelled.
    #[error("storing the image: {0}")]
    Worker(#[from] tokio::task::JoinError),
}
