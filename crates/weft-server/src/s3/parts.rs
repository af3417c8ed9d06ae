//! Uploads in parts: any order, any number again, put together without moving a byte.

use super::always::sealed;
use super::body::{Claimed, checked};
use super::buckets::owner;
use super::enter::{Entered, Trail};
use super::fault::{internal, of_data};
use super::lists::moment;
use super::notes::{self, SUM, UPLOAD, claimed_sums, said};
use super::objects::{PUT_BYTES_MAX, etag_of, tag_of};
use super::pieces::{self, PIECES, Piece};
use super::service::Service;
use super::sums::Way;
use crate::api::profile;
use axum::http::StatusCode;
use s3s::dto::*;
use s3s::{S3Error, S3Request, S3Response, S3Result, s3_error};
use weft_api::wire::PROFILE;
use weft_gateway::{DataError, Finish, KeptPart, Notes, PARTS_MAX, SENDER, Upload};
use weft_store::{At, DatasetRow, StoreError, UploadId};

/// Least bytes of a part that is not the last: S3's limit.
const PART_BYTES_MIN: u64 = 5 << 20;
/// Most parts or uploads that one answer lists: S3's limit.
const LISTED_MAX: u32 = 1_000;

fn gone() -> S3Error {
    s3_error!(NoSuchUpload, "there is no such upload: it was finished, given up, or is too old")
}

fn of_upload(error: DataError) -> S3Error {
    match error {
        DataError::Store(StoreError::NotFound { what: "upload", .. }) => gone(),
        DataError::Part(number) => {
            s3_error!(InvalidPart, "part {number} is not there, or is not the one that is named")
        }
        other => of_data(other),
    }
}

impl Service {
    /// The upload that a request names, to this key.
    async fn upload(&self, head: &DatasetRow, id: &str, path: &str) -> S3Result<Upload> {
        let id = UploadId(id.parse().map_err(|_| gone())?);
        let found = self.app.data.upload(head, id).await.map_err(of_upload)?;
        let found = found.filter(|upload| upload.path == path);
        found.filter(|upload| !upload.notes.contains_key(SENDER)).ok_or_else(gone)
    }
}

fn number(part: i32) -> S3Result<u32> {
    let number = u32::try_from(part).ok().filter(|number| (1..=PARTS_MAX).contains(number));
    number.ok_or_else(|| s3_error!(InvalidArgument, "parts are numbered from 1 to {PARTS_MAX}"))
}

/// `CreateMultipartUpload`.
pub(super) async fn begin(
    service: &Service,
    request: S3Request<CreateMultipartUploadInput>,
) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
    let (entered, mut input) = (Entered::of(&request)?, request.input);
    let head = entered.head()?;
    let mut notes = said!(input).notes()?;
    let way = Way::asked(input.checksum_algorithm.as_ref(), input.checksum_type.as_ref())?;
    way.into_iter().for_each(|way| way.note(&mut notes));
    let also = service.noting(&entered, &input.key, "upload begun");
    let begun = service.app.data.begin_upload(head, &input.key, notes, also, entered.now).await;
    let upload = begun.map_err(of_data)?;
    Ok(S3Response::new(CreateMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(upload.0.to_string()),
        checksum_algorithm: way.map(Way::algorithm),
        checksum_type: way.map(Way::kind),
        server_side_encryption: sealed(),
        ..CreateMultipartUploadOutput::default()
    }))
}

