//! Objects in and out, copied and deleted.

use super::always::sealed;
use super::body::{Claimed, checked, outgoing};
use super::enter::{Asks, Entered, Trail};
use super::fault::of_data;
use super::lists::moment;
use super::notes::{self, Said, claimed_sums, said};
use super::pieces;
use super::service::Service;
use crate::api::{Share, profile};
use axum::http::StatusCode;
use futures_util::StreamExt as _;
use s3s::dto::*;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};
use std::ops::Range as Bytes;
use weft_gateway::{Notes, Object};
use weft_policy::Verb;
use weft_store::{At, DatasetRow, Expected, ObjectEntry};

/// Most bytes that are put at once, and of a part: S3's limit.
pub(super) const PUT_BYTES_MAX: i64 = 5 << 30;

/// Says whether two objects are equal. Never of the form of an MD5 sum, for which some clients
/// would take it: how many parts it was put in stands behind it.
pub(super) fn etag(entry: &ObjectEntry) -> ETag {
    etag_of(&entry.tag, entry.parts.unwrap_or(1))
}

pub(super) fn etag_of(tag: &[u8], parts: u32) -> ETag {
    ETag::Strong(format!("{}-{parts}", hex::encode(tag)))
}

/// The tag that an ETag of ours shows.
pub(super) fn tag_of(etag: &ETag) -> Option<Vec<u8>> {
    let text = etag.value();
    hex::decode(text.split_once('-').map_or(text, |(tag, _)| tag)).ok()
}

/// What a reader asks an object to be.
struct Asked {
    if_match: Option<ETagCondition>,
    if_none_match: Option<ETagCondition>,
    modified_since: Option<Timestamp>,
    unmodified_since: Option<Timestamp>,
}

impl Asked {
    /// In the order of RFC 9110, 13.2.2.
    fn check(&self, entry: &ObjectEntry) -> S3Result<()> {
        let (is, at) = (etag(entry), to_the_second(entry.at));
        let fits = |condition: &ETagCondition| match condition {
            ETagCondition::Any => true,
            ETagCondition::ETag(etag) => etag.value() == is.value(),
        };
        let holds = match (&self.if_match, &self.unmodified_since) {
            (Some(condition), _) => fits(condition),
            (None, Some(then)) => at <= *then,
            (None, None) => true,
        };
        if !holds {
            return Err(s3_error!(PreconditionFailed, "the object is another one"));
        }
        let differs = match (&self.if_none_match, &self.modified_since) {
            (Some(condition), _) => !fits(condition),
            (None, Some(then)) => at > *then,
            (None, None) => true,
        };
        if differs {
            return Ok(());
        }
        let mut same: S3Error = S3ErrorCode::NotModified.into();
        let mut headers = axum::http::HeaderMap::new();
        if let Ok(value) = is.to_http_header() {
            headers.insert(axum::http::header::ETAG, value);
        }
        same.set_headers(headers);
        Err(same)
    }
}

/// Headers have no more.
fn to_the_second(at: weft_types::Timestamp) -> Timestamp {
    moment(weft_types::Timestamp(at.0 / 1_000 * 1_000))
}

macro_rules! asked {
    ($input:expr) => {
        Asked {
            if_match: $input.if_match.take(),
            if_none_match: $input.if_none_match.take(),
            modified_since: $input.if_modified_since.take(),
            unmodified_since: $input.if_unmodified_since.take(),
        }
    };
}

/// What an answer says of an object, whether or not its bytes follow.
macro_rules! shown {
    ($output:ident, $entry:expr, $notes:expr, $with_sums:expr, $range:expr) => {{
        let (entry, said) = ($entry, Said::of($notes));
        let sums = if $with_sums { notes::sums($notes) } else { Checksum::default() };
        let range: Option<Bytes<u64>> = $range;
        let all = entry.bytes.0;
        let length = range.as_ref().map_or(all, |range| range.end - range.start);
        $output {
            accept_ranges: Some("bytes".to_owned()),
            cache_control: said.cache_control,
            checksum_crc32: sums.checksum_crc32,
            checksum_crc32c: sums.checksum_crc32c,
            checksum_crc64nvme: sums.checksum_crc64nvme,
            checksum_sha1: sums.checksum_sha1,
            checksum_sha256: sums.checksum_sha256,
            checksum_type: sums.checksum_type,
            content_disposition: said.content_disposition,
            content_encoding: said.content_encoding,
            content_language: said.content_language,
            content_length: i64::try_from(length).ok(),
            content_range: range.map(|r| format!("bytes {}-{}/{all}", r.start, r.end - 1)),
            content_type: said.content_type.and_then(|media| media.parse().ok()),
            e_tag: Some(etag(entry)),
            expires: said.expires,
            last_modified: Some(moment(entry.at)),
            metadata: said.metadata,
            server_side_encryption: sealed(),
            version_id: Some(entry.since.to_string()),
            ..$output::default()
        }
    }};
}

