//! Files that are put in parts, so that an interrupted one goes on where it was.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The note that holds the SHA-256 of the SHA-256 sums of an object's parts, in lower-case hex.
pub const SHA256_PARTS: &str = "weft-sha256-parts";

/// Least bytes of a part, but of the last: what an interruption costs at most. A file of no more
/// is put whole.
pub const PART_BYTES: u64 = 16 << 20;
/// Parts of a file at most: S3's.
const PARTS: u64 = 10_000;

/// Bytes of each part of a file of so many bytes, but of the last: twice as many as often as it
/// takes.
pub fn part_bytes(bytes: u64) -> u64 {
    let mut part = PART_BYTES;
    while bytes.div_ceil(part) > PARTS {
        part *= 2;
    }
    part
}

/// A file that is to be put in parts, or goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BeginUpload {
    /// Where its object will be.
    pub path: String,
    /// Its bytes.
    pub bytes: u64,
    /// When it was last changed, in nanoseconds since 1970, as text: it has more digits than
    /// numbers of JSON.
    pub modified_ns: String,
}

/// An upload that is neither finished nor too old; its sender alone sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DataUpload {
    /// Its number.
    pub id: u64,
    /// Bytes of each part but of the last.
    pub part_bytes: u64,
    /// The parts that are there.
    pub parts: Vec<UploadedPart>,
    /// Whether parts were there of the file as it was before it changed: they were given up.
    pub changed: bool,
}

/// A part that is on the disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UploadedPart {
    /// Its number, from 1.
    pub number: u32,
    /// Plain bytes.
    pub bytes: u64,
    /// Bytes that were in no object of the dataset before; of one that was there already none.
    pub new_bytes: u64,
    /// SHA-256 of what came, in lower-case hex.
    pub sha256: String,
}

/// Makes the parts an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FinishUpload {
    /// SHA-256 of the parts' sums (as bytes, one after the other), in lower-case hex.
    pub sha256_parts: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_file_has_no_more_parts_than_there_may_be() {
        for (bytes, part) in [
            (0, PART_BYTES),
            (PART_BYTES * PARTS, PART_BYTES),
            (PART_BYTES * PARTS + 1, 2 * PART_BYTES),
            (5 << 40, 1 << 30),
        ] {
            assert_eq!(part_bytes(bytes), part, "{bytes}");
            assert!(bytes.div_ceil(part) <= PARTS);
        }
    }
}
