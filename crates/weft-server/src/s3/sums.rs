//! Checksums of objects that are put in parts: of the whole, or of the parts' checksums.

use super::notes::{CHECKSUM_TYPE, SUM};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crc_fast::CrcAlgorithm;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Sha1, Sha256};
use s3s::dto::{ChecksumAlgorithm, ChecksumType};
use s3s::{S3Result, s3_error};
use weft_gateway::Notes;

/// The note of which algorithm an upload's parts are summed with.
pub(super) const ALGORITHM: &str = "x-amz-checksum-algorithm";

/// How the checksum of an upload is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Way {
    algorithm: Algorithm,
    /// Of the whole object; else of its parts' checksums.
    pub(super) is_full: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Crc32,
    Crc32c,
    Crc64Nvme,
    Sha1,
    Sha256,
}

const ALGORITHMS: [(Algorithm, &str); 5] = [
    (Algorithm::Crc32, "CRC32"),
    (Algorithm::Crc32c, "CRC32C"),
    (Algorithm::Crc64Nvme, "CRC64NVME"),
    (Algorithm::Sha1, "SHA1"),
    (Algorithm::Sha256, "SHA256"),
];

impl Algorithm {
    fn of(name: &str) -> Option<Self> {
        ALGORITHMS.iter().find(|(_, known)| *known == name).map(|(algorithm, _)| *algorithm)
    }

    fn name(self) -> &'static str {
        ALGORITHMS.iter().find(|(algorithm, _)| *algorithm == self).map_or("", |(_, name)| name)
    }

    const fn crc(self) -> Option<CrcAlgorithm> {
        match self {
            Self::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
            Self::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
            Self::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
            Self::Sha1 | Self::Sha256 => None,
        }
    }

    fn sum(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Crc32 => Crc32::checksum(bytes).as_ref().to_vec(),
            Self::Crc32c => Crc32c::checksum(bytes).as_ref().to_vec(),
            Self::Crc64Nvme => Crc64Nvme::checksum(bytes).as_ref().to_vec(),
            Self::Sha1 => Sha1::checksum(bytes).as_ref().to_vec(),
            Self::Sha256 => Sha256::checksum(bytes).as_ref().to_vec(),
        }
    }
}

impl Way {
    /// What a client asks for as it begins an upload; none: it asks for none.
    pub(super) fn asked(
        algorithm: Option<&ChecksumAlgorithm>,
        kind: Option<&ChecksumType>,
    ) -> S3Result<Option<Self>> {
        let Some(name) = algorithm.map(ChecksumAlgorithm::as_str) else {
            return match kind {
                None => Ok(None),
                Some(_) => {
                    Err(s3_error!(InvalidRequest, "a checksum's type without its algorithm"))
                }
            };
        };
        let odd = || s3_error!(InvalidRequest, "`{name}` is no checksum that is known here");
        let algorithm = Algorithm::of(name).ok_or_else(odd)?;
        let is_full = match kind.map(ChecksumType::as_str) {
            None => algorithm == Algorithm::Crc64Nvme,
            Some(ChecksumType::FULL_OBJECT) => true,
            Some(ChecksumType::COMPOSITE) => false,
            Some(other) => return Err(s3_error!(InvalidRequest, "`{other}` is no checksum type")),
        };
        // The whole's follows from the parts' with a CRC alone; of this one AWS knows no other.
        let fits =
            if is_full { algorithm.crc().is_some() } else { algorithm != Algorithm::Crc64Nvme };
        match fits {
            true => Ok(Some(Self { algorithm, is_full })),
            false => Err(s3_error!(InvalidRequest, "`{name}` has no checksum of that type")),
        }
    }

    /// Keeps it with an upload.
    pub(super) fn note(self, notes: &mut Notes) {
        notes.insert(ALGORITHM.to_owned(), self.algorithm.name().to_owned());
        notes.insert(CHECKSUM_TYPE.to_owned(), self.kind().as_str().to_owned());
    }

