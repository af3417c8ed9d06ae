//! Each start is of what waits, once, with the right attempt, whole, and as it was requested.

use super::gang;
use crate::{
    Action, Device, DeviceMode, Finding, Grant, Pending, Placement, Plan, Snapshot, Workload,
    WorkloadState,
};
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use weft_types::{GpuFilter, GpuRequest, Isolation, Timestamp, WorkloadId};

pub(super) fn check(snapshot: &Snapshot, plan: &Plan, now: Timestamp, found: &mut Vec<Finding>) {
    let mut seen = BTreeSet::new();
    for action in &plan.actions {
        let Action::Start { workload: id, attempt, placements } = action else { continue };
        if !seen.insert(*id) {
            found.push(gang(*id, "is started twice"));
        }
        let Some(workload) = snapshot.workloads.get(id) else {
            found.push(gang(*id, "is started and is not there"));
            continue;
        };
        match &workload.state {
            WorkloadState::Running(_) => found.push(gang(*id, "is started and holds capacity")),
            WorkloadState::Pending(Pending { not_before, next_attempt, .. }) => {
                if next_attempt != attempt {
                    found.push(gang(*id, "is started as another attempt than its next"));
                }
                if *not_before > now {
                    found.push(gang(*id, "is started before its back-off ends"));
                }
            }
        }
        whole(*id, workload, placements, found);
        for placement in placements {
            if let Some(what) = mismatch(snapshot, workload, placement) {
                let request = workload.request.clone();
                found.push(Finding::Mismatch { workload: *id, request, what });
            }
        }
    }
}

fn whole(id: WorkloadId, workload: &Workload, placements: &[Placement], found: &mut Vec<Finding>) {
    let (least, most) = (workload.gang.max(1), workload.gang_most.max(workload.gang).max(1));
    if !(u64::from(least)..=u64::from(most)).contains(&(placements.len() as u64)) {
        let members = match most > least {
            true => alloc::format!("{least} to {most}"),
            false => alloc::format!("{least}"),
        };
        let what = alloc::format!("starts {} of {members} members", placements.len());
        found.push(gang(id, what));
    }
    if !(0..).zip(placements).all(|(member, placement)| placement.member.0 == member) {
        found.push(gang(id, "has members out of order, left out or doubled"));
    }
}

/// What of a placement is not as requested.
fn mismatch(snapshot: &Snapshot, workload: &Workload, placement: &Placement) -> Option<String> {
    let request = &workload.request;
    let Some(node) = snapshot.nodes.get(&placement.node) else {
        return Some(alloc::format!("{} is not there", placement.node));
    };
    if !node.schedulable {
        return Some(alloc::format!("{} takes no new work", placement.node));
    }
    let given = (placement.cpu, placement.memory, placement.disk);
    if given != (request.cpu, request.memory, request.disk) {
        return Some(String::from("processor, memory or disk differ"));
    }
    let gpu = match &request.gpu {
        GpuRequest::Auto => workload.phase.default_gpu(),
        other => other.clone(),
    };
    let wanted = match &gpu {
        GpuRequest::None | GpuRequest::Auto => 0,
        GpuRequest::Whole { count, .. } | GpuRequest::Mig { count, .. } => (*count).max(1),
        GpuRequest::Share { .. } | GpuRequest::Memory { .. } => 1,
    };
    if placement.grants.len() as u64 != u64::from(wanted) {
        return Some(alloc::format!("{} devices for {wanted}", placement.grants.len()));
    }
    let least = snapshot.demanded(&workload.queue, request.isolation);
    placement.grants.iter().find_map(|grant| {
        let id = grant.device();
        let device = node.devices.get(&id.index).filter(|_| id.node == placement.node);
        match device {
            None => Some(alloc::format!("{id} is not on {}", placement.node)),
            Some(device) if !device.healthy => Some(alloc::format!("{id} takes no new work")),
            Some(device) if apart(grant, device).is_none_or(|given| given > least) => {
                Some(alloc::format!("{id} keeps nobody apart by {least} or better"))
            }
            Some(device) if serves(&gpu, grant, device) => None,
            Some(_) => Some(alloc::format!("{id} is not given as requested")),
        }
    })
}

/// What keeps a grant of the device apart; none where nothing does.
fn apart(grant: &Grant, device: &Device) -> Option<Isolation> {
    match (grant, &device.mode) {
        (Grant::Share { .. }, _) => device.share,
        (Grant::Mig { placement, .. }, DeviceMode::Mig { compute_slices, .. })
            if placement.profile.slices == *compute_slices =>
        {
            Some(Isolation::Exclusive)
        }
        _ => Some(grant.isolation()),
    }
}

/// Whether the grant of the device is what is asked.
fn serves(gpu: &GpuRequest, grant: &Grant, device: &Device) -> bool {
    let class = &device.class;
    let named = |names: &[String]| names.is_empty() || names.contains(&class.name);
    let fits = |filter: &GpuFilter| named(&filter.names) && filter.admits(class.memory);
    match (gpu, grant, &device.mode) {
        (GpuRequest::Whole { filter, .. }, Grant::Whole { .. }, DeviceMode::Whole) => fits(filter),
        (
            GpuRequest::Whole { count: 0 | 1, filter },
            Grant::Mig { placement, .. },
            DeviceMode::Mig { geometry, compute_slices },
        ) => {
            let full = placement.profile.slices == *compute_slices;
            full && geometry.contains(placement) && fits(filter)
        }
        (
            GpuRequest::Share { milli: asked, filter },
            Grant::Share { milli, memory, .. },
            DeviceMode::Whole,
        ) => {
            let asked = u128::from(asked.0.max(1));
            let part = u128::from(class.memory.0) * asked / 1000;
            u128::from(milli.0) == asked && u128::from(memory.0) == part && fits(filter)
        }
        (
            GpuRequest::Memory { bytes, least, names },
            Grant::Share { milli, memory, .. },
            DeviceMode::Whole,
        ) => {
            let part = (u128::from(bytes.0) * 1000).div_ceil(u128::from(class.memory.0.max(1)));
            let asked = part.max(u128::from(least.0)).max(1);
            u128::from(milli.0) == asked && memory == bytes && named(names)
        }
        (
            GpuRequest::Mig { profile, .. },
            Grant::Mig { placement, .. },
            DeviceMode::Mig { geometry, .. },
        ) => placement.profile == *profile && geometry.contains(placement),
        _ => false,
    }
}