/// Shows a part's checksum in place of the object's.
macro_rules! with_checksum {
    ($output:ident, $sums:ident) => {{
        $output.checksum_crc32 = $sums.checksum_crc32;
        $output.checksum_crc32c = $sums.checksum_crc32c;
        $output.checksum_crc64nvme = $sums.checksum_crc64nvme;
        $output.checksum_sha1 = $sums.checksum_sha1;
        $output.checksum_sha256 = $sums.checksum_sha256;
        $output.checksum_type = $sums.checksum_type;
    }};
}

/// The bytes that are asked for, by a range or by a part's number; with the number, how many parts
/// there are. One beyond the object is refused.
fn asked_range(
    asked: Option<Range>,
    part: Option<i32>,
    entry: &ObjectEntry,
    notes: &Notes,
) -> S3Result<(Option<Bytes<u64>>, Option<i32>)> {
    match (asked, part) {
        (Some(_), Some(_)) => {
            Err(s3_error!(InvalidRequest, "a range and a part cannot both be asked for"))
        }
        (Some(range), None) => Ok((Some(range.check(entry.bytes.0)?), None)),
        (None, None) => Ok((None, None)),
        (None, Some(part)) => {
            let (place, count) = pieces::place(notes, entry.bytes.0, entry.parts, part)?;
            // Of what was put at once, or has no bytes, all is asked for.
            let place = Some(place).filter(|place| entry.parts.is_some() && !place.is_empty());
            Ok((place, entry.parts.and_then(|_| i32::try_from(count).ok())))
        }
    }
}

/// `GetObject`.
pub(super) async fn get(
    service: &Service,
    request: S3Request<GetObjectInput>,
) -> S3Result<S3Response<GetObjectOutput>> {
    let (entered, mut input) = (Entered::of(&request)?, request.input);
    let object = service.object(&entered, &input.key, input.version_id.as_deref()).await?;
    asked!(input).check(&object.entry)?;
    let (range, parts_count) =
        asked_range(input.range, input.part_number, &object.entry, &object.notes)?;
    let bytes = range.clone().unwrap_or(0..object.entry.bytes.0);
    service.read(&entered, &object.entry, bytes.end - bytes.start).await?;
    let with_sums = input.checksum_mode.is_some() && range.is_none();
    let partial = range.is_some();
    let part_sums = input.part_number.filter(|_| input.checksum_mode.is_some());
    let part_sums = part_sums.and_then(|part| pieces::sums(&object.notes, &object.entry, part));
    let mut output = shown!(GetObjectOutput, &object.entry, &object.notes, with_sums, range);
    part_sums.into_iter().for_each(|sums| with_checksum!(output, sums));
    output.tag_count = tags(&object.notes);
    output.parts_count = parts_count;
    output.body = Some(outgoing(object, bytes, service.share(&entered)?).await?);
    let mut response = S3Response::new(output);
    response.status = partial.then_some(StatusCode::PARTIAL_CONTENT);
    Ok(response)
}

fn tags(notes: &Notes) -> Option<i32> {
    let tags = super::tags::parse(notes.get(notes::TAGS)?).ok()?;
    i32::try_from(tags.len()).ok().filter(|tags| *tags > 0)
}

