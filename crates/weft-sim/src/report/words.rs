//! Times and numbers as people read them, with few digits; text from a log made harmless.

use crate::study::{Findings, Left};

/// Longest name shown; the whole is in the JSON.
const NAME_MAX: usize = 40;

// A number is never on another line than its unit: what stands between them does not break.

/// `0`, `12 s`, `5.3 min`, `53 min`, `1.9 h`, `31 h`, `4.1 d`.
pub(super) fn time(ms: u64) -> String {
    let seconds = ms as f64 / 1000.0;
    match seconds {
        _ if ms == 0 => "0".to_owned(),
        ..1.0 => "<\u{a0}1\u{a0}s".to_owned(),
        ..99.5 => format!("{seconds:.0}\u{a0}s"),
        ..594.0 => format!("{:.1}\u{a0}min", seconds / 60.0),
        ..5_970.0 => format!("{:.0}\u{a0}min", seconds / 60.0),
        ..35_640.0 => format!("{:.1}\u{a0}h", seconds / 3600.0),
        ..259_200.0 => format!("{:.0}\u{a0}h", seconds / 3600.0),
        ..855_360.0 => format!("{:.1}\u{a0}d", seconds / 86_400.0),
        _ => format!("{:.0}\u{a0}d", seconds / 86_400.0),
    }
}

/// `82,247`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).unwrap_or_default())
        .collect();
    groups.join(",")
}

/// `1 job`, `2 jobs`.
pub(super) fn counted(number: u64, one: &str) -> String {
    format!("{} {one}{}", count(number), if number == 1 { "" } else { "s" })
}

/// A part of a whole, in percent: `0 %`, `0.3 %`, `61 %`, `99.6 %`, `100 %`. Rounded so that only
/// nothing is 0 and only all is 100.
pub(super) fn percent(part: u128, whole: u128) -> String {
    if whole == 0 {
        return "–".to_owned();
    }
    let share = part as f64 * 100.0 / whole as f64;
    match share {
        _ if part == 0 => "0\u{a0}%".to_owned(),
        _ if part == whole => "100\u{a0}%".to_owned(),
        ..0.05 => "<\u{a0}0.1\u{a0}%".to_owned(),
        ..9.95 => format!("{share:.1}\u{a0}%"),
        99.95..100.0 => ">\u{a0}99.9\u{a0}%".to_owned(),
        98.95..99.95 => format!("{share:.1}\u{a0}%"),
        _ => format!("{share:.0}\u{a0}%"),
    }
}

/// How much less, or more: `−96 %`, `+12 %`.
pub(super) fn change(from: u64, to: u64) -> String {
    match (from, to) {
        (0, 0) => "±0".to_owned(),
        (0, _) => "from 0".to_owned(),
        _ if to <= from => match percent(u128::from(from - to), u128::from(from)).as_str() {
            "0\u{a0}%" => "±0".to_owned(),
            ">\u{a0}99.9\u{a0}%" => "more than −99.9\u{a0}%".to_owned(),
            less => format!("−{less}"),
        },
        _ if to / from >= 10 => format!("× {}", to / from),
        _ => format!("+{}", percent(u128::from(to - from), u128::from(from))),
    }
}

/// Thousandths as a number: `1.4`, `12`, `640`.
pub(super) fn thousandths(milli: u64) -> String {
    match milli {
        ..9_950 => format!("{:.1}", milli as f64 / 1000.0),
        _ => count((milli + 500) / 1000),
    }
}

/// Hours of devices, from device-milliseconds.
pub(super) fn device_hours(time: u128) -> String {
    let hours = u64::try_from(time / 3_600_000).unwrap_or(u64::MAX);
    format!("{} GPU-hours", count(hours))
}

