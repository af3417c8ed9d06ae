//! How a request is signed, looked at before the protocol's library sees it: that one accepts more
//! than we do, and looks in another order.
//!
//! One signature, of version 4; presigned for an hour at most; every `x-amz-` header under it, for
//! one that is added turns a put into a copy.

use super::tags::percent_decoded;
use axum::http::{HeaderMap, HeaderValue, header};
use s3s::S3ErrorCode;

/// Longest life of a presigned address: what it opens is open to whoever sees it, and it lies in
/// logs and histories. S3 itself allows a week.
const PRESIGNED_SECONDS_MAX: u64 = 3_600;

/// Headers that change nothing but how the request itself is checked.
const NEED_NOT_BE_SIGNED: [&str; 4] =
    ["x-amz-content-sha256", "x-amz-date", "x-amz-user-agent", "x-amz-decoded-content-length"];

/// What the headers begin with by which a client of S3 is known that signs nothing.
const OF_AWS: [&str; 2] = ["amz-sdk-", "x-amz-"];

/// Why a request is not even looked at.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) code: S3ErrorCode,
    pub(super) text: String,
}

/// None where a request is not signed in AWS's way, nor comes from a client of S3; else whether
/// the signature is one we look at.
pub(super) fn signed(
    headers: &HeaderMap,
    query: &str,
    service: &str,
) -> Option<Result<(), Refusal>> {
    let authorization =
        headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap_or(""));
    let by_header = authorization.filter(|text| text.starts_with("AWS"));
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let pairs: Vec<(String, String)> = pairs
        .map(|(name, value)| {
            let decoded = |text: &str| percent_decoded(text).unwrap_or_default();
            (decoded(name), decoded(value))
        })
        .collect();
    let all =
        |name: &str| pairs.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).collect::<Vec<_>>();
    let old = ["Signature", "AWSAccessKeyId"].iter().any(|name| !all(name).is_empty());
    let new = ["X-Amz-Signature", "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Expires"];
    let by_query = new.iter().any(|name| !all(name).is_empty());
    let refuse = |code, text: String| Some(Err(Refusal { code, text }));
    if by_header.is_none() && !by_query && !old {
        let is_theirs = headers
            .keys()
            .any(|name| OF_AWS.iter().any(|begins| name.as_str().starts_with(begins)));
        let text = "requests must be signed: `weft data key` makes a key";
        return match is_theirs && authorization.is_none() {
            true => refuse(S3ErrorCode::AccessDenied, text.to_owned()),
            false => None,
        };
    }
    if old || by_header.is_some_and(|text| !text.starts_with("AWS4-HMAC-SHA256 ")) {
        let text = "signatures of version 2 are not accepted: configure the client to use s3v4";
        return refuse(S3ErrorCode::InvalidRequest, text.to_owned());
    }
    let names = match by_header {
        Some(_) if by_query => {
            return refuse(S3ErrorCode::InvalidRequest, "a request is signed once".to_owned());
        }
        Some(text) => text.split([',', ' ']).find_map(|part| part.strip_prefix("SignedHeaders=")),
        None => match presigned(&all) {
            Err(text) => return refuse(S3ErrorCode::AccessDenied, text),
            Ok(()) => all("X-Amz-SignedHeaders").first().map(|(_, names)| names.as_str()),
        },
    };
    let credential = match by_header {
        Some(text) => text.split([',', ' ']).find_map(|part| part.strip_prefix("Credential=")),
        None => all("X-Amz-Credential").first().map(|(_, text)| text.as_str()),
    };
    // A signature for one service is none for another.
    let of = credential.and_then(|text| text.rsplit('/').nth(1)).unwrap_or(service);
    if of != service {
        let text = format!("the signature is for the service `{of}`, and this is `{service}`");
        return refuse(S3ErrorCode::AccessDenied, text);
    }
    let names: Vec<&str> = names.unwrap_or("").split(';').collect();
    let beside = headers.keys().map(header::HeaderName::as_str).find(|name| {
        name.starts_with("x-amz-") && !names.contains(name) && !NEED_NOT_BE_SIGNED.contains(name)
    });
    match beside {
        Some(name) => refuse(S3ErrorCode::AccessDenied, format!("the header {name} is not signed")),
        None => Some(Ok(())),
    }
}

/// A signature of the moment in `Date` is as good as one of that in `x-amz-date`, which alone the
/// protocol's library looks at.
pub(super) fn date(headers: &mut HeaderMap) {
    if headers.contains_key("x-amz-date") || !headers.contains_key(header::AUTHORIZATION) {
        return;
    }
    let said = headers.get(header::DATE).and_then(|value| value.to_str().ok());
    let Some(at) = said.and_then(|text| jiff::fmt::rfc2822::parse(text).ok()) else { return };
    let text = at.timestamp().strftime("%Y%m%dT%H%M%SZ").to_string();
    if let Ok(value) = HeaderValue::from_str(&text) {
        headers.insert("x-amz-date", value);
    }
}

