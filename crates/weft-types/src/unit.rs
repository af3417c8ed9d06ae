//! Quantities: integers with their unit in the type, read from the text people write.

use alloc::borrow::ToOwned;
use alloc::string::String;
use core::fmt;
use core::iter::Sum;
use core::ops::{Add, AddAssign, Sub, SubAssign};
use core::str::FromStr;
use serde::{Deserialize, Serialize};

/// Text that is not a quantity of the unit asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {wanted}")]
pub struct UnitError {
    /// What was written.
    pub text: String,
    /// What it should have been, with examples.
    pub wanted: &'static str,
}

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);

        impl $name {
            /// Nothing of it.
            pub const ZERO: Self = Self(0);

            /// The difference, zero where it would be negative.
            #[must_use]
            pub const fn saturating_sub(self, other: Self) -> Self {
                Self(self.0.saturating_sub(other.0))
            }

            /// The sum, none on overflow.
            pub const fn checked_add(self, other: Self) -> Option<Self> {
                match self.0.checked_add(other.0) {
                    Some(sum) => Some(Self(sum)),
                    None => None,
                }
            }
        }

        impl Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self(self.0.saturating_add(other.0))
            }
        }

        impl AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                *self = *self + other;
            }
        }

        impl Sub for $name {
            type Output = Self;
            /// Panics in debug builds when the result would be negative: capacity arithmetic
            /// that goes below zero is a bug of ours, and saturates in release.
            fn sub(self, other: Self) -> Self {
                debug_assert!(self.0 >= other.0, "{self:?} - {other:?}");
                self.saturating_sub(other)
            }
        }

        impl SubAssign for $name {
            fn sub_assign(&mut self, other: Self) {
                *self = *self - other;
            }
        }

        impl Sum for $name {
            fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
                iter.fold(Self::ZERO, Add::add)
            }
        }
    };
}

quantity!(
    /// Memory or disk, in bytes. Decimal (`10GB`) and binary (`10GiB`) suffixes are read.
    Bytes(u64)
);
quantity!(
    /// Processor time share, in thousandths of a core.
    MilliCpu(u64)
);
quantity!(
    /// Accelerator share, in thousandths of a device.
    MilliGpu(u64)
);
quantity!(
    /// A length of time, in milliseconds.
    Millis(u64)
);
quantity!(
    /// A moment, in milliseconds since 1970-01-01T00:00:00Z.
    Timestamp(u64)
);

impl Timestamp {
    /// The moment that much later.
    #[must_use]
    pub fn after(self, span: Millis) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// The time from `earlier` to this moment; zero if the clock went back.
    pub fn since(self, earlier: Self) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }
}

impl Millis {
    /// That many seconds.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }
}

/// Bytes per suffix; decimal as on a data sheet, binary as in a page size.
const BYTE_UNITS: [(&str, u64); 13] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("B", 1),
];

/// Milliseconds per suffix.
const TIME_UNITS: [(&str, u64); 6] = [
    ("ms", 1),
    ("s", 1_000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("w", 604_800_000),
];

impl FromStr for Bytes {
    type Err = UnitError;

    /// `10GB`, `512MiB`, `1.5TB`; the suffix is required, its case is not.
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let wanted = "a size: a number and a unit, as in 512MB, 10GB, 64GiB";
        suffixed(text, &BYTE_UNITS, false).map(Self).ok_or_else(|| error(text, wanted))
    }
}

impl FromStr for Millis {
    type Err = UnitError;

    /// `90s`, `20m`, `1.5h`, `2d`; the suffix is required.
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let wanted = "a duration: a number and a unit, as in 90s, 20m, 1.5h, 2d";
        suffixed(text, &TIME_UNITS, true).map(Self).ok_or_else(|| error(text, wanted))
    }
}

impl FromStr for MilliCpu {
    type Err = UnitError;

    /// Cores, `2` or `0.5`, or thousandths, `500m`.
    fn from_str(text: &str) -> Result<Self, UnitError> {
        let wanted = "a number of CPU cores, as in 2, 0.5 or 500m";
        let value = match text.trim().strip_suffix('m') {
            Some(thousandths) => thousandths.parse().ok(),
            None => thousandths(text.trim(), 1000),
        };
        value.map(Self).ok_or_else(|| error(text, wanted))
    }
}

