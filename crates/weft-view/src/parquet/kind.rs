//! What a column's values are, and what a value is as filters, masks and samples see it.
//!
//! Times are told as ISO 8601, in UTC with a `Z` where the file says that they are; decimals with
//! all their digits. A type that is not here is *unknown*: a column of it is not shown.

use super::thrift::Writer;
use crate::cell::Cell;
use crate::reason::Reason;
use jiff::civil::{Date, DateTime};
use std::fmt::Write as _;

/// How values lie in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Physical {
    Boolean,
    I32,
    I64,
    /// Twelve bytes: an older form of times.
    I96,
    F32,
    F64,
    Bytes,
    Fixed(usize),
}

impl Physical {
    pub(super) fn of(code: i64, length: i64) -> Option<Self> {
        Some(match code {
            0 => Self::Boolean,
            1 => Self::I32,
            2 => Self::I64,
            3 => Self::I96,
            4 => Self::F32,
            5 => Self::F64,
            6 => Self::Bytes,
            7 => Self::Fixed(usize::try_from(length).ok().filter(|n| (1..=1 << 20).contains(n))?),
            _ => return None,
        })
    }

    pub(super) const fn code(self) -> i32 {
        match self {
            Self::Boolean => 0,
            Self::I32 => 1,
            Self::I64 => 2,
            Self::I96 => 3,
            Self::F32 => 4,
            Self::F64 => 5,
            Self::Bytes => 6,
            Self::Fixed(_) => 7,
        }
    }

    /// Bytes of each value, where all have as many.
    pub(super) const fn width(self) -> Option<usize> {
        match self {
            Self::Boolean | Self::Bytes => None,
            Self::I32 | Self::F32 => Some(4),
            Self::I64 | Self::F64 => Some(8),
            Self::I96 => Some(12),
            Self::Fixed(width) => Some(width),
        }
    }
}

/// A value as it lies in the file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Raw<'a> {
    Truth(bool),
    Integer(i64),
    F32(f32),
    F64(f64),
    Bytes(&'a [u8]),
}

/// Parts of a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Millis,
    Micros,
    Nanos,
}

impl Unit {
    const fn nanos(self) -> i64 {
        match self {
            Self::Millis => 1_000_000,
            Self::Micros => 1_000,
            Self::Nanos => 1,
        }
    }
}

/// What values mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Boolean,
    Integer {
        bits: u8,
        signed: bool,
    },
    Half,
    Float,
    Decimal {
        precision: u32,
        scale: u32,
    },
    Date,
    Time {
        unit: Unit,
        utc: bool,
    },
    Moment {
        unit: Unit,
        utc: bool,
    },
    OldMoment,
    Text,
    Enum,
    Json,
    Uuid,
    /// Bytes that say nothing of what they are.
    Binary,
    /// All of it is NULL.
    Nothing,
    /// Lists, maps, structures.
    Nested,
    /// Of no type that is known here.
    Unknown,
}

/// What a footer says a column's values mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Said {
    /// Field of the union of logical types.
    pub(super) logical: Option<i64>,
    pub(super) converted: Option<i64>,
    pub(super) scale: i64,
    pub(super) precision: i64,
    pub(super) unit: Option<Unit>,
    pub(super) utc: bool,
    pub(super) bits: i64,
    pub(super) signed: bool,
}

/// Greatest scale and precision: numbers of 128 bits.
const DIGITS_MAX: i64 = 38;

impl Kind {
    /// What a column is: the newer words count where both are there.
    pub(super) fn of(physical: Physical, said: Said) -> Self {
        let kind = match (said.logical, said.converted) {
            (Some(logical), _) => Self::of_logical(logical, said),
            (None, Some(converted)) => Self::of_converted(converted, said),
            (None, None) => Self::bare(physical),
        };
        if kind.is_of(physical) { kind } else { Self::Unknown }
    }

