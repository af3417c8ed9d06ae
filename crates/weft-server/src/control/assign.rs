//! From a stored workload to what the agent is handed.

use std::sync::Arc;
use weft_agent::{Assignment, Origin};
use weft_api::spec::WorkloadSpec;
use weft_lifecycle::{MemberState, State};
use weft_runtime::MemberKey;
use weft_store::WorkloadRow;
use weft_types::{Epoch, Member};

/// The spec as it was submitted. Fails with a sentence where this version cannot read it.
pub(crate) fn spec(row: &WorkloadRow) -> Result<Arc<WorkloadSpec>, String> {
    let read = serde_json::from_str(&row.spec_json);
    read.map(Arc::new).map_err(|e| format!("its stored spec cannot be read: {e}"))
}

/// Every member of a start that was just committed.
pub(super) fn fresh(row: &WorkloadRow, spec: &Arc<WorkloadSpec>, epoch: Epoch) -> Vec<Assignment> {
    assign(row, spec, epoch, |_| Some(Origin::Fresh))
}

/// Every member that has not ended of a start that an earlier server made.
pub(crate) fn recovered(row: &WorkloadRow, epoch: Epoch) -> Result<Vec<Assignment>, String> {
    let stopping = row.record.state == State::Stopping;
    Ok(assign(row, &spec(row)?, epoch, |member| match member {
        MemberState::Ended(_) => None,
        MemberState::Starting => Some(Origin::Recovered { running: false, stopping }),
        MemberState::Running => Some(Origin::Recovered { running: true, stopping }),
    }))
}

fn assign(
    row: &WorkloadRow,
    spec: &Arc<WorkloadSpec>,
    epoch: Epoch,
    origin: impl Fn(&MemberState) -> Option<Origin>,
) -> Vec<Assignment> {
    let members = row.placements.iter().zip(&row.record.members).enumerate();
    let assignment = |(number, (placement, member)): (usize, (&_, &_))| {
        Some(Assignment {
            key: MemberKey {
                workload: row.id,
                attempt: row.record.attempt,
                member: Member(number as u32),
            },
            epoch,
            name: row.name.clone(),
            gang: row.members,
            placement: Clone::clone(placement),
            spec: spec.clone(),
            origin: origin(member)?,
        })
    };
    members.filter_map(assignment).collect()
}
