//! What the planner says: a plan of actions, and a reason for every workload that waits.
//!
//! [`Action`] is the closed list of everything the core may ask of the world.

use crate::{Placement, Request};
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};
use weft_types::{Attempt, Generation, Millis, NodeId, QueueName, Timestamp, WorkloadId};

/// What to do next, made on one generation and only valid on it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The generation it was made on.
    pub base: Generation,
    /// In the order they are to be done: stops before the starts they make room for.
    pub actions: Vec<Action>,
    /// Who waits for what stops already and is within its own share: once for each, from that
    /// moment on they go first, as those for whom something is stopped.
    pub kept: Vec<(WorkloadId, Timestamp)>,
    /// Why each workload that still waits does.
    pub verdicts: BTreeMap<WorkloadId, Verdict>,
    /// When time alone may change the plan (a minimum run time or back-off ends, a limit is
    /// reached): plan again then. None: only an event can.
    pub wake_at: Option<Timestamp>,
}

impl Plan {
    /// Whether nothing is to be done or noted.
    pub fn is_idle(&self) -> bool {
        self.actions.is_empty() && self.kept.is_empty()
    }

    /// For whom others are stopped, once for each stop, with the moment since when it is owed: a
    /// millisecond after the one promised before, so that the order of promises is kept; then who
    /// keeps what stops already.
    pub fn promises(&self, now: Timestamp) -> impl Iterator<Item = (WorkloadId, Timestamp)> + '_ {
        let stops = self.actions.iter().filter_map(|action| match action {
            Action::Stop { cause, .. } => cause.beneficiary(),
            Action::Start { .. } => None,
        });
        let stops = stops.zip(0..).map(move |(id, place)| (id, now.after(Millis(place))));
        stops.chain(self.kept.iter().copied())
    }
}

/// Everything the core may ask of the world.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Start every member of a waiting workload on the capacity given. All or nothing.
    Start {
        /// Which workload.
        workload: WorkloadId,
        /// The start's number: what the executor does is done once for it.
        attempt: Attempt,
        /// One for each member, in member order.
        placements: Vec<Placement>,
    },
    /// End every member of a running workload and take its capacity back.
    Stop {
        /// Which workload.
        workload: WorkloadId,
        /// Which of its starts; a later one is left alone.
        attempt: Attempt,
        /// Why.
        cause: StopCause,
    },
}

impl Action {
    /// The workload it is about.
    pub fn workload(&self) -> WorkloadId {
        match self {
            Action::Start { workload, .. } | Action::Stop { workload, .. } => *workload,
        }
    }
}

/// Why a running workload is stopped by the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopCause {
    /// A workload of higher priority in the same queue takes its place; it waits again.
    Preempt {
        /// For whom.
        beneficiary: WorkloadId,
    },
    /// What it borrowed goes back to its owner; it waits again.
    Reclaim {
        /// For whom.
        beneficiary: WorkloadId,
    },
    /// It is suspended for one that has been served less, of its queue or of another that shares
    /// what it has borrowed; it waits again, with its work kept.
    Suspend {
        /// For whom.
        beneficiary: WorkloadId,
    },
    /// It has run as long as it may. It does not wait again.
    MaxDuration,
}

impl StopCause {
    /// For whom it is stopped.
    pub fn beneficiary(&self) -> Option<WorkloadId> {
        match self {
            StopCause::Preempt { beneficiary }
            | StopCause::Reclaim { beneficiary }
            | StopCause::Suspend { beneficiary } => Some(*beneficiary),
            StopCause::MaxDuration => None,
        }
    }
}

/// Why a workload waits, where it stands and when it may start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The one dominant reason; equal workloads share it.
    pub reason: Arc<Reason>,
    /// Place in its queue, counted from 1.
    pub position: u32,
    /// When it may start if what runs ends as expected; none where that is not known.
    pub eta: Option<Timestamp>,
}

/// Why a workload waits. Each names what is missing, so that a reader can act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// A retry waits for its back-off.
    BackOff {
        /// Until then.
        until: Timestamp,
    },
    /// No machine, even empty, could ever hold a member.
    Impossible {
        /// The machine that comes nearest.
        nearest: Option<NodeId>,
        /// What that one lacks, in words.
        lacking: String,
        /// What would be given in its stead, as a request for it; empty where less may be.
        #[serde(default)]
        instead: String,
    },
    /// Its queue, or one above it, has no share left.
    Quota {
        /// Which queue's.
        queue: QueueName,
        /// `gpu`, `cpu` or `memory`.
        resource: String,
        /// What the workload needs of it, in words with units.
        needed: String,
        /// What the queue uses.
        used: String,
        /// What it has and may borrow; and how much of it is lent out, where that is in the way.
        limit: String,
        /// What its cohort could lend it now.
        lendable: String,
        /// With so much more of its own it would pass, in thousandths or bytes; where a queue is
        /// below another, that one with so much more, too.
        missing: u64,
        /// Whether there is a place for it now, so that more of a share would help.
        place: bool,
    },
    /// It has a share, but what it needs is in use.
    Capacity {
        /// Members that found a place, of the gang's.
        placed: u32,
        /// The machine that comes nearest for the next member.
        nearest: Option<NodeId>,
        /// What is missing there, in words with units.
        lacking: String,
    },
    /// What it needs was taken back for it and is being handed over.
    Handover {
        /// From whom.
        victims: Vec<WorkloadId>,
    },
    /// Room will be made as soon as minimum run times have passed.
    MinRun {
        /// From then.
        until: Timestamp,
    },
    /// What it could use is kept for work that takes whole machines and usually comes.
    Kept {
        /// The machine.
        node: NodeId,
        /// Whose work it is kept for, and in whose share it counts meanwhile.
        queue: QueueName,
    },
    /// An earlier workload goes first, mostly one of its queue, and would be held up.
    Behind {
        /// Which.
        workload: WorkloadId,
        /// What is free is kept for that one, and until then given to who is gone by then; none
        /// where that is not known, or a share is kept and no place.
        until: Option<Timestamp>,
    },
}

/// A rule that a plan breaks. Any is fatal: the plan is not committed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Finding {
    /// More of something is given than a machine or a queue has.
    Over {
        /// Whose: a machine, a device or a queue.
        whose: String,
        /// Of what, in words with units.
        what: String,
    },
    /// A gang is started in part, twice, or not as it was requested.
    Gang {
        /// Which.
        workload: WorkloadId,
        /// What is wrong.
        what: String,
    },
    /// A placement does not exist or does not match its request.
    Mismatch {
        /// Whose.
        workload: WorkloadId,
        /// What was asked.
        request: Request,
        /// What is wrong.
        what: String,
    },
    /// A stop of what does not run, or may not be taken back.
    Stop {
        /// Whose.
        workload: WorkloadId,
        /// What is wrong.
        what: String,
    },
}