    const fn bare(physical: Physical) -> Self {
        match physical {
            Physical::Boolean => Self::Boolean,
            Physical::I32 => Self::Integer { bits: 32, signed: true },
            Physical::I64 => Self::Integer { bits: 64, signed: true },
            Physical::I96 => Self::OldMoment,
            Physical::F32 | Physical::F64 => Self::Float,
            Physical::Bytes | Physical::Fixed(_) => Self::Binary,
        }
    }

    fn of_logical(logical: i64, said: Said) -> Self {
        let unit =
            |of: fn(Unit, bool) -> Self| said.unit.map_or(Self::Unknown, |u| of(u, said.utc));
        match logical {
            1 => Self::Text,
            4 => Self::Enum,
            5 => Self::decimal(said),
            6 => Self::Date,
            7 => unit(|unit, utc| Self::Time { unit, utc }),
            8 => unit(|unit, utc| Self::Moment { unit, utc }),
            10 => Self::integer(said.bits, said.signed),
            11 => Self::Nothing,
            12 => Self::Json,
            14 => Self::Uuid,
            15 => Self::Half,
            _ => Self::Unknown,
        }
    }

    fn of_converted(converted: i64, said: Said) -> Self {
        match converted {
            0 => Self::Text,
            4 => Self::Enum,
            5 => Self::decimal(said),
            6 => Self::Date,
            7 => Self::Time { unit: Unit::Millis, utc: true },
            8 => Self::Time { unit: Unit::Micros, utc: true },
            9 => Self::Moment { unit: Unit::Millis, utc: true },
            10 => Self::Moment { unit: Unit::Micros, utc: true },
            11..=14 => Self::integer(8 << (converted - 11), false),
            15..=18 => Self::integer(8 << (converted - 15), true),
            19 => Self::Json,
            _ => Self::Unknown,
        }
    }

    fn integer(bits: i64, signed: bool) -> Self {
        match bits {
            8 | 16 | 32 | 64 => Self::Integer { bits: bits as u8, signed },
            _ => Self::Unknown,
        }
    }

    fn decimal(said: Said) -> Self {
        let legal = (1..=DIGITS_MAX).contains(&said.precision);
        if legal && (0..=said.precision).contains(&said.scale) {
            return Self::Decimal { precision: said.precision as u32, scale: said.scale as u32 };
        }
        Self::Unknown
    }

    const fn is_of(self, physical: Physical) -> bool {
        match self {
            Self::Integer { bits, .. } if bits < 64 => matches!(physical, Physical::I32),
            Self::Integer { .. } => matches!(physical, Physical::I64),
            Self::Decimal { .. } => match physical {
                Physical::I32 | Physical::I64 | Physical::Bytes => true,
                Physical::Fixed(width) => width <= 16,
                _ => false,
            },
            Self::Date | Self::Time { unit: Unit::Millis, .. } => {
                matches!(physical, Physical::I32)
            }
            Self::Time { .. } | Self::Moment { .. } => matches!(physical, Physical::I64),
            Self::Text | Self::Enum | Self::Json => matches!(physical, Physical::Bytes),
            Self::Uuid => matches!(physical, Physical::Fixed(16)),
            Self::Half => matches!(physical, Physical::Fixed(2)),
            _ => true,
        }
    }

    /// Whether its values can be compared, masked and told.
    pub(super) const fn is_plain(self) -> bool {
        !matches!(self, Self::Binary | Self::Nested | Self::Unknown)
    }

    /// Whether a column of it may be shown as it is.
    pub(super) const fn is_known(self) -> bool {
        !matches!(self, Self::Nested | Self::Unknown)
    }

