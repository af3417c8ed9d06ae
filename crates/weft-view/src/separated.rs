//! Separated text (RFC 4180): its records, and the view of a file of them.
//!
//! Nothing between two separators is NULL, `""` is an empty text. The first record has the names;
//! blanks around them do not count. What programs read in different ways is left out: a row with
//! more or fewer values than names, and the whole file where quotes, ends of lines or UTF-8 are
//! not as they should be, or as another way of writing would have them: there a value that is not
//! shown could stand in one that is. The view ends lines with a line feed and has no byte order
//! mark.

use crate::apply::Counts;
use crate::cell::Cell;
use crate::input::{Blocks, Ranges};
use crate::mask::Mask;
use crate::reason::{Fault, Reason};
use crate::recipe::Recipe;
use crate::sample::Hash;
use ring::hmac;
use std::io::Write;

/// Longest record, in bytes: a quote without an end would take the rest of the file.
const RECORD_MAX: usize = 16 << 20;
/// Most columns: each is some bytes of memory, also where it is empty.
const COLUMNS_MAX: usize = 100_000;

/// Programs that escape quotes so end the value elsewhere.
const BACKSLASH: &str = "a backslash stands before a quote, which programs read in different ways";
/// Most programs write tabs without quotes, so that a quote is a letter.
const TABS: &str = "a tab or an end of a line stands in quotes, which few programs mean";
const BARE: &str = "a quote stands within a value that has none around it";

pub(crate) fn apply(
    recipe: &Recipe,
    key: &hmac::Key,
    by: u8,
    input: &dyn Ranges,
    output: &mut dyn Write,
) -> Result<Counts, Fault> {
    let mut records = Records::new(input, by);
    let mut counts = Counts::default();
    if !records.next()? {
        return Ok(counts);
    }
    let layout = Layout::of(recipe, &records)?;
    let mut line = Line { by, text: Vec::new() };
    layout.names.iter().for_each(|(name, quoted)| line.value(Some(name), *quoted));
    line.end(output)?;
    let mut hash = Hash::default();
    while records.next()? {
        if records.is_blank() {
            continue;
        }
        counts.rows += 1;
        if records.len() != layout.width {
            counts.ragged += 1;
            continue;
        }
        if !layout.takes(recipe, &records, &mut hash) {
            continue;
        }
        counts.shown += 1;
        for (column, mask) in &layout.shown {
            match (mask, records.value(*column)) {
                (Some(mask), value) => {
                    line.value(mask.of(cell(value), key).text().as_deref(), false);
                }
                (None, value) => line.value(value, records.is_quoted(*column)),
            }
        }
        line.end(output)?;
    }
    Ok(counts)
}

fn cell(value: Option<&str>) -> Cell<'_> {
    value.map_or(Cell::Null, Cell::Text)
}

/// Where in a record the recipe's columns are.
struct Layout<'a> {
    width: usize,
    names: Vec<(String, bool)>,
    shown: Vec<(usize, Option<&'a Mask>)>,
    filtered: Vec<usize>,
    by: Option<usize>,
}

impl<'a> Layout<'a> {
    fn of(recipe: &'a Recipe, header: &Records<'_>) -> Result<Self, Reason> {
        let width = header.len();
        let names: Vec<&str> =
            (0..width).map(|at| header.value(at).unwrap_or_default().trim()).collect();
        let find = |name: &str| {
            let mut at = (0..width).filter(|at| names[*at] == name);
            match (at.next(), at.next()) {
                (Some(at), None) => Ok(at),
                (None, _) => Err(Reason::NoColumn(name.to_owned())),
                _ => Err(Reason::TwoColumns(name.to_owned())),
            }
        };
        for name in recipe.named() {
            find(name)?;
        }
        let filtered = recipe.rows().map_or(&[][..], |rows| rows.columns());
        let shown = (0..width).filter(|at| recipe.shows(names[*at]));
        let shown: Vec<_> = shown.map(|at| (at, recipe.masks().get(names[at]))).collect();
        Ok(Self {
            width,
            names: shown.iter().map(|(at, _)| (names[*at].into(), header.is_quoted(*at))).collect(),
            shown,
            filtered: filtered.iter().map(|name| find(name)).collect::<Result<_, _>>()?,
            by: recipe.by().map(find).transpose()?,
        })
    }

    fn takes(&self, recipe: &Recipe, record: &Records<'_>, hash: &mut Hash) -> bool {
        let filtered = |column: usize| cell(record.value(self.filtered[column]));
        if !recipe.rows().is_none_or(|rows| rows.takes(&filtered)) {
            return false;
        }
        let Some(fraction) = recipe.sample() else { return true };
        match self.by.and_then(|by| record.value(by)) {
            Some(value) => hash.value(Some(value.as_bytes())),
            None => {
                (0..self.width).for_each(|at| hash.value(record.value(at).map(str::as_bytes)));
            }
        }
        fraction.has(hash.end())
    }
}

/// A line that is written.
struct Line {
    by: u8,
    text: Vec<u8>,
}

impl Line {
    /// One value more; each is followed by a separator, the last of which [`Line::end`] takes.
    fn value(&mut self, value: Option<&str>, quoted: bool) {
        let text = value.unwrap_or_default();
        let special = |b: u8| b == self.by || matches!(b, b'"' | b'\n' | b'\r');
        let empty = value.is_some_and(str::is_empty);
        if quoted || empty || text.bytes().any(special) {
            self.text.push(b'"');
            for byte in text.bytes() {
                self.text.extend(std::iter::repeat_n(byte, 1 + usize::from(byte == b'"')));
            }
            self.text.push(b'"');
        } else {
            self.text.extend_from_slice(text.as_bytes());
        }
        self.text.push(self.by);
    }