/// `HeadObject`.
pub(super) async fn head(
    service: &Service,
    request: S3Request<HeadObjectInput>,
) -> S3Result<S3Response<HeadObjectOutput>> {
    let (entered, mut input) = (Entered::of(&request)?, request.input);
    let (entry, said) = service.said(&entered, &input.key, input.version_id.as_deref()).await?;
    asked!(input).check(&entry)?;
    let (range, parts_count) = asked_range(input.range, input.part_number, &entry, &said)?;
    let with_sums = input.checksum_mode.is_some() && range.is_none();
    let partial = range.is_some();
    service.read(&entered, &entry, 0).await?;
    let part_sums = input.part_number.filter(|_| input.checksum_mode.is_some());
    let part_sums = part_sums.and_then(|part| pieces::sums(&said, &entry, part));
    let mut output = shown!(HeadObjectOutput, &entry, &said, with_sums, range);
    part_sums.into_iter().for_each(|sums| with_checksum!(output, sums));
    output.parts_count = parts_count;
    let mut response = S3Response::new(output);
    if let Some(tags) = tags(&said) {
        response.headers.insert("x-amz-tagging-count", tags.into());
    }
    response.status = partial.then_some(StatusCode::PARTIAL_CONTENT);
    Ok(response)
}

/// What must be so for an object to be put.
fn expected(
    if_match: Option<ETagCondition>,
    if_none_match: Option<ETagCondition>,
) -> S3Result<Expected> {
    match (if_match, if_none_match) {
        (None, None) => Ok(Expected::Anything),
        (None, Some(ETagCondition::Any)) => Ok(Expected::Absent),
        (Some(ETagCondition::Any), None) => Ok(Expected::Present),
        (Some(ETagCondition::ETag(etag)), None) => {
            Ok(Expected::Tag(tag_of(&etag).unwrap_or_default()))
        }
        _ => Err(s3_error!(NotImplemented, "one condition at a time: If-None-Match or If-Match")),
    }
}

impl Service {
    /// A place among the streams of who asks, while a body comes or goes.
    pub(super) fn share(&self, entered: &Entered) -> S3Result<Share> {
        let most = self.app.about.limits.streams_per_user;
        self.app.streaming.take(&entered.who.user, most, "streams").map_err(|_| {
            s3_error!(SlowDown, "you have {most} requests with bodies open, which is the most")
        })
    }

    /// What must be so for an object to be put here.
    pub(super) async fn expected(
        &self,
        head: &DatasetRow,
        path: &str,
        conditions: (Option<ETagCondition>, Option<ETagCondition>),
    ) -> S3Result<Expected> {
        // Another than the one that is named: the one that is there, if it is another.
        let (None, Some(ETagCondition::ETag(named))) = &conditions else {
            return expected(conditions.0, conditions.1);
        };
        let there = self.app.data.head(head, path, At::Now).await.map_err(of_data)?;
        match there {
            None => Ok(Expected::Absent),
            Some(there) if etag(&there.entry).value() == named.value() => {
                Err(s3_error!(PreconditionFailed, "the object there is the one that is named"))
            }
            Some(there) => Ok(Expected::Tag(there.entry.tag)),
        }
    }

    /// Why an object was not put: what was expected is not so.
    pub(super) async fn unexpected(
        &self,
        head: &DatasetRow,
        path: &str,
        was_expected: &Expected,
    ) -> S3Error {
        let there = self.app.data.head(head, path, At::Now).await;
        match (there, was_expected) {
            (Ok(None), Expected::Tag(_) | Expected::Present) => {
                s3_error!(NoSuchKey, "there is no such object to be replaced")
            }
            _ => s3_error!(PreconditionFailed, "the object there is not the one that is expected"),
        }
    }

    /// What is known of an object without its bytes.
    pub(super) async fn said(
        &self,
        entered: &Entered,
        path: &str,
        version: Option<&str>,
    ) -> S3Result<(ObjectEntry, Notes)> {
        let (dataset, at) = entered.dataset()?;
        let at = super::service::at_version(*at, version)?;
        let found = self.app.data.head(dataset, path, at).await.map_err(of_data)?;
        match found {
            Some(found) => Ok((found.entry, found.notes.unwrap_or_default())),
            None => Err(self.missing(entered, path, version).await?),
        }
    }

    /// Notes that somebody reads so many bytes of an object, before he does.
    pub(super) async fn read(
        &self,
        entered: &Entered,
        entry: &ObjectEntry,
        bytes: u64,
    ) -> S3Result<()> {
        let (dataset, _) = entered.dataset()?;
        let read = crate::reads::Read {
            actor: entered.who.user.to_string(),
            token: Some(entered.key.clone()),
            dataset: dataset.is.name.to_string(),
            queue: dataset.is.queue.to_string(),
            by_run: entered.who.by == weft_policy::Source::Run,
            tier: dataset.is.tier,
            path: entry.path.clone(),
            change: entry.since,
            bytes,
            policies: entered.policies.clone(),
            at: entered.now,
        };
        self.app.reads.note(read).await.map_err(|e| super::fault::internal(&e))
    }
}

