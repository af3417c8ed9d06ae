//! Cuts a stream of bytes into chunks where its content says so, that what is equal in two versions
//! of a file is mostly cut alike (FastCDC, W. Xia et al. 2020).
//!
//! Where it cuts depends on the dataset's key as well: the lengths of chunks, which lie open, would
//! otherwise tell which well-known file somebody has.

use crate::key::Key;
use fastcdc::v2020::{Normalization, cut_gear, get_gear_with_seed, select_masks};
use std::borrow::Cow;

/// Bytes of the shortest chunk but the last.
pub const SHORTEST: usize = 256 << 10;
/// Bytes of a chunk on average. Larger ones are fewer to look up and cost less in the manifest: 32
/// bytes each; smaller ones find more that is equal.
pub const USUAL: usize = 1 << 20;
/// Bytes of the longest chunk: what a reader holds in memory at most for each stream.
pub const LONGEST: usize = 4 << 20;

/// Bytes on their way to be chunks.
#[derive(Debug)]
pub struct Cutter {
    gear: Cow<'static, [u64]>,
    gear_shifted: Cow<'static, [u64]>,
    held: Vec<u8>,
}

impl Cutter {
    /// For a stream of the dataset that has this key.
    pub fn new(dataset: &Key) -> Self {
        let seed = blake3::derive_key("weft gateway 2026 cuts", dataset.bytes());
        let seed = seed.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let (gear, gear_shifted) = get_gear_with_seed(seed);
        Self { gear, gear_shifted, held: Vec::new() }
    }

    /// Takes in the next bytes; each chunk that is whole is given to `take`, which may refuse it.
    ///
    /// # Errors
    /// Those of `take`; the stream cannot go on then.
    pub fn push<E>(
        &mut self,
        bytes: &[u8],
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.held.extend_from_slice(bytes);
        let mut from = 0;
        // Only a full window says for certain where the next chunk ends.
        while self.held.len() - from >= LONGEST {
            let length = self.length(&self.held[from..]);
            take(&self.held[from..from + length])?;
            from += length;
        }
        self.held.drain(..from);
        Ok(())
    }

    /// The stream has ended: gives the chunks that are left, none where nothing came.
    ///
    /// # Errors
    /// Those of `take`.
    pub fn finish<E>(self, mut take: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let mut rest = &self.held[..];
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at(self.length(rest));
            take(chunk)?;
            rest = after;
        }
        Ok(())
    }

    /// Bytes of the first chunk of these.
    fn length(&self, bytes: &[u8]) -> usize {
        let (strict, loose) = select_masks(USUAL, Normalization::Level1);
        let window = &bytes[..bytes.len().min(LONGEST)];
        let (_, length) = cut_gear(
            window,
            SHORTEST,
            USUAL,
            LONGEST,
            strict,
            loose,
            strict << 1,
            loose << 1,
            &self.gear,
            &self.gear_shifted,
        );
        // Never nothing, whatever the library says: it would not end.
        if length == 0 { window.len() } else { length }
    }
}
