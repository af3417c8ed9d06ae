//! Use and cost on the wire, all of it read off the ledger.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /api/v1/workloads/{id}/metrics`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Metrics {
    /// Whose.
    pub workload: String,
    /// Allocated processor, in thousandths of a core.
    pub cpu_limit_milli: u64,
    /// Allocated memory.
    pub memory_limit_bytes: u64,
    /// Samples, oldest first.
    pub points: Vec<MetricPoint>,
}

/// One sample of a workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MetricPoint {
    /// When.
    pub at_ms: u64,
    /// Processor used since the sample before, in thousandths of a core.
    pub cpu_milli: u64,
    /// Memory in use.
    pub memory_bytes: u64,
    /// Kernel time since the sample before, in thousandths of a device.
    pub gpu_active_milli: u64,
    /// Device memory in use.
    pub gpu_memory_bytes: u64,
}

/// `GET /api/v1/cost`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CostReport {
    /// From.
    pub from_ms: u64,
    /// Until.
    pub until_ms: u64,
    /// One line for each group asked for.
    pub lines: Vec<CostLine>,
}

/// What one group held and used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CostLine {
    /// Team's queue.
    pub queue: String,
    /// Phase.
    pub phase: String,
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
    /// Of the device time, on simulated devices.
    pub gpu_simulated_ms: u64,
    /// Memory held times time, in byte-milliseconds over 10^12 (GB-seconds).
    pub memory_gb_s: u64,
}

/// `GET /api/v1/ledger/check`: whether the sums agree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LedgerCheck {
    /// Whether every device agrees within the bound.
    pub ok: bool,
    /// The bound, in parts per million of wall-clock (1000 = 0.1 %).
    pub bound_ppm: u64,
    /// One line for each device.
    pub devices: Vec<LedgerDevice>,
}

/// One device's sums.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LedgerDevice {
    /// `<node>/<index>`.
    pub device: String,
    /// Time the device has been observed.
    pub wall_ms: u64,
    /// Allocated to workloads, plus idle, in device-milliseconds.
    pub accounted_ms: u64,
    /// Their difference, in parts per million.
    pub error_ppm: u64,
}
