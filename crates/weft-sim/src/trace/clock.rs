//! Moments and spans as logs write them. No time zone but UTC and fixed offsets: a log in local
//! time is read as it stands, and is an hour off for half of the year, as its writer's clock was.

use super::table::thousandths;
use weft_types::{Millis, Timestamp};

/// `2017-10-09 07:01:55`, `2017-10-09T07:01:55.5+02:00`, or seconds from any origin.
pub(super) fn moment(text: &str) -> Option<Timestamp> {
    if let Some(milli) = thousandths(text) {
        return Some(Timestamp(milli));
    }
    let (date, time) = text.split_once(['T', ' '])?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<u64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (time, behind) = without_offset(time)?;
    let mut time = time.splitn(3, ':');
    let hour = time.next()?.parse::<i64>().ok()?;
    let minute = time.next()?.parse::<i64>().ok()?;
    let milli = time.next().map_or(Some(0), thousandths)?;
    if !(0..24).contains(&hour) || !(0..60).contains(&minute) || milli > 60_999 {
        return None;
    }
    let minutes = (days(year, month, day) as i64 * 24 + hour) * 60 + minute - behind;
    Some(Timestamp(u64::try_from(minutes).ok()? * 60_000 + milli))
}

/// No zone is further from UTC (Kiribati).
const OFFSET_HOURS_MAX: i64 = 14;

/// The time of day, and how many minutes it is ahead of UTC.
fn without_offset(time: &str) -> Option<(&str, i64)> {
    if let Some(time) = time.strip_suffix('Z') {
        return Some((time, 0));
    }
    let Some(at) = time.find(['+', '-']) else {
        return Some((time, 0));
    };
    let (time, offset) = time.split_at(at);
    let (hours, minutes) = match offset[1..].split_once(':') {
        Some((hours, minutes)) => (hours, minutes),
        None => offset[1..].split_at_checked(2)?,
    };
    let (hours, minutes) = (hours.parse::<i64>().ok()?, minutes.parse::<i64>().ok()?);
    if !(0..=OFFSET_HOURS_MAX).contains(&hours) || !(0..60).contains(&minutes) {
        return None;
    }
    let minutes = hours * 60 + minutes;
    Some((time, if offset.starts_with('-') { -minutes } else { minutes }))
}

/// Days from 1970-01-01 (Hinnant, "chrono-compatible low-level date algorithms").
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// `90`, `15:00`, `01:30:00`, `2-00:00:00`, as Slurm writes spans: minutes alone have no colon in a
/// limit, but `sacct` never prints it so.
pub(super) fn slurm_span(text: &str) -> Option<Millis> {
    let (days, time) = match text.split_once('-') {
        Some((days, time)) => (days.parse::<u64>().ok()?, time),
        None => (0, text),
    };
    let mut parts = time.rsplitn(3, ':');
    let milli = thousandths(parts.next()?)?;
    let mut next = || parts.next().map_or(Some(0), |part| part.parse::<u64>().ok());
    let (minutes, hours) = (next()?, next()?);
    let hours = days.checked_mul(24)?.checked_add(hours)?;
    let minutes = hours.checked_mul(60)?.checked_add(minutes)?;
    Some(Millis(minutes.checked_mul(60_000)?.checked_add(milli)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        let milli = |text| moment(text).map(|at| at.0);
        assert_eq!(milli("1970-01-01 00:00:00"), Some(0));
        assert_eq!(milli("2017-10-09 07:01:55"), Some(1_507_532_515_000));
        assert_eq!(milli("2024-02-29T12:00:00.25Z"), Some(1_709_208_000_250));
        assert_eq!(milli("2024-02-29T14:00:00+02:00"), Some(1_709_208_000_000));
        assert_eq!(milli("2024-02-29T07:00:00-0500"), Some(1_709_208_000_000));
        assert_eq!(milli("427061"), Some(427_061_000));
        for wrong in [
            "",
            "Unknown",
            "2024-13-01 00:00:00",
            "2024-01-01 24:00:00",
            "2024-01-01",
            "2024-01-01T00:00:00+9000000000000000000:00",
            "1970-01-01T00:00:00+01:00",
        ] {
            assert_eq!(milli(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn spans() {
        let milli = |text| slurm_span(text).map(|span| span.0);
        assert_eq!(milli("2-01:02:03"), Some(((49 * 60 + 2) * 60 + 3) * 1000));
        assert_eq!(milli("15:00"), Some(900_000));
        assert_eq!((milli("UNLIMITED"), milli("1-")), (None, None));
    }
}
