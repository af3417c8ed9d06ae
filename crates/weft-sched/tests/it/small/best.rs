//! The best set of starts: whose turn it is by the rules, and whether any placing holds it.

use super::search::{Search, State};
use crate::rules::{Sum, Used, add, quota, refused, total, used};
use std::cmp::Reverse;
use std::collections::BTreeSet;
use weft_sched::{Device, DeviceMode, Snapshot, Workload, WorkloadState};
use weft_types::{GpuRequest, QueueName, WorkloadId};

/// The best set of starts of a snapshot without time sharing, back-offs, stops and long waits.
pub(super) struct Best {
    /// Waiting workloads in the order of their turns.
    pub(super) turns: Vec<WorkloadId>,
    /// Those that start.
    pub(super) started: BTreeSet<WorkloadId>,
}

impl Best {
    /// Whose turn it is depends on who started, so both are found together.
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let (search, state) = Search::new(snapshot);
        let mut states: BTreeSet<State> = BTreeSet::from([state]);
        let mut used = used(snapshot);
        let mut best = Self { turns: Vec::new(), started: BTreeSet::new() };
        while let Some((id, workload)) = best.next(snapshot, &used) {
            best.turns.push(id);
            let charge = charge(snapshot, workload);
            if refused(&snapshot.queues, &used, &workload.queue, charge) {
                continue;
            }
            let after = search.place(&states, workload);
            if !after.is_empty() {
                states = after;
                add(used.entry(workload.queue.clone()).or_default(), charge);
                best.started.insert(id);
            }
        }
        best
    }

    /// Whose turn it is: of the first of each queue, one within its queue's own share, then of the
    /// queue that uses the least part of its own, then by the queue's name.
    fn next<'a>(&self, snapshot: &'a Snapshot, used: &Used) -> Option<(WorkloadId, &'a Workload)> {
        let heads = snapshot.queues.keys().filter_map(|queue| self.head(snapshot, queue));
        heads.min_by_key(|(_, workload)| {
            let (name, charge) = (&workload.queue, charge(snapshot, workload));
            let uses = total(used, name);
            let own = |r: usize| quota(&snapshot.queues, name, r).nominal;
            let borrows = (0..3).any(|r| charge[r] > 0 && uses[r] + charge[r] > own(r));
            let part = |r: usize| match (uses[r], own(r)) {
                (0, _) => 0,
                (_, 0) => u128::MAX,
                (uses, own) => uses * 1000 / own,
            };
            (borrows, (0..3).map(part).max(), name)
        })
    }

    /// The first of a queue that had no turn: higher priority, earlier, smaller id.
    fn head<'a>(
        &self,
        snapshot: &'a Snapshot,
        queue: &QueueName,
    ) -> Option<(WorkloadId, &'a Workload)> {
        let waits = snapshot.workloads.iter().filter(|(id, workload)| {
            let pending = matches!(workload.state, WorkloadState::Pending(_));
            workload.queue == *queue && pending && !self.turns.contains(id)
        });
        let first = waits.min_by_key(|(id, it)| (Reverse(it.priority), it.submitted_at, **id));
        first.map(|(id, workload)| (*id, workload))
    }
}

/// What a workload counts in its queue; the devices of these pools that serve a request by memory
/// are all of one size.
pub(super) fn charge(snapshot: &Snapshot, workload: &Workload) -> Sum {
    let request = &workload.request;
    let devices = || snapshot.nodes.values().flat_map(|node| node.devices.values());
    let gpu = match &request.gpu {
        GpuRequest::None | GpuRequest::Auto => 0,
        GpuRequest::Whole { count, .. } => u64::from(*count) * 1000,
        GpuRequest::Share { milli, .. } => milli.0,
        GpuRequest::Memory { bytes, least, .. } => {
            let large = |device: &&Device| {
                device.mode == DeviceMode::Whole && device.class.memory >= *bytes
            };
            let part = |it: &Device| (bytes.0 * 1000).div_ceil(it.class.memory.0).max(least.0);
            devices().find(large).map_or(0, part)
        }
        GpuRequest::Mig { profile, count } => {
            u64::from(*count) * (u64::from(profile.slices) * 1000 / 7)
        }
    };
    [gpu, request.cpu.0, request.memory.0].map(|each| u128::from(each) * u128::from(workload.gang))
}
