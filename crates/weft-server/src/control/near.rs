//! What the planner is told of data: which versions those that wait have declared, and that this
//! machine holds them.
//!
//! Datasets lie on the server's disk, and what a run has read stays in memory no longer than the
//! run: so the server's own machine holds all, and another one nothing. What is declared never
//! changes after the submission, so each workload is read once. In memory alone.

use crate::views::sample;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use weft_api::spec::WorkloadSpec;
use weft_sched::{Snapshot, Versions, WorkloadState};
use weft_store::{DatasetId, Read, StoreError};
use weft_types::{DatasetName, NodeId, WorkloadId};
use weft_view::Fraction;

/// Workloads that are read in one turn, some ten microseconds each: after a restart
/// with a long queue the later ones are known a turn later.
const READ_MAX: usize = 1_000;

/// What those that wait have declared.
pub(crate) struct Near {
    here: NodeId,
    known: Mutex<BTreeMap<WorkloadId, Declared>>,
}

/// What one has.
#[derive(Default)]
struct Declared {
    versions: Versions,
    /// And of which of these no more than a part.
    samples: Vec<(DatasetId, u32, Fraction)>,
}

/// Those that wait for a sample to be made, and why.
pub(super) type Held = BTreeMap<WorkloadId, String>;

impl Near {
    /// Of the server's machine.
    pub(crate) fn new(here: NodeId) -> Self {
        Self { here, known: Mutex::default() }
    }

    /// Tells the snapshot. Who waits for a sample is not in it: no machine waits with them.
    pub(super) fn tell(&self, r: &Read<'_>, snapshot: &mut Snapshot) -> Result<Held, StoreError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|id, _| snapshot.workloads.contains_key(id));
        let waits = snapshot.workloads.iter().filter(|(id, workload)| {
            matches!(workload.state, WorkloadState::Pending(_)) && !known.contains_key(id)
        });
        let new: Vec<WorkloadId> = waits.map(|(id, _)| *id).take(READ_MAX).collect();
        for id in new {
            known.insert(id, declared(r, id)?);
        }
        let mut held = Held::new();
        for (id, declared) in known.iter() {
            for (source, number, part) in &declared.samples {
                if let Some(why) = sample::waits(r, *source, *number, *part)? {
                    snapshot.workloads.remove(id);
                    held.insert(*id, why);
                }
            }
        }
        let data = &mut snapshot.data;
        let reads = known
            .iter()
            .filter(|(id, declared)| !declared.versions.is_empty() && !held.contains_key(id));
        data.read = reads.map(|(id, declared)| (*id, declared.versions.clone())).collect();
        if !data.read.is_empty() {
            let all = data.read.values().flatten().map(|(version, bytes)| (*version, *bytes));
            data.held = BTreeMap::from([(self.here.clone(), all.collect())]);
        }
        Ok(held)
    }
}

/// The versions that a workload has declared, with their bytes, all of them also where it reads a
/// part; what is gone meanwhile is not.
fn declared(r: &Read<'_>, id: WorkloadId) -> Result<Declared, StoreError> {
    let mut declared = Declared::default();
    let Some(row) = r.workload(id)? else { return Ok(declared) };
    // One that cannot be read is found at its start; here it must not stop everybody's plan.
    let Ok(spec) = serde_json::from_str::<WorkloadSpec>(&row.spec_json) else {
        return Ok(declared);
    };
    for data in &spec.data {
        let named = data.from.split_once("@v").and_then(|(name, number)| {
            Some((name.parse::<DatasetName>().ok()?, number.parse::<u32>().ok()?))
        });
        let Some((name, number)) = named else { continue };
        let Some(set) = r.dataset(&name)? else { continue };
        if let Some(version) = r.dataset_version(set.id, number)? {
            declared.versions.insert(set.id.0 << 32 | u64::from(number), version.bytes);
        }
        let part = data.sample.as_deref().and_then(|text| Fraction::parse(text).ok());
        declared.samples.extend(part.map(|part| (set.id, number, part)));
    }
    Ok(declared)
}
