//! Tables of text: fields by the names in the header, and errors that name the line.
//!
//! Quotes are read as in RFC 4180 with a comma, and are ordinary characters with any other
//! separator: `sacct` writes none. A quoted field may hold the separator but no end of line; no
//! known log does that, and so every line is a row.

use std::borrow::Cow;
use weft_types::{Millis, Timestamp};

/// Most characters of a wrong value that are shown: what is longer is no value but the wrong file.
const SHOWN_MAX: usize = 60;

/// A line that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}{}: {what}", .column.map(|at| format!(", column {at}")).unwrap_or_default())]
pub struct TraceError {
    /// From 1; the header is line 1.
    pub line: usize,
    /// The character of the line at which the field begins, from 1; none where the whole line is
    /// meant.
    pub column: Option<usize>,
    /// Which field, its value, and what it should be.
    pub what: String,
    /// What to do, where it is not plain from what is wrong.
    pub hint: Option<&'static str>,
}

impl TraceError {
    pub(super) fn of_line(line: usize, what: impl Into<String>) -> Self {
        Self { line, column: None, what: what.into(), hint: None }
    }

    fn hint(self, hint: &'static str) -> Self {
        Self { hint: Some(hint), ..self }
    }
}

/// The names of a table's columns, and what stands between its fields.
#[derive(Debug)]
pub struct Head {
    columns: Vec<String>,
    separator: char,
}

/// A header and what follows it.
#[derive(Debug)]
pub struct Table<'a> {
    head: Head,
    text: &'a str,
}

/// A line under the header.
#[derive(Debug)]
pub struct Row<'a, 'b> {
    head: &'b Head,
    line: usize,
    text: &'a str,
    fields: Vec<Cow<'a, str>>,
}

impl Head {
    /// Of a table's first line.
    ///
    /// # Errors
    ///
    /// If it names nothing, or its quotes do not match.
    pub fn read(header: &str, separator: char) -> Result<Self, TraceError> {
        let header = header.strip_prefix('\u{feff}').unwrap_or(header);
        let columns = split(header, separator, 1)?;
        if columns.iter().all(|column| column.trim().is_empty()) {
            let what = "no header; the first line names the columns";
            return Err(TraceError::of_line(1, what));
        }
        let columns = columns.iter().map(|column| column.trim().to_owned()).collect();
        Ok(Self { columns, separator })
    }

    /// Whether there is a column of this name. Letters' case does not matter.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.place(name).is_some()
    }

    fn place(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.eq_ignore_ascii_case(name))
    }

    /// A line as a row; none where there is nothing in it.
    ///
    /// # Errors
    ///
    /// If it has more or fewer fields than there are columns, or its quotes do not match.
    pub fn row<'a>(&self, line: usize, text: &'a str) -> Result<Option<Row<'a, '_>>, TraceError> {
        let text = text.trim_end_matches(['\n', '\r']);
        if text.trim().is_empty() {
            return Ok(None);
        }
        let fields = split(text, self.separator, line)?;
        let (found, named) = (fields.len(), self.columns.len());
        if found == named {
            return Ok(Some(Row { head: self, line, text, fields }));
        }
        let what = format!("{found} fields; the header names {named}");
        let error = TraceError::of_line(line, what);
        Err(match (found > named, self.separator) {
            (true, '|') => error.hint(
                "a field holds a `|` of its own, as names of jobs may: leave JobName and Comment \
                 out of sacct's --format",
            ),
            (true, _) => error.hint("put a field that holds the separator into double quotes"),
            (false, _) => error.hint("the line is cut short: write the log again, or delete it"),
        })
    }
}

impl<'a> Table<'a> {
    /// Reads the header.
    ///
    /// # Errors
    ///
    /// If there is none, or its quotes do not match.
    pub fn read(text: &'a str, separator: char) -> Result<Self, TraceError> {
        let (header, text) = text.split_once('\n').unwrap_or((text, ""));
        Ok(Self { head: Head::read(header, separator)?, text })
    }

