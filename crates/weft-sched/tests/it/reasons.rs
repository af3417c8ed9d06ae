//! The dominant reason is true: checked by hand, with code that shares nothing with the planner's.

use crate::laws::laws;
use crate::pools::{pool, starts};
use proptest::prelude::*;
use std::collections::BTreeMap;
use weft_sched::case::{parse, print_plan, print_snapshot};
use weft_sched::{
    Device, DeviceMode, Grant, MigPlacement, Node, Placement, Plan, Reason, Snapshot, Workload,
    WorkloadState, apply, plan,
};
use weft_types::{GpuRequest, NodeId, QueueName, Timestamp, WorkloadId};

/// Only what holds capacity, and this one that waits.
fn alone(snapshot: &Snapshot, id: WorkloadId) -> Snapshot {
    let mut alone = snapshot.clone();
    alone.workloads.retain(|other, workload| {
        *other == id || matches!(workload.state, WorkloadState::Running(_))
    });
    alone
}

fn reason(plan: &Plan, id: WorkloadId) -> Option<&Reason> {
    plan.verdicts.get(&id).map(|verdict| &*verdict.reason)
}

/// What is held on one machine: processor, memory and disk, then the grants of each device.
fn held<'a>(snapshot: &'a Snapshot, node: &NodeId) -> ([u64; 3], BTreeMap<u32, Vec<&'a Grant>>) {
    let (mut sum, mut grants) = ([0; 3], BTreeMap::<u32, Vec<&Grant>>::new());
    let on = |placement: &&Placement| placement.node == *node;
    for workload in snapshot.workloads.values() {
        let WorkloadState::Running(running) = &workload.state else { continue };
        for placement in running.placements.iter().filter(on) {
            let amounts = [placement.cpu.0, placement.memory.0, placement.disk.0];
            (0..3).for_each(|r| sum[r] += amounts[r]);
            for grant in &placement.grants {
                grants.entry(grant.device().index).or_default().push(grant);
            }
        }
    }
    (sum, grants)
}

/// How many members fit on a machine beside what is held there.
fn slots(snapshot: &Snapshot, name: &NodeId, node: &Node, workload: &Workload) -> u64 {
    if !node.schedulable {
        return 0;
    }
    let (used, grants) = held(snapshot, name);
    let request = &workload.request;
    let need = [request.cpu.0, request.memory.0, request.disk.0];
    let has = [node.cpu.0, node.memory.0, node.disk.0];
    let room = (0..3).filter(|r| need[*r] > 0).map(|r| has[r].saturating_sub(used[r]) / need[r]);
    let room = room.min().unwrap_or(u64::MAX);
    let gpu = match &request.gpu {
        GpuRequest::Auto => workload.phase.default_gpu(),
        asked => asked.clone(),
    };
    let each = node.devices.iter().filter(|(_, device)| device.healthy).map(|(index, device)| {
        pieces(device, grants.get(index).map_or(&[][..], |grants| grants), &gpu)
    });
    let pieces: u64 = each.sum();
    room.min(match &gpu {
        GpuRequest::None | GpuRequest::Auto => u64::MAX,
        GpuRequest::Whole { count, .. } | GpuRequest::Mig { count, .. } => {
            pieces / u64::from(*count)
        }
        GpuRequest::Share { .. } | GpuRequest::Memory { .. } => pieces,
    })
}

/// How many of what is asked for one device can give.
fn pieces(device: &Device, grants: &[&Grant], gpu: &GpuRequest) -> u64 {
    let named = |names: &[String]| names.is_empty() || names.contains(&device.class.name);
    let (milli, memory) = match gpu {
        GpuRequest::None | GpuRequest::Auto => return 0,
        GpuRequest::Mig { profile, .. } => {
            return instances(device, grants, |place| place.profile == *profile);
        }
        GpuRequest::Whole { filter, count } => {
            let serves = named(&filter.names) && filter.admits(device.class.memory);
            return match &device.mode {
                DeviceMode::Whole => u64::from(serves && grants.is_empty()),
                DeviceMode::Mig { compute_slices, .. } if *count == 1 && serves => {
                    instances(device, grants, |place| place.profile.slices == *compute_slices)
                }
                DeviceMode::Mig { .. } => 0,
            };
        }
        GpuRequest::Share { milli, filter } => {
            match named(&filter.names) && filter.admits(device.class.memory) {
                true => (milli.0, device.class.memory.0 * milli.0 / 1000),
                false => return 0,
            }
        }
        GpuRequest::Memory { bytes, least, names } => match named(names) {
            true => ((bytes.0 * 1000).div_ceil(device.class.memory.0).max(least.0), bytes.0),
            false => return 0,
        },
    };
    let (mut free, mut bytes) = (1000u64, device.class.memory.0);
    for grant in grants {
        let Grant::Share { milli, memory, .. } = grant else { return 0 };
        (free, bytes) = (free.saturating_sub(milli.0), bytes.saturating_sub(memory.0));
    }
    match device.mode {
        DeviceMode::Whole => (free / milli).min(bytes / memory),
        DeviceMode::Mig { .. } => 0,
    }
}

