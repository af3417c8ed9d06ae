//! Times and shares as people read them.

use std::time::{SystemTime, UNIX_EPOCH};
use weft_types::{MilliCpu, Millis};

/// This moment, in milliseconds since 1970.
pub(crate) fn clock() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_millis() as u64
}

/// How long ago, short: `12 s`, `3 min`, `2 h`, `5 d`.
pub(crate) fn age(at_ms: u64, now_ms: u64) -> String {
    let secs = now_ms.saturating_sub(at_ms) / 1000;
    match secs {
        0..60 => format!("{secs} s"),
        60..3_600 => format!("{} min", secs / 60),
        3_600..86_400 => format!("{} h", secs / 3_600),
        _ => format!("{} d", secs / 86_400),
    }
}

/// What was seen within this time is going on: samples come once a second.
const NOW_MS: u64 = 3_000;

/// When something that goes on was seen last: `now`, `12 s ago`.
pub(crate) fn last(at_ms: u64, now_ms: u64) -> String {
    match now_ms.saturating_sub(at_ms) {
        0..NOW_MS => "now".to_owned(),
        _ => format!("{} ago", age(at_ms, now_ms)),
    }
}

/// A length of time.
pub(crate) fn span(ms: u64) -> String {
    Millis(ms).to_string()
}

/// A moment, in UTC: the server may be elsewhere.
pub(crate) fn when(at_ms: u64) -> String {
    match jiff::Timestamp::from_millisecond(at_ms as i64) {
        Ok(at) => at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
        Err(_) => at_ms.to_string(),
    }
}

/// Cores: `0.5`, `2`.
pub(crate) fn cores(milli: u64) -> String {
    MilliCpu(milli).to_string()
}

/// A number with its thousands apart: `1,204`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A share in whole percent; of nothing it is nothing.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    match whole {
        0 => "-".to_owned(),
        _ => format!("{} %", (u128::from(part) * 100 + u128::from(whole) / 2) / u128::from(whole)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_briefly() {
        assert_eq!(age(0, 59_000), "59 s");
        assert_eq!(age(0, 7_200_000), "2 h");
        assert_eq!(age(10, 0), "0 s");
        assert_eq!((last(0, 2_999), last(0, 60_000)), ("now".to_owned(), "1 min ago".to_owned()));
        assert_eq!(percent(1, 3), "33 %");
        assert_eq!(percent(1, 0), "-");
        assert_eq!([0, 999, 1_000, 1_204_567].map(count), ["0", "999", "1,000", "1,204,567"]);
        assert_eq!(when(0), "1970-01-01 00:00:00Z");
    }
}
