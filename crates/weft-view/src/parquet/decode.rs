//! Numbers as Parquet packs them: runs and bits, and differences. One at a time, so that no count
//! that a page claims is believed before its numbers are there.
//!
//! Each reader holds places in a page and is given the page at each step.

use crate::reason::Reason;

pub(super) const BROKEN: Reason = Reason::Malformed("has a page that is broken or ends early");

/// Least of a block's numbers, and most: what writers choose is 128.
const BLOCK_MAX: u64 = 1 << 16;

pub(super) fn varint(page: &[u8], at: &mut usize) -> Result<u64, Reason> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = page.get(*at).ok_or(BROKEN)?;
        *at += 1;
        number |= u64::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            return Ok(number);
        }
    }
    Err(BROKEN)
}

fn zigzag(page: &[u8], at: &mut usize) -> Result<i64, Reason> {
    let number = varint(page, at)?;
    Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
}

/// `width` bits (at most 64) from bit `at` on.
fn bits(page: &[u8], at: u64, width: u32) -> Result<u64, Reason> {
    let (mut number, mut got) = (0_u64, 0);
    while got < width {
        let bit = at + u64::from(got);
        let byte = *page.get((bit / 8) as usize).ok_or(BROKEN)?;
        let skipped = (bit % 8) as u32;
        let count = (8 - skipped).min(width - got);
        let part = u64::from(byte >> skipped) & ((1 << count) - 1);
        number |= part << got;
        got += count;
    }
    Ok(number)
}

pub(super) fn bit(page: &[u8], at: u64) -> Result<bool, Reason> {
    bits(page, at, 1).map(|bit| bit == 1)
}

/// Runs of equal numbers, and numbers packed by bits, in turn.
#[derive(Debug, Default)]
pub(super) struct Hybrid {
    at: usize,
    end: usize,
    width: u32,
    left: u64,
    /// The number of a run; none: they are packed from `bit` on.
    run: Option<u64>,
    bit: u64,
}

impl Hybrid {
    pub(super) fn new(page: &[u8], at: usize, end: usize, width: u32) -> Result<Self, Reason> {
        if width > 32 || at > end || end > page.len() {
            return Err(BROKEN);
        }
        Ok(Self { at, end, width, ..Self::default() })
    }

    pub(super) fn next(&mut self, page: &[u8]) -> Result<u64, Reason> {
        let page = &page[..self.end];
        while self.left == 0 {
            let head = varint(page, &mut self.at)?;
            let bytes = if head & 1 == 1 {
                (self.run, self.bit) = (None, self.at as u64 * 8);
                self.left = (head >> 1).checked_mul(8).ok_or(BROKEN)?;
                (head >> 1).checked_mul(self.width.into()).ok_or(BROKEN)?
            } else {
                let bytes = self.width.div_ceil(8);
                self.run = Some(bits(page, self.at as u64 * 8, bytes * 8)?);
                self.left = head >> 1;
                bytes.into()
            };
            // Of the last group writers may leave out what nobody asks for.
            let bytes = usize::try_from(bytes).map_err(|_| BROKEN)?;
            self.at = self.at.saturating_add(bytes).min(page.len());
        }
        self.left -= 1;
        if let Some(number) = self.run {
            return Ok(number);
        }
        let number = bits(page, self.bit, self.width)?;
        self.bit += u64::from(self.width);
        Ok(number)
    }
}

/// Numbers as differences from the one before, in blocks.
#[derive(Debug, Default)]
pub(super) struct Delta {
    at: usize,
    /// Numbers that are there, and have not been read.
    left: u64,
    /// Numbers of each part of a block, and such parts.
    per_part: u64,
    parts: usize,
    /// Parts of this block that were begun, where their widths are, and the least difference.
    begun: usize,
    widths: usize,
    least: i64,
    /// Of this part.
    part_left: u64,
    width: u32,
    bit: u64,
    last: i64,
    is_first: bool,
}

impl Delta {
    /// At most `most` of them: a few bytes may claim billions.
    pub(super) fn new(page: &[u8], mut at: usize, most: u64) -> Result<Self, Reason> {
        let block = varint(page, &mut at)?;
        let parts = varint(page, &mut at)?;
        let left = varint(page, &mut at)?;
        let last = zigzag(page, &mut at)?;
        let legal = (1..=BLOCK_MAX).contains(&block) && (1..=block).contains(&parts);
        if !legal
            || left > most
            || !block.is_multiple_of(parts)
            || !(block / parts).is_multiple_of(8)
        {
            return Err(BROKEN);
        }
        let (per_part, parts) = (block / parts, parts as usize);
        Ok(Self {
            at,
            left,
            per_part,
            parts,
            begun: parts,
            last,
            is_first: true,
            ..Self::default()
        })
    }

    pub(super) fn next(&mut self, page: &[u8]) -> Result<i64, Reason> {
        self.left = self.left.checked_sub(1).ok_or(BROKEN)?;
        if std::mem::take(&mut self.is_first) {
            return Ok(self.last);
        }
        if self.part_left == 0 {
            self.begin_part(page)?;
        }
        self.part_left -= 1;
        let more = bits(page, self.bit, self.width)?.cast_signed().wrapping_add(self.least);
        self.bit += u64::from(self.width);
        self.last = self.last.wrapping_add(more);
        Ok(self.last)
    }

    fn begin_part(&mut self, page: &[u8]) -> Result<(), Reason> {
        if self.begun == self.parts {
            self.least = zigzag(page, &mut self.at)?;
            (self.begun, self.widths) = (0, self.at);
            self.at += self.parts;
        }
        self.width = u32::from(*page.get(self.widths + self.begun).ok_or(BROKEN)?);
        if self.width > 64 {
            return Err(BROKEN);
        }
        self.begun += 1;
        self.bit = self.at as u64 * 8;
        self.at += (self.per_part * u64::from(self.width) / 8) as usize;
        self.part_left = self.per_part;
        Ok(())
    }

    /// Where it ends, once all has been read.
    pub(super) fn end(mut self, page: &[u8]) -> Result<usize, Reason> {
        while self.left > 0 {
            self.next(page)?;
        }
        Ok(self.at)
    }
}
