//! Thrift's compact protocol, as far as Parquet's footers and page headers need it.
//!
//! Nothing is allocated by a count that a file claims, and nothing is nested deeper than
//! [`DEPTH_MAX`]: each field takes bytes that are there.

use crate::reason::Reason;

/// Structures within structures: Parquet's own have six.
const DEPTH_MAX: u32 = 16;

const TRUE: u8 = 1;
const FALSE: u8 = 2;
const BYTE: u8 = 3;
const I16: u8 = 4;
const I32: u8 = 5;
const I64: u8 = 6;
const DOUBLE: u8 = 7;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const SET: u8 = 10;
const MAP: u8 = 11;
const STRUCT: u8 = 12;

type Read<T> = Result<T, Reason>;

pub(super) const fn broken<T>() -> Read<T> {
    Err(Reason::Malformed("is no Parquet file: a description in it is broken or ends early"))
}

/// Bytes that are read from their beginning.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: u32,
}

/// A field: its number, and what it is.
#[derive(Clone, Copy)]
pub(super) struct Field {
    pub(super) id: i64,
    kind: u8,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, depth: 0 }
    }

    /// How many bytes have been read.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    fn byte(&mut self) -> Read<u8> {
        let Some(byte) = self.bytes.get(self.at) else { return broken() };
        self.at += 1;
        Ok(*byte)
    }

    fn varint(&mut self) -> Read<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        broken()
    }

    fn zigzag(&mut self) -> Read<i64> {
        let number = self.varint()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    fn take(&mut self, count: u64) -> Read<&'a [u8]> {
        let end = usize::try_from(count).ok().and_then(|count| self.at.checked_add(count));
        let Some(bytes) = end.and_then(|end| self.bytes.get(self.at..end)) else { return broken() };
        self.at += bytes.len();
        Ok(bytes)
    }

    /// Reads a structure: `each` reads a field, or says that it is of no use.
    pub(super) fn fields(
        &mut self,
        each: &mut dyn FnMut(&mut Self, Field) -> Read<bool>,
    ) -> Read<()> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return broken();
        }
        let mut id = 0_i64;
        loop {
            let head = self.byte()?;
            if head == 0 {
                self.depth -= 1;
                return Ok(());
            }
            id = match head >> 4 {
                0 => self.zigzag()?,
                more => id.saturating_add(i64::from(more)),
            };
            let field = Field { id, kind: head & 0xf };
            if !each(self, field)? {
                self.skip(field.kind, false)?;
            }
        }
    }

    pub(super) fn int(&mut self, field: Field) -> Read<i64> {
        match field.kind {
            BYTE => self.byte().map(|byte| i64::from(byte.cast_signed())),
            I16 | I32 | I64 => self.zigzag(),
            _ => broken(),
        }
    }

    /// A number of things: not less than none.
    pub(super) fn count(&mut self, field: Field) -> Read<u64> {
        self.int(field)?.try_into().or_else(|_| broken())
    }

    pub(super) fn truth(&self, field: Field) -> Read<bool> {
        match field.kind {
            TRUE => Ok(true),
            FALSE => Ok(false),
            _ => broken(),
        }
    }

    pub(super) fn text(&mut self, field: Field) -> Read<&'a str> {
        if field.kind != BINARY {
            return broken();
        }
        self.element_text()
    }

    /// A text of a list.
    pub(super) fn element_text(&mut self) -> Read<&'a str> {
        let length = self.varint()?;
        std::str::from_utf8(self.take(length)?).or_else(|_| broken())
    }

    pub(super) fn structure(
        &mut self,
        field: Field,
        each: &mut dyn FnMut(&mut Self, Field) -> Read<bool>,
    ) -> Read<()> {
        if field.kind == STRUCT { self.fields(each) } else { broken() }
    }

    /// Reads a list of structures or texts: `each` reads one.
    pub(super) fn list(
        &mut self,
        field: Field,
        each: &mut dyn FnMut(&mut Self) -> Read<()>,
    ) -> Read<()> {
        if field.kind != LIST {
            return broken();
        }
        let (count, kind) = self.list_head()?;
        if count > 0 && !matches!(kind, STRUCT | BINARY) {
            return broken();
        }
        (0..count).try_for_each(|_| each(self))
    }

    fn list_head(&mut self) -> Read<(u64, u8)> {
        let head = self.byte()?;
        let count = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
        // Each element has at least a byte.
        if count > (self.bytes.len() - self.at) as u64 {
            return broken();
        }
        Ok((count, head & 0xf))
    }

    fn skip(&mut self, kind: u8, element: bool) -> Read<()> {
        match kind {
            TRUE | FALSE if !element => Ok(()),
            TRUE | FALSE | BYTE => self.byte().map(drop),
            I16 | I32 | I64 => self.varint().map(drop),
            DOUBLE => self.take(8).map(drop),
            BINARY => {
                let length = self.varint()?;
                self.take(length).map(drop)
            }
            STRUCT => self.fields(&mut |_, _| Ok(false)),
            LIST | SET | MAP => self.skip_many(kind),
            _ => broken(),
        }
    }

    fn skip_many(&mut self, kind: u8) -> Read<()> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return broken();
        }
        if kind == MAP {
            let count = self.varint()?;
            let kinds = if count > 0 { self.byte()? } else { 0 };
            for _ in 0..count {
                self.skip(kinds >> 4, true)?;
                self.skip(kinds & 0xf, true)?;
            }
        } else {
            let (count, kind) = self.list_head()?;
            (0..count).try_for_each(|_| self.skip(kind, true))?;
        }
        self.depth -= 1;
        Ok(())
    }
}

