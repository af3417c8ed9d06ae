//! What runs used of devices: totals for each member of each start, and what of them is to be put
//! on the ledger yet.
//!
//! A total never goes back, so one that comes late or twice changes nothing. Its growth waits here
//! until the device's time is settled, in whose transaction it moves: each microsecond is on the
//! ledger once, whoever dies in between.

use crate::column::{first, int, parsed, rows, small, uint, uint_opt, word};
use crate::ledger::Held;
use crate::{Read, StoreError, Write};
use rusqlite::{Row, params};
use std::collections::BTreeMap;
use weft_meter::{DeviceSample, Interval, Measured, UseSample};
use weft_types::{
    Attempt, Bytes, DeviceId, DeviceUse, Member, MilliGpu, Millis, Timestamp, UseSource, Work,
    WorkloadId,
};

/// Nanoseconds of a microsecond: figures are kept in the one and come in the other.
const NS_PER_US: u64 = 1_000;

/// What one member of one start used of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceUseRow {
    /// Of which start.
    pub attempt: Attempt,
    /// Which member.
    pub member: Member,
    /// Measured or sampled; whether the device exists is its row's to say.
    pub source: UseSource,
    /// What.
    pub used: DeviceUse,
}

/// What a member of a start was given of a device, and what it used of that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceHeld {
    /// Which member.
    pub member: Member,
    /// Which device.
    pub device: DeviceId,
    /// How much of it.
    pub milli: MilliGpu,
    /// How much of its memory.
    pub memory: Bytes,
    /// Held so far: microseconds of the whole device.
    pub held_us: u64,
    /// What was used; none where nobody can tell.
    pub used: Option<DeviceUseRow>,
}

impl Read<'_> {
    /// What a start of a workload was given of devices until `now`, and used of it.
    pub fn devices_held(
        &self,
        id: WorkloadId,
        attempt: Attempt,
        now: Timestamp,
    ) -> Result<Vec<DeviceHeld>, StoreError> {
        let mut used = self.device_use(id, Some(attempt))?;
        let mut query = self.conn.prepare_cached(
            "SELECT member, node, device, sum(milli) AS milli, sum(memory) AS memory,
             sum(milli * max(0, coalesce(until_ms, ?3) - from_ms)) AS held
             FROM holdings WHERE workload = ?1 AND attempt = ?2 AND device IS NOT NULL
             GROUP BY member, node, device ORDER BY member, node, device",
        )?;
        rows(query.query(params![int(id.0), attempt.0, int(now.0)])?, |row| {
            let member = Member(small(row, "member")?);
            let device = DeviceId { node: parsed(row, "node")?, index: row.get("device")? };
            let own = |row: &DeviceUseRow| row.member == member && row.used.device == device;
            let used = used.iter().position(own).map(|at| used.swap_remove(at));
            let (milli, memory) = (MilliGpu(uint(row, "milli")?), Bytes(uint(row, "memory")?));
            Ok(DeviceHeld { member, device, milli, memory, held_us: uint(row, "held")?, used })
        })
    }

    /// What a workload used of devices, by start, member and device; of one start, where it is
    /// named.
    pub fn device_use(
        &self,
        id: WorkloadId,
        attempt: Option<Attempt>,
    ) -> Result<Vec<DeviceUseRow>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT * FROM device_use WHERE workload = ?1 AND attempt BETWEEN ?2 AND ?3
             ORDER BY attempt, member, node, device",
        )?;
        let (least, most) = attempt.map_or((0, u32::MAX), |attempt| (attempt.0, attempt.0));
        rows(query.query(params![int(id.0), least, most])?, device_use)
    }

    /// What one member of a start used of a device; none where nobody can tell.
    pub fn member_use(
        &self,
        id: WorkloadId,
        attempt: Attempt,
        member: Member,
        device: &DeviceId,
    ) -> Result<Option<DeviceUseRow>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT * FROM device_use WHERE workload = ?1 AND attempt = ?2 AND member = ?3
             AND node = ?4 AND device = ?5",
        )?;
        let key = params![int(id.0), attempt.0, member.0, device.node.as_str(), device.index];
        first(query.query(key)?, device_use)
    }

    /// What is measured of a device: of those who hold it, and of those whose last word came when
    /// they no longer did.
    pub(crate) fn measured(
        &self,
        device: &DeviceId,
        held: &[Held],
    ) -> Result<BTreeMap<WorkloadId, Measured>, StoreError> {
        let mut out = BTreeMap::new();
        let mut due = self.conn.prepare_cached(DUE)?;
        let mut found = due.query(params![device.node.as_str(), device.index])?;
        while let Some(row) = found.next()? {
            let own: &mut Measured = out.entry(WorkloadId(uint(row, "workload")?)).or_default();
            own.active = own.active.saturating_add(uint(row, "due")?);
        }
        for Held { holding, attempt, member } in held {
            let row = self.member_use(holding.workload, *attempt, *member, device)?;
            let timed = |row: &DeviceUseRow| row.used.gpu_ns.is_some();
            if let Some(row) = row.filter(|row| row.source == UseSource::Measured && timed(row)) {
                let own: &mut Measured = out.entry(holding.workload).or_default();
                own.memory += row.used.memory;
            }
        }
        Ok(out)
    }
}