/// `UploadPart`.
pub(super) async fn put(
    service: &Service,
    mut request: S3Request<UploadPartInput>,
) -> S3Result<S3Response<UploadPartOutput>> {
    let entered = Entered::of(&request)?;
    let trailing = request.trailing_headers.take();
    let trailer = request.headers.get("x-amz-trailer").and_then(|v| v.to_str().ok());
    let trailer = trailer.map(str::to_owned);
    let mut input = request.input;
    let (head, number) = (entered.head()?, number(input.part_number)?);
    if input.content_length.is_some_and(|length| length > PUT_BYTES_MAX) {
        return Err(s3_error!(EntityTooLarge, "a part has {PUT_BYTES_MAX} bytes at most"));
    }
    let upload = service.upload(head, &input.upload_id, &input.key).await?;
    let _share = service.share(&entered)?;
    let claimed = Claimed {
        md5: input.content_md5.take(),
        sums: claimed_sums!(input),
        length: input.content_length,
        wanted: Way::of(&upload.notes).map(Way::header),
        // What its columns are is told by the first part.
        head: if number == 1 { profile::head_of(&input.key) } else { 0 },
        trailer,
        trailing,
    };
    let (body, found) = checked(input.body.take(), claimed)?;
    let data = &service.app.data;
    let staged = data.stage(head, body).await.map_err(|error| found.error(error))?;
    let sums = found.sums();
    let mut said = sums.clone();
    if number == 1 {
        let profiled = profile::note(&input.key, found.head(), staged.bytes(), head.is.tier).await;
        said.extend(profiled.map_err(|e| internal(&e))?);
    }
    let entered = entered.again(&service.app).await?;
    // The upload as a whole is on the audit log, when it is begun and when it is finished.
    let also = Box::new(|_: &mut weft_store::Write<'_>, _: &KeptPart| Ok(()));
    let kept = data.keep_part(head, upload.id, number, staged, said, also, entered.now);
    let kept = kept.await.map_err(of_upload)?;
    let sums = notes::sums(&sums);
    Ok(S3Response::new(UploadPartOutput {
        checksum_crc32: sums.checksum_crc32,
        checksum_crc32c: sums.checksum_crc32c,
        checksum_crc64nvme: sums.checksum_crc64nvme,
        checksum_sha1: sums.checksum_sha1,
        checksum_sha256: sums.checksum_sha256,
        e_tag: Some(etag_of(&kept.tag, 1)),
        server_side_encryption: sealed(),
        ..UploadPartOutput::default()
    }))
}

/// `UploadPartCopy`: a part that is a range of another object.
pub(super) async fn copy(
    service: &Service,
    request: S3Request<UploadPartCopyInput>,
) -> S3Result<S3Response<UploadPartCopyOutput>> {
    let (entered, trail) = (Entered::of(&request)?, Trail::of(&request));
    let input = request.input;
    let (head, number) = (entered.head()?, number(input.part_number)?);
    let upload = service.upload(head, &input.upload_id, &input.key).await?;
    let (source, from) = service.source(&entered, &input.copy_source, &trail).await?;
    let all = from.entry.bytes.0;
    let range = match input.copy_source_range.as_deref() {
        None => 0..all,
        Some(text) => {
            let odd = || s3_error!(InvalidArgument, "x-amz-copy-source-range is bytes=first-last");
            let range = Range::parse(text).map_err(|_| odd())?;
            match range {
                Range::Int { last: Some(last), first } if last < all => first..last + 1,
                Range::Int { last: Some(_), .. } => {
                    return Err(s3_error!(InvalidRange, "the source has {all} bytes"));
                }
                _ => return Err(odd()),
            }
        }
    };
    service.read(&source, &from.entry, range.end - range.start).await?;
    let from_version = from.entry.since.to_string();
    let body = super::body::outgoing(from, range, service.share(&entered)?).await?;
    let wanted = Way::of(&upload.notes).map(Way::header);
    let (body, found) = checked(Some(body), Claimed { wanted, ..Claimed::default() })?;
    let data = &service.app.data;
    let staged = data.stage(head, body).await.map_err(|error| found.error(error))?;
    let entered = entered.again(&service.app).await?;
    let also = Box::new(|_: &mut weft_store::Write<'_>, _: &KeptPart| Ok(()));
    let sums = found.sums();
    let kept = data.keep_part(head, upload.id, number, staged, sums.clone(), also, entered.now);
    let kept = kept.await.map_err(of_upload)?;
    let sums = notes::sums(&sums);
    Ok(S3Response::new(UploadPartCopyOutput {
        copy_part_result: Some(CopyPartResult {
            e_tag: Some(etag_of(&kept.tag, 1)),
            last_modified: Some(moment(kept.at)),
            checksum_crc32: sums.checksum_crc32,
            checksum_crc32c: sums.checksum_crc32c,
            checksum_crc64nvme: sums.checksum_crc64nvme,
            checksum_sha1: sums.checksum_sha1,
            checksum_sha256: sums.checksum_sha256,
        }),
        copy_source_version_id: Some(from_version),
        server_side_encryption: sealed(),
        ..UploadPartCopyOutput::default()
    }))
}

/// `CompleteMultipartUpload`.
pub(super) async fn finish(
    service: &Service,
    request: S3Request<CompleteMultipartUploadInput>,
) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
    let (entered, mut input) = (Entered::of(&request)?, request.input);
    let head = entered.head()?;
    let named = input.multipart_upload.take().and_then(|upload| upload.parts).unwrap_or_default();
    let upload = match service.upload(head, &input.upload_id, &input.key).await {
        Ok(upload) => upload,
        Err(error) => return service.finished(&entered, &input, &named).await?.ok_or(error),
    };
    let kept = service.app.data.parts(head, upload.id, 0, PARTS_MAX).await.map_err(of_upload)?;
    let chosen = chosen(&named, &kept)?;
    if let Some(size) = input.mpu_object_size
        && u64::try_from(size).ok() != Some(chosen.iter().map(|part| part.bytes.0).sum())
    {
        return Err(s3_error!(InvalidRequest, "the parts are not {size} bytes together"));
    }
    let parts: Vec<_> = chosen.iter().map(|part| (part.number, part.tag.clone())).collect();
    let conditions = (input.if_match.take(), input.if_none_match.take());
    let expected = service.expected(head, &input.key, conditions).await?;
    let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
    let mut notes = whole(&upload, &chosen, &claimed_sums!(input), input.checksum_type.as_ref())?;
    if profile::is_parquet(&input.key) {
        let arrived = service.app.data.arrived_as(head, upload.id, parts.clone()).await;
        notes.extend(profile::note_of_parquet(&input.key, head.is.tier, || arrived).await);
    }
    let finish = Finish { parts, notes: notes.clone(), expected: expected.clone() };
    let also = service.noting(&entered, &input.key, "put in parts");
    let put = service.app.data.finish_upload(head, upload.id, finish, also, entered.now).await;
    let Some(put) = put.map_err(of_upload)? else {
        return Err(service.unexpected(head, &input.key, &expected).await);
    };
    Ok(done(&input, &notes, etag_of(&put.tag, count), put.change))
}

/// What is answered when an upload is finished.
fn done(
    input: &CompleteMultipartUploadInput,
    notes: &Notes,
    etag: ETag,
    change: u64,
) -> S3Response<CompleteMultipartUploadOutput> {
    let sums = notes::sums(notes);
    S3Response::new(CompleteMultipartUploadOutput {
        location: Some(format!("/{}/{}", input.bucket, super::lists::encoded(&input.key, true))),
        bucket: Some(input.bucket.clone()),
        key: Some(input.key.clone()),
        checksum_crc32: sums.checksum_crc32,
        checksum_crc32c: sums.checksum_crc32c,
        checksum_crc64nvme: sums.checksum_crc64nvme,
        checksum_sha1: sums.checksum_sha1,
        checksum_sha256: sums.checksum_sha256,
        checksum_type: sums.checksum_type,
        e_tag: Some(etag),
        server_side_encryption: sealed(),
        version_id: Some(change.to_string()),
        ..CompleteMultipartUploadOutput::default()
    })
}

impl Service {
    /// The answer of an upload that is finished already, to who has lost it: the object is the one
    /// that this upload made, of as many parts as are named.
    async fn finished(
        &self,
        entered: &Entered,
        input: &CompleteMultipartUploadInput,
        named: &[CompletedPart],
    ) -> S3Result<Option<S3Response<CompleteMultipartUploadOutput>>> {
        let found = self.app.data.head(entered.head()?, &input.key, At::Now).await;
        let Some(there) = found.map_err(of_data)? else { return Ok(None) };
        let notes = there.notes.unwrap_or_default();
        let is_its = notes.get(UPLOAD) == Some(&input.upload_id)
            && there.entry.parts.map(|parts| parts as usize) == Some(named.len());
        let etag = super::objects::etag(&there.entry);
        Ok(is_its.then(|| done(input, &notes, etag, there.entry.since)))
    }
}

/// What the parts make together, as notes of the object: its checksum, which is the one that is
/// claimed, and what the parts were.
fn whole(
    upload: &Upload,
    chosen: &[&KeptPart],
    claimed: &Notes,
    kind: Option<&ChecksumType>,
) -> S3Result<Notes> {
    let way = Way::of(&upload.notes);
    if let (Some(kind), Some(way)) = (kind, way)
        && *kind != way.kind()
    {
        return Err(s3_error!(InvalidRequest, "the upload was begun with {:?}", way.kind()));
    }
    let sum_of = |part: &'_ KeptPart| part.notes.get(&way?.header()).cloned();
    let sums: Vec<_> = chosen.iter().map(|part| (sum_of(part), part.bytes.0)).collect();
    let whole = way.and_then(|way| {
        let sums: Vec<_> = sums.iter().map(|(sum, bytes)| (sum.as_ref(), *bytes)).collect();
        Some((way.header(), way.whole(&sums)?))
    });
    let pieces: Vec<_> = sums.into_iter().map(|(sum, bytes)| Piece { bytes, sum }).collect();
    let mut notes: Notes = whole.into_iter().collect();
    for (name, value) in claimed {
        // Of one that was not asked for as the upload was begun nothing is known.
        let known = notes.get(name).filter(|sum| *sum == value);
        if known.is_none() && way.is_some() {
            return Err(s3_error!(BadDigest, "the parts together are not what {name} says"));
        }
    }
    notes.extend(pieces::written(&pieces).map(|text| (PIECES.to_owned(), text)));
    notes.insert(UPLOAD.to_owned(), upload.id.0.to_string());
    let profiled = chosen.first().filter(|part| part.number == 1);
    let profiled =
        profiled.and_then(|part| Some((PROFILE.to_owned(), part.notes.get(PROFILE)?.clone())));
    notes.extend(profiled);
    // With what was said as the upload was begun they are not too many.
    let mut all = upload.notes.clone().into_iter().chain(notes).collect();
    notes::shorten(&mut all);
    Ok(all)
}

/// The kept parts that are named, in rising order, each as it was put.
fn chosen<'k>(named: &[CompletedPart], kept: &'k [KeptPart]) -> S3Result<Vec<&'k KeptPart>> {
    if named.is_empty() {
        return Err(s3_error!(MalformedXML, "no part is named"));
    }
    let mut chosen: Vec<&KeptPart> = Vec::with_capacity(named.len());
    for part in named {
        let number = number(part.part_number.unwrap_or_default())?;
        if chosen.last().is_some_and(|last| last.number >= number) {
            return Err(s3_error!(InvalidPartOrder, "parts are named in rising order"));
        }
        let at = kept.binary_search_by_key(&number, |kept| kept.number).ok();
        let found = at.and_then(|at| kept.get(at)).filter(|found| {
            let tag = part.e_tag.as_ref().and_then(tag_of);
            tag.is_none_or(|tag| tag == found.tag) && sums_fit(part, &found.notes)
        });
        let found = found.ok_or_else(|| {
            s3_error!(InvalidPart, "part {number} is not there, or is not the one that is named")
        })?;
        if chosen.last().is_some_and(|last| last.bytes.0 < PART_BYTES_MIN) {
            return Err(s3_error!(
                EntityTooSmall,
                "a part that is not the last has at least {PART_BYTES_MIN} bytes"
            ));
        }
        chosen.push(found);
    }
    Ok(chosen)
}

