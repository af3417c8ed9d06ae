//! Lists of objects: both ways of S3's, and the history of what was put.

use super::buckets::owner;
use super::enter::Entered;
use super::fault::{of_data, of_store};
use super::objects::{etag, etag_of};
use super::service::Service;
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};
use std::time::{Duration, UNIX_EPOCH};
use weft_gateway::Listed;
use weft_store::{HistoryEntry, Listing, ObjectEntry, Page, PutThen};

/// Most that one answer lists: S3's limit.
const KEYS_MAX: u32 = 1_000;

/// A moment as S3 shows it.
pub(super) fn moment(at: weft_types::Timestamp) -> Timestamp {
    Timestamp::from(UNIX_EPOCH + Duration::from_millis(at.0))
}

/// Percent-encodes all but what RFC 3986 leaves unreserved, and `/` where it is a separator.
pub(super) fn encoded(text: &str, keeps_slash: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            b'/' if keeps_slash => out.push('/'),
            _ => {
                use std::fmt::Write as _;
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

/// How names stand in an answer.
#[derive(Clone)]
struct Names(Option<EncodingType>);

impl Names {
    fn of(encoding: Option<EncodingType>) -> S3Result<Self> {
        match encoding.as_ref().map(EncodingType::as_str) {
            None | Some(EncodingType::URL) => Ok(Self(encoding)),
            Some(other) => Err(s3_error!(InvalidArgument, "encoding-type is `url`, not `{other}`")),
        }
    }

    fn show(&self, name: String) -> String {
        if self.0.is_some() { encoded(&name, true) } else { name }
    }

    fn prefixes(&self, prefixes: Vec<String>) -> Option<Vec<CommonPrefix>> {
        let shown = prefixes.into_iter().map(|p| CommonPrefix { prefix: Some(self.show(p)) });
        Some(shown.collect::<Vec<_>>()).filter(|all| !all.is_empty())
    }
}

fn most(asked: Option<i32>) -> S3Result<u32> {
    let most = u32::try_from(asked.unwrap_or(KEYS_MAX as i32));
    most.map(|most| most.min(KEYS_MAX)).map_err(|_| s3_error!(InvalidArgument, "max-keys < 0"))
}

fn object(entry: ObjectEntry, names: &Names, owner: Option<Owner>) -> Object {
    Object {
        e_tag: Some(etag(&entry)),
        last_modified: Some(moment(entry.at)),
        size: i64::try_from(entry.bytes.0).ok(),
        storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
        key: Some(names.show(entry.path)),
        owner,
        ..Object::default()
    }
}

impl Service {
    async fn page(
        &self,
        entered: &Entered,
        prefix: Option<&str>,
        delimiter: Option<&str>,
        after: String,
        limit: u32,
    ) -> S3Result<Page<Listed>> {
        let (dataset, at) = entered.dataset()?;
        let delimiter = delimiter.filter(|text| !text.is_empty()).map(str::to_owned);
        let prefix = prefix.unwrap_or_default().to_owned();
        let listing = Listing { prefix, delimiter, after, limit };
        self.app.data.list(dataset, *at, listing, false).await.map_err(of_data)
    }
}

/// `ListObjectsV2`.
pub(super) async fn second(
    service: &Service,
    request: S3Request<ListObjectsV2Input>,
) -> S3Result<S3Response<ListObjectsV2Output>> {
    let (entered, input) = (Entered::of(&request)?, request.input);
    let (names, limit) = (Names::of(input.encoding_type)?, most(input.max_keys)?);
    let after = match &input.continuation_token {
        Some(token) => {
            let plain = hex::decode(token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let odd = || s3_error!(InvalidArgument, "the continuation token is not one of ours");
            plain.ok_or_else(odd)?
        }
        None => input.start_after.clone().unwrap_or_default(),
    };
    let (prefix, delimiter) = (input.prefix.as_deref(), input.delimiter.as_deref());
    let page = service.page(&entered, prefix, delimiter, after, limit).await?;
    let next = page.next.map(hex::encode);
    let owned = input.fetch_owner == Some(true);
    let owner = owned.then(|| owner(&entered));
    let count = page.entries.len() + page.prefixes.len();
    let contents: Vec<_> = page
        .entries
        .into_iter()
        .map(|listed| object(listed.entry, &names, owner.clone()))
        .collect();
    let output = ListObjectsV2Output {
        name: Some(input.bucket),
        prefix: Some(names.show(input.prefix.unwrap_or_default())),
        delimiter: input.delimiter.filter(|text| !text.is_empty()).map(|text| names.show(text)),
        max_keys: i32::try_from(limit).ok(),
        key_count: i32::try_from(count).ok(),
        continuation_token: input.continuation_token,
        is_truncated: Some(next.is_some()),
        next_continuation_token: next,
        contents: Some(contents),
        common_prefixes: names.prefixes(page.prefixes),
        start_after: input.start_after.map(|text| names.show(text)),
        encoding_type: names.0,
        request_charged: None,
    };
    Ok(S3Response::new(output))
}

/// `ListObjects`, the older way: it goes on by names.
pub(super) async fn first(
    service: &Service,
    request: S3Request<ListObjectsInput>,
) -> S3Result<S3Response<ListObjectsOutput>> {
    let (entered, input) = (Entered::of(&request)?, request.input);
    let (names, limit) = (Names::of(input.encoding_type)?, most(input.max_keys)?);
    let (prefix, delimiter) = (input.prefix.as_deref(), input.delimiter.as_deref());
    let after = input.marker.clone().unwrap_or_default();
    let page = service.page(&entered, prefix, delimiter, after, limit).await?;
    let next = page.next.clone().map(|next| names.show(next));
    let owner = owner(&entered);
    let contents: Vec<_> = page
        .entries
        .into_iter()
        .map(|listed| object(listed.entry, &names, Some(owner.clone())))
        .collect();
    let output = ListObjectsOutput {
        name: Some(input.bucket),
        prefix: Some(names.show(input.prefix.unwrap_or_default())),
        marker: Some(names.show(input.marker.unwrap_or_default())),
        delimiter: input.delimiter.filter(|text| !text.is_empty()).map(|text| names.show(text)),
        max_keys: i32::try_from(limit).ok(),
        is_truncated: Some(next.is_some()),
        next_marker: next,
        contents: Some(contents),
        common_prefixes: names.prefixes(page.prefixes),
        encoding_type: names.0,
        request_charged: None,
    };
    Ok(S3Response::new(output))
}

/// `ListObjectVersions`: what was put, and where it was deleted, the newest of each first.
pub(super) async fn versions(
    service: &Service,
    request: S3Request<ListObjectVersionsInput>,
) -> S3Result<S3Response<ListObjectVersionsOutput>> {
    let (entered, input) = (Entered::of(&request)?, request.input);
    let (names, limit) = (Names::of(input.encoding_type)?, most(input.max_keys)?);
    let delimiter = input.delimiter.clone().filter(|text| !text.is_empty());
    let after = input.key_marker.clone().unwrap_or_default();
    // Behind all of the marker's key, unless a version of it is named.
    let change = match input.version_id_marker.as_deref().unwrap_or_default() {
        "" => 0,
        text => text
            .parse()
            .map_err(|_| s3_error!(InvalidArgument, "the version-id marker is not one of ours"))?,
    };
    let (id, prefix) = (entered.dataset()?.0.id, input.prefix.clone().unwrap_or_default());
    let listing = Listing { prefix, delimiter, after, limit };
    let read = move |r: &weft_store::Read<'_>| r.object_history(id, &listing, change);
    let found = service.app.store.read(read).await.map_err(|e| of_store(&e))?;
    // Who asks for nothing is not told that there is more: it would be asked for without an end.
    let next = found.next.filter(|_| limit > 0);
    let next_change = next.as_ref().and_then(|(_, change)| *change).map(|c| c.to_string());
    let owner = owner(&entered);
    let (mut versions, mut markers) = (Vec::new(), Vec::new());
    for entry in found.entries {
        match entry.put.clone() {
            Some(put) => versions.push(version(entry, &put, &names, &owner)),
            None => markers.push(marker_of(entry, &names, &owner)),
        }
    }
    let output = ListObjectVersionsOutput {
        name: Some(input.bucket),
        prefix: Some(names.show(input.prefix.unwrap_or_default())),
        key_marker: Some(names.show(input.key_marker.unwrap_or_default())),
        version_id_marker: input.version_id_marker,
        max_keys: i32::try_from(limit).ok(),
        delimiter: input.delimiter.filter(|text| !text.is_empty()).map(|text| names.show(text)),
        is_truncated: Some(next.is_some()),
        next_key_marker: next.map(|(path, _)| names.show(path)),
        next_version_id_marker: next_change,
        common_prefixes: names.prefixes(found.prefixes),
        versions: Some(versions),
        delete_markers: Some(markers),
        encoding_type: names.0,
        ..ListObjectVersionsOutput::default()
    };
    Ok(S3Response::new(output))
}

fn version(entry: HistoryEntry, put: &PutThen, names: &Names, owner: &Owner) -> ObjectVersion {
    ObjectVersion {
        e_tag: Some(etag_of(&put.tag, put.parts.unwrap_or(1))),
        is_latest: Some(entry.is_latest),
        last_modified: Some(moment(entry.at)),
        owner: Some(owner.clone()),
        size: i64::try_from(put.bytes.0).ok(),
        storage_class: Some(ObjectVersionStorageClass::from_static(
            ObjectVersionStorageClass::STANDARD,
        )),
        version_id: Some(entry.change.to_string()),
        key: Some(names.show(entry.path)),
        ..ObjectVersion::default()
    }
}

fn marker_of(entry: HistoryEntry, names: &Names, owner: &Owner) -> DeleteMarkerEntry {
    DeleteMarkerEntry {
        is_latest: Some(entry.is_latest),
        last_modified: Some(moment(entry.at)),
        owner: Some(owner.clone()),
        version_id: Some(entry.change.to_string()),
        key: Some(names.show(entry.path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_encoded_as_clients_decode_them() {
        assert_eq!(encoded("a b/ü%+~", true), "a%20b/%C3%BC%25%2B~");
        assert_eq!(encoded("a/b", false), "a%2Fb");
    }
}
