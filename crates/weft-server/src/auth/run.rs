//! A run's own credential: that the kernel says who is at the socket's other end.
//!
//! The supervisor of a run names its run in a header; it is believed where its process is the one
//! that has taken over this very run, still lives, and the run is not over. So there is no secret
//! that could be found, kept or sent on: the credential is born with the run's supervisor and ends
//! with it, or with the run, at each request. It is good for reading the datasets that the workload
//! declared, as its user, and for nothing else (`api/guard.rs`). Programs in the sandbox have
//! neither the socket nor that process.

use super::caller::{Caller, Peer, Unknown, is_ours, refused};
use axum::http::HeaderValue;
use std::str::FromStr;
use std::sync::Arc;
use weft_api::spec::{DataSpec, WorkloadSpec};
use weft_lifecycle::State;
use weft_policy::{Principal, Role, Scope, Source};
use weft_runtime::{MemberKey, Runtime};
use weft_store::{Read, Store, StoreError, UserRow, WorkloadRow};
use weft_types::Tier;

/// Names the run that asks: `w42-1-0`.
pub(crate) const HEADER: &str = weft_runtime::RUN_HEADER;

/// What a run may read.
#[derive(Debug, Clone)]
pub(crate) struct Declared {
    /// The versions that its workload declared.
    pub(crate) data: Vec<DataSpec>,
}

impl Declared {
    /// Whether that version of a dataset is among them.
    pub(crate) fn has(&self, dataset: &str, version: &str) -> bool {
        let is = |data: &DataSpec| data.from.split_once('@') == Some((dataset, version));
        self.data.iter().any(is)
    }
}

/// Which run is calling.
pub(crate) async fn caller(
    store: &Store,
    runtime: &Runtime,
    peer: Peer,
    named: &HeaderValue,
) -> Result<Caller, Unknown> {
    let Peer::Socket { uid: Some(uid), pid: Some(pid) } = peer else {
        return Err(refused("a run asks on the socket only", None));
    };
    let key = named.to_str().ok().and_then(|text| text.parse::<MemberKey>().ok());
    let key = key.ok_or_else(|| refused("not the name of a run", None))?;
    if !is_ours(uid) || !runtime.supervises(key, pid) {
        return Err(refused("not the supervisor of that run", None));
    }
    let found = store.read(move |r| found(r, key)).await?;
    let (row, user) = found.ok_or_else(|| refused("a run that is over", None))?;
    let damaged = |e: &dyn std::fmt::Display| StoreError::Damaged(e.to_string());
    let spec: WorkloadSpec = serde_json::from_str(&row.spec_json).map_err(|e| damaged(&e))?;
    let principal = Principal {
        user: user.name,
        role: Role::from_str(user.role.as_str()).map_err(|e| damaged(&e))?,
        queue: user.queue,
        scope: Scope::Read,
        by: Source::Run,
        disabled: user.disabled,
        carries: carries(&spec.data),
    };
    let run = Some(Arc::new(Declared { data: spec.data }));
    // What the audit log has beside the user: which run it was.
    Ok(Caller { principal, token: Some(format!("run {key}")), run })
}

/// The workload and its user, where this start of it is not over.
fn found(r: &Read<'_>, key: MemberKey) -> Result<Option<(WorkloadRow, UserRow)>, StoreError> {
    let Some(row) = r.workload(key.workload)? else { return Ok(None) };
    let runs = matches!(row.record.state, State::Starting | State::Running | State::Stopping);
    if !runs || row.record.attempt != key.attempt {
        return Ok(None);
    }
    let user = r.user(&row.user)?;
    Ok(user.map(|user| (row, user)))
}

/// The highest tier among what was declared, as it was then.
pub(crate) fn carries(data: &[DataSpec]) -> Tier {
    let tier = |data: &DataSpec| data.tier.as_deref().and_then(|word| Tier::from_str(word).ok());
    data.iter().filter_map(tier).max().unwrap_or(Tier::Public)
}
