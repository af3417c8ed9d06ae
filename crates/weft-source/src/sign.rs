//! Signatures of S3's requests (AWS Signature Version 4).

use jiff::Timestamp;
use ring::{digest, hmac};
use url::Url;
use zeroize::Zeroizing;

/// SHA-256 of nothing, where there is no body.
pub(crate) const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
/// What is signed of the headers.
const HEADERS: &str = "host;x-amz-content-sha256;x-amz-date";

/// A key of an object store.
#[derive(Clone)]
pub struct Signer {
    /// Its public part.
    pub access: String,
    /// Its secret part.
    pub secret: Zeroizing<String>,
    /// Where the store says it is.
    pub region: String,
}

/// What goes with a request.
pub(crate) struct Signed {
    pub(crate) date: String,
    pub(crate) authorization: String,
}

impl Signer {
    /// Signs a request whose path and query are in canonical form already.
    ///
    /// It is of this method, and of a body with this SHA-256.
    pub(crate) fn sign(&self, method: &str, authority: &str, url: &Url, body: &str) -> Signed {
        self.sign_at(method, authority, url, body, Timestamp::now())
    }

    fn sign_at(
        &self,
        method: &str,
        authority: &str,
        url: &Url,
        body: &str,
        at: Timestamp,
    ) -> Signed {
        let date = at.strftime("%Y%m%dT%H%M%SZ").to_string();
        let day = &date[..8];
        let (path, query) = (url.path(), url.query().unwrap_or_default());
        let request = format!(
            "{method}\n{path}\n{query}\nhost:{authority}\nx-amz-content-sha256:{body}\n\
             x-amz-date:{date}\n\n{HEADERS}\n{body}"
        );
        let scope = format!("{day}/{}/s3/aws4_request", self.region);
        let digest = hex::encode(digest::digest(&digest::SHA256, request.as_bytes()));
        let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{digest}");
        let first = Zeroizing::new(format!("AWS4{}", *self.secret));
        let parts = [day, self.region.as_str(), "s3", "aws4_request"];
        let start = Zeroizing::new(first.as_bytes().to_vec());
        let key = parts.iter().fold(start, |key, part| Zeroizing::new(mac(&key, part)));
        let signature = hex::encode(mac(&key, &text));
        let access = &self.access;
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={access}/{scope}, SignedHeaders={HEADERS}, \
             Signature={signature}"
        );
        Signed { date, authorization }
    }
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
}

/// Text in a path or a query, as S3 wants it: all but letters, digits and `-._~` is escaped; a
/// path keeps its slashes.
pub(crate) fn escape(text: &str, slashes: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                escaped.push(char::from(byte));
            }
            b'/' if slashes => escaped.push('/'),
            _ => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of Amazon's documentation, and what botocore 1.44 makes of it.
    #[test]
    fn it_signs_as_others_do() {
        let signer = Signer {
            access: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret: Zeroizing::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned()),
            region: "us-east-1".to_owned(),
        };
        let url = "https://examplebucket.s3.amazonaws.com/?max-keys=2&prefix=J";
        let at = "2013-05-24T00:00:00Z".parse().unwrap();
        let url = Url::parse(url).unwrap();
        let signed = signer.sign_at("GET", "examplebucket.s3.amazonaws.com", &url, EMPTY, at);
        // Signature of "GET Bucket (List Objects)" in the S3 API reference, SigV4 examples.
        let wanted = "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7";
        assert!(signed.authorization.ends_with(wanted), "{}", signed.authorization);
    }

    #[test]
    fn names_are_escaped_as_they_are_signed() {
        assert_eq!(escape("a b/ü+~.csv", true), "a%20b/%C3%BC%2B~.csv");
        assert_eq!(escape("a/b", false), "a%2Fb");
    }
}
