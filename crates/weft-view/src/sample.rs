//! A fraction of rows or files, the same ones each time: by a hash of what is in them.
//!
//! A row is in the sample where its hash, as a number from 0 to 1, is below the fraction. So the
//! rows of 1 % are among those of 10 %, and a row is in or out whatever else the file has.

use serde::{Serialize, Serializer};
use std::fmt;

/// Parts of a whole: a fraction is told to the ten-thousandth of a percent.
const WHOLE: u32 = 1_000_000;
/// Hashes of samples are of no other use.
const CONTEXT: &str = "weft view sample 2026-11-23";

/// A fraction, over 0 and at most 100 %, in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fraction(u32);

impl Fraction {
    /// Reads `1%`, `0.5%` or `0.01`.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        const RULE: &str = "is no fraction: write `1%`, `0.5%` or `0.01`";
        let (digits, unit, percent) = match text.trim().strip_suffix('%') {
            Some(digits) => (digits.trim_end(), WHOLE / 100, true),
            None => (text.trim(), WHOLE, false),
        };
        let (whole, rest) = digits.split_once('.').unwrap_or((digits, ""));
        let legal = |text: &str| text.len() <= 9 && text.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !legal(whole) || !legal(rest) || digits.ends_with('.') {
            return Err(RULE);
        }
        let whole: u64 = whole.parse().map_err(|_| RULE)?;
        if !percent && whole > 0 {
            return Err("may be 1 % or all of it: write `1%` or `100%`");
        }
        let rest: u64 = format!("{rest:0<9}").parse().map_err(|_| RULE)?;
        if whole > 100 {
            return Err("is more than all of it: a sample has at most 100 %");
        }
        let nano = (whole * 1_000_000_000 + rest) * u64::from(unit);
        let millionths = nano / 1_000_000_000;
        match u32::try_from(millionths) {
            _ if !nano.is_multiple_of(1_000_000_000) => Err("is finer than 0.0001 %"),
            Ok(0) => Err("is nothing: a sample has more than 0 %"),
            Ok(millionths) if millionths <= WHOLE => Ok(Self(millionths)),
            _ => Err("is more than all of it: a sample has at most 100 %"),
        }
    }

    /// Whether it is all of it.
    pub fn is_all(self) -> bool {
        self.0 == WHOLE
    }

    /// Whether what has this hash is within it.
    pub(crate) fn has(self, hash: u64) -> bool {
        (u128::from(hash) * u128::from(WHOLE)) >> 64 < u128::from(self.0)
    }
}

impl fmt::Display for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 10_000, self.0 % 10_000);
        let rest = format!("{rest:04}");
        let rest = rest.trim_end_matches('0');
        let point = if rest.is_empty() { "" } else { "." };
        write!(f, "{whole}{point}{rest}%")
    }
}

impl Serialize for Fraction {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// The hash of a row's values: a sum of one for each value and its place, so that a row can be
/// hashed by rows of text and by columns alike.
#[derive(Default)]
pub(crate) struct Hash {
    sum: u64,
    place: usize,
}

impl Hash {
    /// The hash of a value at a place of its row; none is NULL.
    pub(crate) fn of_value(place: usize, value: Option<&[u8]>) -> u64 {
        let mut hash = blake3::Hasher::new_derive_key(CONTEXT);
        let length = value.map_or(u64::MAX, |value| value.len() as u64);
        hash.update(&(place as u64).to_le_bytes());
        hash.update(&length.to_le_bytes());
        hash.update(value.unwrap_or_default());
        let [a, b, c, d, e, f, g, h, ..] = *hash.finalize().as_bytes();
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }

    /// The row's next value.
    pub(crate) fn value(&mut self, value: Option<&[u8]>) {
        self.sum = self.sum.wrapping_add(Self::of_value(self.place, value));
        self.place += 1;
    }

    /// The hash, and ready for the next row.
    pub(crate) fn end(&mut self) -> u64 {
        std::mem::take(self).sum
    }

    pub(crate) fn of(value: &str) -> u64 {
        Self::of_value(0, Some(value.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_read_and_printed() {
        let cases = [("1%", "1%"), ("0.01", "1%"), ("0.5 %", "0.5%"), ("0.0001%", "0.0001%")];
        for (text, printed) in cases.into_iter().chain([("100%", "100%"), ("12.50%", "12.5%")]) {
            let fraction = Fraction::parse(text).unwrap();
            assert_eq!(fraction.to_string(), printed);
            assert_eq!(Fraction::parse(printed), Ok(fraction));
        }
        for text in [
            "",
            "%",
            "1",
            "0",
            "0%",
            "101%",
            "-1%",
            "1e-3",
            "0.00001%",
            ".5",
            "5.",
            "x",
            "999999999%",
        ] {
            assert!(Fraction::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_fraction_has_as_many_as_it_says_and_all_of_a_smaller_one() {
        let one = Fraction::parse("1%").unwrap();
        let ten = Fraction::parse("10%").unwrap();
        let all = Fraction::parse("100%").unwrap();
        let hashes: Vec<u64> = (0..20_000).map(|n| Hash::of(&n.to_string())).collect();
        let count = |of: Fraction| hashes.iter().filter(|hash| of.has(**hash)).count();
        assert!((150..=250).contains(&count(one)), "{}", count(one));
        assert!((1_800..=2_200).contains(&count(ten)), "{}", count(ten));
        assert!(hashes.iter().all(|hash| ten.has(*hash) || !one.has(*hash)));
        assert!(all.has(u64::MAX) && all.has(0));
    }
}
