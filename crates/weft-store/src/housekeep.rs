//! Housekeeping: folds what is older than a day to hours, forgets what has outlived its use.
//!
//! Done in slices, each a transaction of its own, so that no caller waits behind a long one.

use crate::column::{int, rows, uint};
use crate::ledger::{device_id, interval};
use crate::limits::KEEP_FINE;
use crate::usage::point;
use crate::{Read, Store, StoreError, Write};
use rusqlite::params;
use std::collections::BTreeMap;
use weft_meter::{HOUR, Interval, Point, fold, fold_points};
use weft_types::{DeviceId, Timestamp, WorkloadId};

/// Rows folded in one transaction: some tens of milliseconds of work.
const SLICE: u32 = 2_000;

impl Read<'_> {
    fn fine_intervals(&self, before: u64) -> Result<Vec<(DeviceId, Interval)>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT * FROM ledger WHERE fine = 1 AND from_ms < ?1 ORDER BY from_ms LIMIT ?2",
        )?;
        let found = query.query(params![int(before), SLICE])?;
        rows(found, |row| Ok((device_id(row)?, interval(row)?)))
    }

    fn fine_points(&self, before: u64) -> Result<Vec<(WorkloadId, Point)>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT * FROM points WHERE fine = 1 AND at <= ?1 ORDER BY workload, at LIMIT ?2",
        )?;
        let found = query.query(params![int(before), SLICE])?;
        rows(found, |row| Ok((WorkloadId(uint(row, "workload")?), point(row)?)))
    }
}

impl Store {
    /// What has to be done about once an hour.
    pub async fn housekeep(&self, now: Timestamp) -> Result<(), StoreError> {
        while self.write(move |w| w.housekeep_slice(now)).await? {}
        Ok(())
    }
}

impl Write<'_> {
    /// A slice of the work; whether there is more of it.
    fn housekeep_slice(&mut self, now: Timestamp) -> Result<bool, StoreError> {
        self.forget_responses(now)?;
        // Whole hours only: an hour is folded when its last minute is a day old.
        let oldest = now.0.saturating_sub(KEEP_FINE.0);
        let before = oldest - oldest % HOUR.0;
        let more = self.fold_ledger(before)?;
        Ok(self.fold_curves(before)? || more)
    }

    fn fold_ledger(&mut self, before: u64) -> Result<bool, StoreError> {
        let found = self.fine_intervals(before)?;
        let more = found.len() == SLICE as usize;
        let mut by_device: BTreeMap<DeviceId, Vec<Interval>> = BTreeMap::new();
        for (device, interval) in found {
            by_device.entry(device).or_default().push(interval);
        }
        for (device, fine) in by_device {
            for one in &fine {
                self.delete_interval(&device, one)?;
            }
            // An hour cut by the end of the slice meets its other part in the same row.
            for coarse in fold(&fine, HOUR) {
                self.add_interval(&device, &coarse, false)?;
            }
        }
        Ok(more)
    }

    fn delete_interval(&mut self, device: &DeviceId, one: &Interval) -> Result<(), StoreError> {
        self.conn
            .prepare_cached(
                "DELETE FROM ledger WHERE node = ?1 AND device = ?2 AND from_ms = ?3
                 AND account = ?4",
            )?
            .execute(params![
                device.node.as_str(),
                device.index,
                int(one.from.0),
                crate::ledger::number(one.account),
            ])?;
        Ok(())
    }

    fn fold_curves(&mut self, before: u64) -> Result<bool, StoreError> {
        let found = self.fine_points(before)?;
        let more = found.len() == SLICE as usize;
        let mut by_workload: BTreeMap<WorkloadId, Vec<Point>> = BTreeMap::new();
        for (id, point) in found {
            by_workload.entry(id).or_default().push(point);
        }
        for (id, fine) in by_workload {
            for one in &fine {
                self.conn
                    .prepare_cached("DELETE FROM points WHERE workload = ?1 AND at = ?2")?
                    .execute(params![int(id.0), int(one.at.0)])?;
            }
            for coarse in fold_points(&fine, HOUR) {
                self.put_point(id, &coarse, false)?;
            }
        }
        Ok(more)
    }
}
