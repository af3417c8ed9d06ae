//! No machine, device or slice of a device is given beyond what it has, counting everything that
//! still holds capacity, also what is being stopped.

use super::{Given, running};
use crate::{Device, DeviceMode, Finding, Grant, Placement, Snapshot};
use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::vec::Vec;
use weft_types::{Bytes, DeviceId, MilliCpu, NodeId};

pub(super) fn check(snapshot: &Snapshot, given: &[Given<'_>], found: &mut Vec<Finding>) {
    let new: Vec<&Placement> = given.iter().flat_map(|given| given.placements).collect();
    let held = running(snapshot).flat_map(|(_, _, running)| &running.placements);
    let all: Vec<&Placement> = held.chain(new.iter().copied()).collect();
    machines(snapshot, &all, &new, found);
    let mut on: BTreeMap<&DeviceId, Vec<(&Grant, bool)>> = BTreeMap::new();
    let grants = all.iter().enumerate().flat_map(|(at, placement)| {
        let is_new = at + new.len() >= all.len();
        placement.grants.iter().map(move |grant| (grant, is_new))
    });
    grants.for_each(|(grant, is_new)| on.entry(grant.device()).or_default().push((grant, is_new)));
    for (id, grants) in on {
        let device = snapshot.nodes.get(&id.node).and_then(|node| node.devices.get(&id.index));
        if let Some(device) = device.filter(|_| grants.iter().any(|(_, is_new)| *is_new)) {
            check_device(id, device, &grants, found);
        }
    }
}

fn machines(snapshot: &Snapshot, all: &[&Placement], new: &[&Placement], found: &mut Vec<Finding>) {
    let mut sums: BTreeMap<&NodeId, [u128; 3]> = BTreeMap::new();
    let mut adds = sums.clone();
    all.iter().for_each(|placement| add(&mut sums, placement));
    new.iter().for_each(|placement| add(&mut adds, placement));
    for (name, added) in adds {
        let Some(node) = snapshot.nodes.get(name) else { continue };
        let caps = [node.cpu.0, node.memory.0, node.disk.0].map(u128::from);
        let sum = sums.get(name).copied().unwrap_or_default();
        for r in (0..3).filter(|r| added[*r] > 0 && sum[*r] > caps[*r]) {
            let amount = |amount: u128| {
                let amount = u64::try_from(amount).unwrap_or(u64::MAX);
                match r {
                    0 => alloc::format!("{} CPU cores", MilliCpu(amount)),
                    1 => alloc::format!("{} of memory", Bytes(amount)),
                    _ => alloc::format!("{} of disk", Bytes(amount)),
                }
            };
            let what = alloc::format!("{} given, it has {}", amount(sum[r]), amount(caps[r]));
            found.push(Finding::Over { whose: name.to_string(), what });
        }
    }
}

fn add<'a>(sums: &mut BTreeMap<&'a NodeId, [u128; 3]>, placement: &'a Placement) {
    let sum = sums.entry(&placement.node).or_default();
    let part = [placement.cpu.0, placement.memory.0, placement.disk.0].map(u128::from);
    (0..3).for_each(|r| sum[r] += part[r]);
}

fn check_device(
    id: &DeviceId,
    device: &Device,
    grants: &[(&Grant, bool)],
    found: &mut Vec<Finding>,
) {
    let over = |what: &str| Finding::Over { whose: id.to_string(), what: what.into() };
    for (at, (one, _)) in grants.iter().enumerate().filter(|(_, (_, is_new))| *is_new) {
        let others = || grants.iter().enumerate().filter(|(other, _)| *other != at);
        if others().any(|(_, (other, _))| !side_by_side(one, other)) {
            found.push(over("given twice"));
        }
    }
    let (mut milli, mut memory, mut compute) = (0u128, 0u128, 0u32);
    for (grant, _) in grants {
        match grant {
            Grant::Whole { .. } => {}
            Grant::Share { milli: part, memory: bytes, .. } => {
                milli += u128::from(part.0);
                memory += u128::from(bytes.0);
            }
            Grant::Mig { placement, .. } => compute += u32::from(placement.profile.slices),
        }
    }
    if milli > 1000 {
        found.push(over("more than its compute in shares"));
    }
    if memory > u128::from(device.class.memory.0) {
        found.push(over("more than its memory in shares"));
    }
    let slices = match &device.mode {
        DeviceMode::Whole => 0,
        DeviceMode::Mig { compute_slices, .. } => u32::from(*compute_slices),
    };
    if compute > slices {
        found.push(over("more than its compute slices in instances"));
    }
}

/// Whether two grants can be on one device together.
fn side_by_side(one: &Grant, other: &Grant) -> bool {
    match (one, other) {
        (Grant::Share { .. }, Grant::Share { .. }) => true,
        (Grant::Mig { placement: a, .. }, Grant::Mig { placement: b, .. }) => {
            let end = |start: u8, size: u8| u16::from(start) + u16::from(size);
            end(a.start, a.size) <= u16::from(b.start) || end(b.start, b.size) <= u16::from(a.start)
        }
        _ => false,
    }
}