/// `PutObject`.
pub(super) async fn put(
    service: &Service,
    mut request: S3Request<PutObjectInput>,
) -> S3Result<S3Response<PutObjectOutput>> {
    let entered = Entered::of(&request)?;
    let trailing = request.trailing_headers.take();
    let trailer = request.headers.get("x-amz-trailer").and_then(|v| v.to_str().ok());
    let trailer = trailer.map(str::to_owned);
    let mut input = request.input;
    let head = entered.head()?;
    if input.content_length.is_some_and(|length| length > PUT_BYTES_MAX) {
        return Err(s3_error!(
            EntityTooLarge,
            "{PUT_BYTES_MAX} bytes are the most at once: use parts"
        ));
    }
    let conditions = (input.if_match.take(), input.if_none_match.take());
    let expected = service.expected(head, &input.key, conditions).await?;
    let mut notes = said!(input).notes()?;
    let claimed = Claimed {
        md5: input.content_md5.take(),
        sums: claimed_sums!(input),
        length: input.content_length,
        wanted: None,
        head: profile::head_of(&input.key),
        trailer,
        trailing,
    };
    let (body, found) = checked(input.body.take(), claimed)?;
    let _share = service.share(&entered)?;
    let data = &service.app.data;
    let staged = data.stage(head, body).await.map_err(|error| found.error(error))?;
    let sums = found.sums();
    notes.extend(sums.clone());
    let profiled = profile::note(&input.key, found.head(), staged.bytes(), head.is.tier).await;
    notes.extend(profiled.map_err(|e| super::fault::internal(&e))?);
    let arrived = || Ok(data.arrived(&staged));
    notes.extend(profile::note_of_parquet(&input.key, head.is.tier, arrived).await);
    notes::shorten(&mut notes);
    let entered = entered.again(&service.app).await?;
    let (path, also) = (&input.key, service.noting(&entered, &input.key, "put"));
    let put = data.commit(head, path, staged, notes, expected.clone(), also, entered.now).await;
    let Some(put) = put.map_err(of_data)? else {
        return Err(service.unexpected(head, path, &expected).await);
    };
    let sums = notes::sums(&sums);
    Ok(S3Response::new(PutObjectOutput {
        checksum_crc32: sums.checksum_crc32,
        checksum_crc32c: sums.checksum_crc32c,
        checksum_crc64nvme: sums.checksum_crc64nvme,
        checksum_sha1: sums.checksum_sha1,
        checksum_sha256: sums.checksum_sha256,
        checksum_type: sums.checksum_type,
        e_tag: Some(etag_of(&put.tag, 1)),
        server_side_encryption: sealed(),
        version_id: Some(put.change.to_string()),
        ..PutObjectOutput::default()
    }))
}

impl Service {
    /// The object that a copy is made of; its bytes are read by whoever asks for the copy, so it is
    /// decided, and noted, as any other read.
    pub(super) async fn source(
        &self,
        entered: &Entered,
        source: &CopySource,
        trail: &Trail,
    ) -> S3Result<(Entered, Object)> {
        let CopySource::Bucket { bucket, key, version_id } = source else {
            return Err(s3_error!(NotImplemented, "a source is a bucket and a key"));
        };
        let asks = Asks::Dataset(Verb::DataRead);
        let (who, signed) = (entered.who.clone(), entered.key.clone());
        let from =
            self.app.enter(who, signed, (asks, Some(bucket), key), entered.now, trail).await?;
        let is_view = from.dataset.as_ref().is_some_and(|(row, _)| row.view_of.is_some());
        if is_view && version_id.is_some() {
            return Err(super::enter::no_history());
        }
        let object = self.object(&from, key, version_id.as_deref()).await?;
        Ok((from, object))
    }
}