/// Whether the checksums that are named of a part are those that it was put with.
fn sums_fit(part: &CompletedPart, notes: &Notes) -> bool {
    let named = [
        ("crc32", &part.checksum_crc32),
        ("crc32c", &part.checksum_crc32c),
        ("crc64nvme", &part.checksum_crc64nvme),
        ("sha1", &part.checksum_sha1),
        ("sha256", &part.checksum_sha256),
    ];
    named.into_iter().all(|(name, sum)| {
        let kept = notes.get(&format!("{SUM}{name}"));
        sum.is_none() || kept.is_none() || sum.as_ref() == kept
    })
}

/// `AbortMultipartUpload`.
pub(super) async fn give_up(
    service: &Service,
    request: S3Request<AbortMultipartUploadInput>,
) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
    let (entered, input) = (Entered::of(&request)?, request.input);
    let head = entered.head()?;
    let upload = service.upload(head, &input.upload_id, &input.key).await?;
    let also = service.noting(&entered, &input.key, "upload given up");
    let done = service.app.data.give_up_upload(head, upload.id, also, entered.now).await;
    done.map_err(of_upload)?;
    let mut response = S3Response::new(AbortMultipartUploadOutput::default());
    response.status = Some(StatusCode::NO_CONTENT);
    Ok(response)
}

