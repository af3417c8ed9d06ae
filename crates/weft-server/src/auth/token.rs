//! API tokens: `weft_<kind>_<id>_<secret><crc>`, of which only a digest of the secret is kept.
//!
//! The fixed beginning lets secret scanners find a leaked one, and the checksum lets them, and
//! us, tell a token from a typing error without asking the store. All parts are lower-case hex:
//! `weft_pat_5f0c…_<64 hex><8 hex>`.

use sha2::{Digest, Sha256};
use std::fmt;

/// What the token is: a personal access token. Agents and services get kinds of their own later.
const KIND: &str = "pat";
/// Bytes of the public id: enough that two never meet by chance among millions.
const ID_BYTES: usize = 8;
/// Bytes of the secret: 256 bits cannot be guessed, so that a fast hash of it may be stored.
const SECRET_BYTES: usize = 32;

/// A token just made. Its secret is shown once and kept nowhere.
pub(crate) struct Minted {
    /// The public part, as stored and listed.
    pub(crate) id: String,
    /// SHA-256 of the secret.
    pub(crate) digest: [u8; 32],
    /// The whole token.
    pub(crate) text: String,
}

/// A token as a caller presents it; well-formed, not yet known to be one of ours.
#[derive(PartialEq, Eq)]
pub(crate) struct Presented {
    /// The public part.
    pub(crate) id: String,
    /// SHA-256 of the secret.
    pub(crate) digest: [u8; 32],
}

impl fmt::Debug for Presented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Presented").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Makes a token from the system's randomness.
pub(crate) fn mint() -> Result<Minted, getrandom::Error> {
    let mut random = [0; ID_BYTES + SECRET_BYTES];
    getrandom::fill(&mut random)?;
    let (id, secret) = random.split_at(ID_BYTES);
    let id = hex::encode(id);
    let body = format!("weft_{KIND}_{id}_{}", hex::encode(secret));
    let text = format!("{body}{:08x}", crc32(body.as_bytes()));
    Ok(Minted { id, digest: Sha256::digest(secret).into(), text })
}

/// Reads a token; none if it is not of the form, or mistyped.
pub(crate) fn read(text: &str) -> Option<Presented> {
    let rest = text.strip_prefix("weft_")?.strip_prefix(KIND)?.strip_prefix('_')?;
    let (id, secret) = rest.split_once('_')?;
    if id.len() != 2 * ID_BYTES || secret.len() != 2 * SECRET_BYTES + 8 || !is_hex(rest) {
        return None;
    }
    let (body, crc) = text.split_at(text.len() - 8);
    let (secret, _) = secret.split_at(2 * SECRET_BYTES);
    if u32::from_str_radix(crc, 16).ok()? != crc32(body.as_bytes()) {
        return None;
    }
    let digest = Sha256::digest(hex::decode(secret).ok()?).into();
    Some(Presented { id: id.to_owned(), digest })
}

/// Whether two digests are the same, in a time that does not depend on where they differ.
pub(crate) fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    let differing = a.iter().zip(b).fold(0, |seen, (a, b)| seen | (a ^ b));
    std::hint::black_box(differing) == 0
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'_'))
}

/// CRC-32 (ISO 3309, as in gzip), bit by bit: it runs over 90 bytes.
fn crc32(bytes: &[u8]) -> u32 {
    const REVERSED_POLYNOMIAL: u32 = 0xedb8_8320;
    let step = |crc: u32| (crc >> 1) ^ (REVERSED_POLYNOMIAL & (crc & 1).wrapping_neg());
    let byte = |crc: u32, byte: &u8| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc));
    !bytes.iter().fold(u32::MAX, byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_is_the_published_one() {
        // The check value of CRC-32/ISO-HDLC.
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn a_token_reads_back() {
        let minted = mint().unwrap();
        let read = read(&minted.text).unwrap();
        assert_eq!((&read.id, &read.digest), (&minted.id, &minted.digest));
        assert!(!minted.text.contains(&hex::encode(minted.digest)), "the digest is no secret");
        assert_ne!(mint().unwrap().text, minted.text);
        assert!(!format!("{read:?}").contains(&hex::encode(minted.digest)));
    }

    #[test]
    fn every_changed_letter_is_noticed() {
        let text = mint().unwrap().text;
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
            assert_eq!(read(&String::from_utf8(bytes).unwrap()), None, "letter {at}");
            assert_eq!(read(&text[..at]), None, "cut at {at}");
        }
        assert_eq!(read(&text.to_uppercase()), None);
        assert_eq!(read(&format!("{text}0")), None);
        assert_eq!(read("weft_pat_é_ü"), None);
    }

    #[test]
    fn digests_compare() {
        let digest = [7; 32];
        assert!(same(&digest, &digest));
        for at in 0..32 {
            let mut other = digest;
            other[at] ^= 1;
            assert!(!same(&digest, &other), "byte {at}");
        }
    }
}