/// `CopyObject`.
pub(super) async fn copy(
    service: &Service,
    request: S3Request<CopyObjectInput>,
) -> S3Result<S3Response<CopyObjectOutput>> {
    let (entered, trail) = (Entered::of(&request)?, Trail::of(&request));
    let mut input = request.input;
    let head = entered.head()?;
    let (source, from) = service.source(&entered, &input.copy_source, &trail).await?;
    let asked = Asked {
        if_match: input.copy_source_if_match.take(),
        if_none_match: input.copy_source_if_none_match.take(),
        modified_since: input.copy_source_if_modified_since.take(),
        unmodified_since: input.copy_source_if_unmodified_since.take(),
    };
    asked
        .check(&from.entry)
        .map_err(|_| s3_error!(PreconditionFailed, "the object to be copied is another one"))?;
    let replaces = |directive: Option<&str>| directive == Some("REPLACE");
    let said_anew = replaces(input.metadata_directive.as_ref().map(MetadataDirective::as_str));
    let tagged_anew = replaces(input.tagging_directive.as_ref().map(TaggingDirective::as_str));
    // An older version over the current one brings it back.
    let is_current = from.dataset() == head.id && from.entry.until.is_none();
    if is_current && from.entry.path == input.key && !said_anew && !tagged_anew {
        return Err(s3_error!(InvalidRequest, "a copy onto itself must say something new of it"));
    }
    let mut new = said!(input).notes()?;
    let tags = new.remove(notes::TAGS);
    let old = from.notes.clone();
    let mut notes = match said_anew {
        true => notes::of_bytes(&old).into_iter().chain(new).collect(),
        false => old.clone(),
    };
    notes.remove(notes::UPLOAD);
    let tags = if tagged_anew { tags } else { old.get(notes::TAGS).cloned() };
    match tags {
        Some(tags) => notes.insert(notes::TAGS.to_owned(), tags),
        None => notes.remove(notes::TAGS),
    };
    service.read(&source, &from.entry, from.entry.bytes.0).await?;
    let (path, also) = (&input.key, service.noting(&entered, &input.key, "copied"));
    let data = &service.app.data;
    let put =
        data.copy(&from, head, path, Some(notes), Expected::Anything, also, entered.now).await;
    let put = put.map_err(of_data)?;
    let put = put.ok_or_else(|| s3_error!(OperationAborted, "it was changed meanwhile"))?;
    Ok(S3Response::new(CopyObjectOutput {
        copy_object_result: Some(CopyObjectResult {
            e_tag: Some(etag_of(&put.tag, put.parts.unwrap_or(1))),
            last_modified: Some(moment(entered.now)),
            ..CopyObjectResult::default()
        }),
        copy_source_version_id: Some(from.entry.since.to_string()),
        server_side_encryption: sealed(),
        version_id: Some(put.change.to_string()),
        ..CopyObjectOutput::default()
    }))
}

/// What must be so for an object to be deleted.
#[derive(Debug, Default)]
struct Only {
    version: Option<String>,
    etag: Option<ETagCondition>,
    bytes: Option<i64>,
    at: Option<Timestamp>,
}

impl Only {
    /// Whether the object there is the one; if it is, it is by its tag that it is ended.
    fn is(&self, there: &ObjectEntry) -> bool {
        let etag = match &self.etag {
            None | Some(ETagCondition::Any) => true,
            Some(ETagCondition::ETag(named)) => named.value() == etag(there).value(),
        };
        let bytes = self.bytes.is_none_or(|bytes| u64::try_from(bytes) == Ok(there.bytes.0));
        let at = self.at.as_ref().is_none_or(|at| *at == to_the_second(there.at));
        etag && bytes && at
    }

    fn is_anything(&self) -> bool {
        self.etag.is_none() && self.bytes.is_none() && self.at.is_none()
    }
}

impl Service {
    /// Ends an object; what versions have of it they keep. The change that it was, if it was one:
    /// what is not there is gone, whatever it should have been.
    async fn end(&self, entered: &Entered, path: &str, only: &Only) -> S3Result<Option<u64>> {
        let head = entered.head()?;
        let version = only.version.as_deref().filter(|version| *version != "null");
        let expected = if version.is_none() && only.is_anything() {
            Expected::Anything
        } else {
            let there = self.app.data.head(head, path, At::Now).await.map_err(of_data)?;
            let is_named =
                |there: &ObjectEntry| version.is_none_or(|v| there.since.to_string() == v);
            match there.map(|there| there.entry) {
                Some(there) if !is_named(&there) => return Err(kept()),
                Some(there) if !only.is(&there) => {
                    return Err(s3_error!(PreconditionFailed, "the object there is another one"));
                }
                Some(there) => Expected::Tag(there.tag),
                None => match version {
                    Some(version) if !self.ended_last(head, path, version).await? => {
                        return Err(kept());
                    }
                    // Who has lost the answer asks again.
                    _ => return Ok(None),
                },
            }
        };
        let also = self.noting(entered, path, "deleted");
        let gone = self.app.data.delete(head, path, expected.clone(), also, entered.now).await;
        match gone.map_err(of_data)? {
            Some(deleted) => Ok(deleted.change),
            None => Err(self.unexpected(head, path, &expected).await),
        }
    }
}

