//! Requests signed in AWS's way (Signature Version 4): a test can sign what no client would.

use crate::api_world::{Answer, Api, Ask};
use ring::{digest, hmac};
use serde_json::json;

/// A key, and when its requests are said to be made.
#[derive(Debug, Clone)]
pub(crate) struct S3Key {
    pub(crate) id: String,
    pub(crate) secret: String,
    /// Seconds from now.
    pub(crate) shifted: i64,
}

impl Api {
    /// An S3 key, made with this token.
    pub(crate) async fn s3_key(&self, token: &str, scope: &str) -> S3Key {
        let create = json!({ "scope": scope, "expires_in_ms": 3_600_000 });
        let made = self.send(Ask::new("POST", "/api/v1/data/keys").by(token).once().json(create));
        let made = made.await;
        assert_eq!(made.status, 201, "{:?}", made.body);
        let text = |name: &str| made.json()[name].as_str().unwrap().to_owned();
        S3Key { id: text("access_key_id"), secret: text("secret_access_key"), shifted: 0 }
    }

    /// Signs, sends, and reads the whole answer.
    pub(crate) async fn s3(&self, key: &S3Key, ask: Ask) -> Answer {
        let signed = key.sign(self.address(), ask);
        self.send(signed).await
    }
}

impl S3Key {
    /// The request with its signature, over all headers that it has by then.
    pub(crate) fn sign(&self, host: &str, ask: Ask) -> Ask {
        self.sign_for("s3", host, ask)
    }

    /// The same for another service.
    pub(crate) fn sign_for(&self, service: &str, host: &str, mut ask: Ask) -> Ask {
        let (at, day) = self.moment();
        let hash = hex::encode(digest::digest(&digest::SHA256, &ask.body));
        ask = ask.header("x-amz-content-sha256", &hash).header("x-amz-date", &at);
        let mut headers = ask.headers.clone();
        headers.push(("host".to_owned(), host.to_owned()));
        headers.sort();
        let names: Vec<_> = headers.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join(";");
        let lines: String =
            headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
        let (path, query) = ask.path.split_once('?').unwrap_or((&ask.path, ""));
        let canonical =
            format!("{}\n{path}\n{}\n{lines}\n{names}\n{hash}", ask.method, sorted(query));
        let scope = format!("{day}/test/{service}/aws4_request");
        let signature = self.signature(&at, &scope, &canonical);
        let text = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            self.id
        );
        ask.header("authorization", &text)
    }

    /// A presigned path for so many seconds.
    pub(crate) fn presign(&self, host: &str, method: &str, path: &str, seconds: u64) -> Ask {
        self.presign_with(host, method, (path, ""), seconds)
    }

    /// The same with more in the query: `&name=value`.
    pub(crate) fn presign_with(
        &self,
        host: &str,
        method: &str,
        (path, more): (&str, &str),
        seconds: u64,
    ) -> Ask {
        let (at, day) = self.moment();
        let scope = format!("{day}/test/s3/aws4_request");
        let credential = format!("{}/{scope}", self.id).replace('/', "%2F");
        let query = sorted(&format!(
            "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}&X-Amz-Date={at}\
             &X-Amz-Expires={seconds}&X-Amz-SignedHeaders=host{more}"
        ));
        let canonical = format!("{method}\n{path}\n{query}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD");
        let signature = self.signature(&at, &scope, &canonical);
        Ask::new(method, &format!("{path}?{query}&X-Amz-Signature={signature}"))
    }

    fn moment(&self) -> (String, String) {
        let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(self.shifted);
        (at.strftime("%Y%m%dT%H%M%SZ").to_string(), at.strftime("%Y%m%d").to_string())
    }

    fn signature(&self, at: &str, scope: &str, canonical: &str) -> String {
        let hash = hex::encode(digest::digest(&digest::SHA256, canonical.as_bytes()));
        let text = format!("AWS4-HMAC-SHA256\n{at}\n{scope}\n{hash}");
        let mut key = format!("AWS4{}", self.secret).into_bytes();
        let parts = scope.split('/').chain([&*text]);
        for part in parts {
            let by = hmac::Key::new(hmac::HMAC_SHA256, &key);
            key = hmac::sign(&by, part.as_bytes()).as_ref().to_vec();
        }
        hex::encode(key)
    }
}

/// A query as it is signed: sorted, and each name with a value.
fn sorted(query: &str) -> String {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<String> = pairs
        .map(|pair| if pair.contains('=') { pair.to_owned() } else { format!("{pair}=") })
        .collect();
    pairs.sort();
    pairs.join("&")
}
