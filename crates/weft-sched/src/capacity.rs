//! What the pool's devices hold and have free, and what queues use: for `weft gpus`, for queue
//! listings and for metering. Not used by the planner, whose working copy keeps its own.

use crate::board::{grant_milli, instance_milli, placement_charge};
use crate::{Device, DeviceMode, Grant, Snapshot, WorkloadState};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use weft_types::{Bytes, DeviceId, Member, MilliCpu, MilliGpu, NodeId, QueueName, WorkloadId};

/// A device, and what is free on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceFree {
    /// Which.
    pub device: DeviceId,
    /// Compute not given, in thousandths. Of a device divided in instances, in the thousandths
    /// its instances count.
    pub milli: MilliGpu,
    /// Memory not given.
    pub memory: Bytes,
    /// Who holds what of it, by workload and member.
    pub holders: Vec<(WorkloadId, Member, Grant)>,
}

/// What a queue and those below it use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueUse {
    /// Devices, in thousandths.
    pub gpu: MilliGpu,
    /// Processor.
    pub cpu: MilliCpu,
    /// Memory.
    pub memory: Bytes,
}

/// Every device with what is free on it, in the order of ids.
pub fn devices(snapshot: &Snapshot) -> Vec<DeviceFree> {
    let mut holders: BTreeMap<DeviceId, Vec<(WorkloadId, Member, Grant)>> = BTreeMap::new();
    for (id, workload) in &snapshot.workloads {
        let WorkloadState::Running(running) = &workload.state else { continue };
        for placement in &running.placements {
            for grant in &placement.grants {
                let held = (*id, placement.member, grant.clone());
                holders.entry(grant.device().clone()).or_default().push(held);
            }
        }
    }
    let of = |node: &NodeId, index: u32, device: &Device| {
        let id = DeviceId { node: node.clone(), index };
        let holders = holders.get(&id).cloned().unwrap_or_default();
        let grants = || holders.iter().map(|(_, _, grant)| grant);
        let held = |grant| MilliGpu(grant_milli(snapshot, grant));
        let memory = grants().map(|grant| memory_of(grant, device)).sum();
        let milli = match slices_left(device, grants()) {
            // What is left is told as it will count, not with what was rounded off.
            Some((left, all)) => MilliGpu(instance_milli(left, all)),
            None => MilliGpu(1000).saturating_sub(grants().map(held).sum()),
        };
        let memory = device.class.memory.saturating_sub(memory);
        DeviceFree { device: id, milli, memory, holders }
    };
    let nodes = snapshot.nodes.iter();
    nodes.flat_map(|(name, node)| node.devices.iter().map(|(i, d)| of(name, *i, d))).collect()
}

/// What each queue and those below it use, also those that only have workloads.
pub fn queue_use(snapshot: &Snapshot) -> BTreeMap<QueueName, QueueUse> {
    let named = snapshot.queues.keys().map(|name| (name.clone(), QueueUse::default()));
    let mut queues: BTreeMap<QueueName, QueueUse> = named.collect();
    for workload in snapshot.workloads.values() {
        let WorkloadState::Running(running) = &workload.state else { continue };
        let above = |name: &QueueName| name.parent();
        for name in core::iter::successors(Some(workload.queue.clone()), above) {
            let sum = queues.entry(name).or_default();
            for placement in &running.placements {
                let [gpu, ..] = placement_charge(snapshot, placement);
                sum.gpu += MilliGpu(u64::try_from(gpu).unwrap_or(u64::MAX));
                sum.cpu += placement.cpu;
                sum.memory += placement.memory;
            }
        }
    }
    queues
}

/// Thousandths of a device that a grant counts against its queue's share: a whole device 1000, a
/// fraction its own, a MIG instance its compute slices of the device's, rounded down, so that those
/// of a device together count no more than it does.
pub fn gpu_milli(snapshot: &Snapshot, grant: &Grant) -> MilliGpu {
    MilliGpu(grant_milli(snapshot, grant))
}

/// Compute slices of a device that is divided in instances: not given, and all.
fn slices_left<'a>(device: &Device, grants: impl Iterator<Item = &'a Grant>) -> Option<(u8, u8)> {
    let DeviceMode::Mig { compute_slices, .. } = &device.mode else { return None };
    let taken = grants.map(|grant| match grant {
        Grant::Mig { placement, .. } => placement.profile.slices,
        Grant::Whole { .. } | Grant::Share { .. } => *compute_slices,
    });
    Some((taken.fold(*compute_slices, u8::saturating_sub), *compute_slices))
}

fn memory_of(grant: &Grant, device: &Device) -> Bytes {
    match grant {
        Grant::Whole { .. } => device.class.memory,
        Grant::Share { memory, .. } => *memory,
        Grant::Mig { placement, .. } => placement.memory,
    }
}
