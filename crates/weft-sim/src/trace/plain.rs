//! Weft's own format, for whoever has a log of another kind: a CSV with these columns.
//!
//! Needed: `submit` (a moment or seconds), `duration` (seconds, may be empty) and `gpus` (`2`, or
//! a part of one, `0.25`). Optional: `name`, `user`, `queue`, `start`, `limit` (seconds), `cpus`,
//! `memory` (`16GB`), `nodes`, `models` (`a100|h100`), `outcome` (`completed`, `failed`,
//! `cancelled`, `timeout`), `active` (percent).

use super::clock::moment;
use super::table::{MOMENT, Row, Table, TraceError, thousandths};
use super::{Job, Outcome, Trace};
use weft_types::{Bytes, MilliCpu, MilliGpu, Millis};

/// Reads jobs.
///
/// # Errors
///
/// The first line that is none.
pub fn plain(text: &str) -> Result<Trace, TraceError> {
    Trace::of_table(&Table::read(text, ',')?, job)
}

pub(super) fn job(row: &Row) -> Result<Option<Job>, TraceError> {
    row.text("duration")?;
    let seconds = |name| row.parse_maybe(name, "seconds", thousandths);
    let (devices, milli) = row.parse("gpus", "`0`, `2`, or a part of one as in `0.25`", gpus)?;
    let name = row.maybe("name").map_or_else(|| format!("line-{}", row.line()), str::to_owned);
    let memory = row.parse_maybe("memory", "an amount, as in `16GB`", |text| text.parse().ok())?;
    Ok(Some(Job {
        name,
        user: row.maybe("user").unwrap_or_default().to_owned(),
        queue: row.maybe("queue").unwrap_or_default().to_owned(),
        submit: row.moment("submit")?,
        start: row.parse_maybe("start", MOMENT, moment)?,
        duration: seconds("duration")?.map(Millis),
        limit: seconds("limit")?.map(Millis),
        devices,
        milli: MilliGpu(milli),
        cpu: MilliCpu(row.parse_maybe("cpus", "cores", thousandths)?.unwrap_or_default()),
        memory: memory.unwrap_or(Bytes::ZERO),
        machines: row.parse_maybe("nodes", "a whole number", |t| t.parse().ok())?.unwrap_or(0),
        models: match row.maybe("models") {
            Some(models) => models.split('|').map(str::to_owned).collect(),
            None => Vec::new(),
        },
        outcome: row.parse_maybe("outcome", OUTCOMES, outcome)?.unwrap_or_default(),
        active_percent: row.parse_maybe("active", "percent, `0` to `100`", percent)?,
    }))
}

/// Whole devices, or one of which a part is asked for.
fn gpus(text: &str) -> Option<(u32, u64)> {
    match thousandths(text)? {
        0 => Some((0, 0)),
        part @ 1..1000 => Some((1, part)),
        milli if milli % 1000 == 0 => Some((u32::try_from(milli / 1000).ok()?, 1000)),
        _ => None,
    }
}

fn percent(text: &str) -> Option<u8> {
    u8::try_from(thousandths(text)? / 1000).ok().filter(|percent| *percent <= 100)
}

const OUTCOMES: &str = "`completed`, `failed`, `cancelled` or `timeout`";

fn outcome(text: &str) -> Option<Outcome> {
    match text.to_ascii_lowercase().as_str() {
        "completed" => Some(Outcome::Completed),
        "failed" => Some(Outcome::Failed),
        "cancelled" => Some(Outcome::Cancelled),
        "timeout" => Some(Outcome::TimedOut),
        _ => None,
    }
}
