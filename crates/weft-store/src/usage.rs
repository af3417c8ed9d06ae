//! Use: curves of single workloads, and what each used in all.

use crate::column::{first, int, rows, uint, word};
use crate::limits::PAGE_MAX;
use crate::{Read, StoreError, Write};
use rusqlite::{Row, params};
use std::collections::BTreeMap;
use weft_meter::{Account, Point, Sample, UseSample, WHOLE, WorkloadSample};
use weft_types::{Attempt, Bytes, NodeId, Timestamp, UseSource, WorkloadId};

/// What a member's counters last said, so that only growth is counted.
struct Counter {
    attempt: Attempt,
    at: Timestamp,
    cpu_us: u64,
}

/// What a workload used and held, over all its starts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UsageTotals {
    /// Time with capacity held.
    pub held_ms: u64,
    /// Processor time used, in microseconds.
    pub cpu_us: u64,
    /// Processor time allocated, in milliseconds of one core.
    pub cpu_allocated_ms: u64,
    /// Highest memory use of a member.
    pub memory_peak: Bytes,
    /// Device time allocated, in milliseconds of one device.
    pub gpu_allocated_ms: u64,
    /// Of that, time in which its kernels ran; none where nobody can tell.
    pub gpu_active_ms: Option<u64>,
    /// Who says so; sampled, where that is true of any of its starts.
    pub gpu_source: Option<UseSource>,
}

impl Read<'_> {
    /// What a workload used and held until `now`, over all its starts. What is allocated comes
    /// from the history of placements, so it is exact before the next sample.
    pub fn usage(&self, id: WorkloadId, now: Timestamp) -> Result<UsageTotals, StoreError> {
        let mut total = UsageTotals::default();
        let mut used = self.conn.prepare_cached(
            "SELECT cpu_us, w.memory_peak, gpu_active > 0 OR count(gpu_us) > 0 AS known,
             coalesce(max(source), 'sampled') AS source,
             gpu_active + coalesce(sum(gpu_us - settled_us), 0) AS used
             FROM workloads w LEFT JOIN device_use ON workload = id WHERE id = ?1 GROUP BY id",
        )?;
        if let Some(row) = used.query([int(id.0)])?.next()? {
            total.cpu_us = uint(row, "cpu_us")?;
            total.memory_peak = Bytes(uint(row, "memory_peak")?);
            // What is not on the ledger yet is known all the same.
            let active = uint(row, "used")? / WHOLE;
            if row.get("known")? {
                total.gpu_active_ms = Some(active);
                total.gpu_source = Some(word(row, "source")?);
            }
        }
        let mut held = self.conn.prepare_cached(
            "SELECT device IS NOT NULL AS gpu, milli, member = 0 AS one,
             max(0, coalesce(until_ms, ?2) - from_ms) AS span
             FROM holdings WHERE workload = ?1",
        )?;
        let mut found = held.query(params![int(id.0), int(now.0)])?;
        let (mut cpu, mut gpu) = (0u128, 0u128);
        while let Some(row) = found.next()? {
            let (milli, span) = (uint(row, "milli")?, uint(row, "span")?);
            let sum = if row.get("gpu")? { &mut gpu } else { &mut cpu };
            *sum += u128::from(milli) * u128::from(span);
            if !row.get("gpu")? && row.get("one")? {
                total.held_ms += span;
            }
        }
        let whole = |sum: u128| u64::try_from(sum / u128::from(WHOLE)).unwrap_or(u64::MAX);
        total.cpu_allocated_ms = whole(cpu);
        total.gpu_allocated_ms = whole(gpu);
        Ok(total)
    }

    /// A workload's curve from `since`, oldest first: the newest `limit` points of it
    /// (≤ [`crate::PAGE_MAX`]).
    pub fn points(
        &self,
        id: WorkloadId,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<Point>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT * FROM points WHERE workload = ?1 AND at >= ?2 ORDER BY at DESC LIMIT ?3",
        )?;
        let found = query.query(params![int(id.0), int(since.0), limit.min(PAGE_MAX)])?;
        let mut out = rows(found, point)?;
        out.reverse();
        Ok(out)
    }

    /// What a member's counters last said.
    fn counter(&self, member: &WorkloadSample) -> Result<Option<Counter>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT attempt, at, cpu_us FROM counters WHERE workload = ?1 AND member = ?2",
        )?;
        let found = query.query(params![int(member.workload.0), member.member.0])?;
        first(found, |row| {
            Ok(Counter {
                attempt: Attempt(row.get("attempt")?),
                at: Timestamp(uint(row, "at")?),
                cpu_us: uint(row, "cpu_us")?,
            })
        })
    }

    /// Where a member's first point of a start begins: when it got its capacity.
    fn first_counter(&self, at: Timestamp, m: &WorkloadSample) -> Result<Counter, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT max(from_ms) AS began FROM holdings
             WHERE workload = ?1 AND member = ?2 AND attempt = ?3 AND device IS NULL",
        )?;
        let key = params![int(m.workload.0), m.member.0, m.attempt.0];
        let began: Option<i64> = query.query_row(key, |row| row.get("began"))?;
        let at = began.map_or(at, |ms| Timestamp(ms.unsigned_abs()));
        Ok(Counter { attempt: m.attempt, at, cpu_us: 0 })
    }
}

