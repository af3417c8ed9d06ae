//! Makes an image's root file system of its layers, checking each against its digests.

use super::config::Document;
use super::references::hex_of;
use super::{IMAGE_BYTES_MAX, IMAGE_ENTRIES_MAX, ImageError, LAYERS_MAX, Source};
use crate::archive::{ArchiveError, Limits, Unpack};
use crate::room::Room;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;

/// How much larger than its file a layer may become; real ones stay under twenty.
const RATIO_MAX: u64 = 200;

/// Below this size the ratio does not matter: a disk holds it.
const RATIO_FREE_BYTES: u64 = 1 << 30;

/// Unpacks the image below `to`: `rootfs`, and `config.json` last. Blocks on the disk.
pub(super) fn assemble(source: &Source, to: &Path, room: &Room) -> Result<(), ImageError> {
    let document = Document::read(&source.config)?;
    let diff_ids = document.diff_ids();
    if diff_ids.len() != source.layers.len() {
        let (layers, ids) = (source.layers.len(), diff_ids.len());
        return Err(ImageError::Format(format!(
            "it has {layers} layers and {ids} digests of them"
        )));
    }
    if diff_ids.len() > LAYERS_MAX {
        return Err(ImageError::TooMuch { limit: LAYERS_MAX as u64, what: "layers" });
    }
    let rootfs = to.join("rootfs");
    fs::create_dir_all(&rootfs)?;
    let mut unpack = Unpack::into(&rootfs, None)?;
    let mut bytes_left = IMAGE_BYTES_MAX;
    for (layer, diff_id) in source.layers.iter().zip(diff_ids) {
        if let Some(digest) = &layer.digest {
            verify_file(&layer.path, digest)?;
        }
        let size = fs::metadata(&layer.path)?.len();
        bytes_left -= unpack_layer(&mut unpack, &layer.path, size, diff_id, bytes_left, room)?;
    }
    let config = document.into_config();
    let config = serde_json::to_vec(&config).map_err(io::Error::other)?;
    Ok(fs::write(to.join("config.json"), config)?)
}

/// Whether the file has the digest it is named by.
pub(super) fn verify_file(path: &Path, digest: &str) -> Result<(), ImageError> {
    let mut hash = Sha256::new();
    io::copy(&mut File::open(path)?, &mut hash)?;
    compare(path.file_name().unwrap_or_default().to_string_lossy().as_ref(), hash, digest)
}

/// Whether the bytes have this digest.
pub(super) fn verify(what: &str, bytes: &[u8], digest: &str) -> Result<(), ImageError> {
    compare(what, Sha256::new_with_prefix(bytes), digest)
}

fn compare(what: &str, hash: Sha256, digest: &str) -> Result<(), ImageError> {
    let actual = hex::encode(hash.finalize());
    if actual == hex_of(digest)? {
        return Ok(());
    }
    let (what, expected) = (what.to_owned(), digest.to_owned());
    Err(ImageError::Digest { what, expected, actual: format!("sha256:{actual}") })
}

/// Unpacks one layer and returns its unpacked size, the archive's own bytes included.
fn unpack_layer(
    unpack: &mut Unpack,
    path: &Path,
    size: u64,
    diff_id: &str,
    bytes_left: u64,
    room: &Room,
) -> Result<u64, ImageError> {
    let ratio_limit = size.saturating_mul(RATIO_MAX).max(RATIO_FREE_BYTES);
    let limit = ratio_limit.min(bytes_left);
    let input = room.watch(decompressed(path)?);
    let input = Hashing { input, hash: Sha256::new(), bytes: 0, limit };
    let limits = Limits { entries: IMAGE_ENTRIES_MAX, bytes: limit };
    let read = |e| ArchiveError::Io { doing: "reading a layer".into(), source: e };
    let mut input = unpack.layer(BufReader::new(input), limits)?;
    // The digest is of all of it, what stands behind the archive's end included.
    io::copy(&mut input, &mut io::sink()).map_err(read)?;
    let input = input.into_inner();
    compare("an unpacked layer", input.hash, diff_id)?;
    Ok(input.bytes)
}

/// The layer's archive. Told by its first bytes: media types in the wild are not reliable.
fn decompressed(path: &Path) -> Result<Box<dyn Read>, ImageError> {
    let mut file = File::open(path)?;
    let mut magic = [0; 4];
    let read = file.read(&mut magic)?;
    file.rewind()?;
    let file = BufReader::new(file);
    match &magic[..read] {
        [0x1f, 0x8b, ..] => Ok(Box::new(flate2::bufread::MultiGzDecoder::new(file))),
        [0x28, 0xb5, 0x2f, 0xfd] => Err(ImageError::Format(
            "a layer is compressed with zstd; push it with gzip compression".into(),
        )),
        _ => Ok(Box::new(file)),
    }
}

/// Hashes what passes, up to a limit.
struct Hashing<R> {
    input: R,
    hash: Sha256,
    bytes: u64,
    limit: u64,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.hash.update(&buffer[..read]);
        self.bytes += read as u64;
        if self.bytes > self.limit {
            return Err(io::Error::other(format!("it unpacks to more than {} bytes", self.limit)));
        }
        Ok(read)
    }
}
