//! What a request wishes for in headers besides its operation: what is so anyway is taken, what is
//! not done is refused. Nothing that somebody relies on is passed over in silence.

use super::enter::Entered;
use axum::http::{HeaderMap, Method};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use s3s::crypto::{Checksum as _, Md5};
use s3s::{S3Result, s3_error};

/// Access lists that say what is so: what is here is its owner's, and others have it by policy.
const PRIVATE: [&str; 2] = ["private", "bucket-owner-full-control"];

/// Bytes of an MD5 sum.
const MD5_BYTES: usize = 16;

/// Headers that ask for what Weft does not do, by what they begin with.
const NOT_DONE: [(&str, &str); 2] = [
    ("x-amz-object-lock-", "object lock: what was put is kept for the days of its dataset"),
    ("x-amz-website-", "websites"),
];

/// Whether all that a request wishes for is so, or can be.
pub(super) fn check(entered: &Entered, method: &Method, headers: &HeaderMap) -> S3Result<()> {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or(""));
    seal(method, &text)?;
    let is_sum = |sum: &str| STANDARD.decode(sum).is_ok_and(|sum| sum.len() == MD5_BYTES);
    if text("content-md5").is_some_and(|sum| !is_sum(sum)) {
        return Err(s3_error!(InvalidDigest, "Content-MD5 is no MD5 sum in base64"));
    }
    if let Some(list) = text("x-amz-acl").filter(|list| !PRIVATE.contains(list)) {
        return Err(s3_error!(
            AccessControlListNotSupported,
            "x-amz-acl is `{list}`, and access lists are off: who may read is said by the \
             dataset's tier; leave it out"
        ));
    }
    for name in headers.keys().map(axum::http::HeaderName::as_str) {
        if name.starts_with("x-amz-grant-") {
            return Err(s3_error!(
                AccessControlListNotSupported,
                "{name}: access lists are off; who may read is said by the dataset's tier"
            ));
        }
        if let Some((_, what)) = NOT_DONE.iter().find(|(begins, _)| name.starts_with(begins)) {
            return Err(s3_error!(NotImplemented, "{name}: {what}"));
        }
    }
    let owner = entered.dataset.as_ref().map(|(dataset, _)| dataset.is.owner.to_string());
    match (text("x-amz-expected-bucket-owner"), owner) {
        (Some(expected), Some(owner)) if expected != owner => {
            Err(s3_error!(AccessDenied, "the dataset's owner is not `{expected}`"))
        }
        _ => Ok(()),
    }
}

/// Everything is sealed with AES-256 under keys of the platform: who asks for that has it. Keys of
/// the client's own, or of a key service, would be another promise.
fn seal<'h>(method: &Method, text: &impl Fn(&str) -> Option<&'h str>) -> S3Result<()> {
    let sealed = text("x-amz-server-side-encryption");
    let key = text("x-amz-server-side-encryption-aws-kms-key-id");
    let [algorithm, secret, sum] = ["algorithm", "key", "key-md5"].map(|part| {
        let name = |before: &str| format!("x-amz-{before}server-side-encryption-customer-{part}");
        text(&name("")).or_else(|| text(&name("copy-source-")))
    });
    let own = algorithm.or(secret).or(sum).is_some();
    let fits = || {
        let secret = STANDARD.decode(secret?).ok()?;
        (algorithm? == "AES256" && sum? == STANDARD.encode(Md5::checksum(&secret))).then_some(())
    };
    let is_read = matches!(*method, Method::GET | Method::HEAD);
    match (sealed, key) {
        (Some(_), _) if is_read => {
            Err(s3_error!(InvalidArgument, "how it is sealed is said when it is put"))
        }
        (Some(_), _) if own => {
            Err(s3_error!(InvalidArgument, "one kind of server-side encryption at a time"))
        }
        (Some("AES256"), Some(_)) | (None, Some(_)) => {
            Err(s3_error!(InvalidArgument, "a key's id belongs to `aws:kms` alone"))
        }
        (Some("aws:kms" | "aws:kms:dsse"), _) => Err(s3_error!(
            NotImplemented,
            "keys of a key service: everything is sealed by the platform's; say AES256 or nothing"
        )),
        (None, None) if own && fits().is_none() => Err(s3_error!(
            InvalidArgument,
            "a key of the client's own comes with its algorithm and its MD5 sum"
        )),
        (Some("AES256") | None, None) if own => Err(s3_error!(
            NotImplemented,
            "keys of the client's own (SSE-C): everything is sealed by the platform's"
        )),
        (Some("AES256") | None, None) => Ok(()),
        (Some(_), _) => Err(s3_error!(InvalidArgument, "x-amz-server-side-encryption is AES256")),
    }
}
