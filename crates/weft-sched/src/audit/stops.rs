//! Each stop is of what runs, is allowed by its policy, and makes room for its beneficiary.

use super::share::{Sum, Uses, quota, sum};
use super::{Given, running};
use crate::{
    Action, Device, DeviceMode, Finding, Grant, Node, Order, Placement, Plan, Running, Snapshot,
    StopCause, Workload, WorkloadState,
};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use weft_types::{DeviceId, GpuFilter, GpuRequest, NodeId, QueueName, Timestamp, WorkloadId};

pub(super) fn check(
    snapshot: &Snapshot,
    plan: &Plan,
    given: &[Given<'_>],
    now: Timestamp,
    found: &mut Vec<Finding>,
) {
    if !plan.actions.iter().any(|action| matches!(action, Action::Stop { .. })) {
        return;
    }
    let mut uses = expected_uses(snapshot, given);
    let mut stopped = BTreeSet::new();
    let mut beneficiaries = BTreeSet::new();
    for action in &plan.actions {
        let Action::Stop { workload: id, attempt, cause } = action else { continue };
        let mut wrong = |what: &str| found.push(Finding::Stop { workload: *id, what: what.into() });
        let Some((workload, run)) = runs(snapshot, *id) else {
            wrong("is stopped and does not run");
            continue;
        };
        if !stopped.insert(*id) || run.stopping {
            wrong("is stopped and was being stopped");
        }
        if run.attempt != *attempt {
            wrong("is stopped as another attempt than runs");
        }
        if let Some(what) = forbidden(snapshot, (workload, run), cause, &uses, now) {
            wrong(what);
        }
        uses.give_back(&workload.queue, sum(snapshot, &run.placements));
        beneficiaries.extend(cause.beneficiary());
    }
    let after = After::new(snapshot, given, &stopped);
    let started = |id: &WorkloadId| given.iter().any(|given| given.id == *id);
    for id in beneficiaries.into_iter().filter(|id| !started(id)) {
        if snapshot.workloads.get(&id).is_some_and(|workload| !after.fits(workload)) {
            let what = String::from("others are stopped for it, and it does not fit afterwards");
            found.push(Finding::Stop { workload: id, what });
        }
    }
}

fn runs(snapshot: &Snapshot, id: WorkloadId) -> Option<(&Workload, &Running)> {
    let workload = snapshot.workloads.get(&id)?;
    match &workload.state {
        WorkloadState::Running(running) => Some((workload, running)),
        WorkloadState::Pending(_) => None,
    }
}

/// Why a stop is not allowed.
fn forbidden(
    snapshot: &Snapshot,
    (victim, run): (&Workload, &Running),
    cause: &StopCause,
    uses: &Uses,
    now: Timestamp,
) -> Option<&'static str> {
    let Some(id) = cause.beneficiary() else {
        let limit = victim.max_duration.map(|limit| run.since.after(limit));
        return limit.is_none_or(|limit| limit > now).then_some("has not run as long as it may");
    };
    let Some(workload) = snapshot.workloads.get(&id) else {
        return Some("is stopped for what is not there");
    };
    if run.since.after(victim.reclaim.min_run_ms) > now {
        return Some("has not run its minimum");
    }
    match cause {
        StopCause::Suspend { .. } => may_suspend(snapshot, (victim, run), workload, uses, now),
        StopCause::Preempt { .. } => {
            let kept = victim.suspend.is_some() && shares_time(snapshot, victim);
            let allowed = (victim.reclaim.preemptible || kept)
                && victim.queue == workload.queue
                && victim.priority < workload.priority;
            (!allowed).then_some("may not be preempted for it")
        }
        _ if !victim.reclaim.reclaimable => Some("may not be reclaimed"),
        _ if !borrows(snapshot, &victim.queue, &workload.queue, uses, [1; 3]) => {
            Some("has not borrowed")
        }
        _ => None,
    }
}

fn shares_time(snapshot: &Snapshot, workload: &Workload) -> bool {
    snapshot.queues.get(&workload.queue).is_some_and(|queue| queue.order == Order::Service)
}

/// Why a workload may not be suspended for another.
fn may_suspend(
    snapshot: &Snapshot,
    (victim, run): (&Workload, &Running),
    workload: &Workload,
    uses: &Uses,
    now: Timestamp,
) -> Option<&'static str> {
    let Some(cost) = victim.suspend.filter(|_| shares_time(snapshot, victim)) else {
        return Some("cannot be suspended");
    };
    let held = sum(snapshot, &run.placements);
    if victim.queue == workload.queue && victim.priority != workload.priority {
        return Some("is not an equal of its queue");
    }
    if victim.queue != workload.queue {
        let shared = shares_time(snapshot, workload) && victim.reclaim.reclaimable;
        let devices = held[0] > 0 && wants_devices(workload);
        let least = [0, 1, 2].map(|r| match held[r] {
            amount if amount > 0 && (r == 0 || !devices) => amount,
            _ => u128::MAX,
        });
        if !shared || !borrows(snapshot, &victim.queue, &workload.queue, uses, least) {
            return Some("is within its own share");
        }
    }
    let WorkloadState::Pending(pending) = &workload.state else {
        return Some("is suspended for what does not wait");
    };
    let ran = now.since(run.since);
    if ran.0 < 300_000 || ran.0 < cost.0.saturating_mul(10) {
        return Some("is suspended before its slice is over");
    }
    // Hours of a device, for the least and the most that either can count.
    let served = u128::from(victim.served.0) + u128::from(ran.0);
    let (theirs, mine) = (hours(served, held[0].max(held[1] / 16).max(1)), least_hours(workload));
    let aged = now.since(pending.since).0 >= 12 * 3_600_000;
    let tier = |hours: u128| u8::from(hours >= 1) + u8::from(hours >= 10);
    let longer = tier(theirs) == 2 && workload.served.0 > 0;
    (!aged && tier(mine) >= tier(theirs) && !longer).then_some("was not served more")
}