fn device_use(row: &Row<'_>) -> Result<DeviceUseRow, StoreError> {
    let bytes = |name| Ok::<_, StoreError>(uint_opt(row, name)?.map(Bytes));
    let moved = bytes("to_device")?.zip(bytes("from_device")?);
    let work = uint_opt(row, "launches")?.zip(moved);
    Ok(DeviceUseRow {
        attempt: Attempt(small(row, "attempt")?),
        member: Member(small(row, "member")?),
        source: word(row, "source")?,
        used: DeviceUse {
            device: DeviceId { node: parsed(row, "node")?, index: row.get("device")? },
            gpu_ns: uint_opt(row, "gpu_us")?.map(|us| us.saturating_mul(NS_PER_US)),
            work: work.map(|(launches, (to_device, from_device))| Work {
                launches,
                to_device,
                from_device,
            }),
            memory: Bytes(uint(row, "memory")?),
            memory_peak: Bytes(uint(row, "memory_peak")?),
            active_at: uint_opt(row, "active_at")?.map(Timestamp),
        },
    })
}

/// What was measured of a device and is not on the ledger.
pub(crate) const DUE: &str = "SELECT workload, gpu_us - settled_us AS due FROM device_use
     WHERE node = ?1 AND device = ?2 AND gpu_us > settled_us";

impl Write<'_> {
    /// Takes in totals, as far as they are news.
    pub(crate) fn count_use(
        &mut self,
        at: Timestamp,
        sample: &UseSample,
    ) -> Result<(), StoreError> {
        let (used, work) = (&sample.used, sample.used.work.as_ref());
        self.conn.prepare_cached(COUNT)?.execute(params![
            int(sample.workload.0),
            sample.attempt.0,
            sample.member.0,
            used.device.node.as_str(),
            used.device.index,
            used.gpu_ns.map(|ns| int(ns / NS_PER_US)),
            work.map(|work| int(work.launches)),
            work.map(|work| int(work.to_device.0)),
            work.map(|work| int(work.from_device.0)),
            int(used.memory.0),
            int(used.memory_peak.0),
            used.active_at.map(|seen| int(seen.min(at).0)),
            int(at.0),
        ])?;
        Ok(())
    }

    /// What was measured of a device is on the ledger now.
    pub(crate) fn use_settled(&mut self, device: &DeviceId) -> Result<(), StoreError> {
        self.conn
            .prepare_cached(
                "UPDATE device_use SET settled_us = gpu_us
                 WHERE node = ?1 AND device = ?2 AND gpu_us > settled_us",
            )?
            .execute(params![device.node.as_str(), device.index])?;
        Ok(())
    }

    /// Adds what the driver said of a device to the totals of who holds it whole; `span` is the
    /// time that the intervals are of.
    pub(crate) fn add_sampled(
        &mut self,
        at: Timestamp,
        sample: &DeviceSample,
        held: &[Held],
        (intervals, span): (&[Interval], Millis),
    ) -> Result<(), StoreError> {
        let device = &sample.device;
        for one in held {
            let account = weft_meter::Account::Workload(one.holding.workload);
            let own = intervals.iter().filter(|i| i.account == account && i.sampled > 0);
            let sum = |figure: fn(&Interval) -> u64| {
                own.clone().map(figure).fold(0, |sum, one| one.saturating_add(sum))
            };
            if own.clone().next().is_none() {
                continue;
            }
            let active = sum(|i| i.active);
            self.conn.prepare_cached(SAMPLED)?.execute(params![
                int(one.holding.workload.0),
                one.attempt.0,
                one.member.0,
                device.node.as_str(),
                device.index,
                int(active),
                int(sum(|i| i.memory) / span.0.max(1)),
                (active > 0).then_some(int(at.0)),
            ])?;
        }
        Ok(())
    }
}

/// Greater is later. Time since the last report in which something was counted was active, whether
/// or not the agent saw when: it may have been another agent.
const COUNT: &str = "INSERT INTO device_use
    VALUES (?1, ?2, ?3, ?4, ?5, 'measured', ?6, 0, ?7, ?8, ?9, ?10, ?11,
            CASE WHEN ?6 > 0 OR ?7 > 0 OR ?8 > 0 OR ?9 > 0 THEN coalesce(?12, ?13) ELSE ?12 END)
    ON CONFLICT (workload, attempt, member, node, device) DO UPDATE SET
    source = 'measured',
    gpu_us = max(coalesce(gpu_us, ?6), coalesce(?6, gpu_us)),
    launches = max(coalesce(launches, ?7), coalesce(?7, launches)),
    to_device = max(coalesce(to_device, ?8), coalesce(?8, to_device)),
    from_device = max(coalesce(from_device, ?9), coalesce(?9, from_device)),
    memory = ?10, memory_peak = max(memory_peak, ?11),
    active_at = CASE
        WHEN ?6 > gpu_us OR ?7 > launches OR ?8 > to_device OR ?9 > from_device
        THEN max(coalesce(active_at, 0), coalesce(?12, ?13))
        ELSE max(coalesce(active_at, ?12), coalesce(?12, active_at)) END
    WHERE (source, memory) IS NOT ('measured', ?10) OR memory_peak < ?11
    OR gpu_us IS NOT ?6 OR launches IS NOT ?7 OR to_device IS NOT ?8 OR from_device IS NOT ?9
    OR coalesce(active_at, 0) < coalesce(?12, 0)";

const SAMPLED: &str = "INSERT INTO device_use
    VALUES (?1, ?2, ?3, ?4, ?5, 'sampled', ?6, ?6, NULL, NULL, NULL, ?7, ?7, ?8)
    ON CONFLICT (workload, attempt, member, node, device) DO UPDATE SET
    gpu_us = coalesce(gpu_us, 0) + ?6, settled_us = settled_us + ?6,
    memory = ?7, memory_peak = max(memory_peak, ?7),
    active_at = coalesce(?8, active_at)
    WHERE source = 'sampled'";
