//! The experiment through the production planner: the same arrivals, in one plan.
//!
//! All requests wait in the order of their arrival in one queue that owns everything, so that the
//! plan starts each where it fits and passes over what fits nowhere: the rules of the experiment.
//! What the planner learns of the list is what `run` gives its policies, so both decide alike; a
//! test holds them together.

use crate::pack::{Class, Devices, Node, WHOLE};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use weft_sched::{
    Action, Device, DeviceClass, DeviceMode, Engine, Market, Pending, Queue, Quota, Request,
    Snapshot, Workload, WorkloadState,
};
use weft_types::{
    Attempt, Bytes, GpuFilter, GpuRequest, Isolation, Kind, MilliCpu, MilliGpu, Millis, NodeId,
    Phase, QueueName, Timestamp, WorkloadId,
};

/// What one plan did.
#[derive(Debug)]
pub struct Planned {
    /// For each arrival, the machine and which of its devices; none where it fits nowhere.
    pub places: Vec<Option<(usize, Devices)>>,
    /// What the plan took, reasons not counted.
    pub took: Duration,
}

/// Plans the arrivals on these machines, which are numbered as they come.
///
/// # Errors
///
/// In words, where a machine or request cannot be said to the planner.
pub fn plan(nodes: &[Node], requests: &[Class], arrivals: &[Class]) -> Result<Planned, String> {
    let mut snapshot = pool(nodes)?;
    let asked = requests.iter().map(|class| (request(class), Phase::Training, 1));
    snapshot.market = Market::learn(&snapshot, asked);
    let queue = queue_name()?;
    for (at, class) in (0..).zip(arrivals) {
        snapshot.workloads.insert(WorkloadId(at), workload(&queue, class, Timestamp(at)));
    }
    let mut engine = Engine::new(snapshot);
    let began = Instant::now();
    let plan = engine.decide(Timestamp(arrivals.len() as u64));
    let took = began.elapsed();
    let mut places = vec![None; arrivals.len()];
    for action in plan.actions {
        let Action::Start { workload, placements, .. } = action else { continue };
        let Some(placement) = placements.into_iter().next() else { continue };
        let number = placement.node.as_str().trim_start_matches('m').parse::<usize>();
        let devices = placement.grants.iter().map(|grant| 1 << grant.device().index);
        let found = number.ok().zip(Some(devices.fold(0, |all, one| all | one)));
        let place = places.get_mut(workload.0 as usize);
        place.into_iter().for_each(|place| *place = found);
    }
    Ok(Planned { places, took })
}

pub(crate) fn queue_name() -> Result<QueueName, String> {
    "all".parse().map_err(|_| "the queue's name".to_owned())
}

pub(crate) fn pool(nodes: &[Node]) -> Result<Snapshot, String> {
    let mut snapshot = Snapshot::default();
    for (at, node) in nodes.iter().enumerate() {
        let name: NodeId = format!("m{at:05}").parse().map_err(|_| format!("machine {at}"))?;
        let class =
            DeviceClass { name: model(node.model), memory: Bytes(u64::from(WHOLE)), value: 0 };
        let device = Device {
            class,
            healthy: true,
            mode: DeviceMode::Whole,
            share: Some(Isolation::Shared),
        };
        let devices: BTreeMap<u32, Device> =
            (0..u32::from(node.devices)).map(|index| (index, device.clone())).collect();
        let machine = weft_sched::Node {
            schedulable: true,
            cpu: MilliCpu(node.cpu.into()),
            memory: Bytes(node.memory),
            disk: Bytes(0),
            devices,
        };
        snapshot.nodes.insert(name, machine);
    }
    let queue = Queue {
        gpu: Quota { nominal: MilliGpu(u64::MAX >> 8), ..Quota::default() },
        cpu: Quota { nominal: MilliCpu(u64::MAX >> 8), ..Quota::default() },
        memory: Quota { nominal: Bytes(u64::MAX >> 8), ..Quota::default() },
        ..Queue::default()
    };
    snapshot.queues.insert(queue_name()?, queue);
    Ok(snapshot)
}

fn model(number: u8) -> String {
    format!("model-{number}")
}

pub(crate) fn request(class: &Class) -> Request {
    let names = match class.models {
        u64::MAX => Vec::new(),
        models => (0..64).filter(|at| models >> at & 1 == 1).map(model).collect(),
    };
    // A request for models that no machine has must not become one for any.
    let names = match (names.is_empty(), class.models) {
        (true, models) if models != u64::MAX => vec!["none".to_owned()],
        _ => names,
    };
    let filter = GpuFilter { names, ..GpuFilter::default() };
    let gpu = match class.devices {
        0 => GpuRequest::None,
        _ if class.shares() => GpuRequest::Share { milli: MilliGpu(class.milli.into()), filter },
        count => GpuRequest::Whole { count: count.into(), filter },
    };
    let (cpu, memory) = (MilliCpu(class.cpu.into()), Bytes(class.memory));
    Request { cpu, memory, disk: Bytes(0), gpu, ..Request::default() }
}

pub(crate) fn workload(queue: &QueueName, class: &Class, at: Timestamp) -> Workload {
    Workload {
        queue: queue.clone(),
        kind: Kind::Job,
        phase: Phase::Training,
        priority: 0,
        submitted_at: at,
        request: request(class),
        gang: 1,
        gang_most: 0,
        reclaim: Phase::Training.reclaim(),
        max_duration: None,
        expected: None,
        suspend: None,
        served: Millis(0),
        state: WorkloadState::Pending(Pending {
            not_before: Timestamp(0),
            since: at,
            owed: None,
            next_attempt: Attempt(1),
        }),
    }
}
