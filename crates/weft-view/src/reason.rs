//! Why a file has no view. A reason names columns of the recipe and lines, never what is in the
//! file: it is told to whom the file is not shown.

use std::io;
use thiserror::Error;

/// Why a file is left out of a view, for good: the same file and recipe give the same reason.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Reason {
    /// Its path's hash is not within the sample's fraction.
    #[error("it is not in the sample")]
    NotSampled,
    /// Columns, masks, rows or `by` are asked of what is not known as a table.
    #[error(
        "it is no table that views are made of (.csv, .tsv, .jsonl, .ndjson, .parquet), and the \
         recipe speaks of columns or rows"
    )]
    NoTable,
    /// A column of the recipe is not in it.
    #[error("it has no column `{0}`, which the recipe names")]
    NoColumn(String),
    /// A column of the recipe is twice in it, or in a line of it.
    #[error("it has more than one column `{0}`, which the recipe names")]
    TwoColumns(String),
    /// A column's values cannot be treated as the recipe says.
    #[error("its column `{column}` {why}")]
    Column {
        /// The column, as the recipe names it.
        column: String,
        /// What it cannot do.
        why: &'static str,
    },
    /// It is not what its ending says.
    #[error("line {line}: {why}")]
    Line {
        /// The line where the row begins, from 1.
        line: u64,
        /// What is wrong.
        why: &'static str,
    },
    /// It is not what its ending says, at no particular line.
    #[error("it {0}")]
    Malformed(&'static str),
}

/// Why there is no view of a file. What was written of it is to be thrown away.
#[derive(Debug, Error)]
pub enum Fault {
    /// It is left out, for good.
    #[error(transparent)]
    LeftOut(#[from] Reason),
    /// The file could not be read; another try may succeed.
    #[error("cannot read it")]
    Input(#[source] io::Error),
    /// The view could not be written; another try may succeed.
    #[error("cannot write its view")]
    Output(#[source] io::Error),
}

impl Fault {
    pub(crate) const fn line(line: u64, why: &'static str) -> Self {
        Self::LeftOut(Reason::Line { line, why })
    }
}
