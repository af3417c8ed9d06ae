//! What is shown in the place of a value.
//!
//! | mask | 4012888888881881 | 2026-03-05 | ana@uni.example | NULL |
//! |--|--|--|--|--|
//! | `hash` | 32 hexadecimal digits, the same for the same value within a view | | | NULL |
//! | `null` | NULL | NULL | NULL | NULL |
//! | `year`, `month` | NULL | 2026, 2026-03 | NULL | NULL |
//! | `round:1000` | 4012888888882000 | NULL | NULL | NULL |
//! | `keep-first:2`, `keep-last:4` | 40****, ****1881 | 20****, \*\*\*\*3-05 | an****, \*\*\*\*mple | NULL |
//! | `email` | \*\*\*\* | \*\*\*\* | \*\*\*\*@uni.example | NULL |
//!
//! What a mask cannot be made of is NULL, or stars, never the value.

use crate::cell::{Cell, Number};
use ring::hmac;
use serde::{Serialize, Serializer};
use std::fmt;

/// Bytes of a hash that are shown: 128 bits, so that no two values of a table meet.
const HASH: usize = 16;
/// In the place of what is not shown; as many whatever it was.
const STARS: &str = "****";
/// Most letters that are kept: more than that is no mask.
const KEPT_MAX: u32 = 64;

/// What is shown in the place of a column's values.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mask {
    /// HMAC-SHA256 under the view's key, 128 bits of it: equal values of a view are equal.
    Hash,
    /// Nothing.
    Null,
    /// The year of a date or time, as it is written.
    Year,
    /// The year and month of a date or time, as it is written.
    Month,
    /// The nearest multiple of a step.
    Round(Step),
    /// The first letters.
    KeepFirst(u32),
    /// The last letters.
    KeepLast(u32),
    /// What is behind the `@` of an address.
    Email,
}

/// A step to which is rounded: a decimal number over 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// In units of the last decimal.
    units: u64,
    decimals: u32,
}

/// A masked value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Masked {
    Null,
    Integer(i64),
    /// With that many decimals.
    Number(f64, u32),
    Text(String),
}

impl Mask {
    /// Reads `hash`, `null`, `year`, `month`, `round:N`, `keep-first:N`, `keep-last:N`, `email`.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (word, argument) =
            text.split_once(':').map_or((text, None), |(a, b)| (a.trim(), Some(b.trim())));
        match (word.trim(), argument) {
            ("hash", None) => Ok(Self::Hash),
            ("null", None) => Ok(Self::Null),
            ("year", None) => Ok(Self::Year),
            ("month", None) => Ok(Self::Month),
            ("email", None) => Ok(Self::Email),
            ("round", Some(step)) => Step::parse(step).map(Self::Round),
            ("keep-first", Some(count)) => letters(count).map(Self::KeepFirst),
            ("keep-last", Some(count)) => letters(count).map(Self::KeepLast),
            ("round", None) => Err("needs a step: write `round:10` or `round:0.5`"),
            ("keep-first" | "keep-last", None) => Err("needs how many letters: `keep-last:4`"),
            _ => Err("is no mask: there are `hash`, `null`, `year`, `month`, `round:N`, \
                 `keep-first:N`, `keep-last:N`, `email`"),
        }
    }

    /// What is shown in a value's place.
    pub(crate) fn of(&self, cell: Cell<'_>, key: &hmac::Key) -> Masked {
        let Some(text) = cell.text() else { return Masked::Null };
        match self {
            Self::Null => Masked::Null,
            Self::Hash => {
                let hash = hmac::sign(key, text.as_bytes());
                Masked::Text(hex::encode(&hash.as_ref()[..HASH]))
            }
            Self::Year => match cell.moment() {
                Some(moment) => Masked::Integer(i64::from(moment.written.year())),
                None => Masked::Null,
            },
            Self::Month => match cell.moment().map(|moment| moment.written) {
                Some(at) => Masked::Text(format!("{:04}-{:02}", at.year(), at.month())),
                None => Masked::Null,
            },
            Self::Round(step) => cell.number().map_or(Masked::Null, |number| step.round(number)),
            Self::KeepFirst(count) => {
                let rest = text.char_indices().nth(*count as usize);
                Masked::Text(rest.map_or(STARS.into(), |(at, _)| format!("{}{STARS}", &text[..at])))
            }
            Self::KeepLast(count) => {
                let hidden = text.char_indices().rev().nth(*count as usize);
                let kept = hidden.map_or("", |(at, letter)| &text[at + letter.len_utf8()..]);
                Masked::Text(format!("{STARS}{kept}"))
            }
            Self::Email => {
                let host = text.rsplit_once('@').filter(|(who, _)| !who.is_empty());
                let host = host.map(|(_, host)| host).filter(|host| is_host(host));
                Masked::Text(host.map_or(STARS.into(), |host| format!("{STARS}@{host}")))
            }
        }
    }
}

fn is_host(host: &str) -> bool {
    let legal = |letter: char| letter.is_alphanumeric() || matches!(letter, '.' | '-');
    host.contains('.') && host.len() <= 253 && host.chars().all(legal)
}

fn letters(text: &str) -> Result<u32, &'static str> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    match text.parse() {
        Ok(count) if digits && (1..=KEPT_MAX).contains(&count) => Ok(count),
        _ => Err("keeps from 1 to 64 letters: write `keep-last:4`"),
    }
}