    /// Whether there is a column of this name. Letters' case does not matter.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.head.has(name)
    }

    /// The header.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The rows; lines without anything are passed over.
    pub fn rows(&self) -> impl Iterator<Item = Result<Row<'a, '_>, TraceError>> {
        let lines = (2..).zip(self.text.lines());
        lines.filter_map(|(line, text)| self.head.row(line, text).transpose())
    }
}

fn split(line: &str, separator: char, number: usize) -> Result<Vec<Cow<'_, str>>, TraceError> {
    let line = line.strip_suffix('\r').unwrap_or(line);
    if separator != ',' || !line.contains('"') {
        return Ok(line.split(separator).map(Cow::Borrowed).collect());
    }
    let mut fields = vec![String::new()];
    let mut chars = line.chars().peekable();
    let mut quoted = false;
    while let Some(c) = chars.next() {
        let last = fields.last_mut().map(|field| (field.is_empty(), field));
        match (c, last) {
            ('"', _) if quoted && chars.peek() != Some(&'"') => quoted = false,
            ('"', Some((true, _))) if !quoted => quoted = true,
            (c, _) if c == separator && !quoted => fields.push(String::new()),
            (c, Some((_, field))) => {
                field.push(c);
                // Two quotes within quotes are one.
                if c == '"' && quoted {
                    chars.next();
                }
            }
            (_, None) => {}
        }
    }
    if quoted {
        let error = TraceError::of_line(number, "a quoted field does not end on its line");
        return Err(error.hint("close the quote; no field may hold an end of line"));
    }
    Ok(fields.into_iter().map(Cow::Owned).collect())
}

/// The character at which a field begins, from 1. Only errors ask.
fn column(line: &str, separator: char, field: usize) -> usize {
    let (mut at, mut quoted) = (0, false);
    for (place, c) in (1..).zip(line.chars()) {
        if at == field {
            return place;
        }
        // Quotes within quotes are two, and turn it twice.
        quoted ^= c == '"' && separator == ',';
        at += usize::from(c == separator && !quoted);
    }
    line.chars().count() + 1
}

impl Row<'_, '_> {
    /// Its line in the file.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// An error at this line.
    #[must_use]
    pub fn wrong(&self, what: String) -> TraceError {
        TraceError::of_line(self.line, what)
    }

    fn wrong_at(&self, field: usize, what: String) -> TraceError {
        let column = column(self.text, self.head.separator, field);
        TraceError { column: Some(column), ..self.wrong(what) }
    }

    /// Whether there is a column of this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.head.has(name)
    }

    /// A field, without the blanks around it.
    ///
    /// # Errors
    ///
    /// If there is no such column: at line 1.
    pub fn text(&self, name: &str) -> Result<&str, TraceError> {
        Ok(self.fields[self.place(name)?].trim())
    }

    fn place(&self, name: &str) -> Result<usize, TraceError> {
        self.head.place(name).ok_or_else(|| {
            let known = self.head.columns.join(", ");
            TraceError::of_line(1, format!("no column `{name}`; there are: {known}"))
        })
    }

    /// A field that may be missing, or empty, which is the same.
    #[must_use]
    pub fn maybe(&self, name: &str) -> Option<&str> {
        let field = self.fields[self.head.place(name)?].trim();
        (!field.is_empty()).then_some(field)
    }

    /// A field read by `read`.
    ///
    /// # Errors
    ///
    /// With its name, its value and what is `wanted`.
    pub fn parse<T>(
        &self,
        name: &str,
        wanted: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, TraceError> {
        let at = self.place(name)?;
        let field = self.fields[at].trim();
        read(field).ok_or_else(|| {
            let shown: String = field.chars().take(SHOWN_MAX).collect();
            self.wrong_at(at, format!("`{name}` is `{shown}`; it must be {wanted}"))
        })
    }

    /// A field that may be missing or empty, read by `read`.
    ///
    /// # Errors
    ///
    /// As [`Row::parse`].
    pub fn parse_maybe<T>(
        &self,
        name: &str,
        wanted: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, TraceError> {
        match self.maybe(name) {
            None => Ok(None),
            Some(_) => self.parse(name, wanted, read).map(Some),
        }
    }

    /// A whole number.
    ///
    /// # Errors
    ///
    /// If it is none, or negative, or too large.
    pub fn number<T: std::str::FromStr>(&self, name: &str) -> Result<T, TraceError> {
        self.parse(name, "a whole number, not negative", |text| text.parse().ok())
    }

    /// A decimal number, for reports only.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub fn decimal(&self, name: &str) -> Result<f64, TraceError> {
        self.parse(name, "a number", |text| text.parse().ok())
    }

    /// Seconds, with up to three decimals that count.
    ///
    /// # Errors
    ///
    /// If it is no number, or negative.
    pub fn seconds(&self, name: &str) -> Result<Millis, TraceError> {
        self.parse(name, "seconds, as in `90` or `90.5`", thousandths).map(Millis)
    }

    /// A moment.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub fn moment(&self, name: &str) -> Result<Timestamp, TraceError> {
        self.parse(name, MOMENT, super::clock::moment)
    }
}

