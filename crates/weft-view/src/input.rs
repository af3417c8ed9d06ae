//! Where a file's bytes come from: any range of them, in any order.

use std::fs::File;
use std::io;

/// Bytes that are asked for at once.
const BLOCK: usize = 256 << 10;

/// A file that is read by ranges; it does not change meanwhile.
pub trait Ranges: Send + Sync {
    /// How many bytes it has.
    fn len(&self) -> u64;

    /// Whether it has none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads some bytes from `at` on: at least one, unless it ends there.
    ///
    /// # Errors
    /// They cannot be read.
    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize>;
}

/// A file in memory.
#[derive(Debug, Clone, Copy)]
pub struct Bytes<'a>(pub &'a [u8]);

impl Ranges for Bytes<'_> {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        let from = self.0.get(at..).unwrap_or_default();
        let count = from.len().min(into.len());
        into[..count].copy_from_slice(&from[..count]);
        Ok(count)
    }
}

impl Ranges for File {
    fn len(&self) -> u64 {
        self.metadata().map_or(0, |of| of.len())
    }

    fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(self, into, at)
    }
}

/// A file from its beginning to its end, a block at a time.
pub(crate) struct Blocks<'a> {
    from: &'a dyn Ranges,
    at: u64,
    block: Vec<u8>,
    next: usize,
}

impl<'a> Blocks<'a> {
    pub(crate) fn new(from: &'a dyn Ranges) -> Self {
        Self { from, at: 0, block: Vec::new(), next: 0 }
    }

    /// What has been read and not been taken; empty at the end.
    pub(crate) fn peek(&mut self) -> io::Result<&[u8]> {
        if self.next == self.block.len() {
            let left = self.from.len().saturating_sub(self.at);
            self.block.resize(BLOCK.min(usize::try_from(left).unwrap_or(BLOCK)), 0);
            let count = if left == 0 { 0 } else { self.from.read_at(self.at, &mut self.block)? };
            if count == 0 && left > 0 {
                // Half a file would be half a view that looks whole.
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.block.truncate(count);
            self.at += count as u64;
            self.next = 0;
        }
        Ok(&self.block[self.next..])
    }

    /// Takes that many bytes of what was shown.
    pub(crate) fn take(&mut self, count: usize) {
        self.next = (self.next + count).min(self.block.len());
    }
}