    fn end(&mut self, output: &mut dyn Write) -> Result<(), Fault> {
        self.text.pop();
        if self.text.is_empty() {
            // One column whose value is NULL: an empty line would be no row.
            self.text.extend_from_slice(b"\"\"");
        }
        self.text.push(b'\n');
        output.write_all(&self.text).map_err(Fault::Output)?;
        self.text.clear();
        Ok(())
    }
}

/// Where the reader is within a record.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    /// Before a value.
    Begin,
    Bare,
    Quotes,
    /// Behind a quote in quotes: another one, or the value's end.
    Closed,
    /// Behind a carriage return: a line feed.
    Return,
}

/// The records of a file, one at a time.
struct Records<'a> {
    blocks: Blocks<'a>,
    by: u8,
    text: Vec<u8>,
    /// Where values end in the text, and whether they were quoted.
    ends: Vec<(usize, bool)>,
    line: u64,
    begun: u64,
}

impl<'a> Records<'a> {
    fn new(input: &'a dyn Ranges, by: u8) -> Self {
        let blocks = Blocks::new(input);
        Self { blocks, by, text: Vec::new(), ends: Vec::new(), line: 0, begun: 0 }
    }

    fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether it was an empty line.
    fn is_blank(&self) -> bool {
        self.ends == [(0, false)]
    }

    fn is_quoted(&self, column: usize) -> bool {
        self.ends[column].1
    }

    /// A value; none: NULL.
    fn value(&self, column: usize) -> Option<&str> {
        let (end, quoted) = self.ends[column];
        let begin = column.checked_sub(1).map_or(0, |before| self.ends[before].0);
        // Each value was looked at when the record was read.
        let text = std::str::from_utf8(&self.text[begin..end]).unwrap_or_default();
        (quoted || !text.is_empty()).then_some(text)
    }

    /// Goes to the next record; whether there is one.
    fn next(&mut self) -> Result<bool, Fault> {
        self.text.clear();
        self.ends.clear();
        self.begun = self.line + 1;
        let (mut within, mut quoted, mut any) = (Within::Begin, false, false);
        loop {
            let block = self.blocks.peek().map_err(Fault::Input)?;
            if block.is_empty() {
                return self.end_of_file(within, quoted, any);
            }
            any = true;
            let mut taken = 0;
            let mut done = false;
            for &byte in block {
                taken += 1;
                self.line += u64::from(byte == b'\n');
                match (within, byte) {
                    (Within::Begin, b'"') => (within, quoted) = (Within::Quotes, true),
                    (Within::Quotes, b'"') if self.text.last() == Some(&b'\\') => {
                        return Err(Fault::line(self.begun, BACKSLASH));
                    }
                    (Within::Quotes, b'"') => within = Within::Closed,
                    (Within::Quotes, b'\t' | b'\n' | b'\r') if self.by == b'\t' => {
                        return Err(Fault::line(self.begun, TABS));
                    }
                    (Within::Closed, b'"') => {
                        self.text.push(byte);
                        within = Within::Quotes;
                    }
                    (Within::Quotes, _) => self.text.push(byte),
                    (Within::Return, b'\n') | (_, b'\n') => {
                        self.ends.push((self.text.len(), quoted));
                        done = true;
                        break;
                    }
                    (Within::Return, _) => {
                        let why = "a carriage return has no line feed behind it";
                        return Err(Fault::line(self.begun, why));
                    }
                    (_, b'\r') => within = Within::Return,
                    (_, byte) if byte == self.by => {
                        self.ends.push((self.text.len(), quoted));
                        (within, quoted) = (Within::Begin, false);
                    }
                    (Within::Closed, _) => {
                        let why = "text follows the quotes of a value";
                        return Err(Fault::line(self.begun, why));
                    }
                    (Within::Bare, b'"') => return Err(Fault::line(self.begun, BARE)),
                    // The mark some programs begin a file with is no part of the first name.
                    (Within::Begin | Within::Bare, byte) => {
                        self.text.push(byte);
                        within = Within::Bare;
                        if self.begun == 1 && self.ends.is_empty() && self.text == b"\xef\xbb\xbf" {
                            self.text.clear();
                            within = Within::Begin;
                        }
                    }
                }
            }
            self.blocks.take(taken);
            if self.text.len() > RECORD_MAX || self.ends.len() > COLUMNS_MAX {
                let why = "a row is longer than 16 MiB or 100,000 values; a quote may have no end";
                return Err(Fault::line(self.begun, why));
            }
            if done {
                return self.legal().map(|()| true);
            }
        }
    }

    fn end_of_file(&mut self, within: Within, quoted: bool, any: bool) -> Result<bool, Fault> {
        match within {
            Within::Quotes => Err(Fault::line(self.begun, "a quote has no end")),
            Within::Return => {
                Err(Fault::line(self.begun, "a carriage return has no line feed behind it"))
            }
            _ if !any => Ok(false),
            _ => {
                self.ends.push((self.text.len(), quoted));
                self.legal().map(|()| true)
            }
        }
    }

    /// Each value is UTF-8 by itself.
    fn legal(&self) -> Result<(), Fault> {
        let whole = std::str::from_utf8(&self.text).ok();
        let legal =
            whole.is_some_and(|text| self.ends.iter().all(|(end, _)| text.is_char_boundary(*end)));
        if legal { Ok(()) } else { Err(Fault::line(self.begun, "it is not UTF-8")) }
    }
}
