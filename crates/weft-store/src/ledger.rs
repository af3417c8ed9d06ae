//! The ledger's rows: device time by account, settled with each sample.

use crate::column::{int, rows, small, uint, uint_opt};
use crate::{Read, StoreError, Write};
use rusqlite::{Row, params};
use weft_meter::{Account, Balance, DeviceSample, Holding, Interval, WHOLE, settle, went_back};
use weft_types::{Attempt, DeviceId, Member, Millis, Timestamp, WorkloadId};

/// The idle account's number; workloads have theirs, from 1.
const IDLE: i64 = -1;

/// The unobserved account's number.
const UNOBSERVED: i64 = -2;

/// What overlaps a time of a device's history. Two questions, since SQLite walks all of the
/// history for one with OR.
pub(crate) const HELD: &str = "SELECT workload, attempt, member, milli, from_ms, until_ms
     FROM holdings
     WHERE device IS NOT NULL AND node = ?1 AND device = ?2 AND until_ms > ?3 AND from_ms < ?4
     UNION ALL
     SELECT workload, attempt, member, milli, from_ms, until_ms FROM holdings
     WHERE device IS NOT NULL AND node = ?1 AND device = ?2 AND until_ms IS NULL AND from_ms < ?4";

/// What a member of a start held of a device.
pub(crate) struct Held {
    pub(crate) attempt: Attempt,
    pub(crate) member: Member,
    pub(crate) holding: Holding,
}

/// One device's sums.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerDevice {
    /// Which.
    pub device: DeviceId,
    /// Its first sample: accounting begins there.
    pub from: Timestamp,
    /// Its last sample: it is accounted for until there; before `from` where a clock was set back.
    pub until: Timestamp,
    /// What has to come out and what does, in thousandths of the device times milliseconds.
    pub balance: Balance,
}

impl Read<'_> {
    /// Every device that was ever sampled, with its sums over all time: where
    /// [`Balance::error_ppm`] is not 0, a device was given twice or a row was lost.
    pub fn ledger_check(&self) -> Result<Vec<LedgerDevice>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT d.node, d.device, d.from_ms, d.settled_ms, d.wall_ms,
             coalesce(sum(l.allocated) FILTER (WHERE l.account > 0), 0) AS allocated,
             coalesce(sum(l.allocated) FILTER (WHERE l.account = -1), 0) AS idle,
             coalesce(sum(l.allocated) FILTER (WHERE l.account = -2), 0) AS unobserved
             FROM ledger_devices d LEFT JOIN ledger l USING (node, device)
             GROUP BY d.node, d.device ORDER BY d.node, d.device",
        )?;
        rows(query.query([])?, |row| {
            let (from, until) =
                (Timestamp(uint(row, "from_ms")?), Timestamp(uint(row, "settled_ms")?));
            let balance = Balance {
                wall: uint(row, "wall_ms")?.saturating_mul(WHOLE),
                allocated: uint(row, "allocated")?,
                idle: uint(row, "idle")?,
                unobserved: uint(row, "unobserved")?,
            };
            Ok(LedgerDevice { device: device_id(row)?, from, until, balance })
        })
    }

    fn settled(&self, device: &DeviceId) -> Result<Option<Timestamp>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT settled_ms FROM ledger_devices WHERE node = ?1 AND device = ?2",
        )?;
        let mut found = query.query(params![device.node.as_str(), device.index])?;
        found.next()?.map(|row| Ok(Timestamp(uint(row, "settled_ms")?))).transpose()
    }

    /// What overlaps `from..until` of a device's history.
    fn holdings(
        &self,
        device: &DeviceId,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Held>, StoreError> {
        let mut query = self.conn.prepare_cached(HELD)?;
        let key = params![device.node.as_str(), device.index, int(from.0), int(until.0)];
        rows(query.query(key)?, |row| {
            let holding = Holding {
                workload: WorkloadId(uint(row, "workload")?),
                milli: uint(row, "milli")?,
                from: Timestamp(uint(row, "from_ms")?),
                until: uint_opt(row, "until_ms")?.map(Timestamp),
            };
            let (attempt, member) =
                (Attempt(small(row, "attempt")?), Member(small(row, "member")?));
            Ok(Held { attempt, member, holding })
        })
    }
}