impl Write<'_> {
    /// Takes in what a machine measured: its devices' time is settled up to the sample, and the
    /// curves of the members on it grow by a point. What comes late or twice counts once. One
    /// transaction a second is enough; nobody is woken. Devices of another machine than `node`
    /// are passed over: an agent speaks of its own.
    pub fn record_sample(&mut self, node: &NodeId, sample: &Sample) -> Result<(), StoreError> {
        let mut points = self.member_points(sample.at, &sample.workloads)?;
        for used in sample.uses.iter().filter(|sample| sample.used.device.node == *node) {
            self.count_use(sample.at, used)?;
        }
        for device in sample.devices.iter().filter(|d| d.device.node == *node) {
            let (window, intervals) = self.settle_device(sample.at, device)?;
            for interval in intervals {
                if let Account::Workload(id) = interval.account {
                    // Of one that has ended, no member was sampled: it is the device's time.
                    let ended = Point { span_ms: window.0, ..empty(sample.at) };
                    let point = points.entry(id).or_insert(ended);
                    point.gpu_active = point.gpu_active.saturating_add(interval.active);
                    point.gpu_known += interval.measured.saturating_add(interval.sampled);
                    point.gpu_memory += Bytes(interval.memory / window.0.max(1));
                }
            }
        }
        points.into_iter().try_for_each(|(id, point)| self.add_point(id, &point))
    }

    /// Takes in what members used, without a sample of their machine's devices: the last word of a
    /// member that ended. What is news of a device's time goes on the ledger with its next sample.
    pub fn record_usage(
        &mut self,
        at: Timestamp,
        members: &[WorkloadSample],
        uses: &[UseSample],
    ) -> Result<(), StoreError> {
        uses.iter().try_for_each(|sample| self.count_use(at, sample))?;
        let points = self.member_points(at, members)?;
        points.into_iter().try_for_each(|(id, point)| self.add_point(id, &point))
    }

    /// The members' growth since they were last sampled, by workload.
    fn member_points(
        &mut self,
        at: Timestamp,
        members: &[WorkloadSample],
    ) -> Result<BTreeMap<WorkloadId, Point>, StoreError> {
        let mut points: BTreeMap<WorkloadId, Point> = BTreeMap::new();
        for member in members {
            let last = match self.counter(member)? {
                Some(last) if last.attempt == member.attempt => last,
                // Of an earlier start: it came late.
                Some(last) if last.attempt > member.attempt => continue,
                _ => self.first_counter(at, member)?,
            };
            self.count(at, member)?;
            let point = points.entry(member.workload).or_insert(empty(at));
            point.span_ms = point.span_ms.max(at.since(last.at).0);
            // A counter that did not grow is a late or repeated sample: it counts nothing.
            point.cpu_us = point.cpu_us.saturating_add(member.cpu_us.saturating_sub(last.cpu_us));
            point.memory += member.memory;
        }
        Ok(points)
    }

    /// Remembers a member's counters, which never go back within a start.
    fn count(&mut self, at: Timestamp, member: &WorkloadSample) -> Result<(), StoreError> {
        let mut put = self.conn.prepare_cached(
            "INSERT INTO counters (workload, member, attempt, at, cpu_us)
             VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (workload, member) DO UPDATE SET
             at = CASE attempt WHEN ?3 THEN max(at, ?4) ELSE ?4 END,
             cpu_us = CASE attempt WHEN ?3 THEN max(cpu_us, ?5) ELSE ?5 END,
             attempt = ?3",
        )?;
        put.execute(params![
            int(member.workload.0),
            member.member.0,
            member.attempt.0,
            int(at.0),
            int(member.cpu_us),
        ])?;
        self.conn
            .prepare_cached(
                "UPDATE workloads SET memory_peak = max(memory_peak, ?2) WHERE id = ?1",
            )?
            .execute(params![int(member.workload.0), int(member.memory_peak.0)])?;
        Ok(())
    }

    fn add_point(&mut self, id: WorkloadId, point: &Point) -> Result<(), StoreError> {
        self.put_point(id, point, true)?;
        self.conn
            .prepare_cached(
                "UPDATE workloads SET cpu_us = cpu_us + ?2, gpu_active = gpu_active + ?3
                 WHERE id = ?1",
            )?
            .execute(params![int(id.0), int(point.cpu_us), int(point.gpu_active)])?;
        Ok(())
    }

    /// Writes a point; one that is there for the same moment (another machine's) is joined.
    pub(crate) fn put_point(
        &mut self,
        id: WorkloadId,
        point: &Point,
        fine: bool,
    ) -> Result<(), StoreError> {
        let mut put = self.conn.prepare_cached(
            "INSERT INTO points VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT (workload, at) DO UPDATE SET span = max(span, ?3),
             cpu_us = cpu_us + ?4, memory = max(memory, ?5), gpu_active = gpu_active + ?6,
             gpu_memory = max(gpu_memory, ?7), gpu_known = gpu_known + ?9",
        )?;
        put.execute(params![
            int(id.0),
            int(point.at.0),
            int(point.span_ms),
            int(point.cpu_us),
            int(point.memory.0),
            int(point.gpu_active),
            int(point.gpu_memory.0),
            fine,
            int(point.gpu_known),
        ])?;
        Ok(())
    }
}

fn empty(at: Timestamp) -> Point {
    let none = Bytes::ZERO;
    let (memory, gpu_memory) = (none, none);
    Point { at, span_ms: 0, cpu_us: 0, memory, gpu_active: 0, gpu_known: 0, gpu_memory }
}

pub(crate) fn point(row: &Row<'_>) -> Result<Point, StoreError> {
    Ok(Point {
        at: Timestamp(uint(row, "at")?),
        span_ms: uint(row, "span")?,
        cpu_us: uint(row, "cpu_us")?,
        memory: Bytes(uint(row, "memory")?),
        gpu_active: uint(row, "gpu_active")?,
        gpu_known: uint(row, "gpu_known")?,
        gpu_memory: Bytes(uint(row, "gpu_memory")?),
    })
}
