//! What clients say of an object in headers, as the notes that are sealed with it, and back.
//!
//! A note's name is the header's, in lower case; what users say in words of their own begins with
//! `x-amz-meta-`. Nothing of it is ever kept in clear.

use super::pieces::PIECES;
use s3s::dto::{Checksum, ChecksumType, Metadata, Timestamp, TimestampFormat};
use s3s::{S3Result, s3_error};
use weft_api::wire::PROFILE;
use weft_gateway::{NOTES_MAX, Notes};

/// Most bytes of what a user says of an object, names and values together: S3's limit.
const USER_BYTES_MAX: usize = 2 << 10;
/// What such a note's name begins with.
const USER: &str = "x-amz-meta-";
/// Tags of an object, as `key=value&…`.
pub(super) const TAGS: &str = "x-amz-tagging";
/// What the names of checksums begin with.
pub(super) const SUM: &str = "x-amz-checksum-";
/// The kind of a checksum: of the whole object, or of its parts' checksums.
pub(super) const CHECKSUM_TYPE: &str = "x-amz-checksum-type";
/// What begins as checksums do, and is none.
const NO_SUMS: [&str; 2] = [CHECKSUM_TYPE, super::sums::ALGORITHM];
/// Which upload made an object: who finishes it again is answered again.
pub(super) const UPLOAD: &str = "x-weft-upload";
/// When an object stops being fresh, as an HTTP date.
const EXPIRES: &str = "expires";

/// Headers that are kept as they come.
#[derive(Debug, Clone, Default)]
pub(super) struct Said {
    pub(super) cache_control: Option<String>,
    pub(super) content_disposition: Option<String>,
    pub(super) content_encoding: Option<String>,
    pub(super) content_language: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) expires: Option<Timestamp>,
    pub(super) metadata: Option<Metadata>,
    pub(super) tagging: Option<String>,
}

/// Takes what a client says out of the input of an operation.
macro_rules! said {
    ($input:expr) => {
        $crate::s3::notes::Said {
            cache_control: $input.cache_control.take(),
            content_disposition: $input.content_disposition.take(),
            content_encoding: $input.content_encoding.take(),
            content_language: $input.content_language.take(),
            content_type: $input.content_type.take().map(|media| media.to_string()),
            expires: $input.expires.take(),
            metadata: $input.metadata.take(),
            tagging: $input.tagging.take(),
        }
    };
}
pub(super) use said;

impl Said {
    /// As notes.
    pub(super) fn notes(self) -> S3Result<Notes> {
        let mut notes = Notes::new();
        let mut put = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                notes.insert(name.to_owned(), value);
            }
        };
        put("cache-control", self.cache_control);
        put("content-disposition", self.content_disposition);
        put("content-encoding", self.content_encoding.and_then(|names| own_encoding(&names)));
        put("content-language", self.content_language);
        put("content-type", self.content_type);
        put(EXPIRES, self.expires.as_ref().and_then(written));
        if let Some(tags) = self.tagging.filter(|tags| !tags.is_empty()) {
            super::tags::parse(&tags)?;
            put(TAGS, Some(tags));
        }
        let mut bytes = 0;
        for (name, value) in self.metadata.unwrap_or_default() {
            bytes += name.len() + value.len();
            put(&format!("{USER}{}", name.to_lowercase()), Some(value));
        }
        match bytes > USER_BYTES_MAX {
            true => Err(s3_error!(
                MetadataTooLarge,
                "the metadata is {bytes} bytes; {USER_BYTES_MAX} are the most"
            )),
            false => Ok(notes),
        }
    }

    /// From notes.
    pub(super) fn of(notes: &Notes) -> Self {
        let note = |name: &str| notes.get(name).cloned();
        let user = notes
            .iter()
            .filter_map(|(name, value)| Some((name.strip_prefix(USER)?.to_owned(), value.clone())));
        let metadata: Metadata = user.collect();
        let parse = |text: String| Timestamp::parse(TimestampFormat::HttpDate, &text).ok();
        Self {
            cache_control: note("cache-control"),
            content_disposition: note("content-disposition"),
            content_encoding: note("content-encoding"),
            content_language: note("content-language"),
            content_type: note("content-type"),
            expires: note(EXPIRES).and_then(parse),
            metadata: (!metadata.is_empty()).then_some(metadata),
            tagging: note(TAGS),
        }
    }
}