/// The most instances that can still be made, by trying every set of placements.
fn instances(device: &Device, grants: &[&Grant], serves: impl Fn(&MigPlacement) -> bool) -> u64 {
    let DeviceMode::Mig { geometry, compute_slices } = &device.mode else { return 0 };
    let mut taken = Vec::new();
    for grant in grants {
        let Grant::Mig { placement, .. } = grant else { return 0 };
        taken.push(placement);
    }
    let places: Vec<_> = geometry.iter().filter(|place| serves(place)).collect();
    most(&places, &mut taken, *compute_slices)
}

fn most<'a>(places: &[&'a MigPlacement], taken: &mut Vec<&'a MigPlacement>, compute: u8) -> u64 {
    let Some((place, rest)) = places.split_first() else { return 0 };
    let without = most(rest, taken, compute);
    let apart = |other: &&MigPlacement| {
        other.start + other.size <= place.start || place.start + place.size <= other.start
    };
    let used: u32 = taken.iter().map(|other| u32::from(other.profile.slices)).sum();
    if !taken.iter().all(apart) || used + u32::from(place.profile.slices) > u32::from(compute) {
        return without;
    }
    taken.push(place);
    let with = 1 + most(rest, taken, compute);
    taken.pop();
    with.max(without)
}

/// The queue, and those above it, with so much more of their own.
fn raised(snapshot: &Snapshot, queue: &weft_types::QueueName, resource: &str, by: u64) -> Snapshot {
    let mut raised = snapshot.clone();
    for name in std::iter::successors(Some(queue.clone()), weft_types::QueueName::parent) {
        let queue = raised.queues.entry(name).or_default();
        match resource {
            "gpu" => queue.gpu.nominal.0 += by,
            "cpu" => queue.cpu.nominal.0 += by,
            _ => queue.memory.nominal.0 += by,
        }
    }
    raised
}

/// Every reason that a plan says is true of the pool as the plan leaves it.
pub(crate) fn check_all(snapshot: &Snapshot, now: Timestamp) -> Result<(), String> {
    let first = plan(snapshot, now);
    let after = apply(snapshot, &first, now);
    for (id, verdict) in &first.verdicts {
        check(&after, (*id, &verdict.reason), now, &first).map_err(|wrong| {
            let (case, plan) = (print_snapshot(snapshot, now), print_plan(snapshot, &first, now));
            format!("{wrong}: {id}\n{case}{plan}")
        })?;
    }
    Ok(())
}

laws! {
    fn the_dominant_reason_is_true(150, (snapshot, now) in pool()) {
        check_all(&snapshot, now).map_err(TestCaseError::fail)?;
    }
}

/// The group lends less than is borrowed already, because a share shrank: what is missing is what
/// the queue needs to be within its own, and lend as much as before, where its group is not asked.
#[test]
fn what_is_missing_in_a_broken_group_is_no_more_than_ones_own() {
    let pool = "node n0 a100-80 x4\nnode n1 a100-80 x4\nqueue a gpu=1 cohort=k\n\
                run w1 a gpu=2 gang=2 on=n0/0+1,n0/2+3\n";
    for (queue, want) in [("gpu=0+1-0", "gpu=1"), ("gpu=2-1", "gpu=2 gang=2")] {
        let case = format!("{pool}queue b {queue} cohort=k\nwant w2 b {want}\n");
        let case = parse(&case).expect("a case");
        check_all(&case.snapshot, case.now).expect("it is true");
    }
}

