//! What an agent measures on its machine: devices by the driver, members by their cgroups.

use alloc::vec::Vec;
use serde::{Deserialize, Serialize};
use weft_types::{Attempt, Bytes, DeviceId, DeviceUse, Member, Timestamp, WorkloadId};

/// What one machine measured at one moment. Every device it has is in every sample: a device
/// that is not counts as unobserved.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// When.
    pub at: Timestamp,
    /// Its accelerators.
    pub devices: Vec<DeviceSample>,
    /// The members that run on it.
    pub workloads: Vec<WorkloadSample>,
    /// What they used of its accelerators, where that is measured.
    pub uses: Vec<UseSample>,
}

/// What a driver says of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceSample {
    /// Which.
    pub device: DeviceId,
    /// Share of the time since the sample before in which kernels ran, in thousandths; none where
    /// the driver does not know.
    pub active_permille: Option<u32>,
    /// Memory in use.
    pub memory: Bytes,
    /// Its processes, where the driver tells them apart.
    pub processes: Vec<ProcessSample>,
}

/// What a driver says of a workload's processes on a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessSample {
    /// Whose they are.
    pub workload: WorkloadId,
    /// Share of the time since the sample before in which their kernels ran, in thousandths;
    /// none where the driver does not know.
    pub active_permille: Option<u32>,
    /// Memory they use.
    pub memory: Bytes,
}

/// What a member used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkloadSample {
    /// Whose.
    pub workload: WorkloadId,
    /// Of which start.
    pub attempt: Attempt,
    /// Which member.
    pub member: Member,
    /// Processor time since the start, in microseconds.
    pub cpu_us: u64,
    /// Memory in use.
    pub memory: Bytes,
    /// Highest memory use since the start.
    pub memory_peak: Bytes,
}

/// What a member used of a device, in all since its start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UseSample {
    /// Whose.
    pub workload: WorkloadId,
    /// Of which start.
    pub attempt: Attempt,
    /// Which member.
    pub member: Member,
    /// What it used.
    pub used: DeviceUse,
}
