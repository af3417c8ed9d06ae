//! Writes a table as Parquet: the columns that it is given and what they are, and nothing else. No
//! statistics, indexes, dictionaries, notes.
//!
//! Values lie plain in pages of a megabyte, pressed by Snappy: all readers know that.

use super::codec;
use super::kind::{Kind, Physical, Raw};
use super::thrift::Writer;
use crate::reason::Fault;
use std::io::Write;

/// A page is full with so many bytes or values.
const PAGE: usize = 1 << 20;
const PAGE_VALUES: usize = 128 << 10;
const MAGIC: &[u8; 4] = b"PAR1";

/// A column that is written.
#[derive(Debug, Clone)]
pub(super) struct Out {
    pub(super) name: String,
    pub(super) physical: Physical,
    pub(super) kind: Kind,
    pub(super) optional: bool,
}

/// A table on its way.
pub(super) struct Table<'a> {
    to: &'a mut dyn Write,
    at: u64,
    columns: Vec<Out>,
    rows: u64,
    groups: Vec<Vec<u8>>,
}

impl<'a> Table<'a> {
    pub(super) fn begin(to: &'a mut dyn Write, columns: Vec<Out>) -> Result<Self, Fault> {
        to.write_all(MAGIC).map_err(Fault::Output)?;
        Ok(Self { to, at: MAGIC.len() as u64, columns, rows: 0, groups: Vec::new() })
    }

    pub(super) fn group(&mut self, rows: u64) -> Group<'_, 'a> {
        Group { table: self, rows, bytes: 0, chunks: Vec::new() }
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.at += bytes.len() as u64;
        self.to.write_all(bytes).map_err(Fault::Output)
    }

    /// Writes the footer.
    pub(super) fn end(mut self) -> Result<(), Fault> {
        let mut footer = Writer::new();
        footer.i32(1, 2);
        footer.list_of_structures(2, self.columns.len() + 1);
        footer.element(|root| {
            root.text(4, "schema");
            root.i32(5, self.columns.len() as i32);
        });
        for column in &self.columns {
            footer.element(|to| column.write(to));
        }
        footer.i64(3, self.rows.cast_signed());
        footer.list_of_structures(4, self.groups.len());
        self.groups.drain(..).for_each(|group| footer.out.extend(group));
        footer.text(6, "weft");
        let footer = footer.end();
        self.put(&footer)?;
        self.put(&(footer.len() as u32).to_le_bytes())?;
        self.put(MAGIC)
    }
}

impl Out {
    fn write(&self, to: &mut Writer) {
        to.i32(1, self.physical.code());
        if let Physical::Fixed(width) = self.physical {
            to.i32(2, width as i32);
        }
        to.i32(3, self.optional.into());
        to.text(4, &self.name);
        self.kind.write(to);
    }
}

/// Rows that lie together: their columns are written one after the other.
pub(super) struct Group<'t, 'a> {
    table: &'t mut Table<'a>,
    rows: u64,
    bytes: u64,
    chunks: Vec<Vec<u8>>,
}

impl<'t, 'a> Group<'t, 'a> {
    /// The next column of the table.
    pub(super) fn column(&mut self) -> Chunk<'_, 't, 'a> {
        let at = self.table.at;
        let out = self.table.columns[self.chunks.len()].clone();
        Chunk { group: self, out, at, there: Vec::new(), page: Vec::new(), bits: 0, bytes: 0 }
    }

    pub(super) fn end(self) {
        let mut group = Writer::new();
        group.list_of_structures(1, self.chunks.len());
        self.chunks.into_iter().for_each(|chunk| group.out.extend(chunk));
        group.i64(2, self.bytes.cast_signed());
        group.i64(3, self.rows.cast_signed());
        self.table.groups.push(group.end());
        self.table.rows += self.rows;
    }
}

/// A column of a group on its way.
pub(super) struct Chunk<'g, 't, 'a> {
    group: &'g mut Group<'t, 'a>,
    out: Out,
    /// Where it begins.
    at: u64,
    /// Of each value of the page: whether it is one.
    there: Vec<bool>,
    page: Vec<u8>,
    /// Truths of the page.
    bits: usize,
    /// Bytes of its pages before they were pressed.
    bytes: u64,
}

