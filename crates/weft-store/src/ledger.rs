//! The ledger's rows: device time by account, and the reports read off it.

use crate::{Read, StoreError};
use weft_types::{DeviceId, Phase, QueueName, Timestamp};

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
    /// Core time used.
    pub cpu_used_ms: u64,
    /// Device time allocated, in milliseconds of one device.
    pub gpu_allocated_ms: u64,
    /// Device time in which kernels ran.
    pub gpu_active_ms: u64,
    /// Of the allocated device time, on simulated devices.
    pub gpu_simulated_ms: u64,
    /// Memory allocated times time, in gigabyte-seconds.
    pub memory_gb_s: u64,
}

/// One device's sums: `wall` is what has to come out, the rest is what does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerDevice {
    /// Which.
    pub device: DeviceId,
    /// Time since its first sample until its last, in device-milliseconds.
    pub wall_ms: u64,
    /// Allocated to workloads.
    pub allocated_ms: u64,
    /// Allocated to nobody.
    pub idle_ms: u64,
    /// Not measured: the server was down or the clock jumped.
    pub unobserved_ms: u64,
    /// Difference of the wall and the sum of the three, in parts per million of the wall.
    pub error_ppm: u64,
}

impl Read<'_> {
    /// What was held and used from `since` until `now`, by team and phase; `queue` alone, or
    /// `phase` alone, where named.
    pub fn cost(
        &self,
        queue: Option<&QueueName>,
        phase: Option<Phase>,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<CostLine>, StoreError> {
        let _ = (queue, phase, since, now);
        Ok(Vec::new())
    }

    /// Whether the sums agree, for every device that was ever sampled.
    pub fn ledger_check(&self) -> Result<Vec<LedgerDevice>, StoreError> {
        Ok(Vec::new())
    }
}
