//! S3 keys: a token whose secret is derived, so that signatures can be checked and nothing that
//! signs is stored.
//!
//! A signature is an HMAC under the secret, which the server must have, while of tokens only a
//! digest is kept. So an S3 key is a row among the tokens (whose, until when, of which scope,
//! revoked with the one it was made with), and its secret is a function of its public part and the
//! master key: a copy of the database alone signs nothing.
//!
//! The key of a run is no row: its public part says whose it is and until when, so neither can be
//! changed without its secret being another. It is good on that run's own connections alone.

use super::tags::percent_decoded;
use crate::api::App;
use crate::auth::token::same;
use axum::http::HeaderMap;
use s3s::auth::{S3Auth, SecretKey};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};
use std::fmt;
use weft_gateway::Data;
use weft_policy::Scope;
use weft_runtime::MemberKey;
use weft_types::{Millis, Timestamp};
use zeroize::Zeroizing;

/// What the public part of an S3 key begins with: no token's does, and none is taken for one.
const HEAD: &str = "WEFT";
/// Random bytes behind it, as hexadecimal digits: 20 letters in all, as clients expect.
pub(crate) const ACCESS_KEY_BYTES: usize = 8;

/// What the public part of a run's key begins with.
const RUN_HEAD: &str = "WEFTRUN-";
/// How long a run's key is good. Clients fetch the next one by themselves, boto3 from a quarter of
/// an hour before the end on: were it shorter, at each request.
const RUN_LIFE: Millis = Millis::from_secs(30 * 60);

/// The key of a run: `WEFTRUN-w42-1-0-1795465911`, the last being its end in seconds of Unix time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RunKey {
    pub(super) run: MemberKey,
    pub(super) until: Timestamp,
}

impl RunKey {
    /// A new one.
    pub(super) fn of(run: MemberKey, now: Timestamp) -> Self {
        Self { run, until: Timestamp(now.after(RUN_LIFE).0 / 1_000 * 1_000) }
    }

    /// Reads one; none if it is not of the form.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (run, until) = text.strip_prefix(RUN_HEAD)?.rsplit_once('-')?;
        let until = Timestamp(until.parse::<u64>().ok()?.checked_mul(1_000)?);
        let key = Self { run: run.parse().ok()?, until };
        // One spelling only.
        (key.to_string() == text).then_some(key)
    }

    /// Its secret.
    pub(super) fn secret(&self, data: &Data) -> Zeroizing<String> {
        let key = data.derived("weft s3 run secrets 2026-11", self.to_string().as_bytes());
        Zeroizing::new(hex::encode(*key))
    }
}

impl fmt::Display for RunKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{RUN_HEAD}{}-{}", self.run, self.until.0 / 1_000)
    }
}

/// What the public part of a session's key begins with.
const SESSION_HEAD: &str = "WEFTSES-";

/// The key of a session, which is no row either: made with a token or an S3 key, it ends with that
/// or by itself. `WEFTSES-<parent>-read-1795465911-<random>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Session {
    /// Public part of what it was made with.
    pub(super) parent: String,
    pub(super) scope: Scope,
    pub(super) until: Timestamp,
    /// Tells it from others of that second.
    random: String,
}

impl Session {
    /// A new one.
    pub(super) fn new(
        parent: String,
        scope: Scope,
        until: Timestamp,
    ) -> Result<Self, getrandom::Error> {
        let mut random = [0; 4];
        getrandom::fill(&mut random)?;
        let until = Timestamp(until.0 / 1_000 * 1_000);
        Ok(Self { parent, scope, until, random: hex::encode(random) })
    }

    /// Reads one; none if it is not of the form.
    pub(super) fn read(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.strip_prefix(SESSION_HEAD)?.split('-').collect();
        let [parent, scope, until, random] = parts[..] else { return None };
        let until = Timestamp(until.parse::<u64>().ok()?.checked_mul(1_000)?);
        let (parent, random) = (parent.to_owned(), random.to_owned());
        let session = Self { parent, scope: scope.parse().ok()?, until, random };
        // One spelling only.
        (session.to_string() == text).then_some(session)
    }

    /// Its secret.
    pub(super) fn secret(&self, data: &Data) -> Zeroizing<String> {
        let key = data.derived("weft s3 session secrets 2026-11", self.to_string().as_bytes());
        Zeroizing::new(hex::encode(*key))
    }

    /// What its requests carry besides.
    pub(super) fn token(&self, data: &Data) -> Zeroizing<String> {
        let key = data.derived("weft s3 session tokens 2026-11", self.to_string().as_bytes());
        Zeroizing::new(hex::encode(*key))
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scope, until) = (self.scope.as_str(), self.until.0 / 1_000);
        write!(f, "{SESSION_HEAD}{}-{scope}-{until}-{}", self.parent, self.random)
    }
}