impl fmt::Display for Bytes {
    /// The largest decimal unit that leaves at least 1, with one decimal below 10: `9.9 GB`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units =
            [(1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
        let Some((size, unit)) = units.into_iter().find(|(size, _)| self.0 >= *size) else {
            return write!(f, "{} B", self.0);
        };
        let tenths = self.0 / (size / 10);
        match tenths {
            _ if tenths >= 100 || tenths.is_multiple_of(10) => write!(f, "{} {unit}", tenths / 10),
            _ => write!(f, "{}.{} {unit}", tenths / 10, tenths % 10),
        }
    }
}

impl fmt::Display for Millis {
    /// Two largest units: `1 h 05 min`, `2 min 03 s`, `4.2 s`, `35 ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.0 / 1000;
        match secs {
            _ if self.0 < 1_000 => write!(f, "{} ms", self.0),
            0..60 => write!(f, "{}.{} s", secs, self.0 % 1000 / 100),
            60..3_600 => write!(f, "{} min {:02} s", secs / 60, secs % 60),
            3_600..86_400 => write!(f, "{} h {:02} min", secs / 3_600, secs % 3_600 / 60),
            _ => write!(f, "{} d {:02} h", secs / 86_400, secs % 86_400 / 3_600),
        }
    }
}

impl fmt::Display for MilliCpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        decimal(f, self.0)
    }
}

impl fmt::Display for MilliGpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        decimal(f, self.0)
    }
}

/// Thousandths as a plain decimal without trailing zeros: 1500 is `1.5`.
fn decimal(f: &mut fmt::Formatter<'_>, value: u64) -> fmt::Result {
    let (whole, part) = (value / 1000, value % 1000);
    match part {
        0 => write!(f, "{whole}"),
        _ if part.is_multiple_of(100) => write!(f, "{whole}.{}", part / 100),
        _ if part.is_multiple_of(10) => write!(f, "{whole}.{:02}", part / 10),
        _ => write!(f, "{whole}.{part:03}"),
    }
}

fn suffixed(text: &str, units: &[(&str, u64)], case_matters: bool) -> Option<u64> {
    let text = text.trim();
    let start = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, suffix) = text.split_at(start);
    let same = |unit: &str| match case_matters {
        true => unit == suffix,
        false => unit.eq_ignore_ascii_case(suffix),
    };
    let (_, size) = units.iter().find(|(unit, _)| same(unit))?;
    thousandths(number.trim_end(), *size)
}

/// `number × scale` for a plain decimal with at most three digits behind the point; exact, so
/// that two machines never read two values.
pub(crate) fn thousandths(number: &str, scale: u64) -> Option<u64> {
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |t: &str| !t.is_empty() && t.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 3 {
        return None;
    }
    let part: u128 = part.parse::<u128>().ok()? * 10u128.pow(3 - part.len() as u32);
    let value = (whole.parse::<u64>().ok()? as u128 * 1000 + part) * scale as u128 / 1000;
    u64::try_from(value).ok()
}

fn error(text: &str, wanted: &'static str) -> UnitError {
    UnitError { text: text.to_owned(), wanted }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn sizes_read_as_people_write_them() {
        let cases = [
            ("10GB", 10_000_000_000),
            ("1.5 gb", 1_500_000_000),
            ("512MiB", 512 << 20),
            ("64Gi", 64 << 30),
            ("1B", 1),
        ];
        for (text, bytes) in cases {
            assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
        }
        for bad in ["", "10", "GB", "-1GB", "1e3GB", "1.2345GB", "10XB", "99999999999TB"] {
            assert!(bad.parse::<Bytes>().is_err(), "{bad}");
        }
    }

    #[test]
    fn durations_and_cores() {
        assert_eq!("1.5h".parse(), Ok(Millis(5_400_000)));
        assert_eq!("20m".parse(), Ok(Millis(1_200_000)));
        assert!("20M".parse::<Millis>().is_err());
        assert_eq!("0.5".parse(), Ok(MilliCpu(500)));
        assert_eq!("250m".parse(), Ok(MilliCpu(250)));
    }

    #[test]
    fn shown_briefly() {
        assert_eq!(Bytes(80_000_000_000).to_string(), "80 GB");
        assert_eq!(Bytes(1_540_000).to_string(), "1.5 MB");
        assert_eq!(Bytes(12).to_string(), "12 B");
        assert_eq!(Millis(4_250).to_string(), "4.2 s");
        assert_eq!(Millis(123_000).to_string(), "2 min 03 s");
        assert_eq!(MilliGpu(1_500).to_string(), "1.5");
        assert_eq!(MilliGpu(250).to_string(), "0.25");
    }
}
