//! What those who put an object say of it: sealed under the object's key, beside its manifest, so
//! that nobody has to open the one for the other.

use crate::data::DataError;
use crate::key::{Key, cipher, number};
use ring::aead::Aad;
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// What those who put an object say of it: media type, own metadata, checksums.
pub type Notes = BTreeMap<String, String>;

/// Bytes of notes at most, as they are kept: eight times what S3's clients may send.
pub const NOTES_MAX: usize = 16 << 10;

/// The nonce of notes: the manifest, under the same key, has 0.
const NONCE: [u8; 12] = [1; 12];

/// Under the key of the object, which is of it alone.
///
/// # Errors
/// They are too long.
pub(crate) fn seal(key: &Key, notes: &Notes) -> Result<Vec<u8>, DataError> {
    let mut body = serde_json::to_vec(notes).map_err(|e| DataError::Body(e.into()))?;
    if body.len() > NOTES_MAX {
        return Err(DataError::Notes(body.len()));
    }
    let tag = cipher(key)
        .seal_in_place_separate_tag(number(NONCE), Aad::from(b"notes"), &mut body)
        .expect("notes are shorter than AES-GCM's 2^36 bytes");
    body.extend_from_slice(tag.as_ref());
    Ok(body)
}

/// # Errors
/// They are not what was sealed.
pub(crate) fn open(key: &Key, sealed: &[u8]) -> Result<Notes, DataError> {
    let mut body = Zeroizing::new(sealed.to_vec());
    let opened = cipher(key).open_in_place(number(NONCE), Aad::from(b"notes"), &mut body);
    let opened = opened.map_err(|_| DataError::NotesDamaged)?;
    serde_json::from_slice(opened).map_err(|_| DataError::NotesDamaged)
}
