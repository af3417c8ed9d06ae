//! The values of a column in one group of rows, a page at a time.
//!
//! ```text
//! header ─► its sizes are looked at ─► page ─► opened ─► which are NULL (levels), and values
//! ```
//!
//! A page is in memory, and the column's dictionary; nothing that a header claims is, before it is
//! within bounds. What all that costs is counted: see [`Budget`].

use super::codec;
use super::decode::{BROKEN, Delta, Hybrid, bit};
use super::kind::{Physical, Raw};
use super::meta::{Chunk, exactly};
use super::thrift::{Field, Reader};
use crate::input::Ranges;
use crate::reason::{Fault, Reason};

/// Bytes in which a page's header is looked for first, and at most: statistics may be in it.
const HEADER: usize = 4 << 10;
const HEADER_MAX: usize = 1 << 20;
/// Pages and dictionaries that are in memory at once, in bytes.
pub(super) const OPEN_MAX: usize = 256 << 20;
/// Longest value, in bytes: as of rows of text.
const VALUE_MAX: usize = 16 << 20;

/// What reading a file may cost: some bytes of a file may say that a value is there a billion
/// times.
pub(super) struct Budget(u64);

impl Budget {
    /// For files of little: two times what a large group of rows has.
    const LEAST: u64 = 4 << 30;
    /// Bytes and values for each byte: what is packed well has a hundredth.
    const TIMES: u64 = 256;

    pub(super) fn of(input: &dyn Ranges) -> Self {
        Self(input.len().saturating_mul(Self::TIMES).saturating_add(Self::LEAST))
    }

    pub(super) const fn at_most(most: u64) -> Self {
        Self(most)
    }

    pub(super) fn spend(&mut self, count: u64) -> Result<(), Reason> {
        let left = self.0.checked_sub(count);
        self.0 = left.ok_or(Reason::Malformed("has far more values than bytes"))?;
        Ok(())
    }
}

/// A column's values in one group.
pub(super) struct Column<'a> {
    input: &'a dyn Ranges,
    chunk: Chunk,
    physical: Physical,
    optional: bool,
    page_max: usize,
    /// Values of the group that are in no page that was begun.
    ahead: u64,
    dictionary: Option<Dictionary>,
    page: Vec<u8>,
    /// Values of the page that were not read, NULL ones among them.
    left: u64,
    levels: Option<Hybrid>,
    values: Values,
}

#[derive(Default)]
struct Dictionary {
    page: Vec<u8>,
    /// Where values end that are not equally long.
    ends: Vec<u32>,
    count: u64,
}

/// How a page has its values.
enum Values {
    None,
    Plain(usize),
    Bits(u64),
    Runs(Hybrid),
    Indices(Hybrid),
    Delta(Delta),
    Lengths { lengths: Delta, at: usize },
    Prefixed { prefixes: Delta, lengths: Delta, at: usize, last: Vec<u8> },
    Split { at: usize, next: usize, count: usize, value: Vec<u8> },
}

impl<'a> Column<'a> {
    /// `among`: so many are read side by side.
    pub(super) fn new(
        input: &'a dyn Ranges,
        chunk: Chunk,
        physical: Physical,
        optional: bool,
        among: usize,
    ) -> Self {
        Self {
            input,
            chunk,
            physical,
            optional,
            // A dictionary, a page, and the page as it lies in the file.
            page_max: OPEN_MAX / 3 / among.max(1),
            ahead: chunk.values,
            dictionary: None,
            page: Vec::new(),
            left: 0,
            levels: None,
            values: Values::None,
        }
    }

