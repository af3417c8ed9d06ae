//! Tags of an object: ten names with values, kept with its notes.

use super::enter::Entered;
use super::fault::of_data;
use super::notes::TAGS;
use super::service::Service;
use s3s::dto::{
    DeleteObjectTaggingInput, DeleteObjectTaggingOutput, GetObjectTaggingInput,
    GetObjectTaggingOutput, PutObjectTaggingInput, PutObjectTaggingOutput, Tag,
};
use s3s::{S3Request, S3Response, S3Result, s3_error};
use weft_store::Expected;

/// Most tags of an object, and most letters of a tag's name and value: S3's limits.
const TAGS_MAX: usize = 10;
const NAME_MAX: usize = 128;
const VALUE_MAX: usize = 256;

/// Tags as clients write them in a header, `key=value&…`, percent-encoded.
pub(super) fn parse(text: &str) -> S3Result<Vec<Tag>> {
    let decode = |part: &str| {
        let plain = part.replace('+', " ");
        let decoded = percent_decoded(&plain);
        decoded.ok_or_else(|| s3_error!(InvalidTag, "a tag is not percent-encoded UTF-8"))
    };
    let mut tags: Vec<Tag> = Vec::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decode(name)?, decode(value)?);
        if tags.iter().any(|tag| tag.key.as_deref() == Some(&name)) {
            return Err(s3_error!(InvalidTag, "a tag is given twice"));
        }
        tags.push(Tag { key: Some(name), value: Some(value) });
    }
    check(&tags)?;
    // A set, which S3 shows by name.
    tags.sort_by(|one, other| one.key.cmp(&other.key));
    Ok(tags)
}

fn check(tags: &[Tag]) -> S3Result<()> {
    if tags.len() > TAGS_MAX {
        return Err(s3_error!(InvalidTag, "an object has {TAGS_MAX} tags at most"));
    }
    let letters = |text: &Option<String>| text.as_deref().unwrap_or("").chars().count();
    match tags
        .iter()
        .all(|tag| (1..=NAME_MAX).contains(&letters(&tag.key)) && letters(&tag.value) <= VALUE_MAX)
    {
        true => Ok(()),
        false => Err(s3_error!(
            InvalidTag,
            "a tag's name has 1 to {NAME_MAX} letters, its value {VALUE_MAX} at most"
        )),
    }
}

/// Tags as they are kept.
fn written(tags: &[Tag]) -> String {
    let encode =
        |text: &Option<String>| super::lists::encoded(text.as_deref().unwrap_or(""), false);
    let pair = |tag: &Tag| format!("{}={}", encode(&tag.key), encode(&tag.value));
    tags.iter().map(pair).collect::<Vec<_>>().join("&")
}

/// Percent-decodes UTF-8.
pub(super) fn percent_decoded(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        if bytes[at] == b'%' {
            out.push(u8::from_str_radix(text.get(at + 1..at + 3)?, 16).ok()?);
            at += 3;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8(out).ok()
}

/// `GetObjectTagging`.
pub(super) async fn get(
    service: &Service,
    request: S3Request<GetObjectTaggingInput>,
) -> S3Result<S3Response<GetObjectTaggingOutput>> {
    let (entered, input) = (Entered::of(&request)?, request.input);
    let (entry, said) = service.said(&entered, &input.key, input.version_id.as_deref()).await?;
    service.read(&entered, &entry, 0).await?;
    let tag_set = parse(said.get(TAGS).map_or("", String::as_str))?;
    let version_id = Some(entry.since.to_string());
    Ok(S3Response::new(GetObjectTaggingOutput { tag_set, version_id }))
}

/// `PutObjectTagging`.
pub(super) async fn put(
    service: &Service,
    request: S3Request<PutObjectTaggingInput>,
) -> S3Result<S3Response<PutObjectTaggingOutput>> {
    let (entered, input) = (Entered::of(&request)?, request.input);
    check(&input.tagging.tag_set)?;
    let tags = written(&input.tagging.tag_set);
    let version_id = replace(service, &entered, &input.key, input.version_id, tags).await?;
    Ok(S3Response::new(PutObjectTaggingOutput { version_id }))
}

/// `DeleteObjectTagging`.
pub(super) async fn delete(
    service: &Service,
    request: S3Request<DeleteObjectTaggingInput>,
) -> S3Result<S3Response<DeleteObjectTaggingOutput>> {
    let (entered, input) = (Entered::of(&request)?, request.input);
    let version_id =
        replace(service, &entered, &input.key, input.version_id, String::new()).await?;
    let mut response = S3Response::new(DeleteObjectTaggingOutput { version_id });
    response.status = Some(axum::http::StatusCode::NO_CONTENT);
    Ok(response)
}

/// Puts the object anew with other tags, which moves no byte; what is in a version stays as it is.
async fn replace(
    service: &Service,
    entered: &Entered,
    path: &str,
    version: Option<String>,
    tags: String,
) -> S3Result<Option<String>> {
    let head = entered.head()?;
    let object = service.object(entered, path, version.as_deref()).await?;
    let mut notes = object.notes.clone();
    match tags.is_empty() {
        true => notes.remove(TAGS),
        false => notes.insert(TAGS.to_owned(), tags),
    };
    let expected = Expected::Tag(object.entry.tag.clone());
    let also = service.noting(entered, path, "tags");
    let data = &service.app.data;
    let put = data.copy(&object, head, path, Some(notes), expected, also, entered.now).await;
    let put = put.map_err(of_data)?;
    let put = put.ok_or_else(|| s3_error!(OperationAborted, "it was changed meanwhile"))?;
    Ok(Some(put.change.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_and_written() {
        let tags = parse("tier=restricted&what=a%20b%26c&empty=").unwrap();
        assert_eq!(tags.len(), 3);
        assert_eq!(tags[2].value.as_deref(), Some("a b&c"));
        assert_eq!(parse(&written(&tags)).unwrap(), tags);
        assert!(parse("a=1&a=2").is_err());
        assert!(parse("a=%zz").is_err());
        assert!(parse(&"x".repeat(NAME_MAX + 1)).is_err());
    }
}