    /// That of an upload.
    pub(super) fn of(notes: &Notes) -> Option<Self> {
        let is_full = notes.get(CHECKSUM_TYPE)?.as_str() == ChecksumType::FULL_OBJECT;
        Some(Self { algorithm: Algorithm::of(notes.get(ALGORITHM)?)?, is_full })
    }

    pub(super) fn algorithm(self) -> ChecksumAlgorithm {
        ChecksumAlgorithm::from_static(self.algorithm.name())
    }

    pub(super) fn kind(self) -> ChecksumType {
        let full = ChecksumType::from_static(ChecksumType::FULL_OBJECT);
        if self.is_full { full } else { ChecksumType::from_static(ChecksumType::COMPOSITE) }
    }

    /// The name of the note, and of the header, with the checksum.
    pub(super) fn header(self) -> String {
        format!("{SUM}{}", self.algorithm.name().to_ascii_lowercase())
    }

    /// The checksum of the whole by those of its parts, each with the part's bytes; none where one
    /// is none.
    pub(super) fn whole(self, parts: &[(Option<&String>, u64)]) -> Option<String> {
        let mut sums = Vec::with_capacity(parts.len());
        for (sum, bytes) in parts {
            sums.push((STANDARD.decode(sum.as_ref()?).ok()?, *bytes));
        }
        match self.is_full {
            false => {
                let all: Vec<u8> = sums.iter().flat_map(|(sum, _)| sum.iter().copied()).collect();
                Some(format!("{}-{}", STANDARD.encode(self.algorithm.sum(&all)), parts.len()))
            }
            true => {
                let crc = self.algorithm.crc()?;
                let width = sums.first()?.0.len();
                let number = |sum: &[u8]| sum.iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
                let mut all = None;
                for (sum, bytes) in &sums {
                    let sum = number(sum);
                    all = Some(match all {
                        None => sum,
                        Some(before) => crc_fast::checksum_combine(crc, before, sum, *bytes),
                    });
                }
                let all = all?.to_be_bytes();
                Some(STANDARD.encode(all.get(all.len().checked_sub(width)?..)?))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(name: &'static str, kind: Option<&'static str>) -> S3Result<Option<Way>> {
        let algorithm = ChecksumAlgorithm::from_static(name);
        Way::asked(Some(&algorithm), kind.map(ChecksumType::from_static).as_ref())
    }

    #[test]
    fn the_whole_is_what_its_parts_make() {
        let (one, two) = (vec![7_u8; 5 << 20], b"the rest".to_vec());
        let both = [one.clone(), two.clone()].concat();
        for (algorithm, name) in ALGORITHMS.iter().take(3) {
            let way = way(name, Some("FULL_OBJECT")).unwrap().unwrap();
            let sum = |bytes: &[u8]| STANDARD.encode(algorithm.sum(bytes));
            let (a, b) = (sum(&one), sum(&two));
            let parts = [(Some(&a), one.len() as u64), (Some(&b), two.len() as u64)];
            assert_eq!(way.whole(&parts), Some(sum(&both)), "{name}");
            assert_eq!(way.whole(&[(Some(&a), 1), (None, 1)]), None);
        }
    }

    #[test]
    fn of_checksums_there_is_a_checksum_too() {
        // Of AWS's own example: one part of a kilobyte of `A`.
        let way = way("SHA256", None).unwrap().unwrap();
        let part = "arcu6553sHVAiX4MjW0j7I7vD4w6R+Gz9Ok0Q9lTa+0=".to_owned();
        let whole = way.whole(&[(Some(&part), 1024)]);
        assert_eq!(whole.as_deref(), Some("Ok6Cs5b96ux6+MWQkJO7UBT5sKPBeXBLwvj/hK89smg=-1"));
    }

    #[test]
    fn types_fit_their_algorithms() {
        assert!(way("CRC64NVME", None).unwrap().unwrap().is_full);
        assert!(!way("CRC32", None).unwrap().unwrap().is_full);
        for (name, kind) in
            [("SHA256", "FULL_OBJECT"), ("CRC64NVME", "COMPOSITE"), ("MD5", "COMPOSITE")]
        {
            assert!(way(name, Some(kind)).is_err(), "{name} {kind}");
        }
    }
}
