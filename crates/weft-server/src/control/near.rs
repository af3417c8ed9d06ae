//! What the planner is told of data: which versions those that wait have declared, and that this
//! machine holds them.
//!
//! Datasets lie on the server's disk, and what a run has read stays in memory no longer than the
//! run: so the server's own machine holds all, and another one nothing. What is declared never
//! changes after the submission, so each workload is read once. In memory alone.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use weft_api::spec::WorkloadSpec;
use weft_sched::{Snapshot, Versions, WorkloadState};
use weft_store::{Read, StoreError};
use weft_types::{DatasetName, NodeId, WorkloadId};

/// Workloads that are read in one turn, some ten microseconds each: after a restart
/// with a long queue the later ones are known a turn later.
const READ_MAX: usize = 1_000;

/// What those that wait have declared.
pub(crate) struct Near {
    here: NodeId,
    known: Mutex<BTreeMap<WorkloadId, Versions>>,
}

impl Near {
    /// Of the server's machine.
    pub(crate) fn new(here: NodeId) -> Self {
        Self { here, known: Mutex::default() }
    }

    /// Tells the snapshot.
    pub(super) fn tell(&self, r: &Read<'_>, snapshot: &mut Snapshot) -> Result<(), StoreError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|id, _| snapshot.workloads.contains_key(id));
        let waits = snapshot.workloads.iter().filter(|(id, workload)| {
            matches!(workload.state, WorkloadState::Pending(_)) && !known.contains_key(id)
        });
        let new: Vec<WorkloadId> = waits.map(|(id, _)| *id).take(READ_MAX).collect();
        for id in new {
            known.insert(id, declared(r, id)?);
        }
        let data = &mut snapshot.data;
        let reads = known.iter().filter(|(_, versions)| !versions.is_empty());
        data.read = reads.map(|(id, versions)| (*id, versions.clone())).collect();
        if !data.read.is_empty() {
            let all = data.read.values().flatten().map(|(version, bytes)| (*version, *bytes));
            data.held = BTreeMap::from([(self.here.clone(), all.collect())]);
        }
        Ok(())
    }
}

/// The versions that a workload has declared, with their bytes; what is gone meanwhile is not.
fn declared(r: &Read<'_>, id: WorkloadId) -> Result<Versions, StoreError> {
    let Some(row) = r.workload(id)? else { return Ok(Versions::new()) };
    let mut versions = Versions::new();
    // One that cannot be read is found at its start; here it must not stop everybody's plan.
    let Ok(spec) = serde_json::from_str::<WorkloadSpec>(&row.spec_json) else {
        return Ok(versions);
    };
    for data in &spec.data {
        let named = data.from.split_once("@v").and_then(|(name, number)| {
            Some((name.parse::<DatasetName>().ok()?, number.parse::<u32>().ok()?))
        });
        let Some((name, number)) = named else { continue };
        let Some(set) = r.dataset(&name)? else { continue };
        if let Some(version) = r.dataset_version(set.id, number)? {
            versions.insert(set.id.0 << 32 | u64::from(number), version.bytes);
        }
    }
    Ok(versions)
}