/// A structure that is written.
#[derive(Default)]
pub(super) struct Writer {
    pub(super) out: Vec<u8>,
    /// The last field of each structure that is open.
    last: Vec<u8>,
}

impl Writer {
    pub(super) fn new() -> Self {
        Self { out: Vec::new(), last: vec![0] }
    }

    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.out.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.out.push(number as u8);
    }

    fn field(&mut self, id: u8, kind: u8) {
        let last = self.last.last_mut().expect("a structure is open");
        // Parquet's structures have no two fields further apart than that.
        self.out.push((id - *last) << 4 | kind);
        *last = id;
    }

    fn zigzag(&mut self, number: i64) {
        self.varint(((number << 1) ^ (number >> 63)).cast_unsigned());
    }

    pub(super) fn i32(&mut self, id: u8, number: i32) {
        self.field(id, I32);
        self.zigzag(number.into());
    }

    pub(super) fn i64(&mut self, id: u8, number: i64) {
        self.field(id, I64);
        self.zigzag(number);
    }

    pub(super) fn i8(&mut self, id: u8, number: u8) {
        self.field(id, BYTE);
        self.out.push(number);
    }

    pub(super) fn truth(&mut self, id: u8, truth: bool) {
        self.field(id, if truth { TRUE } else { FALSE });
    }

    pub(super) fn text(&mut self, id: u8, text: &str) {
        self.field(id, BINARY);
        self.element_text(text);
    }

    pub(super) fn element_text(&mut self, text: &str) {
        self.varint(text.len() as u64);
        self.out.extend_from_slice(text.as_bytes());
    }

    /// A structure in a field.
    pub(super) fn structure(&mut self, id: u8, within: impl FnOnce(&mut Self)) {
        self.field(id, STRUCT);
        self.element(within);
    }

    /// A structure in a list.
    pub(super) fn element(&mut self, within: impl FnOnce(&mut Self)) {
        self.last.push(0);
        within(self);
        self.last.pop();
        self.out.push(0);
    }

    pub(super) fn list_of_texts(&mut self, id: u8, count: usize) {
        self.list(id, count, BINARY);
    }

    pub(super) fn list_of_structures(&mut self, id: u8, count: usize) {
        self.list(id, count, STRUCT);
    }

    pub(super) fn list_of_i32(&mut self, id: u8, numbers: &[i32]) {
        self.list(id, numbers.len(), I32);
        numbers.iter().for_each(|number| self.zigzag((*number).into()));
    }

    fn list(&mut self, id: u8, count: usize, kind: u8) {
        self.field(id, LIST);
        if count < 15 {
            self.out.push((count as u8) << 4 | kind);
        } else {
            self.out.push(0xf0 | kind);
            self.varint(count as u64);
        }
    }

    /// The bytes of the structure.
    pub(super) fn end(mut self) -> Vec<u8> {
        self.out.push(0);
        self.out
    }
}
