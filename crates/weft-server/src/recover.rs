//! After a start of the server: what the store says against what is on this machine.
//!
//! | the store says | the machine has | then |
//! |--|--|--|
//! | a member starts or runs | its run | adopted: waited for, its end reported |
//! | a member starts | nothing | started: the server died between commit and start |
//! | a member runs | nothing | lost; its `retry` decides |
//! | it ended | its run | kept for its log; nothing lives, its scratch disk is given back |
//! | no such workload, or no such start yet | a run | removed: deleted, or a restored backup |
//!
//! Repeating it changes nothing, so the loop also calls [`adopt`] after a turn that failed.

use crate::control::{history, recovered};
use std::cmp::Ordering;
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use weft_agent::{Agent, now};
use weft_lifecycle::{MemberState, State};
use weft_runtime::{MemberKey, Runtime};
use weft_store::{Store, StoreError, WorkloadFilter, WorkloadRow};
use weft_types::WorkloadId;

/// Runs looked up in one read: a reader is held for some milliseconds.
const SWEEP: usize = 128;

/// What is to be removed, and what must not live although it is kept.
#[derive(Debug, Default, PartialEq, Eq)]
struct Leftovers {
    /// Runs nobody knows; another start will want the name of some.
    unknown: Vec<MemberKey>,
    /// Runs whose end the store knows.
    over: Vec<MemberKey>,
}

/// Hands the agent every member that the store says is not over. The agent leaves alone what it
/// has already.
pub(crate) async fn adopt(store: &Store, agent: &Agent) -> Result<(), StoreError> {
    let epoch = store.epoch();
    for row in holding(store).await? {
        match recovered(&row, epoch) {
            Ok(assignments) => agent.start(assignments),
            Err(why) => {
                tracing::error!(workload = %row.id, why, "cannot be carried on");
                let ended = store.write(move |w| history::unreadable(w, row, &why, now())).await;
                if let Err(error) = ended {
                    tracing::error!(%error, "and its end was not stored");
                }
            }
        }
    }
    Ok(())
}

/// Removes runs that the store does not know, and sees to it that nothing lives whose end it
/// knows. Returns once no name of a start yet to come is taken; runs of what has ended, of which
/// there may be thousands, are looked through behind.
pub(crate) async fn clear(store: &Store, runtime: &Runtime) -> Result<(), StoreError> {
    let live: BTreeSet<WorkloadId> =
        store.read(|r| r.snapshot()).await?.workloads.into_keys().collect();
    let (now, later): (Vec<_>, Vec<_>) =
        runtime.runs().into_iter().partition(|key| live.contains(&key.workload));
    sweep(store, runtime, now).await?;
    for workload in runtime.kept().into_iter().filter(|id| !live.contains(id)) {
        if let Err(error) = runtime.forget_kept(workload).await {
            tracing::warn!(%workload, %error, "what it kept is still there");
        }
    }
    let (store, runtime) = (store.clone(), runtime.clone());
    tokio::spawn(async move {
        for keys in later.chunks(SWEEP) {
            if let Err(error) = sweep(&store, &runtime, keys.to_vec()).await {
                return tracing::warn!(%error, "old runs are looked through at the next start");
            }
        }
    });
    Ok(())
}

async fn sweep(store: &Store, runtime: &Runtime, keys: Vec<MemberKey>) -> Result<(), StoreError> {
    let left = store.read(move |r| -> Result<_, StoreError> {
        let mut known: HashMap<WorkloadId, Option<WorkloadRow>> = HashMap::new();
        let mut left = Leftovers::default();
        for key in keys {
            let row = match known.entry(key.workload) {
                Entry::Occupied(seen) => seen.into_mut(),
                Entry::Vacant(unseen) => unseen.insert(r.workload(key.workload)?),
            };
            left.sort(key, row.as_ref());
        }
        Ok(left)
    });
    let left = left.await?;
    for key in left.unknown {
        tracing::warn!(%key, "removing a run that the store does not know");
        if let Err(error) = runtime.forget(key).await {
            tracing::error!(%key, %error, "a run could not be removed");
        }
    }
    for key in left.over {
        let over = match runtime.exit(key) {
            Some(_) => runtime.release(key).await,
            None => runtime.stop(key, true).await,
        };
        if let Err(error) = over {
            tracing::warn!(%key, %error, "what has ended is not cleared away");
        }
    }
    Ok(())
}

impl Leftovers {
    fn sort(&mut self, key: MemberKey, row: Option<&WorkloadRow>) {
        let Some(row) = row else { return self.unknown.push(key) };
        let member = row.record.members.get(key.member.0 as usize);
        match key.attempt.cmp(&row.record.attempt) {
            Ordering::Greater => self.unknown.push(key),
            Ordering::Less => self.over.push(key),
            Ordering::Equal => match member {
                Some(MemberState::Ended(_)) | None => self.over.push(key),
                Some(_) => {}
            },
        }
    }
}

/// Every workload that holds capacity.
async fn holding(store: &Store) -> Result<Vec<WorkloadRow>, StoreError> {
    let read = store.read(|r| -> Result<_, StoreError> {
        let states = vec![State::Starting, State::Running, State::Stopping];
        let filter = WorkloadFilter { states, ..WorkloadFilter::default() };
        let (mut all, mut before) = (Vec::new(), None);
        loop {
            let page = r.workloads(&filter, before, weft_store::PAGE_MAX)?;
            before = page.last().map(|row| row.id);
            match before {
                Some(_) => all.extend(page),
                None => return Ok(all),
            }
        }
    });
    read.await
}

/// Forgets every run of a workload that was removed.
pub(crate) async fn forget(runtime: &Runtime, workload: WorkloadId) {
    for key in runtime.runs().into_iter().filter(|key| key.workload == workload) {
        if let Err(error) = runtime.forget(key).await {
            tracing::warn!(%key, %error, "still there; the next start of the server tries again");
        }
    }
}
