//! Parquet: a file's columns, and the view of a file of them.
//!
//! ```text
//! footer (meta.rs, thrift.rs) ─► of a group of rows: which are taken ─► each shown column
//!    │                              filter, sample (view.rs)             page by page (chunk.rs)
//!    └─ what columns are (kind.rs)                                         ─► masks ─► write.rs
//! ```
//!
//! Each group of rows is gone through a column at a time, so what is in memory is a page, the
//! dictionary of its column and some bytes for each row. Columns that are hidden are not read; what
//! is written is made anew of values, and nothing of the file's own descriptions is copied into it.
//! Absent on purpose: what is nested, Brotli, encryption (docs/adr/0025).

mod chunk;
mod codec;
mod decode;
mod kind;
mod meta;
mod thrift;
mod view;
mod write;

use crate::cell::Cell;
use crate::input::Ranges;
use crate::reason::{Fault, Reason};
use chunk::{Budget, Column};
use kind::Kind;
use meta::Meta;
pub(crate) use view::{apply, is_table};

/// What a column's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Describes {
    /// What each of them says of itself.
    Values,
    /// Numbers, of which some are told as text: decimals, very large integers.
    Numbers,
    /// Bytes, which are not told.
    Bytes,
    /// Lists, structures and types that are not known, which are not told.
    Nested,
}

/// A Parquet file that is read.
pub struct Parquet<'a> {
    input: &'a dyn Ranges,
    meta: Meta,
    budget: Budget,
}

impl<'a> Parquet<'a> {
    /// Reads what a file says of itself.
    ///
    /// # Errors
    /// It is none, or cannot be read.
    pub fn open(input: &'a dyn Ranges) -> Result<Self, Fault> {
        Ok(Self { input, meta: Meta::read(input)?, budget: Budget::of(input) })
    }

    /// Reads it for at most so many bytes and values.
    #[must_use]
    pub fn costing(self, most: u64) -> Self {
        Self { budget: Budget::at_most(most), ..self }
    }

    /// How many rows it has.
    pub fn rows(&self) -> u64 {
        self.meta.rows
    }

    /// Its columns, in order, and what their values are.
    pub fn columns(&self) -> impl Iterator<Item = (&str, Describes)> {
        let describe = |kind: Kind| match kind {
            Kind::Decimal { .. } | Kind::Integer { bits: 64, signed: false } => Describes::Numbers,
            Kind::Binary => Describes::Bytes,
            Kind::Nested | Kind::Unknown => Describes::Nested,
            _ => Describes::Values,
        };
        self.meta.columns.iter().map(move |column| (column.name.as_str(), describe(column.kind)))
    }

    /// Tells the values of a column, by its place, of the first rows.
    ///
    /// # Errors
    /// They cannot be told, or cannot be read.
    pub fn values(
        &mut self,
        column: usize,
        rows: u64,
        each: &mut dyn FnMut(Cell<'_>),
    ) -> Result<(), Fault> {
        let known = self.meta.columns.get(column).filter(|column| column.kind.is_plain());
        let column = known.ok_or(Reason::Malformed("has no such column that can be told"))?;
        let (mut left, mut room) = (rows, String::new());
        for group in &self.meta.groups {
            let chunk = group.chunks[column.leaf];
            let mut values = Column::new(self.input, chunk, column.physical, column.optional, 1);
            let count = group.rows.min(left);
            left -= count;
            for _ in 0..count {
                match values.next(&mut self.budget)? {
                    None => each(Cell::Null),
                    Some(raw) => each(column.kind.cell(raw, &mut room)?),
                }
            }
        }
        Ok(())
    }
}
