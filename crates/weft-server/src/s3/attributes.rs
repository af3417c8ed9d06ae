//! `GetObjectAttributes`: what is known of an object, and of the parts that it was put in.

use super::enter::Entered;
use super::lists::moment;
use super::notes;
use super::objects::etag;
use super::pieces::{self, Piece};
use super::service::Service;
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};
use weft_gateway::Notes;
use weft_store::ObjectEntry;

/// Most parts that one answer lists: S3's limit.
const PARTS_MAX: usize = 1_000;

/// `GetObjectAttributes`.
pub(super) async fn get(
    service: &Service,
    request: S3Request<GetObjectAttributesInput>,
) -> S3Result<S3Response<GetObjectAttributesOutput>> {
    let (entered, input) = (Entered::of(&request)?, request.input);
    let (entry, said) = service.said(&entered, &input.key, input.version_id.as_deref()).await?;
    service.read(&entered, &entry, 0).await?;
    // They come in one header or in several.
    let asked = || input.object_attributes.iter().flat_map(|names| names.as_str().split(','));
    let wants = |name: &str| asked().any(|asked| asked.trim() == name);
    let parts = entry.parts.filter(|_| wants(ObjectAttributes::OBJECT_PARTS));
    let parts = parts.map(|count| listed(&entry, &said, count, &input)).transpose()?;
    let class = StorageClass::from_static(StorageClass::STANDARD);
    let output = GetObjectAttributesOutput {
        checksum: wants(ObjectAttributes::CHECKSUM).then(|| notes::sums(&said)),
        e_tag: wants(ObjectAttributes::ETAG).then(|| etag(&entry)),
        last_modified: Some(moment(entry.at)),
        object_parts: parts,
        object_size: i64::try_from(entry.bytes.0)
            .ok()
            .filter(|_| wants(ObjectAttributes::OBJECT_SIZE)),
        storage_class: wants(ObjectAttributes::STORAGE_CLASS).then_some(class),
        version_id: Some(entry.since.to_string()),
        ..GetObjectAttributesOutput::default()
    };
    Ok(S3Response::new(output))
}

/// The parts of an object behind the marker; their number alone, where no more is known of them.
fn listed(
    entry: &ObjectEntry,
    said: &Notes,
    count: u32,
    input: &GetObjectAttributesInput,
) -> S3Result<GetObjectAttributesParts> {
    let number = |asked: Option<i32>, name: &str| {
        let number = usize::try_from(asked.unwrap_or(0));
        number.map_err(|_| s3_error!(InvalidArgument, "{name} is less than 0"))
    };
    let after = number(input.part_number_marker, "x-amz-part-number-marker")?;
    let most = match input.max_parts {
        None => PARTS_MAX,
        asked => number(asked, "x-amz-max-parts")?.min(PARTS_MAX),
    };
    let total_parts_count = i32::try_from(count).ok();
    let Some(pieces) = pieces::of(said, entry.bytes.0) else {
        return Ok(GetObjectAttributesParts { total_parts_count, ..Default::default() });
    };
    let shown = |(at, piece): (usize, &Piece)| {
        let sums = piece.sums(said).unwrap_or_default();
        ObjectPart {
            checksum_crc32: sums.checksum_crc32,
            checksum_crc32c: sums.checksum_crc32c,
            checksum_crc64nvme: sums.checksum_crc64nvme,
            checksum_sha1: sums.checksum_sha1,
            checksum_sha256: sums.checksum_sha256,
            part_number: i32::try_from(at + 1).ok(),
            size: i64::try_from(piece.bytes).ok(),
        }
    };
    let parts: Vec<_> = pieces.iter().enumerate().skip(after).take(most).map(shown).collect();
    let last = after.saturating_add(parts.len());
    Ok(GetObjectAttributesParts {
        is_truncated: Some(last < pieces.len()),
        max_parts: i32::try_from(most).ok(),
        next_part_number_marker: i32::try_from(last).ok(),
        part_number_marker: i32::try_from(after).ok(),
        parts: Some(parts),
        total_parts_count,
    })
}