/// A presigned address says once how long it lives, and that is not long.
fn presigned<'q>(all: &impl Fn(&str) -> Vec<&'q (String, String)>) -> Result<(), String> {
    for name in ["X-Amz-Signature", "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-SignedHeaders"] {
        if all(name).len() != 1 {
            return Err(format!("a presigned address has {name} once"));
        }
    }
    let expires = match all("X-Amz-Expires").as_slice() {
        [(_, seconds)] => seconds.parse().ok(),
        _ => None,
    };
    match expires {
        Some(1..=PRESIGNED_SECONDS_MAX) => Ok(()),
        _ => Err(format!("a presigned address lives 1 to {PRESIGNED_SECONDS_MAX} seconds")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// None: not signed; true: looked at.
    fn of(authorization: &str, query: &str, also: &[&'static str]) -> Option<bool> {
        let mut headers = HeaderMap::new();
        if !authorization.is_empty() {
            headers.insert(header::AUTHORIZATION, authorization.parse().unwrap());
        }
        for name in also {
            headers.insert(*name, "x".parse().unwrap());
        }
        signed(&headers, query, "s3").map(|looked_at| looked_at.is_ok())
    }

    const V4: &str = "AWS4-HMAC-SHA256 Credential=a/20261123/any/s3/aws4_request, \
        SignedHeaders=host;x-amz-date, Signature=0";
    const PRESIGNED: &str = "X-Amz-Algorithm=AWS4-HMAC-SHA256\
        &X-Amz-Credential=a%2F20261123%2Fany%2Fs3%2Faws4_request\
        &X-Amz-SignedHeaders=host&X-Amz-Signature=0";

    #[test]
    fn a_request_is_told_by_its_signature() {
        assert_eq!(of("", "", &[]), None);
        assert_eq!(of("Bearer weft_pat_x", "limit=3", &[]), None);
        assert_eq!(of(V4, "", &[]), Some(true));
        assert_eq!(of("", &format!("{PRESIGNED}&X-Amz-Expires=60"), &[]), Some(true));
    }

    #[test]
    fn a_signature_for_one_service_is_none_for_another() {
        assert_eq!(of(&V4.replace("/s3/", "/sts/"), "", &[]), Some(false));
        let presigned = PRESIGNED.replace("%2Fs3%2F", "%2Fsts%2F");
        assert_eq!(of("", &format!("{presigned}&X-Amz-Expires=60"), &[]), Some(false));
    }

    #[test]
    fn a_client_of_s3_that_signs_nothing_is_told_so_in_its_own_way() {
        assert_eq!(of("", "list-type=2", &["amz-sdk-invocation-id"]), Some(false));
        assert_eq!(of("", "", &["x-amz-checksum-crc32"]), Some(false));
        assert_eq!(of("Bearer weft_pat_x", "", &["x-amz-date"]), None);
    }

    #[test]
    fn version_2_does_not_get_by_in_any_disguise() {
        assert_eq!(of("AWS AKIA:sig", "", &[]), Some(false));
        assert_eq!(of("", "AWSAccessKeyId=a&Signature=b&Expires=3", &[]), Some(false));
        assert_eq!(
            of("", "X-Amz-Algorithm=x&AWSAccessKeyId=a&Signature=b&Expires=9", &[]),
            Some(false)
        );
        assert_eq!(of(V4, "AWSAccessKeyId=a&Sign%61ture=b&Expires=9", &[]), Some(false));
        assert_eq!(of("AWS4-x", "", &[]), Some(false));
    }

    #[test]
    fn an_address_lives_an_hour_however_it_says_more() {
        for bad in [
            "",
            "&X-Amz-Expires=3601",
            "&X-Amz-Expires=1e9",
            "&X-Amz-Expire%73=604800",
            "&X-Amz-Expires=60&X-Amz-Expires=604800",
            "&X-Amz-Expires=60&X-Amz-Signature=1",
        ] {
            assert_eq!(of("", &format!("{PRESIGNED}{bad}"), &[]), Some(false), "{bad}");
        }
        let long = format!("{PRESIGNED}&X-Amz-Expires=604800");
        assert_eq!(of("AWS4-HMAC-SHA256 junk", &long, &[]), Some(false), "with another signature");
    }

    #[test]
    fn what_is_said_beside_the_signature_is_not_heeded() {
        let presigned = format!("{PRESIGNED}&X-Amz-Expires=60");
        assert_eq!(of("", &presigned, &["x-amz-copy-source"]), Some(false));
        assert_eq!(of(V4, "", &["x-amz-copy-source"]), Some(false));
        assert_eq!(of(V4, "", &["x-amz-date", "x-amz-content-sha256"]), Some(true));
    }
}