    /// The next value; none: NULL. There are as many as the group has rows.
    pub(super) fn next(&mut self, budget: &mut Budget) -> Result<Option<Raw<'_>>, Fault> {
        while self.left == 0 {
            self.open(budget)?;
        }
        self.left -= 1;
        if let Some(levels) = &mut self.levels
            && levels.next(&self.page)? == 0
        {
            return Ok(None);
        }
        let value = self.values.next(&self.page, self.dictionary.as_ref(), self.physical)?;
        if let Raw::Bytes(bytes) = value {
            if bytes.len() > VALUE_MAX {
                return Err(Reason::Malformed("has a value of more than 16 MiB").into());
            }
            budget.spend(bytes.len() as u64)?;
        }
        Ok(Some(value))
    }

    /// Goes to the next page of values.
    fn open(&mut self, budget: &mut Budget) -> Result<(), Fault> {
        let header = self.header()?;
        let (packed, size) = (header.packed, header.size);
        if size > self.page_max || packed > self.page_max {
            let why = "has pages that are too large to be read: write it with pages of some MiB";
            return Err(Reason::Malformed(why).into());
        }
        if packed as u64 > self.chunk.end - self.chunk.at {
            return Err(BROKEN.into());
        }
        budget.spend(64 + header.count.saturating_add((packed + size) as u64))?;
        let mut page = vec![0; packed];
        exactly(self.input, self.chunk.at, &mut page)?;
        self.chunk.at += packed as u64;
        match header.kind {
            // An index of pages, of an older form.
            1 => Ok(()),
            2 if self.dictionary.is_none() && matches!(self.values, Values::None) => {
                let page = codec::open(self.chunk.codec, &page, size)?;
                let plain = matches!(header.encoding, 0 | 2);
                self.dictionary = Some(Dictionary::new(page, header.count, self.physical)?);
                if plain { Ok(()) } else { Err(BROKEN.into()) }
            }
            0 | 3 => {
                self.ahead = self.ahead.checked_sub(header.count).ok_or(BROKEN)?;
                self.begin(&header, page)
            }
            _ => Err(BROKEN.into()),
        }
    }

    fn begin(&mut self, header: &Header, packed: Vec<u8>) -> Result<(), Fault> {
        // In the newer form the levels stand before what is packed.
        let bare = header.levels.filter(|_| header.kind == 3).unwrap_or(0);
        let (Some(size), true) = (header.size.checked_sub(bare), bare <= packed.len()) else {
            return Err(BROKEN.into());
        };
        let packed_values = if header.is_packed { self.chunk.codec } else { 0 };
        // No bytes at all are packed as no bytes by some writers.
        let values = match size {
            0 => Vec::new(),
            _ => codec::open(packed_values, &packed[bare..], size)?,
        };
        self.page = match bare {
            0 => values,
            bare => [&packed[..bare], &values].concat(),
        };
        self.left = header.count;
        let mut at = bare;
        self.levels = None;
        if header.kind == 3 {
            if self.optional {
                self.levels = Some(Hybrid::new(&self.page, 0, bare, 1)?);
            }
        } else if self.optional && header.count > 0 {
            let length = self.page.first_chunk().ok_or(BROKEN)?;
            at = (u32::from_le_bytes(*length) as usize).saturating_add(4);
            if header.level_encoding != 3 {
                return Err(BROKEN.into());
            }
            self.levels = Some(Hybrid::new(&self.page, 4, at, 1)?);
        }
        self.values = Values::of(header, self.physical, &self.page, at)?;
        Ok(())
    }

    /// Reads the next page's header.
    fn header(&mut self) -> Result<Header, Fault> {
        let left = usize::try_from(self.chunk.end - self.chunk.at).unwrap_or(HEADER_MAX);
        if left == 0 {
            return Err(BROKEN.into());
        }
        let mut most = HEADER.min(left);
        loop {
            let mut bytes = vec![0; most];
            exactly(self.input, self.chunk.at, &mut bytes)?;
            match Header::read(&bytes) {
                Ok((header, length)) => {
                    self.chunk.at += length as u64;
                    return Ok(header);
                }
                Err(_) if most < left.min(HEADER_MAX) => {
                    most = (most * 16).min(left).min(HEADER_MAX)
                }
                Err(reason) => return Err(reason.into()),
            }
        }
    }
}

/// What stands before a page.
#[derive(Debug, Default)]
struct Header {
    kind: i64,
    size: usize,
    packed: usize,
    count: u64,
    encoding: i64,
    level_encoding: i64,
    /// Bytes of levels, in the newer form.
    levels: Option<usize>,
    is_packed: bool,
}