/// A moment in days of the calendar, or as days from the log's begin where it has no date.
pub(super) fn day(ms: u64, has_dates: bool) -> String {
    let days = ms / 86_400_000;
    if !has_dates {
        return format!("day {days}");
    }
    // Hinnant, "chrono-compatible low-level date algorithms".
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_shifted + 2) / 5 + 1;
    let month = if month_shifted < 10 { month_shifted + 3 } else { month_shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// What a study that was left early compares, and what is missing in it; none where it was not.
#[must_use]
pub fn left(findings: &Findings) -> Option<[String; 2]> {
    let left = findings.left.as_ref().filter(|_| findings.interrupted)?;
    let what = match (left.jobs, left.not_reached) {
        (0, _) => "No job had ended under every policy by then: nothing is compared.".to_owned(),
        (_, 0) => "All jobs of the log are compared.".to_owned(),
        (jobs, _) => format!(
            "Compared are the first {} of the log, submitted until {}, which waited as they would \
             in the whole run.{}",
            counted(jobs as u64, "job"),
            day(left.until, findings.trace.has_dates),
            not_ended(findings, left)
        ),
    };
    let mut missing = left.not_done.clone();
    if left.not_reached > 0 {
        let later = if left.jobs == 0 { "" } else { " submitted later" };
        missing.insert(0, format!("{}{later}", counted(left.not_reached as u64, "job")));
    }
    let missing = match missing.is_empty() {
        true => String::new(),
        false => format!("Missing: {}.", missing.join("; ")),
    };
    Some([what, missing])
}

/// Those that are missing are the ones that wait longest: who has more of them looks better.
fn not_ended(findings: &Findings, left: &Left) -> String {
    if left.not_ended == 0 {
        return String::new();
    }
    let by = findings.runs.iter().zip(&left.not_ended_by);
    let by: Vec<String> = by
        .map(|(ran, open)| format!("{}: {}", plain(&ran.policy.name), count(*open as u64)))
        .collect();
    format!(
        " Of these, {} ({}) had not ended and are in no figure ({}): they wait longest, so who has \
         more of them looks better than it is.",
        count(left.not_ended as u64),
        percent(left.not_ended as u128, left.jobs as u128),
        by.join(", ")
    )
}

/// Text from outside for a page: nothing in it is markup, steers a terminal or turns the direction
/// of writing.
pub(super) fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in plain(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

/// Text from outside without control and direction characters.
pub(super) fn plain(text: &str) -> String {
    let harmful = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' |
            '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    text.chars().map(|c| if harmful(c) { '\u{fffd}' } else { c }).collect()
}

/// A name from a log, cut where it is long, safe for a page; what has none is said to.
pub(super) fn name(text: &str) -> String {
    match text.chars().count() {
        0 => "(no team)".to_owned(),
        1..=NAME_MAX => safe(text),
        _ => format!("{}…", safe(&text.chars().take(NAME_MAX - 1).collect::<String>())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spaced(text: String) -> String {
        text.replace('\u{a0}', " ")
    }

    #[test]
    fn times_have_few_digits() {
        let shown = [0, 400, 12_000, 318_000, 3_180_000, 6_840_000, 111_600_000, 354_240_000];
        let words = ["0", "< 1 s", "12 s", "5.3 min", "53 min", "1.9 h", "31 h", "4.1 d"];
        assert_eq!(shown.map(|ms| spaced(time(ms))), words);
        assert_eq!([99_400, 99_600].map(time), ["99\u{a0}s", "1.7\u{a0}min"]);
    }

    #[test]
    fn only_nothing_is_zero_and_only_all_is_a_hundred() {
        let percent = |part, whole| spaced(super::percent(part, whole));
        let change = |from, to| spaced(super::change(from, to));
        assert_eq!(percent(0, 9), "0 %");
        assert_eq!(percent(1, 1_000_000), "< 0.1 %");
        assert_eq!(percent(999_999, 1_000_000), "> 99.9 %");
        assert_eq!(percent(9_960, 10_000), "99.6 %");
        assert_eq!((percent(61, 100), percent(1, 0)), ("61 %".to_owned(), "–".to_owned()));
        assert_eq!((change(100, 4), change(100, 112)), ("−96 %".to_owned(), "+12 %".to_owned()));
        assert_eq!(change(1_000_000, 1), "more than −99.9 %");
        assert_eq!((change(0, 0), change(1, 40)), ("±0".to_owned(), "× 40".to_owned()));
    }

    #[test]
    fn days_of_the_calendar() {
        assert_eq!(day(1_507_532_515_000, true), "2017-10-09");
        assert_eq!(day(1_709_208_000_250, true), "2024-02-29");
        assert_eq!(day(86_400_000, false), "day 1");
    }

    #[test]
    fn text_from_a_log_is_no_markup() {
        assert_eq!(safe("<script>\"&'"), "&lt;script&gt;&quot;&amp;&#39;");
        assert_eq!(plain("a\u{202e}b\u{1b}[31m\n"), "a\u{fffd}b\u{fffd}[31m\u{fffd}");
        assert_eq!(name(""), "(no team)");
        assert_eq!(name(&"<".repeat(50)), format!("{}…", "&lt;".repeat(39)));
    }

    #[test]
    fn numbers_in_groups() {
        assert_eq!(
            (count(82_247), count(12), count(1_000_000)),
            ("82,247".to_owned(), "12".to_owned(), "1,000,000".to_owned())
        );
        assert_eq!(
            (counted(1, "job"), counted(2, "job")),
            ("1 job".to_owned(), "2 jobs".to_owned())
        );
    }
}
