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
    /// Accelerators given to its current start, else to its last, in thousandths of a device.
    #[serde(default)]
    pub gpu_limit_milli: u64,
    /// Their memory.
    #[serde(default)]
    pub gpu_memory_limit_bytes: u64,
    /// Samples, oldest first.
    pub points: Vec<MetricPoint>,
    /// What that start used of each accelerator.
    #[serde(default)]
    pub devices: Vec<DeviceUse>,
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
    /// Kernel time since the sample before, in thousandths of a device; absent where it has none,
    /// or nobody can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_active_milli: Option<u64>,
    /// Device memory in use.
    pub gpu_memory_bytes: u64,
}

/// What one start of a workload used of one accelerator, in all. What is not known is absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeviceUse {
    /// `<node>/<index>`.
    pub device: String,
    /// Kind, `h200`.
    pub class: String,
    /// Whether it is simulated.
    pub simulated: bool,
    /// Which start.
    pub attempt: u32,
    /// Which member.
    pub member: u32,
    /// Compute given, in thousandths of the device.
    pub milli: u64,
    /// Where the figures come from: `measured`, each launch was counted; `sampled`, the driver was
    /// asked now and then; `simulated`, the device does not exist. Absent: there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Device time held, in microseconds of the whole device.
    pub held_us: u64,
    /// Device time used, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_us: Option<u64>,
    /// Memory given.
    pub memory_limit_bytes: u64,
    /// Memory held when it was looked at last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// The most memory held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_peak_bytes: Option<u64>,
    /// Kernels and graphs launched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub launches: Option<u64>,
    /// Bytes moved to the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_device_bytes: Option<u64>,
    /// Bytes moved from the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_device_bytes: Option<u64>,
    /// When it was last seen to use the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_at_ms: Option<u64>,
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
    /// Of that, time used, as far as it is known: see the next two.
    pub gpu_active_ms: u64,
    /// Of the device time, that whose use was measured: each launch was counted.
    #[serde(default)]
    pub gpu_measured_ms: u64,
    /// Of the device time, that whose use the driver was asked for now and then.
    #[serde(default)]
    pub gpu_sampled_ms: u64,
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
