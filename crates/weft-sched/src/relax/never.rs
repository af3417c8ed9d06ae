//! What of an impossible request could run: asked at submit time, of the pool as it would be empty,
//! with all of it the workload's share.

use super::change::Change;
use super::find::May;
use crate::{Engine, Pending, Queue, Quota, Request, Snapshot, Workload, WorkloadState};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use weft_types::{
    Attempt, Bytes, Generation, Kind, MilliCpu, MilliGpu, Millis, Phase, QueueName, ReclaimPolicy,
    Timestamp, WorkloadId,
};

/// The name of the queue that has everything, for this question alone.
const ALL: &str = "all";

/// What has to be changed of a request that [`crate::impossible`] refuses, as little as possible;
/// empty where nothing near it could run either.
pub fn possible_with(snapshot: &Snapshot, request: &Request, gang: u32) -> Vec<Change> {
    let Ok(queue) = QueueName::new(ALL) else { return Vec::new() };
    let mut nodes = snapshot.nodes.clone();
    for node in nodes.values_mut() {
        node.schedulable = true;
        node.devices.values_mut().for_each(|device| device.healthy = true);
    }
    let all = Queue {
        gpu: Quota { nominal: MilliGpu(u64::MAX), ..Quota::default() },
        cpu: Quota { nominal: MilliCpu(u64::MAX), ..Quota::default() },
        memory: Quota { nominal: Bytes(u64::MAX), ..Quota::default() },
        ..Queue::default()
    };
    let id = WorkloadId(1);
    let empty = Snapshot {
        generation: Generation::default(),
        nodes,
        queues: BTreeMap::from([(queue.clone(), all)]),
        workloads: BTreeMap::from([(id, waiting(queue, request, gang))]),
        market: None,
        large: Vec::new(),
        data: crate::Data::default(),
    };
    let why = Engine::new(empty).why(id, Timestamp::ZERO, &May::default());
    let first = why.and_then(|why| why.relaxations.into_iter().next());
    first.map(|relaxation| relaxation.changes).unwrap_or_default()
}

fn waiting(queue: QueueName, request: &Request, gang: u32) -> Workload {
    Workload {
        queue,
        kind: Kind::Job,
        phase: Phase::Concept,
        priority: 0,
        submitted_at: Timestamp::ZERO,
        request: request.clone(),
        gang,
        gang_most: 0,
        reclaim: ReclaimPolicy { preemptible: false, reclaimable: false, min_run_ms: Millis::ZERO },
        max_duration: None,
        expected: None,
        suspend: None,
        served: Millis::ZERO,
        state: WorkloadState::Pending(Pending {
            not_before: Timestamp::ZERO,
            since: Timestamp::ZERO,
            owed: None,
            next_attempt: Attempt(1),
        }),
    }
}