/// Whether a request has the token of its session, once, in its headers or its address; and has
/// none where there is no session. A run's key comes with a word that says nothing.
pub(super) fn has_its_token(
    data: &Data,
    key: &str,
    (headers, query): (&HeaderMap, &str),
) -> S3Result<()> {
    let in_head = headers.get_all("x-amz-security-token").iter();
    let in_head = in_head.map(|value| value.to_str().unwrap_or("?").to_owned());
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let in_query = pairs.filter_map(|(name, value)| {
        let is_it = percent_decoded(name)?.eq_ignore_ascii_case("x-amz-security-token");
        is_it.then(|| percent_decoded(value).unwrap_or_default())
    });
    let said: Vec<_> = in_head.chain(in_query).filter(|token| !token.is_empty()).collect();
    if RunKey::read(key).is_some() {
        return Ok(());
    }
    let digest = |text: &str| *data.derived("weft s3 compared 2026-11", text.as_bytes());
    let is_right = match (Session::read(key), &said[..]) {
        (Some(session), [token]) => same(&digest(token), &digest(&session.token(data))),
        (None, []) => true,
        _ => false,
    };
    let odd = || {
        let text = "the session token is not this key's: a session has its own, another key none";
        let mut error = S3Error::with_message(S3ErrorCode::InvalidToken, text);
        error.set_status_code(axum::http::StatusCode::FORBIDDEN);
        error
    };
    is_right.then_some(()).ok_or_else(odd)
}

/// The public part of an S3 key.
pub(crate) fn access_key(random: [u8; ACCESS_KEY_BYTES]) -> String {
    format!("{HEAD}{}", hex::encode_upper(random))
}

/// Whether a token is an S3 key, by its public part.
fn is_access_key(id: &str) -> bool {
    let digits = |b: u8| matches!(b, b'0'..=b'9' | b'A'..=b'F');
    id.strip_prefix(HEAD)
        .is_some_and(|rest| rest.len() == 2 * ACCESS_KEY_BYTES && rest.bytes().all(digits))
}

/// The secret of an S3 key.
pub(crate) fn secret_of(data: &Data, id: &str) -> Zeroizing<String> {
    Zeroizing::new(hex::encode(*data.derived("weft s3 secrets 2026-11", id.as_bytes())))
}

/// Looks secrets up for the protocol's library.
pub(super) struct Keys {
    app: App,
}

impl Keys {
    pub(super) fn new(app: App) -> Self {
        Self { app }
    }
}

#[async_trait::async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        // Whether there is such a key, and whether it is still good, is asked once, where its user
        // is looked up (`enter.rs`): nobody can sign with the secret of a key that was never made.
        let data = &self.app.data;
        if let Some(session) = Session::read(access_key) {
            return Ok(SecretKey::from(session.secret(data).as_str()));
        }
        match (RunKey::read(access_key), is_access_key(access_key)) {
            (Some(key), _) => Ok(SecretKey::from(key.secret(data).as_str())),
            (None, true) => Ok(SecretKey::from(secret_of(data, access_key).as_str())),
            _ => Err(s3_error!(InvalidAccessKeyId, "there is no such key, or it has ended")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_part_is_told_by_its_form() {
        let id = access_key([0xa5; ACCESS_KEY_BYTES]);
        assert_eq!(id, "WEFTA5A5A5A5A5A5A5A5");
        assert!(is_access_key(&id));
        for other in ["", "WEFT", "WEFTA5A5A5A5A5A5A5A", "WEFTa5a5a5a5a5a5a5a5", "5f0c5f0c5f0c5f0c"]
        {
            assert!(!is_access_key(other), "{other}");
        }
    }

    #[test]
    fn a_run_s_key_has_one_spelling() {
        let key = RunKey::of("w42-1-0".parse().unwrap(), Timestamp(1_795_464_111_234));
        assert_eq!(key.to_string(), "WEFTRUN-w42-1-0-1795465911");
        assert_eq!(RunKey::read(&key.to_string()), Some(key));
        assert!(!is_access_key(&key.to_string()));
        for other in [
            "WEFTRUN-w42-1-0",
            "WEFTRUN-w42-1-0-",
            "WEFTRUN-w42-1-0-01795465911",
            "WEFTRUN-w42-1-0-+1795465911",
            "WEFTRUN-w42-1-0-99999999999999999999",
            "WEFTRUN-w042-1-0-1795465911",
            "weftrun-w42-1-0-1795465911",
        ] {
            assert_eq!(RunKey::read(other), None, "{other}");
        }
    }
}