impl Step {
    fn parse(text: &str) -> Result<Self, &'static str> {
        const RULE: &str =
            "needs a step over 0 of at most 15 digits, 6 of them decimals: `round:10`";
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let decimals = decimals.trim_end_matches('0');
        let digits = format!("{whole}{decimals}");
        let legal = digits.len() <= 15 && digits.bytes().all(|b| b.is_ascii_digit());
        let units = digits.parse().map_err(|_| RULE)?;
        if !legal || whole.is_empty() || decimals.len() > 6 || units == 0 {
            return Err(RULE);
        }
        Ok(Self { units, decimals: decimals.len() as u32 })
    }

    /// Whether integers stay integers.
    pub(crate) const fn is_whole(self) -> bool {
        self.decimals == 0
    }

    fn round(self, number: Number) -> Masked {
        if let (Number::Integer(number), true) = (number, self.is_whole()) {
            let (number, step) = (i128::from(number), i128::from(self.units));
            // Half away from zero, as schools have it.
            let times = (number.abs() * 2 + step) / (step * 2) * number.signum();
            return i64::try_from(times * step).map_or(Masked::Null, Masked::Integer);
        }
        let scale = 10_f64.powi(self.decimals.cast_signed());
        let times = (number.float() * scale / self.units as f64).round();
        let rounded = times * self.units as f64 / scale + 0.0;
        if rounded.is_finite() { Masked::Number(rounded, self.decimals) } else { Masked::Null }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale = 10_u64.pow(self.decimals);
        write!(f, "{}", self.units / scale)?;
        if self.is_whole() {
            return Ok(());
        }
        write!(f, ".{:0width$}", self.units % scale, width = self.decimals as usize)
    }
}

impl fmt::Display for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hash => write!(f, "hash"),
            Self::Null => write!(f, "null"),
            Self::Year => write!(f, "year"),
            Self::Month => write!(f, "month"),
            Self::Round(step) => write!(f, "round:{step}"),
            Self::KeepFirst(count) => write!(f, "keep-first:{count}"),
            Self::KeepLast(count) => write!(f, "keep-last:{count}"),
            Self::Email => write!(f, "email"),
        }
    }
}

impl Serialize for Mask {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl Masked {
    /// Its text; none of NULL.
    pub(crate) fn text(&self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Integer(number) => Some(number.to_string()),
            Self::Number(number, decimals) => Some(format!("{number:.*}", *decimals as usize)),
            Self::Text(text) => Some(text.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(mask: &str, value: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &[7; 32]);
        let mask = Mask::parse(mask).unwrap();
        assert_eq!(Mask::parse(&mask.to_string()), Ok(mask.clone()), "prints and reads back");
        mask.of(Cell::Text(value), &key).text().unwrap_or_else(|| "NULL".to_owned())
    }

    #[test]
    fn values_behind_masks() {
        let cases = [
            ("null", "x", "NULL"),
            ("year", "2026-03-05T10:00:00+01:00", "2026"),
            ("month", "2026-03-05 10:00", "2026-03"),
            ("month", "2026-03-05 10:00:00+00", "2026-03"),
            ("year", "05.03.2026", "NULL"),
            ("year", "20260305", "NULL"),
            ("round:10", "44", "40"),
            ("round:10", "-45", "-50"),
            ("round:10", "44.9", "40"),
            ("round:0.50", "0.7", "0.5"),
            ("round:0.1", "0.25", "0.3"),
            ("round:10", "9223372036854775807", "NULL"),
            ("round:10", "-0.1", "0"),
            ("round:10", "many", "NULL"),
            ("round:10", "inf", "NULL"),
            ("keep-last:4", "4012888888881881", "****1881"),
            ("keep-last:4", "1881", "****"),
            ("keep-last:2", "ä\u{301}öü", "****öü"),
            ("keep-first:2", "Graz", "Gr****"),
            ("keep-first:4", "Graz", "****"),
            ("email", "ana@uni.example", "****@uni.example"),
            ("email", "ana", "****"),
            ("email", "@uni.example", "****"),
            ("email", "a@secret words", "****"),
        ];
        for (mask, value, wanted) in cases {
            assert_eq!(shown(mask, value), wanted, "{mask} of {value}");
        }
    }

    #[test]
    fn a_hash_is_of_the_key_and_the_text() {
        // HMAC-SHA256 of RFC 4231, test case 2, the first 128 bits.
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"Jefe");
        let hash = Mask::Hash.of(Cell::Text("what do ya want for nothing?"), &key);
        assert_eq!(hash, Masked::Text("5bdcc146bf60754e6a042426089575c7".to_owned()));
        assert_eq!(Mask::Hash.of(Cell::Null, &key), Masked::Null);
        assert_eq!(Mask::Hash.of(Cell::Integer(42), &key), Mask::Hash.of(Cell::Text("42"), &key));
    }

    #[test]
    fn what_is_no_mask() {
        let not = ["", "hash:1", "round", "round:0", "round:-1", "round:1e3", "keep-last:0", "sha"];
        for text in not.into_iter().chain(["keep-last:65", "keep-last:+4", "round:0.0000001"]) {
            assert!(Mask::parse(text).is_err(), "{text}");
        }
    }
}