impl Write<'_> {
    /// Puts a device's time until `at` on accounts; gives how long that was, and the intervals.
    pub(crate) fn settle_device(
        &mut self,
        at: Timestamp,
        sample: &DeviceSample,
    ) -> Result<(Millis, Vec<Interval>), StoreError> {
        let device = &sample.device;
        let key = params![device.node.as_str(), device.index, int(at.0)];
        let Some(settled) = self.settled(device)? else {
            // Its first sample: there is no time before it that anyone could account for.
            self.conn
                .prepare_cached(
                    "INSERT INTO ledger_devices VALUES (?1, ?2, coalesce((SELECT simulated
                     FROM devices WHERE node = ?1 AND device = ?2), 0), ?3, ?3, 0)",
                )?
                .execute(key)?;
            return Ok((Millis::ZERO, Vec::new()));
        };
        if went_back(settled, at) {
            self.set_clock_back(device, at)?;
            return Ok((Millis::ZERO, Vec::new()));
        }
        let held = self.holdings(device, settled, at)?;
        let measured = self.measured(device, &held)?;
        let holdings: Vec<_> = held.iter().map(|held| held.holding).collect();
        let intervals = settle(settled, at, &holdings, sample, &measured);
        for interval in &intervals {
            self.add_interval(device, interval, true)?;
        }
        if !intervals.is_empty() {
            self.use_settled(device)?;
            self.add_sampled(at, sample, &held, (&intervals, at.since(settled)))?;
        }
        self.conn
            .prepare_cached(
                "UPDATE ledger_devices SET wall_ms = wall_ms + max(0, ?3 - settled_ms),
                 settled_ms = max(settled_ms, ?3) WHERE node = ?1 AND device = ?2",
            )?
            .execute(key)?;
        Ok((at.since(settled), intervals))
    }

    /// A wrong clock was set right: accounting goes on from `at`, and so does what is held since
    /// a moment that has not come yet.
    fn set_clock_back(&mut self, device: &DeviceId, at: Timestamp) -> Result<(), StoreError> {
        let key = params![device.node.as_str(), device.index, int(at.0)];
        self.conn
            .prepare_cached(
                "UPDATE ledger_devices SET settled_ms = ?3 WHERE node = ?1 AND device = ?2",
            )?
            .execute(key)?;
        self.conn
            .prepare_cached(
                "UPDATE holdings SET from_ms = ?3 WHERE node = ?1
                 AND (device = ?2 OR device IS NULL) AND until_ms IS NULL AND from_ms > ?3",
            )?
            .execute(key)?;
        Ok(())
    }

    /// Adds an interval to its row.
    pub(crate) fn add_interval(
        &mut self,
        device: &DeviceId,
        interval: &Interval,
        fine: bool,
    ) -> Result<(), StoreError> {
        let mut put = self.conn.prepare_cached(
            "INSERT INTO ledger VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
             ON CONFLICT (node, device, from_ms, account) DO UPDATE SET
             until_ms = max(until_ms, ?5), allocated = allocated + ?6, active = active + ?7,
             memory = memory + ?8, fine = min(fine, ?9), measured = measured + ?10,
             sampled = sampled + ?11",
        )?;
        put.execute(params![
            device.node.as_str(),
            device.index,
            int(interval.from.0),
            number(interval.account),
            int(interval.until.0),
            int(interval.allocated),
            int(interval.active),
            int(interval.memory),
            fine,
            int(interval.measured),
            int(interval.sampled),
        ])?;
        Ok(())
    }
}

pub(crate) fn number(account: Account) -> i64 {
    match account {
        Account::Workload(id) => int(id.0),
        Account::Idle => IDLE,
        Account::Unobserved => UNOBSERVED,
    }
}

pub(crate) fn device_id(row: &Row<'_>) -> Result<DeviceId, StoreError> {
    Ok(DeviceId { node: crate::column::parsed(row, "node")?, index: row.get("device")? })
}

pub(crate) fn interval(row: &Row<'_>) -> Result<Interval, StoreError> {
    let account: i64 = row.get("account")?;
    Ok(Interval {
        from: Timestamp(uint(row, "from_ms")?),
        until: Timestamp(uint(row, "until_ms")?),
        account: match account {
            IDLE => Account::Idle,
            UNOBSERVED => Account::Unobserved,
            id => Account::Workload(WorkloadId(id.unsigned_abs())),
        },
        allocated: uint(row, "allocated")?,
        active: uint(row, "active")?,
        memory: uint(row, "memory")?,
        measured: uint(row, "measured")?,
        sampled: uint(row, "sampled")?,
    })
}
