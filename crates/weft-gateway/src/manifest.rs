//! What an object is made of: its chunks in order, under a key of its own for each time it is put.
//!
//! Whoever forgets that key has forgotten the object: the chunks' secrets stand nowhere else. What
//! the store needs to know of it, to find the chunks and to count who needs them, are their ids and
//! lengths, which say nothing of their content.

use crate::key::{Key, cipher, number};
use crate::seal::{ChunkId, Secret};
use ring::aead::Aad;
use std::ops::Range;
use zeroize::Zeroizing;

/// What a sealed manifest begins with.
const FORMAT: u8 = 1;
/// Bytes of a chunk in it: its secret and its length.
const ENTRY: usize = 32 + 4;

/// One chunk of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// What opens it.
    pub secret: Secret,
    /// Plain bytes.
    pub length: u32,
}

/// The chunks of an object, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    pieces: Vec<Piece>,
    /// Plain bytes before each piece, and of all.
    starts: Vec<u64>,
}

/// A manifest that does not open: of another object, changed, or its key is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the list of an object's chunks does not open: it was changed, or is of another object")]
pub struct Unreadable;

/// A part of a chunk that a range of an object needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<'a> {
    /// Of this chunk.
    pub piece: &'a Piece,
    /// These of its plain bytes.
    pub bytes: Range<usize>,
}

impl Manifest {
    /// Puts a chunk behind the others.
    pub fn push(&mut self, piece: Piece) {
        self.starts.push(self.length());
        self.pieces.push(piece);
    }

    /// Its chunks.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Plain bytes of the object.
    pub fn length(&self) -> u64 {
        let last = self.starts.last().zip(self.pieces.last());
        last.map_or(0, |(start, piece)| start + u64::from(piece.length))
    }

    /// The chunks' ids, as they may lie open.
    pub fn ids(&self) -> impl Iterator<Item = ChunkId> + '_ {
        self.pieces.iter().map(|piece| piece.secret.id())
    }

    /// What has to be read for these bytes of the object, in order.
    pub fn parts(&self, range: Range<u64>) -> impl Iterator<Item = Part<'_>> + '_ {
        let first = self.starts.partition_point(|start| *start <= range.start).saturating_sub(1);
        let pieces = self.pieces.iter().zip(&self.starts).skip(first);
        let until = range.end.max(range.start);
        pieces.take_while(move |(_, start)| **start < until).filter_map(move |(piece, start)| {
            let inside = |at: u64| at.saturating_sub(*start).min(u64::from(piece.length)) as usize;
            let bytes = inside(range.start)..inside(until);
            (!bytes.is_empty()).then_some(Part { piece, bytes })
        })
    }

    /// Under the object's key, which seals nothing else; `about` says of which object.
    pub fn seal(&self, object: &Key, about: &[u8]) -> Vec<u8> {
        let mut body = Vec::with_capacity(1 + self.pieces.len() * ENTRY + 16);
        body.push(FORMAT);
        for piece in &self.pieces {
            body.extend_from_slice(&*piece.secret.0);
            body.extend_from_slice(&piece.length.to_le_bytes());
        }
        let tag = cipher(object)
            .seal_in_place_separate_tag(number([0; 12]), Aad::from(about), &mut body[1..])
            .expect("a manifest is shorter than AES-GCM's 2^36 bytes");
        body.extend_from_slice(tag.as_ref());
        body
    }

    /// Opens what [`Manifest::seal`] has sealed for the same object.
    ///
    /// # Errors
    /// It is not what was sealed.
    pub fn open(object: &Key, about: &[u8], sealed: &[u8]) -> Result<Self, Unreadable> {
        let (format, sealed) = sealed.split_first().ok_or(Unreadable)?;
        let mut body = Zeroizing::new(sealed.to_vec());
        let opened = cipher(object).open_in_place(number([0; 12]), Aad::from(about), &mut body);
        let body = opened.map_err(|_| Unreadable)?;
        if *format != FORMAT || body.len() % ENTRY != 0 {
            return Err(Unreadable);
        }
        let mut manifest = Self::default();
        for entry in body.chunks_exact(ENTRY) {
            let (secret, length) = entry.split_at(32);
            let secret = Secret(Zeroizing::new(secret.try_into().map_err(|_| Unreadable)?));
            let length = u32::from_le_bytes(length.try_into().map_err(|_| Unreadable)?);
            manifest.push(Piece { secret, length });
        }
        Ok(manifest)
    }
}
