//! A run's own credential: that the kernel says who is at the socket's other end.
//!
//! The supervisor of a run names its run in a header; it is believed where its process is the one
//! that has taken over this very run, still lives, and the run is not over. So there is no secret
//! that could be found, kept or sent on: the credential is born with the run's supervisor and ends
//! with it, or with the run, at each request. It is good for reading the datasets that the workload
//! declared, as its user, and for nothing else (`api/guard.rs`). Programs in the sandbox have
//! neither the socket nor that process.
//!
//! What programs in the sandbox say in S3's words comes by a socket of its own: the supervisor
//! writes the run's name as the first line of each connection and then carries what they say
//! ([`peer`]). Nothing but the S3 front is behind that socket (`s3/inside.rs`).

use super::caller::{Caller, Peer, Unknown, is_ours, refused};
use axum::http::HeaderValue;
use std::str::FromStr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use weft_api::spec::{DataSpec, WorkloadSpec};
use weft_lifecycle::State;
use weft_policy::{Principal, Role, Scope, Source};
use weft_runtime::{MemberKey, Runtime};
use weft_store::{Read, Store, StoreError, UserRow, WorkloadRow};
use weft_types::Tier;
use weft_view::Fraction;

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
        self.versions().any(|declared| declared == (dataset, version))
    }

    /// What part of that version was declared; none: all of it, or nothing.
    ///
    /// # Errors
    /// What was kept is no part.
    pub(crate) fn part(
        &self,
        dataset: &str,
        version: &str,
    ) -> Result<Option<Fraction>, StoreError> {
        let is_it = |data: &&DataSpec| data.from.split_once('@') == Some((dataset, version));
        let sample = self.data.iter().find(is_it).and_then(|data| data.sample.as_deref());
        let part = sample.map(Fraction::parse).transpose();
        part.map_err(|rule| StoreError::Damaged(format!("a workload's sample {rule}")))
    }

    /// Each as its dataset's name and the version's: `claims` and `v7`.
    pub(crate) fn versions(&self) -> impl Iterator<Item = (&str, &str)> {
        self.data.iter().filter_map(|data| data.from.split_once('@'))
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
    if !is_ours(uid) {
        return Err(refused("not the supervisor of that run", None));
    }
    of(store, runtime, (key, pid)).await
}

/// Longest first line: three numbers.
const LINE_MAX: usize = 64;

/// Whose connection to the socket for runs this is: none where it is not the supervisor of the run
/// that its first line names. Reads that line and nothing behind it, and answers with an empty one.
pub(crate) async fn peer(stream: &mut UnixStream, runtime: &Runtime) -> Option<Peer> {
    let cred = stream.peer_cred().ok().filter(|cred| is_ours(cred.uid()))?;
    let (pid, mut line) = (cred.pid()?, Vec::new());
    loop {
        match stream.read_u8().await.ok()? {
            b'\n' => break,
            byte if line.len() < LINE_MAX => line.push(byte),
            _ => return None,
        }
    }
    let key: MemberKey = std::str::from_utf8(&line).ok()?.parse().ok()?;
    if !runtime.supervises(key, pid) {
        return None;
    }
    stream.write_all(b"\n").await.ok()?;
    Some(Peer::Run { key, pid })
}

/// The caller that a run is, by its supervisor's process, as long as both live.
pub(crate) async fn of(
    store: &Store,
    runtime: &Runtime,
    (key, pid): (MemberKey, i32),
) -> Result<Caller, Unknown> {
    if !runtime.supervises(key, pid) {
        return Err(refused("not the supervisor of that run", None));
    }
    let found = store.glance(|r| found(r, key)).await?;
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