    pub(super) const fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::Enum | Self::Json)
    }

    /// Writes what it is into a column's description: the older word, and the newer one.
    pub(super) fn write(self, to: &mut Writer) {
        let older = match self {
            Self::Text => Some(0),
            Self::Enum => Some(4),
            Self::Decimal { .. } => Some(5),
            Self::Date => Some(6),
            Self::Json => Some(19),
            Self::Integer { bits: 8, signed: true } => Some(15),
            Self::Integer { bits: 16, signed: true } => Some(16),
            Self::Integer { bits: 8, signed: false } => Some(11),
            Self::Integer { bits: 16, signed: false } => Some(12),
            Self::Integer { bits: 32, signed: false } => Some(13),
            Self::Integer { bits: 64, signed: false } => Some(14),
            _ => None,
        };
        older.into_iter().for_each(|older| to.i32(6, older));
        if let Self::Decimal { precision, scale } = self {
            to.i32(7, scale.cast_signed());
            to.i32(8, precision.cast_signed());
        }
        let id = match self {
            Self::Text => 1,
            Self::Enum => 4,
            Self::Decimal { .. } => 5,
            Self::Date => 6,
            Self::Time { .. } => 7,
            Self::Moment { .. } => 8,
            Self::Integer { bits: 8 | 16, .. } | Self::Integer { signed: false, .. } => 10,
            Self::Nothing => 11,
            Self::Json => 12,
            Self::Uuid => 14,
            Self::Half => 15,
            _ => return,
        };
        to.structure(10, |to| to.structure(id, |to| self.arguments(to)));
    }

    fn arguments(self, to: &mut Writer) {
        match self {
            Self::Decimal { precision, scale } => {
                to.i32(1, scale.cast_signed());
                to.i32(2, precision.cast_signed());
            }
            Self::Time { unit, utc } | Self::Moment { unit, utc } => {
                to.truth(1, utc);
                to.structure(2, |to| to.structure(unit as u8 + 1, |_| {}));
            }
            Self::Integer { bits, signed } => {
                to.i8(1, bits);
                to.truth(2, signed);
            }
            _ => {}
        }
    }

    /// A value as filters and masks see it; `room` holds the text of what is none.
    ///
    /// # Errors
    /// It cannot be a value of its type.
    pub(super) fn cell<'a>(self, raw: Raw<'a>, room: &'a mut String) -> Result<Cell<'a>, Reason> {
        room.clear();
        let written = match (self, raw) {
            (Self::Boolean, Raw::Truth(truth)) => return Ok(Cell::Truth(truth)),
            (Self::Integer { signed, bits }, Raw::Integer(number)) => match (signed, bits) {
                (true, _) => return Ok(Cell::Integer(number)),
                (false, 64) if number < 0 => write!(room, "{}", number.cast_unsigned()),
                (false, 32) => return Ok(Cell::Integer(number & 0xffff_ffff)),
                _ => return Ok(Cell::Integer(number)),
            },
            (Self::Float, Raw::F64(number)) => return Ok(Cell::Number(number)),
            // As it is printed, not as the longer one that is nearest to it.
            (Self::Float, Raw::F32(number)) => {
                return Ok(Cell::Number(number.to_string().parse().unwrap_or(f64::NAN)));
            }
            (Self::Half, Raw::Bytes(bytes)) => return Ok(Cell::Number(half(bytes))),
            (Self::Text | Self::Enum | Self::Json, Raw::Bytes(bytes)) => {
                return text(bytes).map(Cell::Text);
            }
            (Self::Decimal { scale, .. }, raw) => decimal(raw, scale as usize, room),
            (Self::Date, Raw::Integer(days)) => match date(days) {
                Some(date) => write!(room, "{date}"),
                None => return odd(days, room),
            },
            (Self::Time { unit, .. }, Raw::Integer(count)) => {
                let nanos = i128::from(count) * i128::from(unit.nanos());
                match time(nanos).filter(|_| (0..DAY_NANOS).contains(&nanos)) {
                    Some(at) => write!(room, "{}", at.time()),
                    None => return odd(count, room),
                }
            }
            (Self::Moment { unit, utc }, Raw::Integer(count)) => {
                match time(i128::from(count) * i128::from(unit.nanos())) {
                    Some(at) => write!(room, "{at}{}", if utc { "Z" } else { "" }),
                    None => return odd(count, room),
                }
            }
            (Self::OldMoment, Raw::Bytes(bytes)) => match old_time(bytes) {
                Some(at) => write!(room, "{at}"),
                None => return Err(Reason::Malformed("has times that are none")),
            },
            (Self::Uuid, Raw::Bytes(bytes)) => uuid(bytes, room),
            (Self::Nothing, _) => return Ok(Cell::Null),
            _ => return Err(Reason::Malformed("has values of another type than it says")),
        };
        match written {
            Ok(()) => Ok(Cell::Text(room)),
            Err(_) => Err(Reason::Malformed("has decimals of more than 128 bits")),
        }
    }
}

