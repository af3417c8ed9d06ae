//! The figures of a request that can be lowered: in which steps, and as which text of the spec.

use super::change::{Change, lost};
use crate::Workload;
use weft_types::{Bytes, GpuRequest, MilliCpu, MilliGpu};

/// A figure that can be lowered; in the order in which equal losses are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Figure {
    /// Whole devices, or MIG instances, of each member.
    GpuCount,
    /// The part of one device, in thousandths; a whole one is 1000.
    GpuShare,
    /// Bytes of one device.
    GpuMemory,
    /// Thousandths of a core.
    Cpu,
    /// Bytes.
    Memory,
    /// Bytes.
    Disk,
    /// Members.
    Gang,
}

/// Every figure.
pub(super) const FIGURES: [Figure; 7] = [
    Figure::GpuCount,
    Figure::GpuShare,
    Figure::GpuMemory,
    Figure::Gang,
    Figure::Cpu,
    Figure::Memory,
    Figure::Disk,
];

/// Those of a member: lowered together where one alone does not help.
pub(super) const MEMBER: [Figure; 6] = [
    Figure::GpuCount,
    Figure::GpuShare,
    Figure::GpuMemory,
    Figure::Cpu,
    Figure::Memory,
    Figure::Disk,
];

const GB: u64 = 1_000_000_000;

/// Below this many large steps, small ones are taken: 3.5 GB rather than 3 GB.
const LARGE_FROM: u64 = 8;

impl Figure {
    /// How much of it is asked for; none where there is nothing of it to lower.
    pub(super) fn asked(self, workload: &Workload) -> Option<u64> {
        let request = &workload.request;
        let amount = match (self, &request.gpu) {
            (Figure::GpuCount, GpuRequest::Whole { count, .. } | GpuRequest::Mig { count, .. }) => {
                u64::from(*count)
            }
            (Figure::GpuShare, GpuRequest::Share { milli, .. }) => milli.0,
            (Figure::GpuShare, GpuRequest::Whole { count: 1, .. }) => 1000,
            (Figure::GpuMemory, GpuRequest::Memory { bytes, .. }) => bytes.0,
            (Figure::GpuCount | Figure::GpuShare | Figure::GpuMemory, _) => return None,
            (Figure::Cpu, _) => request.cpu.0,
            (Figure::Memory, _) => request.memory.0,
            (Figure::Disk, _) => request.disk.0,
            (Figure::Gang, _) => u64::from(workload.gang),
        };
        // One step less must leave something.
        (amount > self.step(amount)).then_some(amount)
    }

    /// What it is lowered by, so that what is proposed is a figure a person would write.
    pub(super) fn step(self, amount: u64) -> u64 {
        let (large, small) = match self {
            Figure::GpuCount | Figure::Gang => return 1,
            Figure::GpuShare => return 10,
            Figure::Cpu => (1000, 100),
            Figure::GpuMemory | Figure::Memory | Figure::Disk => (GB, GB / 10),
        };
        if amount >= large * LARGE_FROM { large } else { small }
    }

    /// The field with this much instead.
    pub(super) fn with(self, workload: &Workload, amount: u64) -> Change {
        let request = &workload.request;
        let few = u32::try_from(amount).unwrap_or(u32::MAX);
        match self {
            Figure::GpuCount | Figure::GpuShare | Figure::GpuMemory => {
                Change::Gpu { from: request.gpu.clone(), to: self.gpu(&request.gpu, amount) }
            }
            Figure::Cpu => Change::Cpu { from: request.cpu, to: MilliCpu(amount) },
            Figure::Memory => Change::Memory { from: request.memory, to: Bytes(amount) },
            Figure::Disk => Change::Disk { from: request.disk, to: Bytes(amount) },
            Figure::Gang => Change::Gang { from: workload.gang, to: few },
        }
    }

    /// What is given up with this much instead, in thousandths.
    pub(super) fn given_up(self, workload: &Workload, amount: u64) -> u32 {
        self.asked(workload).map_or(0, |asked| lost(asked, amount))
    }

    fn gpu(self, asked: &GpuRequest, amount: u64) -> GpuRequest {
        let mut gpu = asked.clone();
        let few = u32::try_from(amount).unwrap_or(u32::MAX);
        match &mut gpu {
            GpuRequest::Whole { filter, .. } if self == Figure::GpuShare => {
                return GpuRequest::Share { milli: MilliGpu(amount), filter: filter.clone() };
            }
            GpuRequest::Whole { count, .. } | GpuRequest::Mig { count, .. } => *count = few,
            GpuRequest::Share { milli, .. } => *milli = MilliGpu(amount),
            GpuRequest::Memory { bytes, .. } => *bytes = Bytes(amount),
            GpuRequest::None | GpuRequest::Auto => {}
        }
        gpu
    }
}
