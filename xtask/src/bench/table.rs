//! What was measured against what was promised, as a table.

use std::time::Duration;

/// One promise.
pub(super) struct Row {
    what: String,
    measured: String,
    bar: String,
    ok: bool,
}

impl Row {
    /// A duration that may be at most so long.
    pub(super) fn at_most(what: &str, measured: Duration, bar: Duration) -> Row {
        let ms = |span: Duration| format!("{:.1} ms", span.as_secs_f64() * 1000.0);
        Row {
            what: what.to_owned(),
            measured: ms(measured),
            bar: format!("<= {}", ms(bar)),
            ok: measured <= bar,
        }
    }

    /// A size that may be at most so large.
    pub(super) fn bytes_at_most(what: &str, measured: u64, bar: u64) -> Row {
        let mb = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
        Row {
            what: what.to_owned(),
            measured: mb(measured),
            bar: format!("<= {}", mb(bar)),
            ok: measured <= bar,
        }
    }

    /// A count that has to be exactly so.
    pub(super) fn exactly(what: &str, measured: u64, bar: u64) -> Row {
        Row {
            what: what.to_owned(),
            measured: measured.to_string(),
            bar: format!("= {bar}"),
            ok: measured == bar,
        }
    }

    /// A bench that could not be run is a broken promise.
    pub(super) fn broken(what: &str, why: String) -> Row {
        Row { what: what.to_owned(), measured: why, bar: "runs".to_owned(), ok: false }
    }

    /// A promise that something else has measured and judged.
    pub(super) fn judged(what: &str, measured: &str, bar: &str, ok: bool) -> Row {
        Row { what: what.to_owned(), measured: measured.to_owned(), bar: bar.to_owned(), ok }
    }
}

/// Prints the table; fails when a promise is broken.
pub(super) fn print(rows: &[Row]) -> crate::Outcome {
    println!("\n| what | measured | bar | |\n|--|--|--|--|");
    for row in rows {
        let ok = if row.ok { "ok" } else { "over" };
        println!("| {} | {} | {} | {ok} |", row.what, row.measured, row.bar);
    }
    match rows.iter().filter(|row| !row.ok).count() {
        0 => Ok(()),
        count => Err(format!("{count} of {} promises are not kept", rows.len())),
    }
}

/// The value below which that many per cent of the samples lie (nearest rank).
pub(super) fn percentile(samples: &[Duration], percent: usize) -> Duration {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * percent).div_ceil(100).max(1) - 1;
    sorted.get(rank).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_nearest_rank() {
        let samples: Vec<_> = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!(percentile(&samples, 50).as_millis(), 50);
        assert_eq!(percentile(&samples, 95).as_millis(), 95);
        assert_eq!(percentile(&samples[..1], 95).as_millis(), 100);
        assert_eq!(percentile(&[], 95), Duration::ZERO);
    }
}
