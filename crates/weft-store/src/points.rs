//! Metrics of tracked runs: the latest point of each, and all that there were.

use crate::column::{first, int, rows};
use crate::tracked::{ROW_BYTES, TrackedId};
use crate::{Read, StoreError, Write};
use rusqlite::{Row, params};
use std::collections::BTreeMap;
use weft_tracking::check::Point;

/// Where a page of a metric's history ends: moment, step and value of its last point. The next one
/// begins behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PointMark {
    /// Milliseconds since 1970.
    pub at: i64,
    /// Step.
    pub step: i64,
    /// The value, turned as the table has it.
    pub value: i64,
}

/// A float as an integer that is ordered as floats are, NaN of any kind last: the bits, of which
/// all but the sign are turned where it is set (IEEE 754-2008, §5.10, `totalOrder`).
pub(crate) fn turned(value: f64) -> i64 {
    let bits = if value.is_nan() { f64::NAN.abs() } else { value }.to_bits().cast_signed();
    bits ^ (bits >> 63 & i64::MAX)
}

/// The float again.
pub(crate) fn float(turned: i64) -> f64 {
    f64::from_bits((turned ^ (turned >> 63 & i64::MAX)).cast_unsigned())
}

impl Read<'_> {
    /// The latest point of each metric of a run, by key.
    pub fn tracked_metrics(&self, run: TrackedId) -> Result<Vec<Point>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT key, at, step, value FROM run_metrics WHERE run = ?1 ORDER BY key",
        )?;
        rows(query.query([int(run.0)])?, |row| {
            let (key, value) = (row.get(0)?, float(row.get(3)?));
            Ok(Point { key, timestamp: row.get(1)?, step: row.get(2)?, value })
        })
    }

    /// The latest value of one metric.
    pub fn tracked_metric(&self, run: TrackedId, key: &str) -> Result<Option<f64>, StoreError> {
        let mut query = self
            .conn
            .prepare_cached("SELECT value FROM run_metrics WHERE run = ?1 AND key = ?2")?;
        first(query.query(params![int(run.0), key])?, |row| Ok(float(row.get(0)?)))
    }

    /// The points of a metric in the order of moment, step and value, behind a mark; so many at
    /// most.
    pub fn metric_history(
        &self,
        (run, key): (TrackedId, &str),
        behind: Option<PointMark>,
        limit: usize,
    ) -> Result<Vec<(Point, PointMark)>, StoreError> {
        let Some((metric, _)) = self.metric(run, key)? else { return Ok(Vec::new()) };
        // Before every point: times are not negative.
        let mark = behind.unwrap_or(PointMark { at: -1, step: 0, value: 0 });
        let mut query = self.conn.prepare_cached(
            "SELECT at, step, value FROM metric_points
             WHERE metric = ?1 AND (at, step, value) > (?2, ?3, ?4)
             ORDER BY at, step, value LIMIT ?5",
        )?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let found = query.query([metric, mark.at, mark.step, mark.value, limit])?;
        rows(found, |row| {
            let mark = mark_of(row)?;
            let (key, value) = (key.to_owned(), float(mark.value));
            Ok((Point { key, timestamp: mark.at, step: mark.step, value }, mark))
        })
    }

    fn metric(&self, run: TrackedId, key: &str) -> Result<Option<(i64, PointMark)>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT at, step, value, id FROM run_metrics WHERE run = ?1 AND key = ?2",
        )?;
        first(query.query(params![int(run.0), key])?, |row| Ok((row.get(3)?, mark_of(row)?)))
    }
}

impl Write<'_> {
    /// Keeps points of a run, each once; by how many bytes the run grew.
    pub fn keep_points(&mut self, run: TrackedId, points: &[Point]) -> Result<i64, StoreError> {
        let mut by_key: BTreeMap<&str, Vec<PointMark>> = BTreeMap::new();
        for point in points {
            let mark =
                PointMark { at: point.timestamp, step: point.step, value: turned(point.value) };
            by_key.entry(&point.key).or_default().push(mark);
        }
        let mut grown = 0;
        for (key, marks) in by_key {
            grown += self.keep_points_of(run, key, &marks)?;
        }
        Ok(grown)
    }

    fn keep_points_of(
        &mut self,
        run: TrackedId,
        key: &str,
        marks: &[PointMark],
    ) -> Result<i64, StoreError> {
        let order = |mark: &PointMark| (mark.step, mark.at, mark.value);
        let Some(latest) = marks.iter().copied().max_by_key(order) else { return Ok(0) };
        let mut grown = 0;
        let metric = match self.metric(run, key)? {
            Some((metric, was)) => {
                if order(&was) < order(&latest) {
                    let mut update = self.conn.prepare_cached(
                        "UPDATE run_metrics SET step = ?2, at = ?3, value = ?4 WHERE id = ?1",
                    )?;
                    update.execute([metric, latest.step, latest.at, latest.value])?;
                }
                metric
            }
            None => {
                let mut insert = self.conn.prepare_cached(
                    "INSERT INTO run_metrics (run, key, step, at, value)
                     VALUES (?1, ?2, ?3, ?4, ?5)",
                )?;
                let PointMark { at, step, value } = latest;
                insert.execute(params![int(run.0), key, step, at, value])?;
                grown += 2 * ROW_BYTES + i64::try_from(2 * key.len()).unwrap_or(i64::MAX);
                self.conn.last_insert_rowid()
            }
        };
        let mut insert = self
            .conn
            .prepare_cached("INSERT OR IGNORE INTO metric_points VALUES (?1, ?2, ?3, ?4)")?;
        for mark in marks {
            if insert.execute([metric, mark.at, mark.step, mark.value])? == 1 {
                grown += ROW_BYTES;
            }
        }
        Ok(grown)
    }
}

fn mark_of(row: &Row<'_>) -> Result<PointMark, StoreError> {
    Ok(PointMark { at: row.get(0)?, step: row.get(1)?, value: row.get(2)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_kept_and_ordered() {
        let floats =
            [f64::NEG_INFINITY, -1e300, -1.5, -0.0, 0.0, 1e-300, 2.0, f64::INFINITY, f64::NAN];
        for pair in floats.windows(2) {
            assert!(turned(pair[0]) < turned(pair[1]), "{pair:?}");
        }
        for value in floats {
            assert_eq!(float(turned(value)).to_bits(), value.to_bits(), "{value}");
        }
        assert_eq!(turned(-f64::NAN), turned(f64::NAN));
    }
}