/// What a moment looks like.
pub(super) const MOMENT: &str = "a moment, as in `2026-11-22T14:05:00Z`, or seconds";

/// A decimal number in thousandths, further decimals cut off.
pub(super) fn thousandths(text: &str) -> Option<u64> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty() || !rest.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits: String = rest.chars().chain("000".chars()).take(3).collect();
    let whole: u64 = whole.bytes().all(|b| b.is_ascii_digit()).then(|| whole.parse().ok())??;
    whole.checked_mul(1000)?.checked_add(digits.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_blanks_and_ends_of_line() {
        let text = "a,b,c\r\n1,\"x, \"\"y\"\"\",3\r\n\r\n 4 ,,6";
        let table = Table::read(text, ',').expect("a header");
        let rows: Vec<_> = table.rows().map(|row| row.expect("a row")).collect();
        assert_eq!(rows[0].text("B"), Ok("x, \"y\""));
        assert_eq!((rows[1].text("a"), rows[1].maybe("b"), rows[1].line()), (Ok("4"), None, 4));
        assert_eq!(rows[1].maybe("none"), None);
    }

    #[test]
    fn errors_name_line_field_and_value() {
        let table = Table::read("a,b\n1,x\n1\n1,\"2", ',').expect("a header");
        let rows: Vec<_> = table.rows().collect();
        let first = rows[0].as_ref().expect("a row");
        let said = first.number::<u32>("b").expect_err("no number").to_string();
        assert_eq!(said, "line 2, column 3: `b` is `x`; it must be a whole number, not negative");
        let said = first.text("c").expect_err("no column").to_string();
        assert_eq!(said, "line 1: no column `c`; there are: a, b");
        let said = |at: usize| rows[at].as_ref().expect_err("no row").to_string();
        assert_eq!(said(1), "line 3: 1 fields; the header names 2");
        assert_eq!(said(2), "line 4: a quoted field does not end on its line");
        assert!(Table::read("", ',').is_err() && Table::read(" , ", ',').is_err());
    }

    #[test]
    fn a_column_is_where_an_editor_finds_it() {
        let at = |line: &str, field| column(line, ',', field);
        assert_eq!((at("a,b", 0), at("a,b", 1), at("ä,b", 1), at("a,", 1)), (1, 3, 3, 3));
        assert_eq!((at("\"x, \"\"y\"\"\",b", 1), column("\"|b", '|', 1)), (12, 3));
    }

    #[test]
    fn decimals_become_thousandths() {
        let read: Vec<_> =
            ["66.0", "0.5", "7", "1.2345", "", "-1", "1e3", "."].map(thousandths).into();
        let wanted = [Some(66_000), Some(500), Some(7_000), Some(1_234), None, None, None, None];
        assert_eq!(read, wanted);
    }
}
