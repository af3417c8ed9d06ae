//! Keys, each wrapped by the one above.
//!
//! master (`master.rs`) → team → dataset → object, anew each time it is put. A wrapped key is bound
//! to what it is for, so that it cannot be put in another's place. To forget a key is to forget all
//! it sealed. Absent on purpose: where wrapped keys are kept (the store), and who may use them.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::{Zeroize as _, Zeroizing};

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;
/// Bytes of the number that is used once, of AES-GCM.
const NONCE_BYTES: usize = 12;
/// Bytes of the tag, of AES-GCM.
const TAG_BYTES: usize = 16;
/// Bytes of a wrapped key: the nonce, the key and the tag.
pub const WRAPPED_BYTES: usize = NONCE_BYTES + KEY_BYTES + TAG_BYTES;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The system gives no random numbers.
    #[error("the system gives no random numbers for a key: {0}")]
    NoRandom(getrandom::Error),
    /// A wrapped key that this key did not wrap, or not for this.
    #[error(
        "a stored key does not open: it was changed, or is of another master key; \
         bring back the file of the master key that was made with this state"
    )]
    DoesNotOpen,
    /// The file cannot be used.
    #[error("the master key {path}: {why}")]
    File {
        /// The file.
        path: String,
        /// What is wrong, and what to do.
        why: String,
    },
}

/// A secret of 32 bytes, wiped when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Zeroizing<[u8; KEY_BYTES]>);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(…)")
    }
}

/// A key as it is kept: sealed by the key above it.
pub type Wrapped = [u8; WRAPPED_BYTES];

impl Key {
    /// A new one.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn fresh() -> Result<Self, KeyError> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        getrandom::fill(&mut *key).map_err(KeyError::NoRandom)?;
        Ok(Self(key))
    }

    /// The key of these bytes.
    pub(crate) fn of(bytes: [u8; KEY_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    pub(crate) fn bytes(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// Seals a key below this one, for what is named in `about`: there is room for 2^32 keys before
    /// two of the random nonces are likely to be the same (NIST SP 800-38D, 8.3).
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn wrap(&self, inner: &Key, about: &[u8]) -> Result<Wrapped, KeyError> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(KeyError::NoRandom)?;
        let mut body = *inner.0;
        let tag = cipher(self)
            .seal_in_place_separate_tag(number(nonce), Aad::from(about), &mut body)
            .map_err(|_| KeyError::DoesNotOpen)?;
        let mut wrapped = [0; WRAPPED_BYTES];
        wrapped[..NONCE_BYTES].copy_from_slice(&nonce);
        wrapped[NONCE_BYTES..][..KEY_BYTES].copy_from_slice(&body);
        wrapped[NONCE_BYTES + KEY_BYTES..].copy_from_slice(tag.as_ref());
        body.zeroize();
        Ok(wrapped)
    }

    /// Opens a key that [`Key::wrap`] sealed for the same thing.
    ///
    /// # Errors
    /// [`KeyError::DoesNotOpen`]: of another key, for another thing, or changed.
    pub fn unwrap(&self, wrapped: &Wrapped, about: &[u8]) -> Result<Key, KeyError> {
        let (nonce, sealed) = wrapped.split_at(NONCE_BYTES);
        let nonce = nonce.try_into().map_err(|_| KeyError::DoesNotOpen)?;
        let mut sealed = Zeroizing::new(sealed.to_vec());
        let open = cipher(self).open_in_place(number(nonce), Aad::from(about), &mut sealed);
        let body = open.map_err(|_| KeyError::DoesNotOpen)?;
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        key.copy_from_slice(body);
        Ok(Self(key))
    }
}

/// The cipher of a key.
pub(crate) fn cipher(key: &Key) -> LessSafeKey {
    let key = UnboundKey::new(&AES_256_GCM, key.bytes());
    LessSafeKey::new(key.expect("a key has the cipher's 32 bytes"))
}

pub(crate) fn number(bytes: [u8; NONCE_BYTES]) -> Nonce {
    Nonce::assume_unique_for_key(bytes)
}

/// A wrapped key as a column has it.
pub(crate) fn wrapped(bytes: &[u8]) -> Result<Wrapped, KeyError> {
    bytes.try_into().map_err(|_| KeyError::DoesNotOpen)
}