/// What is wrong with a reason, in the pool as the plan leaves it.
fn check(
    after: &Snapshot,
    (id, reason_said): (WorkloadId, &Reason),
    now: Timestamp,
    first: &Plan,
) -> Result<(), String> {
    let workload = &after.workloads[&id];
    let alone = alone(after, id);
    let truly = |truth: bool, wrong: &str| if truth { Ok(()) } else { Err(wrong.to_owned()) };
    match reason_said {
        Reason::BackOff { until } => truly(*until > now, "its back-off is over"),
        Reason::Impossible { .. } => {
            let mut empty = alone;
            empty.workloads.retain(|other, _| *other == id);
            empty.nodes.values_mut().for_each(|node| {
                node.schedulable = true;
                node.devices.values_mut().for_each(|device| device.healthy = true);
            });
            truly(members(&empty, workload) < u64::from(workload.gang), "it is possible")
        }
        Reason::Capacity { placed, .. } => {
            let members = members(after, workload);
            truly(members < u64::from(workload.gang), "there is a place for all")?;
            truly(members == u64::from(*placed), "the members that fit are miscounted")
        }
        Reason::Quota { queue, resource, missing, place, .. } => {
            let members = members(after, workload) >= u64::from(workload.gang);
            truly(members == *place, "whether there is a place is wrong")?;
            let short = |by: u64| {
                let plan = plan(&raised(&alone, queue, resource, by), now);
                let same = matches!(
                    reason(&plan, id),
                    Some(Reason::Quota { queue: q, resource: r, .. }) if q == queue && r == resource
                );
                (same, starts(&plan.actions, id))
            };
            truly(*missing > 0, "nothing is missing")?;
            truly(!short(0).1, "its share is there")?;
            // What these count depends on where they fit, and that on what is kept for others.
            if matches!(workload.request.gpu, GpuRequest::Memory { .. } | GpuRequest::Mig { .. }) {
                return Ok(());
            }
            truly(!short(*missing).0, "more is missing")?;
            truly(!short(missing - 1).1, "less is missing")
        }
        Reason::Behind { workload: other, until } => {
            truly(until.is_none_or(|until| until > now), "the time is over")?;
            truly(*other != id && first.verdicts.contains_key(other), "that one does not wait")?;
            let mut without = after.clone();
            without.workloads.remove(other);
            let again = plan(&without, now);
            let same = matches!(
                reason(&again, id), Some(Reason::Behind { workload, .. }) if workload == other
            );
            truly(!same, "it is behind that one without it")
        }
        Reason::Kept { queue, .. } => truly(is_kept(alone, (id, queue), now), "nothing is kept"),
        Reason::Handover { victims } => {
            let stops = |victim: &WorkloadId| stopping(&after.workloads[victim].state);
            truly(!victims.is_empty() && victims.iter().all(stops), "they do not stop")
        }
        Reason::MinRun { until } => {
            truly(*until > now, "the time is over")?;
            let then = plan(&alone, *until);
            let made = starts(&then.actions, id)
                || matches!(reason(&then, id), Some(Reason::Handover { .. }));
            truly(made, "no room is made then")
        }
    }
}

/// Whether it starts beside what is held as soon as nothing is kept for large ones of the queue.
fn is_kept(mut alone: Snapshot, (id, queue): (WorkloadId, &QueueName), now: Timestamp) -> bool {
    let large = alone.large.iter().any(|large| large.queue == *queue);
    alone.large.clear();
    large && starts(&plan(&alone, now).actions, id)
}

/// How many members fit beside what is held.
fn members(snapshot: &Snapshot, workload: &Workload) -> u64 {
    let each = snapshot.nodes.iter().map(|(name, node)| slots(snapshot, name, node, workload));
    each.fold(0, u64::saturating_add)
}

fn stopping(state: &WorkloadState) -> bool {
    matches!(state, WorkloadState::Running(running) if running.stopping)
}

/// The sentence of a share that is short, with what is lent out of it and what may be borrowed.
#[test]
fn a_short_share_is_said_in_whole_words() {
    let said = |text: &str| {
        let case = parse(text).expect("a case");
        let plan = plan(&case.snapshot, case.now);
        let (id, _) = case.snapshot.workloads.last_key_value().expect("a workload");
        weft_sched::describe(reason(&plan, *id).expect("it waits")).0
    };
    let alone = "node n a100-80 x4\nqueue lab gpu=2\nwant w1 lab gpu=3\n";
    assert_eq!(
        said(alone),
        "it needs 3 GPUs from the share of lab, which uses 0 GPUs; its own is 2 GPUs; others can \
         lend it 0 GPUs now"
    );
    let lent = "node n a100-80 x8\nqueue a gpu=4+4-4 cohort=lab\nqueue b gpu=4+4-4 cohort=lab\n\
        run w1 a gpu=5 on=n/0+1+2+3+4\nrun w2 b gpu=3 on=n/5+6+7\nwant w3 b gpu=2\n";
    assert_eq!(
        said(lent),
        "it needs 2 GPUs from the share of b, which uses 3 GPUs; its own is 4 GPUs, 1 GPU of it \
         lent out, and it may borrow 4 GPUs; others can lend it 0 GPUs now"
    );
}