fn wants_devices(workload: &Workload) -> bool {
    let asked = match &workload.request.gpu {
        GpuRequest::Auto => workload.phase.default_gpu(),
        asked => asked.clone(),
    };
    asked != GpuRequest::None
}

fn hours(milliseconds: u128, milli: u128) -> u128 {
    milliseconds.saturating_mul(milli) / 3_600_000_000
}

/// Device-hours a waiting workload has had, counting the least that its request can.
fn least_hours(workload: &Workload) -> u128 {
    let each = match &workload.request.gpu {
        GpuRequest::Whole { count, .. } => u128::from((*count).max(1)) * 1000,
        GpuRequest::Share { milli, .. } => u128::from(milli.0),
        _ => 0,
    };
    let cores = u128::from(workload.request.cpu.0) / 16;
    hours(workload.served.0.into(), each.max(cores).max(1) * u128::from(workload.gang.max(1)))
}

/// Whether of some resource a queue uses at least so much more than its own, up to where it meets
/// the owner's.
fn borrows(
    snapshot: &Snapshot,
    queue: &QueueName,
    owner: &QueueName,
    uses: &Uses,
    least: Sum,
) -> bool {
    let path = |of: &QueueName| -> Vec<QueueName> {
        core::iter::successors(Some(of.clone()), QueueName::parent).collect()
    };
    let above = path(owner);
    let levels = path(queue);
    let own = levels.iter().take_while(|level| !above.contains(level));
    let beyond = |used: u128, own: u128, r: usize| used >= own.saturating_add(least[r]);
    let over = |r: usize| {
        own.clone()
            .all(|level| beyond(uses.of(level)[r], quota(snapshot.queues.get(level)).0[r], r))
    };
    // A queue above the owner's has no level of its own there: what it keeps is judged alone.
    if own.clone().next().is_none() {
        let (used, kept) = (uses.alone(queue), kept(snapshot, queue));
        return queue != owner && (0..3).any(|r| beyond(used[r], kept[r], r));
    }
    (0..3).any(over)
}

/// What a queue keeps of its nominal for its own workloads.
fn kept(snapshot: &Snapshot, queue: &QueueName) -> Sum {
    let below = snapshot.queues.iter().filter(|(name, _)| name.parent().as_ref() == Some(queue));
    let given = below.fold([0; 3], |sum, (_, below)| {
        let nominal = quota(Some(below)).0;
        [0, 1, 2].map(|r| sum[r] + nominal[r])
    });
    let nominal = quota(snapshot.queues.get(queue)).0;
    [0, 1, 2].map(|r: usize| nominal[r].saturating_sub(given[r]))
}

/// What queues use once what stops is gone, with all that the plan starts: the most
/// that can be said of a queue's borrowing at any step of the plan.
fn expected_uses(snapshot: &Snapshot, given: &[Given<'_>]) -> Uses {
    let mut uses = Uses::of_running(snapshot, |run| !run.stopping);
    for given in given {
        uses.add(&given.workload.queue, sum(snapshot, given.placements));
    }
    uses
}

/// The pool after the plan, when what it stops is gone.
struct After<'a> {
    snapshot: &'a Snapshot,
    held: BTreeMap<&'a NodeId, [u128; 3]>,
    grants: BTreeMap<&'a DeviceId, Vec<&'a Grant>>,
}

