//! Which rows: `age >= 18 and city in ('Graz', 'Wien') and not (note is null)`.
//!
//! ```text
//! filter  = all { or all }
//! all     = one { and one }
//! one     = not one | ( filter ) | column = != <> < <= > >= value
//!         | column [not] in ( value {, value} ) | column [not] between value and value
//!         | column [not] like 'gr%' | column is [not] null
//! column  = name | "any name"
//! value   = 18 | -0.5 | 'text' | '2026-03-05' | true | false
//! ```
//!
//! As in SQL, a comparison with NULL is neither true nor false, and a row is taken where the filter
//! is true. So is one with a value that cannot be compared: text that is no number with a number.
//! `parse.rs` reads and bounds, `show.rs` prints what reads back the same, `judge.rs` decides.

mod judge;
mod parse;
mod show;

use crate::cell::{Moment, Number};
pub use parse::FilterError;

/// A filter of rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    /// The columns that it speaks of, each once, in the order of their first mention.
    columns: Vec<String>,
    all: Expression,
}

impl Filter {
    /// The columns that it speaks of, each once.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }
}

/// A column, by its place among the filter's.
type Column = usize;

#[derive(Debug, Clone, PartialEq)]
enum Expression {
    Or(Vec<Expression>),
    And(Vec<Expression>),
    Not(Box<Expression>),
    Compare(Column, Comparison, Value),
    In(Column, Vec<Value>),
    Between(Column, Value, Value),
    Like(Column, String),
    IsNull(Column),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    Unequal,
    Less,
    AtMost,
    Greater,
    AtLeast,
}

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Number(Number),
    Truth(bool),
    /// With the date or time that it reads as.
    Text(String, Option<Moment>),
}
