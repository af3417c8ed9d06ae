//! S3 keys: a token whose secret is derived, so that signatures can be checked and nothing that
//! signs is stored.
//!
//! A signature is an HMAC under the secret, which the server must have, while of tokens only a
//! digest is kept. So an S3 key is a row among the tokens (whose, until when, of which scope,
//! revoked with the one it was made with), and its secret is a function of its public part and the
//! master key: a copy of the database alone signs nothing.

use crate::api::App;
use s3s::auth::{S3Auth, SecretKey};
use s3s::{S3Result, s3_error};
use weft_gateway::Data;
use zeroize::Zeroizing;

/// What the public part of an S3 key begins with: no token's does, and none is taken for one.
const HEAD: &str = "WEFT";
/// Random bytes behind it, as hexadecimal digits: 20 letters in all, as clients expect.
pub(crate) const ACCESS_KEY_BYTES: usize = 8;

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
        match is_access_key(access_key) {
            true => Ok(SecretKey::from(secret_of(&self.app.data, access_key).as_str())),
            false => Err(s3_error!(InvalidAccessKeyId, "there is no such key, or it has ended")),
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
}