fn most(asked: Option<i32>) -> S3Result<u32> {
    let most = u32::try_from(asked.unwrap_or(LISTED_MAX as i32));
    most.map(|most| most.min(LISTED_MAX)).map_err(|_| s3_error!(InvalidArgument, "less than none"))
}

/// `ListMultipartUploads`.
pub(super) async fn uploads(
    service: &Service,
    request: S3Request<ListMultipartUploadsInput>,
) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
    let (entered, input) = (Entered::of(&request)?, request.input);
    let (head, limit) = (entered.head()?, most(input.max_uploads)?);
    let prefix = input.prefix.clone().unwrap_or_default();
    let path = input.key_marker.clone().unwrap_or_default();
    // Behind all uploads of the marker's key, unless one of them is named.
    let after = input.upload_id_marker.as_deref().map_or(Ok(u64::MAX >> 1), str::parse);
    let after = UploadId(after.map_err(|_| gone())?);
    let listed = service.app.data.uploads(head, &prefix, (&path, after), limit + 1).await;
    let mut found = listed.map_err(of_data)?;
    let is_truncated = limit > 0 && found.len() > limit as usize;
    found.truncate(limit as usize);
    let next = found.last().filter(|_| is_truncated);
    let (next_key, next_id) = next.map(|last| (last.path.clone(), last.id.0.to_string())).unzip();
    // Those of other ways in are their senders' alone.
    found.retain(|upload| !upload.notes.contains_key(SENDER));
    let owner = owner(&entered);
    let shown = |upload: Upload| MultipartUpload {
        initiated: Some(moment(upload.at)),
        initiator: Some(Initiator {
            display_name: owner.display_name.clone(),
            id: owner.id.clone(),
        }),
        key: Some(upload.path),
        owner: Some(owner.clone()),
        storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
        upload_id: Some(upload.id.0.to_string()),
        ..MultipartUpload::default()
    };
    Ok(S3Response::new(ListMultipartUploadsOutput {
        bucket: Some(input.bucket),
        prefix: input.prefix,
        key_marker: input.key_marker,
        upload_id_marker: input.upload_id_marker,
        max_uploads: i32::try_from(limit).ok(),
        is_truncated: Some(is_truncated),
        next_key_marker: next_key,
        next_upload_id_marker: next_id,
        uploads: Some(found.into_iter().map(shown).collect()),
        ..ListMultipartUploadsOutput::default()
    }))
}