impl<'a> After<'a> {
    fn new(snapshot: &'a Snapshot, given: &[Given<'a>], stopped: &BTreeSet<WorkloadId>) -> Self {
        let mut after = Self { snapshot, held: BTreeMap::new(), grants: BTreeMap::new() };
        let stays = |id: &WorkloadId, run: &Running| !run.stopping && !stopped.contains(id);
        for (_, _, run) in running(snapshot).filter(|(id, _, run)| stays(id, run)) {
            run.placements.iter().for_each(|placement| after.hold(placement));
        }
        given.iter().flat_map(|given| given.placements).for_each(|placement| after.hold(placement));
        after
    }

    fn hold(&mut self, placement: &'a Placement) {
        let held = self.held.entry(&placement.node).or_default();
        let part = [placement.cpu.0, placement.memory.0, placement.disk.0].map(u128::from);
        (0..3).for_each(|r| held[r] += part[r]);
        for grant in &placement.grants {
            self.grants.entry(grant.device()).or_default().push(grant);
        }
    }

    /// Whether all members find a place, counted machine by machine.
    fn fits(&self, workload: &Workload) -> bool {
        let open = self.snapshot.nodes.iter().filter(|(_, node)| node.schedulable);
        let mut sum = 0u128;
        open.map(|(name, node)| self.members_on(name, node, workload)).any(|members| {
            sum = sum.saturating_add(members);
            sum >= u128::from(workload.gang.max(1))
        })
    }

    fn members_on(&self, name: &NodeId, node: &Node, workload: &Workload) -> u128 {
        let (caps, request) = ([node.cpu.0, node.memory.0, node.disk.0], &workload.request);
        let needs = [request.cpu.0, request.memory.0, request.disk.0];
        let held = self.held.get(name).copied().unwrap_or_default();
        let times = |r: usize| match needs[r] {
            0 => u128::MAX,
            need => u128::from(caps[r]).saturating_sub(held[r]) / u128::from(need),
        };
        let room = (0..3).map(times).min().unwrap_or(0);
        let gpu = match &request.gpu {
            GpuRequest::Auto => workload.phase.default_gpu(),
            other => other.clone(),
        };
        let count = match &gpu {
            GpuRequest::None | GpuRequest::Auto => return room,
            GpuRequest::Whole { count, .. } | GpuRequest::Mig { count, .. } => (*count).max(1),
            GpuRequest::Share { .. } | GpuRequest::Memory { .. } => 1,
        };
        let healthy = node.devices.iter().filter(|(_, device)| device.healthy);
        let each = healthy.map(|(index, device)| {
            let id = DeviceId { node: name.clone(), index: *index };
            let grants = self.grants.get(&id).map_or(&[][..], |grants| &grants[..]);
            units(&gpu, device, grants)
        });
        room.min(each.sum::<u128>() / u128::from(count))
    }
}

/// How many devices, shares or instances that are asked for the device still has.
fn units(gpu: &GpuRequest, device: &Device, grants: &[&Grant]) -> u128 {
    let class = &device.class;
    let named = |names: &[String]| names.is_empty() || names.contains(&class.name);
    let serves = |filter: &GpuFilter| named(&filter.names) && filter.admits(class.memory);
    let memory = u128::from(class.memory.0);
    match (gpu, &device.mode) {
        (GpuRequest::Whole { filter, .. }, DeviceMode::Whole) => {
            u128::from(grants.is_empty() && serves(filter))
        }
        (
            GpuRequest::Whole { count: 0 | 1, filter },
            DeviceMode::Mig { geometry, compute_slices },
        ) => {
            let full = geometry.iter().any(|place| place.profile.slices == *compute_slices);
            u128::from(grants.is_empty() && full && serves(filter))
        }
        (GpuRequest::Share { milli, filter }, DeviceMode::Whole) if serves(filter) => {
            let milli = u128::from(milli.0.max(1));
            shares(device, grants, milli, memory * milli / 1000)
        }
        (GpuRequest::Memory { bytes, least, names }, DeviceMode::Whole) if named(names) => {
            let (bytes, least) = (u128::from(bytes.0), u128::from(least.0));
            let milli = (bytes * 1000).div_ceil(memory.max(1)).max(least).max(1);
            shares(device, grants, milli, bytes)
        }
        (GpuRequest::Mig { profile, .. }, DeviceMode::Mig { geometry, compute_slices }) => {
            let mut taken: Vec<(u8, u8)> = Vec::new();
            let mut compute = 0u32;
            for grant in grants {
                let Grant::Mig { placement, .. } = grant else { return 0 };
                taken.push((placement.start, placement.size));
                compute += u32::from(placement.profile.slices);
            }
            let mut places: Vec<_> = geometry.iter().filter(|p| p.profile == *profile).collect();
            places.sort_by_key(|place| u16::from(place.start) + u16::from(place.size));
            let apart = |a: (u8, u8), b: (u8, u8)| {
                let end = |(start, size): (u8, u8)| u16::from(start) + u16::from(size);
                end(a) <= u16::from(b.0) || end(b) <= u16::from(a.0)
            };
            let mut found = 0;
            for place in places {
                let bits = (place.start, place.size);
                compute += u32::from(profile.slices);
                let room = compute <= u32::from(*compute_slices);
                if room && taken.iter().all(|other| apart(bits, *other)) {
                    taken.push(bits);
                    found += 1;
                } else {
                    compute -= u32::from(profile.slices);
                }
            }
            found
        }
        _ => 0,
    }
}

fn shares(device: &Device, grants: &[&Grant], milli: u128, memory: u128) -> u128 {
    let mut held = (0u128, 0u128);
    for grant in grants {
        let Grant::Share { milli, memory, .. } = grant else { return 0 };
        held = (held.0 + u128::from(milli.0), held.1 + u128::from(memory.0));
    }
    let by_milli = 1000u128.saturating_sub(held.0) / milli;
    let by_memory = u128::from(device.class.memory.0).saturating_sub(held.1) / memory.max(1);
    by_milli.min(by_memory)
}