impl Header {
    /// The header, and how many bytes it has.
    fn read(bytes: &[u8]) -> Result<(Self, usize), Reason> {
        let mut header = Self { kind: -1, is_packed: true, ..Self::default() };
        let mut reader = Reader::new(bytes);
        let length = |reader: &mut Reader<'_>, field| {
            reader.count(field).and_then(|count| usize::try_from(count).map_err(|_| BROKEN))
        };
        reader.fields(&mut |reader, field| {
            match field.id {
                1 => header.kind = reader.int(field)?,
                2 => header.size = length(reader, field)?,
                3 => header.packed = length(reader, field)?,
                5 | 7 => header.older(reader, field)?,
                8 => header.newer(reader, field)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        Ok((header, reader.at()))
    }

    /// Of a page of values, or of a dictionary.
    fn older(&mut self, reader: &mut Reader<'_>, of: Field) -> Result<(), Reason> {
        reader.structure(of, &mut |reader, field| {
            match field.id {
                1 => self.count = reader.count(field)?,
                2 => self.encoding = reader.int(field)?,
                3 if of.id == 5 => self.level_encoding = reader.int(field)?,
                _ => return Ok(false),
            }
            Ok(true)
        })
    }

    fn newer(&mut self, reader: &mut Reader<'_>, of: Field) -> Result<(), Reason> {
        let mut levels = 0_u64;
        reader.structure(of, &mut |reader, field| {
            match field.id {
                1 => self.count = reader.count(field)?,
                4 => self.encoding = reader.int(field)?,
                5 => levels = reader.count(field)?,
                // Levels of repetition: of a column that is not nested there are none.
                6 if reader.count(field)? == 0 => {}
                6 => return Err(BROKEN),
                7 => self.is_packed = reader.truth(field)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        self.levels = Some(usize::try_from(levels).map_err(|_| BROKEN)?);
        Ok(())
    }
}

impl Dictionary {
    fn new(page: Vec<u8>, count: u64, physical: Physical) -> Result<Self, Reason> {
        let mut ends = Vec::new();
        match physical.width() {
            Some(width) if count > (page.len() / width) as u64 => return Err(BROKEN),
            Some(_) => {}
            None if physical == Physical::Bytes => {
                let mut at = 0;
                for _ in 0..count {
                    at = prefixed(&page, at)?.1;
                    ends.push(u32::try_from(at).map_err(|_| BROKEN)?);
                }
            }
            None => return Err(BROKEN),
        }
        Ok(Self { page, ends, count })
    }

    fn get(&self, index: u64, physical: Physical) -> Result<Raw<'_>, Reason> {
        if index >= self.count {
            return Err(BROKEN);
        }
        let index = index as usize;
        match physical.width() {
            Some(width) => fixed(&self.page[index * width..][..width], physical),
            None => {
                let begin = index.checked_sub(1).map_or(0, |before| self.ends[before]) as usize;
                Ok(Raw::Bytes(&self.page[begin + 4..self.ends[index] as usize]))
            }
        }
    }
}

/// A value behind its length, and where the next one begins.
fn prefixed(page: &[u8], at: usize) -> Result<(&[u8], usize), Reason> {
    let rest = page.get(at..).ok_or(BROKEN)?;
    let (length, rest) = rest.split_first_chunk().ok_or(BROKEN)?;
    let length = u32::from_le_bytes(*length) as usize;
    Ok((rest.get(..length).ok_or(BROKEN)?, at + 4 + length))
}

fn fixed(bytes: &[u8], physical: Physical) -> Result<Raw<'_>, Reason> {
    let four = || bytes.try_into().map_err(|_| BROKEN);
    let eight = || bytes.try_into().map_err(|_| BROKEN);
    Ok(match physical {
        Physical::I32 => Raw::Integer(i32::from_le_bytes(four()?).into()),
        Physical::I64 => Raw::Integer(i64::from_le_bytes(eight()?)),
        Physical::F32 => Raw::F32(f32::from_le_bytes(four()?)),
        Physical::F64 => Raw::F64(f64::from_le_bytes(eight()?)),
        _ => Raw::Bytes(bytes),
    })
}

impl Values {
    fn of(header: &Header, physical: Physical, page: &[u8], at: usize) -> Result<Self, Reason> {
        let delta = |at| Delta::new(page, at, header.count);
        let is_integer = matches!(physical, Physical::I32 | Physical::I64);
        let is_bytes = matches!(physical, Physical::Bytes);
        Ok(match header.encoding {
            0 if physical == Physical::Boolean => Self::Bits(at as u64 * 8),
            0 => Self::Plain(at),
            // A page all of whose values are NULL may end here.
            _ if at == page.len() => Self::None,
            2 | 8 => {
                let width = u32::from(*page.get(at).ok_or(BROKEN)?);
                Self::Indices(Hybrid::new(page, at + 1, page.len(), width)?)
            }
            3 if physical == Physical::Boolean => {
                let length = page.get(at..).and_then(|rest| rest.first_chunk()).ok_or(BROKEN)?;
                let end = (u32::from_le_bytes(*length) as usize).saturating_add(at + 4);
                Self::Runs(Hybrid::new(page, at + 4, end.min(page.len()), 1)?)
            }
            5 if is_integer => Self::Delta(delta(at)?),
            6 if is_bytes => Self::Lengths { lengths: delta(at)?, at: delta(at)?.end(page)? },
            7 if is_bytes || matches!(physical, Physical::Fixed(_)) => {
                let second = delta(at)?.end(page)?;
                let (prefixes, lengths) = (delta(at)?, delta(second)?);
                let at = delta(second)?.end(page)?;
                Self::Prefixed { prefixes, lengths, at, last: Vec::new() }
            }
            9 => {
                let width = physical.width().ok_or(BROKEN)?;
                let count = page.len().saturating_sub(at) / width;
                Self::Split { at, next: 0, count, value: vec![0; width] }
            }
            _ => return Err(Reason::Malformed("has values in a form that views do not read")),
        })
    }

    fn next<'p>(
        &'p mut self,
        page: &'p [u8],
        dictionary: Option<&'p Dictionary>,
        physical: Physical,
    ) -> Result<Raw<'p>, Reason> {
        match self {
            Self::None => Err(BROKEN),
            Self::Plain(at) => match physical.width() {
                Some(width) => {
                    let bytes = page.get(*at..).and_then(|rest| rest.get(..width)).ok_or(BROKEN)?;
                    *at += width;
                    fixed(bytes, physical)
                }
                None => {
                    let (value, next) = prefixed(page, *at)?;
                    *at = next;
                    Ok(Raw::Bytes(value))
                }
            },
            Self::Bits(at) => {
                *at += 1;
                bit(page, *at - 1).map(Raw::Truth)
            }
            Self::Runs(runs) => runs.next(page).map(|number| Raw::Truth(number == 1)),
            Self::Indices(indices) => {
                let index = indices.next(page)?;
                dictionary.ok_or(BROKEN)?.get(index, physical)
            }
            Self::Delta(delta) => {
                let number = delta.next(page)?;
                let is_short = physical == Physical::I32;
                Ok(Raw::Integer(if is_short { i64::from(number as i32) } else { number }))
            }
            Self::Lengths { lengths, at } => {
                let length = usize::try_from(lengths.next(page)?).map_err(|_| BROKEN)?;
                let value = page.get(*at..).and_then(|rest| rest.get(..length)).ok_or(BROKEN)?;
                *at += length;
                Ok(Raw::Bytes(value))
            }
            Self::Prefixed { prefixes, lengths, at, last } => {
                let prefix = usize::try_from(prefixes.next(page)?).map_err(|_| BROKEN)?;
                let length = usize::try_from(lengths.next(page)?).map_err(|_| BROKEN)?;
                let rest = page.get(*at..).and_then(|rest| rest.get(..length)).ok_or(BROKEN)?;
                if prefix > last.len() || prefix + length > VALUE_MAX {
                    return Err(BROKEN);
                }
                *at += length;
                last.truncate(prefix);
                last.extend_from_slice(rest);
                if physical.width().is_some_and(|width| width != last.len()) {
                    return Err(BROKEN);
                }
                Ok(Raw::Bytes(last))
            }
            Self::Split { at, next, count, value } => {
                if next >= count {
                    return Err(BROKEN);
                }
                for (byte, to) in value.iter_mut().enumerate() {
                    *to = page[*at + byte * *count + *next];
                }
                *next += 1;
                fixed(value, physical)
            }
        }
    }
}