/// `ListParts`.
pub(super) async fn list(
    service: &Service,
    request: S3Request<ListPartsInput>,
) -> S3Result<S3Response<ListPartsOutput>> {
    let (entered, input) = (Entered::of(&request)?, request.input);
    let (head, limit) = (entered.head()?, most(input.max_parts)?);
    let upload = service.upload(head, &input.upload_id, &input.key).await?;
    let after: u32 = match input.part_number_marker.map(u32::try_from) {
        None => 0,
        Some(after) => after.map_err(|error| internal(&error))?,
    };
    let listed = service.app.data.parts(head, upload.id, after, limit + 1).await;
    let mut found = listed.map_err(of_upload)?;
    let is_truncated = limit > 0 && found.len() > limit as usize;
    found.truncate(limit as usize);
    let next = found.last().filter(|_| is_truncated).and_then(|l| i32::try_from(l.number).ok());
    let shown = |part: KeptPart| {
        let sums = notes::sums(&part.notes);
        Part {
            checksum_crc32: sums.checksum_crc32,
            checksum_crc32c: sums.checksum_crc32c,
            checksum_crc64nvme: sums.checksum_crc64nvme,
            checksum_sha1: sums.checksum_sha1,
            checksum_sha256: sums.checksum_sha256,
            e_tag: Some(etag_of(&part.tag, 1)),
            last_modified: Some(moment(part.at)),
            part_number: i32::try_from(part.number).ok(),
            size: i64::try_from(part.bytes.0).ok(),
        }
    };
    Ok(S3Response::new(ListPartsOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(input.upload_id),
        max_parts: i32::try_from(limit).ok(),
        part_number_marker: input.part_number_marker,
        is_truncated: Some(is_truncated),
        next_part_number_marker: next,
        owner: Some(owner(&entered)),
        parts: Some(found.into_iter().map(shown).collect()),
        storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
        ..ListPartsOutput::default()
    }))
}
