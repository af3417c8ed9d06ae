//! A file becomes its view.

use crate::input::{Blocks, Ranges};
use crate::reason::{Fault, Reason};
use crate::recipe::Recipe;
use crate::{lines, parquet, sample, separated};
use ring::hmac;
use std::io::Write;

/// A view's own key: whoever has it can tell a guess at a hashed value from a wrong one.
pub type Key = [u8; 32];

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Rows that it has; none where it was taken whole.
    pub rows: u64,
    /// Rows that are in the view.
    pub shown: u64,
    /// Rows that are left out because they have more or fewer values than there are columns: what
    /// stands in which column is not known.
    pub ragged: u64,
}

/// How a table is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// Separated by this byte, the first line has the names.
    Separated(u8),
    /// A JSON object on each line.
    JsonLines,
    /// Columns, in groups of rows.
    Parquet,
}

impl Format {
    /// By the ending of a path; none: it is no table that views are made of.
    pub fn of(path: &str) -> Option<Self> {
        let ending = path.rsplit_once('.')?.1.to_ascii_lowercase();
        match ending.as_str() {
            "csv" => Some(Self::Separated(b',')),
            "tsv" => Some(Self::Separated(b'\t')),
            "jsonl" | "ndjson" => Some(Self::JsonLines),
            "parquet" | "parq" | "pq" => Some(Self::Parquet),
            _ => None,
        }
    }
}

/// Writes the view of a file. The same recipe, key and bytes give the same view, and of rows that
/// are put together the view is the views put together. It blocks; memory is bounded.
///
/// A file that is no table, or a Parquet file of what is nested, is taken whole where the recipe is
/// a sample and nothing else: by a hash of its path.
///
/// # Errors
/// There is no view of it, and what was written is to be thrown away: it is left out for good, or
/// it could not be read or written.
pub fn apply(
    recipe: &Recipe,
    key: &Key,
    path: &str,
    input: &dyn Ranges,
    output: &mut dyn Write,
) -> Result<Counts, Fault> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    let counts = match Format::of(path) {
        Some(Format::Separated(by)) => separated::apply(recipe, &key, by, input, output),
        Some(Format::JsonLines) => lines::apply(recipe, &key, input, output),
        Some(Format::Parquet) if recipe.is_sample_only() && !parquet::is_table(input)? => {
            whole(recipe, path, input, output)
        }
        Some(Format::Parquet) => parquet::apply(recipe, &key, input, output),
        None => whole(recipe, path, input, output),
    }?;
    output.flush().map_err(Fault::Output)?;
    Ok(counts)
}

fn whole(
    recipe: &Recipe,
    path: &str,
    input: &dyn Ranges,
    output: &mut dyn Write,
) -> Result<Counts, Fault> {
    let fraction = recipe.sample().filter(|_| recipe.is_sample_only()).ok_or(Reason::NoTable)?;
    if !fraction.has(sample::Hash::of(path)) {
        return Err(Reason::NotSampled.into());
    }
    let mut blocks = Blocks::new(input);
    loop {
        let block = blocks.peek().map_err(Fault::Input)?;
        if block.is_empty() {
            return Ok(Counts::default());
        }
        output.write_all(block).map_err(Fault::Output)?;
        let count = block.len();
        blocks.take(count);
    }
}