fn text(bytes: &[u8]) -> Result<&str, Reason> {
    std::str::from_utf8(bytes).map_err(|_| Reason::Malformed("has text that is not UTF-8"))
}

/// What is no date or time that can be told: it is compared with nothing.
fn odd(number: i64, room: &mut String) -> Result<Cell<'_>, Reason> {
    room.push_str(&number.to_string());
    Ok(Cell::Nested(room))
}

const DAY_NANOS: i128 = 86_400_000_000_000;
/// The day that older times count from, in days before 1970.
const JULIAN_1970: i64 = 2_440_588;

fn date(days: i64) -> Option<Date> {
    let days = i32::try_from(days).ok()?;
    jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().try_days(days).ok()?).ok()
}

fn time(nanos: i128) -> Option<DateTime> {
    let day = date(i64::try_from(nanos.div_euclid(DAY_NANOS)).ok()?)?;
    let nanos = i64::try_from(nanos.rem_euclid(DAY_NANOS)).ok()?;
    day.to_datetime(jiff::civil::Time::midnight())
        .checked_add(jiff::Span::new().try_nanoseconds(nanos).ok()?)
        .ok()
}

fn old_time(bytes: &[u8]) -> Option<DateTime> {
    let (nanos, day) = bytes.split_first_chunk::<8>()?;
    let day = i64::from(u32::from_le_bytes(day.try_into().ok()?)) - JULIAN_1970;
    time(i128::from(day) * DAY_NANOS + i128::from(i64::from_le_bytes(*nanos)))
}

/// IEEE 754's number of 16 bits.
fn half(bytes: &[u8]) -> f64 {
    let bits = u16::from_le_bytes([bytes[0], bytes[1]]);
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff) / 1024.0);
    sign * match exponent {
        0 => fraction * 2_f64.powi(-14),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction) * 2_f64.powi(exponent - 15),
    }
}

fn decimal(raw: Raw<'_>, scale: usize, room: &mut String) -> std::fmt::Result {
    let number = match raw {
        Raw::Integer(number) => i128::from(number),
        Raw::Bytes(bytes) if bytes.len() <= 16 => {
            let first = bytes.first().map_or(0, |byte| i128::from(byte.cast_signed() >> 7));
            bytes.iter().fold(first, |all, byte| all << 8 | i128::from(*byte))
        }
        _ => return Err(std::fmt::Error),
    };
    let digits = format!("{:0width$}", number.unsigned_abs(), width = scale + 1);
    let (whole, rest) = digits.split_at(digits.len() - scale);
    let (sign, point) = (if number < 0 { "-" } else { "" }, if scale > 0 { "." } else { "" });
    write!(room, "{sign}{whole}{point}{rest}")
}

fn uuid(bytes: &[u8], room: &mut String) -> std::fmt::Result {
    for (at, byte) in bytes.iter().enumerate() {
        let dash = if matches!(at, 4 | 6 | 8 | 10) { "-" } else { "" };
        write!(room, "{dash}{byte:02x}")?;
    }
    Ok(())
}
