//! What the planner reads: the pool, the shares and the workloads at one generation.
//!
//! Built by the server in one read transaction, by the simulator and by the case files; the
//! planner sees nothing else. Absent on purpose: names of users, commands, datasets, addresses.

use crate::{Data, Large, Market};
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};
use weft_types::{
    Attempt, Bytes, DeviceId, Generation, GpuRequest, Isolation, Kind, Member, MigProfile,
    MilliCpu, MilliGpu, Millis, NodeId, Phase, QueueName, ReclaimPolicy, Timestamp, WorkloadId,
};

/// The pool, the shares and the workloads at one generation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// A plan commits only while this is still current.
    pub generation: Generation,
    /// The machines.
    pub nodes: BTreeMap<NodeId, Node>,
    /// The teams' shares; every workload's queue is here.
    pub queues: BTreeMap<QueueName, Queue>,
    /// Everything that waits or holds capacity; what has ended is not here.
    pub workloads: BTreeMap<WorkloadId, Workload>,
    /// What is usually asked for, where that is known: how the planner packs.
    #[serde(default)]
    pub market: Option<Market>,
    /// How many machines large requests usually take, where that is known: as many are kept for
    /// them.
    #[serde(default)]
    pub large: Vec<Large>,
    /// Which machines hold what of the data that workloads read: of places that are as good, the
    /// one with the fewest bytes to bring is taken.
    #[serde(default, skip_serializing_if = "Data::is_empty")]
    pub data: Data,
}

/// A machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Whether new work may be placed: it is ready, not drained, not in maintenance.
    pub schedulable: bool,
    /// Processor the pool may use; the host's headroom is already taken off.
    pub cpu: MilliCpu,
    /// Memory the pool may use, likewise.
    pub memory: Bytes,
    /// Scratch disk the pool may use.
    pub disk: Bytes,
    /// Accelerators, by their index on this machine.
    pub devices: BTreeMap<u32, Device>,
}

/// An accelerator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// What it is.
    pub class: DeviceClass,
    /// Unhealthy devices take no new work; what runs on them is counted still.
    pub healthy: bool,
    /// How it can be divided.
    pub mode: DeviceMode,
    /// What keeps shares of it apart, by what was tried there; none: it is not shared.
    #[serde(default = "shared", skip_serializing_if = "is_shared")]
    pub share: Option<Isolation>,
}

fn shared() -> Option<Isolation> {
    Some(Isolation::Shared)
}

#[expect(clippy::ref_option, reason = "the form that serde asks for")]
fn is_shared(share: &Option<Isolation>) -> bool {
    *share == shared()
}

/// A kind of accelerator.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DeviceClass {
    /// Lower-case kind, `h200`; a request's names match on equality.
    pub name: String,
    /// Memory a workload can use.
    pub memory: Bytes,
    /// Scarcity order of kinds: among devices that serve a request the lowest is given.
    pub value: u32,
}

/// How an accelerator can be divided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeviceMode {
    /// Given whole, or in fractions by quota.
    Whole,
    /// Divided in MIG instances; given whole only as its full profile.
    Mig {
        /// Every placement the hardware offers.
        geometry: Vec<MigPlacement>,
        /// Compute slices in all; a profile uses as many as its name says.
        compute_slices: u8,
    },
}

/// One place on an accelerator where an instance of a profile can be made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MigPlacement {
    /// The profile.
    pub profile: MigProfile,
    /// First memory slice.
    pub start: u8,
    /// How many memory slices.
    pub size: u8,
    /// Memory a workload in it can use.
    pub memory: Bytes,
}

/// A team's share. The root of each tree is its own cohort: queues lend and borrow inside it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// The group of queues it lends to and borrows from; none keeps its quota to itself. Queues
    /// below another queue share through that one whether or not they name a cohort.
    pub cohort: Option<Cohort>,
    /// Devices, in thousandths. A limit that is not set is zero, never unlimited.
    pub gpu: Quota<MilliGpu>,
    /// Processor.
    pub cpu: Quota<MilliCpu>,
    /// Memory.
    pub memory: Quota<Bytes>,
    /// Thousandths of devices that it has held lately, on average, newer times counting more and
    /// each device by its worth ([`crate::Prices`]): who has held less of a share goes first.
    #[serde(default)]
    pub recent: MilliGpu,
    /// Who goes first among equal priorities.
    #[serde(default)]
    pub order: Order,
    /// What its workloads, and those of queues below it, are kept apart from neighbours by at
    /// least; what nobody says is the least there is.
    #[serde(default, skip_serializing_if = "Isolation::is_least")]
    pub isolation: Isolation,
}

/// Who goes first among a queue's workloads of equal priority.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Who came first.
    #[default]
    Submission,
    /// Who has been served least, then who will end soonest; what can be suspended makes place.
    Service,
}

/// A cohort's name.
pub type Cohort = String;

/// A share of one resource.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota<T> {
    /// What is the queue's own; for a queue with children, what they have in all.
    pub nominal: T,
    /// What it may use beyond its own, when others in the cohort leave it free.
    pub borrowing: T,
    /// What of its own others may use while it does not.
    pub lending: T,
}