impl Chunk<'_, '_, '_> {
    /// One value more; none is NULL.
    pub(super) fn value(&mut self, value: Option<Raw<'_>>) -> Result<(), Fault> {
        self.there.push(value.is_some());
        match value {
            None => {}
            Some(Raw::Truth(truth)) => {
                if self.bits.is_multiple_of(8) {
                    self.page.push(0);
                }
                self.page[self.bits / 8] |= u8::from(truth) << (self.bits % 8);
                self.bits += 1;
            }
            Some(Raw::Integer(number)) if self.out.physical == Physical::I32 => {
                self.page.extend_from_slice(&(number as i32).to_le_bytes());
            }
            Some(Raw::Integer(number)) => self.page.extend_from_slice(&number.to_le_bytes()),
            Some(Raw::F32(number)) => self.page.extend_from_slice(&number.to_le_bytes()),
            Some(Raw::F64(number)) => self.page.extend_from_slice(&number.to_le_bytes()),
            Some(Raw::Bytes(bytes)) => {
                if self.out.physical == Physical::Bytes {
                    self.page.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
                }
                self.page.extend_from_slice(bytes);
            }
        }
        if self.page.len() >= PAGE || self.there.len() >= PAGE_VALUES {
            self.page()?;
        }
        Ok(())
    }

    fn page(&mut self) -> Result<(), Fault> {
        let mut page = Vec::with_capacity(self.page.len() + self.there.len() / 8 + 16);
        if self.out.optional {
            let levels = levels(&self.there);
            page.extend_from_slice(&(levels.len() as u32).to_le_bytes());
            page.extend_from_slice(&levels);
        }
        page.append(&mut self.page);
        let pressed = codec::press(&page);
        let mut header = Writer::new();
        header.i32(1, 0);
        header.i32(2, page.len() as i32);
        header.i32(3, pressed.len() as i32);
        header.structure(5, |to| {
            to.i32(1, self.there.len() as i32);
            // Plain values; levels in runs.
            to.i32(2, 0);
            to.i32(3, 3);
            to.i32(4, 3);
        });
        let header = header.end();
        self.bytes += (header.len() + page.len()) as u64;
        self.group.table.put(&header)?;
        self.group.table.put(&pressed)?;
        self.there.clear();
        self.bits = 0;
        Ok(())
    }

    pub(super) fn end(mut self) -> Result<(), Fault> {
        if !self.there.is_empty() {
            self.page()?;
        }
        let mut chunk = Writer::new();
        chunk.i64(2, 0);
        chunk.structure(3, |to| {
            to.i32(1, self.out.physical.code());
            to.list_of_i32(2, &[0, 3]);
            to.list_of_texts(3, 1);
            to.element_text(&self.out.name);
            to.i32(4, codec::PRESSED);
            to.i64(5, self.group.rows.cast_signed());
            to.i64(6, self.bytes.cast_signed());
            to.i64(7, (self.group.table.at - self.at).cast_signed());
            to.i64(9, self.at.cast_signed());
        });
        self.group.bytes += self.bytes;
        self.group.chunks.push(chunk.end());
        Ok(())
    }
}

/// Which values are there, as runs and bits: one run where all are alike.
fn levels(there: &[bool]) -> Vec<u8> {
    let mut levels = Vec::new();
    let mut head = |mut number: usize| {
        while number >= 0x80 {
            levels.push(number as u8 | 0x80);
            number >>= 7;
        }
        levels.push(number as u8);
    };
    if there.iter().all(|is| *is == there[0]) {
        head(there.len() << 1);
        levels.push(there[0].into());
        return levels;
    }
    head(there.len().div_ceil(8) << 1 | 1);
    let byte = |bits: &[bool]| {
        bits.iter().enumerate().fold(0, |byte, (at, is)| byte | u8::from(*is) << at)
    };
    levels.extend(there.chunks(8).map(byte));
    levels
}
