//! Chunks under seal: what lies on the disk is of no use without the manifest that names its key.
//!
//! ```text
//! dataset's key ─┐
//! a chunk ───────┴─► keyed BLAKE3 ─► secret ─┬─► id    where it lies; says nothing of the secret
//!                                            └─► key   AES-256-GCM, segments of 64 KiB
//! ```
//!
//! Equal chunks of a dataset have equal secrets, so they are kept once; of two datasets they have
//! nothing in common (convergent encryption, J. Douceur et al. 2002, within one dataset's secret).
//! A key seals one plaintext only, so the segments are numbered instead of drawing nonces. Each is
//! bound to its chunk, its place and the chunk's length: what is cut off, put elsewhere or swapped
//! does not open. A range opens the segments that it touches.

use crate::key::{Key, cipher, number};
use ring::aead::Aad;
use std::ops::Range;
use zeroize::Zeroizing;

/// Plain bytes of a segment: what a read of one byte has to open.
pub const SEGMENT: usize = 64 << 10;
/// What a segment is longer by under seal: the tag of AES-GCM.
pub const SEGMENT_TAG: usize = 16;

/// Where a chunk lies; it can be shown to anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChunkId(pub [u8; 32]);

/// What opens one chunk. Kept in manifests, under seal.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub(crate) Zeroizing<[u8; 32]>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secret(of {})", hex::encode(&self.id().0[..4]))
    }
}

/// A chunk that is not what was sealed: changed, cut, moved, or of another key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("segment {segment} of a chunk does not open: it was changed, cut short or moved")]
pub struct Tampered {
    /// The first segment that does not open.
    pub segment: u32,
}

impl Secret {
    /// Of a chunk in the dataset that has this key.
    pub fn of(dataset: &Key, plain: &[u8]) -> Self {
        let key = Zeroizing::new(blake3::derive_key("weft gateway 2026 secrets", dataset.bytes()));
        Self(Zeroizing::new(*blake3::keyed_hash(&key, plain).as_bytes()))
    }

    /// Where the chunk lies.
    pub fn id(&self) -> ChunkId {
        ChunkId(blake3::derive_key("weft gateway 2026 chunk id", &*self.0))
    }

    fn key(&self) -> Key {
        Key::of(blake3::derive_key("weft gateway 2026 chunk key", &*self.0))
    }
}

/// Bytes under seal of so many plain ones; nothing is one empty segment.
pub fn sealed_len(plain: usize) -> usize {
    plain + segments(plain) * SEGMENT_TAG
}

fn segments(plain: usize) -> usize {
    plain.div_ceil(SEGMENT).max(1)
}

/// Seals a chunk.
pub fn seal(secret: &Secret, plain: &[u8]) -> Vec<u8> {
    let (cipher, id) = (cipher(&secret.key()), secret.id());
    let mut sealed = Vec::with_capacity(sealed_len(plain.len()));
    for segment in 0..segments(plain.len()) {
        let from = segment * SEGMENT;
        let body = &plain[from..plain.len().min(from + SEGMENT)];
        let start = sealed.len();
        sealed.extend_from_slice(body);
        let (nonce, about) = place(&id, segment, plain.len());
        let tag = cipher
            .seal_in_place_separate_tag(number(nonce), Aad::from(about), &mut sealed[start..])
            .expect("a segment is shorter than AES-GCM's 2^36 bytes");
        sealed.extend_from_slice(tag.as_ref());
    }
    sealed
}

/// Which bytes under seal have to be read for these plain ones, of a chunk of so many.
pub fn needed(range: &Range<usize>, plain: usize) -> Range<usize> {
    let first = range.start.min(plain) / SEGMENT;
    let end = range.end.min(plain).div_ceil(SEGMENT).max(first + 1).min(segments(plain));
    first * (SEGMENT + SEGMENT_TAG)..sealed_len(plain).min(end * (SEGMENT + SEGMENT_TAG))
}

/// Opens these plain bytes of a chunk of so many, from those under seal that [`needed`] names.
///
/// # Errors
/// They are not what was sealed.
pub fn open(
    secret: &Secret,
    mut sealed: Vec<u8>,
    range: Range<usize>,
    plain: usize,
) -> Result<Vec<u8>, Tampered> {
    let range = range.start.min(plain)..range.end.min(plain).max(range.start.min(plain));
    let needed = needed(&range, plain);
    let first = needed.start / (SEGMENT + SEGMENT_TAG);
    let tampered = |at: usize| Tampered { segment: u32::try_from(at).unwrap_or(u32::MAX) };
    if sealed.len() != needed.len() {
        return Err(tampered(first));
    }
    let (cipher, id) = (cipher(&secret.key()), secret.id());
    let mut opened = 0;
    for (at, from) in (0..sealed.len()).step_by(SEGMENT + SEGMENT_TAG).enumerate() {
        let until = sealed.len().min(from + SEGMENT + SEGMENT_TAG);
        let (nonce, about) = place(&id, first + at, plain);
        let body = cipher
            .open_in_place(number(nonce), Aad::from(about), &mut sealed[from..until])
            .map_err(|_| tampered(first + at))?
            .len();
        sealed.copy_within(from..from + body, opened);
        opened += body;
    }
    let before = range.start - first * SEGMENT;
    sealed.truncate(before + range.len());
    sealed.drain(..before);
    Ok(sealed)
}

/// The number and the bond of a segment.
fn place(id: &ChunkId, segment: usize, plain: usize) -> ([u8; 12], [u8; 48]) {
    let (segment, plain) = ((segment as u64).to_be_bytes(), (plain as u64).to_be_bytes());
    let (mut nonce, mut about) = ([0; 12], [0; 48]);
    nonce[4..].copy_from_slice(&segment);
    about[..32].copy_from_slice(&id.0);
    about[32..40].copy_from_slice(&segment);
    about[40..].copy_from_slice(&plain);
    (nonce, about)
}
