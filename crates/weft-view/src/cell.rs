//! A value of a table as filters, masks and samples see it.

use jiff::civil::{DateTime, Time};
use jiff::fmt::temporal::Pieces;
use std::borrow::Cow;
use std::cmp::Ordering;

/// One value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    /// There is none.
    Null,
    /// True or false.
    Truth(bool),
    /// A whole number.
    Integer(i64),
    /// A number, also one that is infinite or none.
    Number(f64),
    /// Text: what it may be read as depends on what it is compared with.
    Text(&'a str),
    /// A list or an object, as it stands in the file.
    Nested(&'a str),
}

impl<'a> Cell<'a> {
    /// Its text, of which its hash is made; none of NULL.
    pub fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Null => None,
            Self::Truth(truth) => Some(Cow::Borrowed(if truth { "true" } else { "false" })),
            Self::Integer(number) => Some(Cow::Owned(number.to_string())),
            Self::Number(number) => Some(Cow::Owned(number.to_string())),
            Self::Text(text) | Self::Nested(text) => Some(Cow::Borrowed(text)),
        }
    }

    /// The number that it is or reads as.
    pub(crate) fn number(self) -> Option<Number> {
        match self {
            Self::Integer(number) => Some(Number::Integer(number)),
            Self::Number(number) => Number::of(number),
            Self::Text(text) => Number::parse(text.trim()),
            Self::Null | Self::Truth(_) | Self::Nested(_) => None,
        }
    }

    /// The truth that it is or reads as.
    pub(crate) fn truth(self) -> Option<bool> {
        match self {
            Self::Truth(truth) => Some(truth),
            Self::Text("true" | "True" | "TRUE") => Some(true),
            Self::Text("false" | "False" | "FALSE") => Some(false),
            _ => None,
        }
    }

    /// The date or time that it reads as.
    pub(crate) fn moment(self) -> Option<Moment> {
        match self {
            Self::Text(text) => Moment::parse(text),
            _ => None,
        }
    }
}

/// A number, exact where it is an integer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Number {
    Integer(i64),
    /// Finite.
    Float(f64),
}

impl Number {
    pub(crate) fn of(number: f64) -> Option<Self> {
        number.is_finite().then_some(Self::Float(number))
    }

    /// Reads `42`, `-1.5`, `2e3`; nothing else that is called a number elsewhere (`inf`, `0x1`).
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let plain = |b: u8| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e' | b'E');
        if !text.bytes().all(plain) {
            return None;
        }
        match text.parse() {
            Ok(integer) => Some(Self::Integer(integer)),
            Err(_) => Self::of(text.parse().ok()?),
        }
    }

    pub(crate) fn compare(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => a.cmp(&b),
            // Both are finite.
            (a, b) => a.float().total_cmp(&(b.float() + 0.0)),
        }
    }

    pub(crate) fn float(self) -> f64 {
        match self {
            Self::Integer(number) => number as f64,
            // There is one zero.
            Self::Float(number) => number + 0.0,
        }
    }
}

/// A date, or a date and time: as it is written, and when that was in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment {
    pub(crate) written: DateTime,
    utc: DateTime,
}

impl Moment {
    /// Longest text that may be one.
    const LONGEST: usize = 48;

    /// Reads ISO 8601: `2026-03-05`, `2026-03-05 10:00`, `2026-03-05T10:00:00.5+01:00`. A time
    /// without an offset is one in UTC.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let shaped = bytes.len() >= 10 && bytes.len() <= Self::LONGEST;
        let shaped = shaped && bytes[..4].iter().all(u8::is_ascii_digit);
        if !shaped || bytes[4] != b'-' || bytes[7] != b'-' {
            return None;
        }
        let pieces = Pieces::parse(text).ok()?;
        let written = pieces.date().to_datetime(pieces.time().unwrap_or(Time::midnight()));
        let utc = match pieces.to_numeric_offset() {
            Some(offset) => {
                written.checked_sub(jiff::Span::new().seconds(offset.seconds())).ok()?
            }
            None => written,
        };
        Some(Self { written, utc })
    }

    pub(crate) fn compare(self, other: Self) -> Ordering {
        self.utc.cmp(&other.utc)
    }
}