/// An encoding without the framing of the request, which is none of the object's.
fn own_encoding(names: &str) -> Option<String> {
    if !names.contains("aws-chunked") {
        return Some(names.to_owned()).filter(|names| !names.trim().is_empty());
    }
    let own: Vec<&str> = names
        .split(',')
        .map(str::trim)
        .filter(|name| *name != "aws-chunked" && !name.is_empty())
        .collect();
    (!own.is_empty()).then(|| own.join(", "))
}

fn written(at: &Timestamp) -> Option<String> {
    let mut text = Vec::new();
    at.format(TimestampFormat::HttpDate, &mut text).ok()?;
    String::from_utf8(text).ok()
}

/// Takes the checksums that a client claims out of the input of an operation.
macro_rules! claimed_sums {
    ($input:expr) => {{
        let mut sums = weft_gateway::Notes::new();
        let claimed = s3s::dto::Checksum {
            checksum_crc32: $input.checksum_crc32.take(),
            checksum_crc32c: $input.checksum_crc32c.take(),
            checksum_crc64nvme: $input.checksum_crc64nvme.take(),
            checksum_sha1: $input.checksum_sha1.take(),
            checksum_sha256: $input.checksum_sha256.take(),
            checksum_type: None,
        };
        $crate::s3::notes::keep_sums(&mut sums, claimed);
        sums
    }};
}
pub(super) use claimed_sums;

/// Each checksum with the name of its note.
macro_rules! each_checksum {
    ($sums:expr, $do:ident) => {
        $do("x-amz-checksum-crc32", &mut $sums.checksum_crc32);
        $do("x-amz-checksum-crc32c", &mut $sums.checksum_crc32c);
        $do("x-amz-checksum-crc64nvme", &mut $sums.checksum_crc64nvme);
        $do("x-amz-checksum-sha1", &mut $sums.checksum_sha1);
        $do("x-amz-checksum-sha256", &mut $sums.checksum_sha256);
    };
}

/// Adds checksums to the notes of what they are of.
pub(super) fn keep_sums(notes: &mut Notes, mut sums: Checksum) {
    let mut keep = |name: &str, sum: &mut Option<String>| {
        if let Some(sum) = sum.take() {
            notes.insert(name.to_owned(), sum);
        }
    };
    each_checksum!(sums, keep);
    if let Some(kind) = sums.checksum_type {
        notes.insert(CHECKSUM_TYPE.to_owned(), kind.as_str().to_owned());
    }
}

/// The checksums among notes.
pub(super) fn sums(notes: &Notes) -> Checksum {
    let mut sums = Checksum::default();
    let take = |name: &str, sum: &mut Option<String>| *sum = notes.get(name).cloned();
    each_checksum!(sums, take);
    // Of what was put at once it is of all of it.
    let kind = notes.get(CHECKSUM_TYPE).map_or(ChecksumType::FULL_OBJECT, String::as_str);
    let is_there = notes.keys().any(|name| name.starts_with(SUM) && !NO_SUMS.contains(&&**name));
    sums.checksum_type = is_there.then(|| ChecksumType::from(kind.to_owned()));
    sums
}

/// What of the notes is of the bytes alone: what a copy with words of its own begins with.
pub(super) fn of_bytes(notes: &Notes) -> Notes {
    let kept = notes
        .iter()
        .filter(|(name, _)| name.starts_with(SUM) || *name == PIECES || *name == PROFILE);
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Leaves out what was found of an object, where with it there would be more notes than are kept:
/// nobody has asked for it.
pub(super) fn shorten(notes: &mut Notes) {
    let bytes = |notes: &Notes| serde_json::to_vec(notes).map_or(0, |body| body.len());
    for name in [PROFILE, PIECES] {
        if bytes(notes) > NOTES_MAX {
            notes.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_comes_back() {
        let metadata = [("Owner".to_owned(), "ana".to_owned())].into_iter().collect();
        let said = Said {
            content_type: Some("text/csv".to_owned()),
            content_encoding: Some("aws-chunked, gzip".to_owned()),
            metadata: Some(metadata),
            ..Said::default()
        };
        let back = Said::of(&said.notes().unwrap());
        assert_eq!(back.content_type.as_deref(), Some("text/csv"));
        assert_eq!(back.content_encoding.as_deref(), Some("gzip"));
        assert_eq!(back.metadata.unwrap()["owner"], "ana");
        assert!(own_encoding("aws-chunked").is_none());
    }

    #[test]
    fn no_more_than_s3_allows() {
        let metadata = [("a".to_owned(), "x".repeat(USER_BYTES_MAX))].into_iter().collect();
        assert!(Said { metadata: Some(metadata), ..Said::default() }.notes().is_err());
    }
}
