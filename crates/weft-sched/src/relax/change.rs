//! A change of what a workload asks for, as data: what the user would write instead, and how much
//! is given up by it.

use crate::Workload;
use alloc::vec::Vec;
use weft_types::{Bytes, GpuRequest, MilliCpu, QueueName, Timestamp, WorkloadId};

/// Something that would let a waiting workload start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relaxation {
    /// What is asked for instead, each of one field; none where time alone is needed.
    pub changes: Vec<Change>,
    /// How much of what was asked is given up, in thousandths of it; what has no amount counts
    /// what `change.rs` says. The relaxations of a workload are in this order.
    pub given_up: u32,
    /// What happens then.
    pub then: Then,
}

/// One field of the spec with another value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// `resources.gpu`.
    Gpu {
        /// As it is asked for.
        from: GpuRequest,
        /// Instead.
        to: GpuRequest,
    },
    /// `resources.cpu`.
    Cpu {
        /// As it is asked for.
        from: MilliCpu,
        /// Instead.
        to: MilliCpu,
    },
    /// `resources.memory`.
    Memory {
        /// As it is asked for.
        from: Bytes,
        /// Instead.
        to: Bytes,
    },
    /// `resources.disk`.
    Disk {
        /// As it is asked for.
        from: Bytes,
        /// Instead.
        to: Bytes,
    },
    /// `replicas`.
    Gang {
        /// As it is asked for.
        from: u32,
        /// Instead.
        to: u32,
    },
    /// `queue`.
    Queue {
        /// As it is asked for.
        from: QueueName,
        /// Instead.
        to: QueueName,
    },
    /// `priority`.
    Priority {
        /// As it is asked for.
        from: i32,
        /// Instead.
        to: i32,
    },
}

/// What happens once the workload is as proposed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Then {
    /// It starts at once.
    Now,
    /// These are stopped for it, and it starts on what they held.
    After(Vec<WorkloadId>),
    /// It starts when these have ended, as it is.
    Ends {
        /// Who holds what it needs.
        workloads: Vec<WorkloadId>,
        /// When the last of them is expected to end.
        at: Timestamp,
    },
}

/// Another kind of device, no smaller: the program has to run there too.
pub(super) const OTHER_KIND: u32 = 100;
/// Another queue: somebody else's share is used.
pub(super) const OTHER_QUEUE: u32 = 200;
/// A higher priority: others of the queue wait for it.
pub(super) const PRIORITY: u32 = 300;
/// A higher priority that ends what runs: the work of others is interrupted.
pub(super) const INTERRUPTS: u32 = 900;
/// All of it: what time alone needs is named after what can be had at once.
pub(super) const TIME: u32 = 1000;

impl Relaxation {
    /// The workload with what is proposed.
    pub fn apply(&self, workload: &Workload) -> Workload {
        with(workload, &self.changes)
    }
}

/// The workload with these changes.
pub(super) fn with(workload: &Workload, changes: &[Change]) -> Workload {
    let mut changed = workload.clone();
    for change in changes {
        match change {
            Change::Gpu { to, .. } => changed.request.gpu = to.clone(),
            Change::Cpu { to, .. } => changed.request.cpu = *to,
            Change::Memory { to, .. } => changed.request.memory = *to,
            Change::Disk { to, .. } => changed.request.disk = *to,
            Change::Gang { to, .. } => changed.gang = *to,
            Change::Queue { to, .. } => changed.queue = to.clone(),
            Change::Priority { to, .. } => changed.priority = *to,
        }
    }
    changed
}

/// What is given up of an amount, in thousandths, rounded up.
pub(super) fn lost(asked: u64, given: u64) -> u32 {
    let lost = u128::from(asked.saturating_sub(given)) * 1000;
    u32::try_from(lost.div_ceil(u128::from(asked.max(1)))).unwrap_or(1000)
}
