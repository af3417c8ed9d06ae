//! Data near to compute: which machines hold bytes that a workload reads, and what a place moves.
//!
//! Versions of datasets are numbers here, which only have to be the same for the same version; what
//! they are called is nobody's business. The server and the simulator say both sides in one part of
//! the snapshot ([`Data`]), apart from machines and workloads: who may have what, and whether it
//! fits, never hangs on it, and a copy of the pool that is kept stays good when it changes.
//! `board/near.rs` has the rule that places use. Absent on purpose: fetching, and copies made
//! ahead.

use crate::{Action, Placement, Plan, Snapshot};
use alloc::collections::{BTreeMap, BTreeSet};
use serde::{Deserialize, Serialize};
use weft_types::{Bytes, NodeId, WorkloadId};

/// Bytes of versions of datasets, by a number for each.
pub type Versions = BTreeMap<u64, Bytes>;

/// Who holds what, and who reads what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Data {
    /// What each machine holds; what is not said is nothing.
    pub held: BTreeMap<NodeId, Versions>,
    /// What each workload has declared to read; what is not said is nothing.
    pub read: BTreeMap<WorkloadId, Versions>,
}

impl Data {
    /// Whether nobody reads anything.
    pub fn is_empty(&self) -> bool {
        self.read.is_empty()
    }

    /// Bytes of what the workload reads that the machine holds.
    pub fn held_by(&self, node: &NodeId, workload: WorkloadId) -> Bytes {
        let (Some(held), Some(read)) = (self.held.get(node), self.read.get(&workload)) else {
            return Bytes::ZERO;
        };
        let both = read.iter().filter_map(|(version, size)| Some((*size).min(*held.get(version)?)));
        sum(both)
    }

    /// Bytes of all that the workload has declared to read.
    pub fn declared_by(&self, workload: WorkloadId) -> Bytes {
        sum(self.read.get(&workload).into_iter().flat_map(BTreeMap::values).copied())
    }

    /// Bytes that have to be brought for these placements: to each machine once what it does not
    /// hold, if all that was declared is read. None where it has declared nothing.
    pub fn to_move(&self, workload: WorkloadId, placements: &[Placement]) -> Option<Bytes> {
        self.read.get(&workload)?;
        let all = self.declared_by(workload);
        let nodes: BTreeSet<_> = placements.iter().map(|placement| &placement.node).collect();
        let lacks = |node| Bytes(all.0.saturating_sub(self.held_by(node, workload).0));
        Some(sum(nodes.into_iter().map(lacks)))
    }
}

impl Plan {
    /// Bytes that each start has to have brought, of those that have declared to read any.
    pub fn to_move(&self, snapshot: &Snapshot) -> BTreeMap<WorkloadId, Bytes> {
        let moved = |action: &Action| match action {
            Action::Start { workload, placements, .. } => {
                Some((*workload, snapshot.data.to_move(*workload, placements)?))
            }
            Action::Stop { .. } => None,
        };
        self.actions.iter().filter_map(moved).collect()
    }
}

fn sum(bytes: impl Iterator<Item = Bytes>) -> Bytes {
    bytes.fold(Bytes::ZERO, |sum, more| Bytes(sum.0.saturating_add(more.0)))
}
