//! The cost report: what each team held and used in each phase, read off the ledger.

use crate::column::{int, parsed, uint, word};
use crate::{Read, StoreError};
use rusqlite::params;
use std::collections::BTreeMap;
use weft_meter::WHOLE;
use weft_types::{Phase, QueueName, Timestamp, WorkloadId};

/// What one team held and used in one phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CostLine {
    /// Team.
    pub queue: QueueName,
    /// Phase.
    pub phase: Phase,
    /// Workloads in it.
    pub workloads: u64,
    /// Core time allocated, in milliseconds of one core.
    pub cpu_allocated_ms: u64,
    /// Core time used, likewise.
    pub cpu_used_ms: u64,
    /// Device time allocated, in milliseconds of one device.
    pub gpu_allocated_ms: u64,
    /// Device time in which kernels ran, likewise, as far as it is known.
    pub gpu_active_ms: u64,
    /// Of the allocated device time, that whose use was measured.
    pub gpu_measured_ms: u64,
    /// Of the allocated device time, that whose use the driver was asked for.
    pub gpu_sampled_ms: u64,
    /// Of the allocated device time, on simulated devices.
    pub gpu_simulated_ms: u64,
    /// Memory allocated times time, in gigabyte-seconds.
    pub memory_gb_s: u64,
}

/// A workload's sums, in the units of the tables.
#[derive(Default, Clone)]
struct Sums {
    workloads: u64,
    cpu: u128,
    memory_mib: u128,
    cpu_us: u128,
    gpu: u128,
    active: u128,
    measured: u128,
    sampled: u128,
    simulated: u128,
}

impl Read<'_> {
    /// What was held and used from `since` until `now`, by team and phase; `queue` alone, or
    /// `phase` alone, where named. Device time is counted in whole buckets: minutes, and hours
    /// beyond a day ago.
    pub fn cost(
        &self,
        queue: Option<&QueueName>,
        phase: Option<Phase>,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<CostLine>, StoreError> {
        let mut sums: BTreeMap<WorkloadId, Sums> = BTreeMap::new();
        self.cost_held(since, now, &mut sums)?;
        self.cost_used(since, &mut sums)?;
        self.cost_devices(since, &mut sums)?;
        let mut lines: BTreeMap<(QueueName, Phase), Sums> = BTreeMap::new();
        for (id, one) in sums {
            let Some((team, of)) = self.team_of(id)? else { continue };
            if queue.is_none_or(|q| *q == team) && phase.is_none_or(|p| p == of) {
                lines.entry((team, of)).or_default().add(&one);
            }
        }
        Ok(lines.into_iter().map(|((queue, phase), sums)| sums.line(queue, phase)).collect())
    }

    /// Core time and memory, from the history of placements.
    fn cost_held(
        &self,
        since: Timestamp,
        now: Timestamp,
        sums: &mut BTreeMap<WorkloadId, Sums>,
    ) -> Result<(), StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT workload, milli, memory / 1048576 AS mib,
             max(0, coalesce(until_ms, ?2) - max(from_ms, ?1)) AS span
             FROM holdings WHERE device IS NULL AND from_ms < ?2
             AND (until_ms IS NULL OR until_ms > ?1)",
        )?;
        let mut found = query.query(params![int(since.0), int(now.0)])?;
        while let Some(row) = found.next()? {
            let span = u128::from(uint(row, "span")?);
            let sum = sums.entry(WorkloadId(uint(row, "workload")?)).or_default();
            sum.cpu += u128::from(uint(row, "milli")?) * span;
            sum.memory_mib += u128::from(uint(row, "mib")?) * span;
        }
        Ok(())
    }

    /// Core time used, from the curves.
    fn cost_used(
        &self,
        since: Timestamp,
        sums: &mut BTreeMap<WorkloadId, Sums>,
    ) -> Result<(), StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT workload, sum(cpu_us) AS cpu_us FROM points WHERE at > ?1 GROUP BY workload",
        )?;
        let mut found = query.query([int(since.0)])?;
        while let Some(row) = found.next()? {
            let sum = sums.entry(WorkloadId(uint(row, "workload")?)).or_default();
            sum.cpu_us += u128::from(uint(row, "cpu_us")?);
        }
        Ok(())
    }

    /// Device time, from the ledger.
    fn cost_devices(
        &self,
        since: Timestamp,
        sums: &mut BTreeMap<WorkloadId, Sums>,
    ) -> Result<(), StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT account, sum(allocated) AS allocated, sum(active) AS active,
             sum(measured) AS measured, sum(sampled) AS sampled,
             coalesce(sum(allocated) FILTER (WHERE simulated), 0) AS simulated
             FROM ledger JOIN ledger_devices USING (node, device)
             WHERE until_ms > ?1 AND ledger.from_ms >= ?1 - 3600000 AND account > 0
             GROUP BY account",
        )?;
        let mut found = query.query([int(since.0)])?;
        while let Some(row) = found.next()? {
            let sum = sums.entry(WorkloadId(uint(row, "account")?)).or_default();
            sum.gpu += u128::from(uint(row, "allocated")?);
            sum.active += u128::from(uint(row, "active")?);
            sum.measured += u128::from(uint(row, "measured")?);
            sum.sampled += u128::from(uint(row, "sampled")?);
            sum.simulated += u128::from(uint(row, "simulated")?);
        }
        Ok(())
    }

    /// Whose a workload is or was; removed ones are known still.
    fn team_of(&self, id: WorkloadId) -> Result<Option<(QueueName, Phase)>, StoreError> {
        let mut query =
            self.conn.prepare_cached("SELECT queue, phase FROM workloads WHERE id = ?1")?;
        let mut found = query.query([int(id.0)])?;
        found.next()?.map(|row| Ok((parsed(row, "queue")?, word(row, "phase")?))).transpose()
    }
}

impl Sums {
    fn add(&mut self, one: &Sums) {
        self.workloads += 1;
        self.cpu += one.cpu;
        self.memory_mib += one.memory_mib;
        self.cpu_us += one.cpu_us;
        self.gpu += one.gpu;
        self.active += one.active;
        self.measured += one.measured;
        self.sampled += one.sampled;
        self.simulated += one.simulated;
    }

    fn line(self, queue: QueueName, phase: Phase) -> CostLine {
        let over = |sum: u128, unit: u64| u64::try_from(sum / u128::from(unit)).unwrap_or(u64::MAX);
        CostLine {
            queue,
            phase,
            workloads: self.workloads,
            cpu_allocated_ms: over(self.cpu, WHOLE),
            cpu_used_ms: over(self.cpu_us, 1_000),
            gpu_allocated_ms: over(self.gpu, WHOLE),
            gpu_active_ms: over(self.active, WHOLE),
            gpu_measured_ms: over(self.measured, WHOLE),
            gpu_sampled_ms: over(self.sampled, WHOLE),
            gpu_simulated_ms: over(self.simulated, WHOLE),
            // MiB·ms to GB·s: 2^20 bytes, over 10^9 bytes and 10^3 milliseconds.
            memory_gb_s: over(self.memory_mib << 20, 1_000_000_000_000),
        }
    }
}