impl Service {
    /// Whether a version was the last that there was, of what has been ended since.
    async fn ended_last(&self, head: &DatasetRow, path: &str, version: &str) -> S3Result<bool> {
        let found = self.newest(head, path).await?;
        Ok(matches!(&found[..], [ended, last]
            if ended.put.is_none() && last.put.is_some() && last.change.to_string() == version))
    }
}

/// A version is ended only as the current one. Others are kept, that nobody who has a key for a day
/// takes what was there before.
fn kept() -> S3Error {
    s3_error!(
        AccessDenied,
        "what was put before is kept for the days of the dataset, and in its versions; \
         `weft data rm` ends a dataset or a version"
    )
}

/// `DeleteObject`.
pub(super) async fn delete(
    service: &Service,
    request: S3Request<DeleteObjectInput>,
) -> S3Result<S3Response<DeleteObjectOutput>> {
    let (entered, input) = (Entered::of(&request)?, request.input);
    let only = Only {
        version: input.version_id,
        etag: input.if_match,
        bytes: input.if_match_size,
        at: input.if_match_last_modified_time,
    };
    let change = service.end(&entered, &input.key, &only).await?;
    // A mark is what stands where nothing was named; who names a version is told which.
    let marked = change.filter(|_| only.version.is_none());
    let output = DeleteObjectOutput {
        delete_marker: marked.map(|_| true),
        version_id: marked.map(|change| change.to_string()).or(only.version),
        request_charged: None,
    };
    let mut response = S3Response::new(output);
    response.status = Some(StatusCode::NO_CONTENT);
    Ok(response)
}

/// Most objects that one request deletes: S3's limit.
const DELETED_MAX: usize = 1_000;

/// Of those, so many that they share commits and no reader is kept from the store.
const DELETED_AT_ONCE: usize = 64;

/// `DeleteObjects`: each on its own, and told on its own.
pub(super) async fn delete_many(
    service: &Service,
    request: S3Request<DeleteObjectsInput>,
) -> S3Result<S3Response<DeleteObjectsOutput>> {
    let (entered, input) = (Entered::of(&request)?, request.input);
    let quiet = input.delete.quiet == Some(true);
    if input.delete.objects.len() > DELETED_MAX {
        return Err(s3_error!(MalformedXML, "{DELETED_MAX} objects are the most at once"));
    }
    let one = |object: ObjectIdentifier| {
        let entered = &entered;
        async move {
            let only = Only {
                version: object.version_id.clone(),
                etag: object.e_tag.clone().map(ETagCondition::ETag),
                bytes: object.size,
                at: object.last_modified_time.clone(),
            };
            (service.end(entered, &object.key, &only).await, object)
        }
    };
    let ended = futures_util::stream::iter(input.delete.objects).map(one).buffered(DELETED_AT_ONCE);
    let (mut deleted, mut errors) = (Vec::new(), Vec::new());
    for (ended, object) in ended.collect::<Vec<_>>().await {
        match ended {
            Ok(change) => deleted.push(DeletedObject {
                delete_marker: change.filter(|_| object.version_id.is_none()).map(|_| true),
                delete_marker_version_id: change
                    .filter(|_| object.version_id.is_none())
                    .map(|change| change.to_string()),
                key: Some(object.key),
                version_id: object.version_id,
            }),
            Err(error) => {
                if *error.code() == S3ErrorCode::AccessDenied {
                    let noted = entered.refused(&service.app, &object.key).await;
                    noted.map_err(|e| super::fault::internal(&e))?;
                }
                errors.push(Error {
                    code: Some(error.code().as_str().to_owned()),
                    key: Some(object.key),
                    message: error.message().map(str::to_owned),
                    version_id: object.version_id,
                });
            }
        }
    }
    Ok(S3Response::new(DeleteObjectsOutput {
        deleted: Some(deleted).filter(|_| !quiet),
        errors: Some(errors).filter(|errors| !errors.is_empty()),
        request_charged: None,
    }))
}