/// Something submitted that waits or holds capacity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    /// Whose share it uses.
    pub queue: QueueName,
    /// What it is.
    pub kind: Kind,
    /// Where it stands in a model's life.
    pub phase: Phase,
    /// Higher goes first within its queue.
    pub priority: i32,
    /// Among equal priorities, earlier goes first; then the id.
    pub submitted_at: Timestamp,
    /// What each member needs.
    pub request: Request,
    /// Members that start together or not at all; at least 1.
    pub gang: u32,
    /// Members it takes where there is room for more; 0, or anything below `gang`: no more.
    #[serde(default)]
    pub gang_most: u32,
    /// What may be taken back from it.
    pub reclaim: ReclaimPolicy,
    /// It is stopped when it has run this long; none means never.
    pub max_duration: Option<Millis>,
    /// How long it is expected to run in all, where known: its limit, or learned. For ETAs, and
    /// for the order of a queue that shares time.
    pub expected: Option<Millis>,
    /// What suspending it and going on later costs, in time not worked; none where its work would
    /// be lost.
    #[serde(default)]
    pub suspend: Option<Millis>,
    /// How long it ran in earlier starts whose work was kept.
    #[serde(default)]
    pub served: Millis,
    /// Whether it waits or holds capacity.
    pub state: WorkloadState,
}

impl Snapshot {
    /// What the request of a workload of this queue is kept apart by at least: its own demand, and
    /// that of its queue and of all above it.
    pub fn demanded(&self, queue: &QueueName, own: Isolation) -> Isolation {
        let chain = core::iter::successors(Some(queue.clone()), QueueName::parent);
        let known = chain.filter_map(|name| self.queues.get(&name));
        known.map(|queue| queue.isolation).chain([own]).min().unwrap_or(own)
    }
}

impl Workload {
    /// Fewest and most members it starts with.
    pub fn members(&self) -> (u32, u32) {
        let least = self.gang.max(1);
        (least, self.gang_most.max(least))
    }
}

/// What one member needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Request {
    /// Processor.
    pub cpu: MilliCpu,
    /// Memory.
    pub memory: Bytes,
    /// Scratch disk.
    pub disk: Bytes,
    /// Accelerator.
    pub gpu: GpuRequest,
    /// What keeps it apart from neighbours on the same accelerator, at least; its queue may
    /// demand more.
    #[serde(default, skip_serializing_if = "Isolation::is_least")]
    pub isolation: Isolation,
}

/// Whether a workload waits or holds capacity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum WorkloadState {
    /// It waits.
    Pending(Pending),
    /// It holds capacity: starting, running or stopping.
    Running(Running),
}

/// A waiting workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Not before this: a retry's back-off. Zero means at once.
    pub not_before: Timestamp,
    /// Since when it waits: its submission, or the end of its last start.
    #[serde(default)]
    pub since: Timestamp,
    /// Since when something has been stopped for it: until it starts it goes before all others, so
    /// that what was taken back reaches it.
    #[serde(default)]
    pub owed: Option<Timestamp>,
    /// The number its next start will carry.
    pub next_attempt: Attempt,
}

/// A workload that holds capacity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// Which start this is.
    pub attempt: Attempt,
    /// When its capacity was committed.
    pub since: Timestamp,
    /// A stop was already committed: it will give its capacity back without a further action.
    pub stopping: bool,
    /// For whom it is stopped, when its stop was planned for another workload (`StopReason::
    /// Preempted` or `Reclaimed`): what it gives back is kept for that one while it waits.
    pub handover: Option<WorkloadId>,
    /// What each member holds, in member order.
    pub placements: Vec<Placement>,
}

/// What one member holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// Which member.
    pub member: Member,
    /// On which machine.
    pub node: NodeId,
    /// Processor, memory and disk, as requested.
    pub cpu: MilliCpu,
    /// Memory.
    pub memory: Bytes,
    /// Scratch disk.
    pub disk: Bytes,
    /// Accelerators, each on this member's machine; empty for CPU only.
    pub grants: Vec<Grant>,
}

/// An accelerator, or a piece of one, given to a member.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Grant {
    /// The whole device.
    Whole {
        /// Which.
        device: DeviceId,
    },
    /// A fraction kept by quota.
    Share {
        /// Of which device.
        device: DeviceId,
        /// Compute, in thousandths of the device.
        milli: MilliGpu,
        /// Memory limit.
        memory: Bytes,
    },
    /// A MIG instance.
    Mig {
        /// On which device.
        device: DeviceId,
        /// Where on it.
        placement: MigPlacement,
    },
}

impl Grant {
    /// The device it is of.
    pub fn device(&self) -> &DeviceId {
        match self {
            Grant::Whole { device } | Grant::Share { device, .. } | Grant::Mig { device, .. } => {
                device
            }
        }
    }

    /// How well it is kept apart from its neighbours.
    pub fn isolation(&self) -> Isolation {
        match self {
            Grant::Whole { .. } => Isolation::Exclusive,
            Grant::Share { .. } => Isolation::Shared,
            Grant::Mig { .. } => Isolation::Mig,
        }
    }
}
