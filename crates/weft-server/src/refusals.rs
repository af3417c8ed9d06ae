//! Refusals of good keys on the audit log: each has its row, until they come too fast.
//!
//! A client that asks in vain in a loop would fill the disk with rows. So a person's first twenty
//! have a row each before they are answered; what is more than six a minute is summed, and a sum is
//! one row, written every ten seconds: who, how often, and what for. Whoever reads it sees what
//! there is up to then. What runs' programs ask is bounded in `s3/enter.rs`, what nobody's key asks
//! in `auth/caller.rs`. A crash forgets the count of ten seconds, and no row that was written.

use crate::auth::throttle::Throttle;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use weft_store::{Decision, NewAudit, Store, StoreError};
use weft_types::Timestamp;

/// How often sums are written: six a minute.
const WRITTEN_EVERY: Duration = Duration::from_secs(10);
/// Different things that a sum names; of more it says how often there were some.
const NAMED: usize = 30;
/// Longest name of one in a sum, in bytes: all of them fit into a row.
const NAME_MAX: usize = 200;

/// The refusals that are not written yet.
#[derive(Clone)]
pub(crate) struct Refusals {
    store: Store,
    fast: Arc<Throttle<String>>,
    sums: Arc<Mutex<BTreeMap<String, Sum>>>,
    /// Whoever writes: when one has written, nothing is on its way that another took.
    writing: Arc<tokio::sync::Mutex<()>>,
}

/// Refusals of one person.
#[derive(Debug, Clone)]
struct Sum {
    verb: String,
    count: u64,
    since: Timestamp,
    until: Timestamp,
    /// How often what was asked for.
    named: BTreeMap<String, u64>,
    /// And what is not named.
    others: u64,
}

impl Refusals {
    /// Writes sums until the server ends.
    pub(crate) fn start(store: Store, mut closing: watch::Receiver<bool>) -> Self {
        let refusals =
            Self { store, fast: Arc::default(), sums: Arc::default(), writing: Arc::default() };
        let writer = refusals.clone();
        tokio::spawn(async move {
            let mut ended = false;
            while !ended {
                let closed = crate::control::closed(&mut closing);
                ended = tokio::time::timeout(WRITTEN_EVERY, closed).await.is_ok();
                if let Err(error) = writer.write().await {
                    tracing::warn!(%error, "refusals are not on the audit log yet");
                }
            }
        });
        refusals
    }

    /// Notes a refusal; unless it is one of too many it is on the disk when this returns.
    ///
    /// # Errors
    /// The audit log cannot be written.
    pub(crate) async fn note(&self, row: NewAudit) -> Result<(), StoreError> {
        let alone = {
            let mut sums = self.sums();
            match sums.get_mut(&row.actor) {
                Some(sum) => {
                    sum.add(&row);
                    false
                }
                None if self.fast.may_fail(row.actor.clone(), Instant::now()) => true,
                None => {
                    sums.insert(row.actor.clone(), Sum::of(&row));
                    false
                }
            }
        };
        match alone {
            true => self.store.write(move |w| w.append_audit(row).map(drop)).await,
            false => Ok(()),
        }
    }

    /// Writes what is summed. What cannot be written waits on.
    pub(crate) async fn write(&self) -> Result<(), StoreError> {
        let _writing = self.writing.lock().await;
        let some = std::mem::take(&mut *self.sums());
        if some.is_empty() {
            return Ok(());
        }
        let rows: Vec<_> = some.iter().map(|(actor, sum)| sum.row(actor)).collect();
        let append = |w: &mut weft_store::Write<'_>| -> Result<(), StoreError> {
            rows.into_iter().try_for_each(|row| w.append_audit(row).map(drop))
        };
        let written = self.store.write(append).await;
        for (actor, sum) in some {
            match &written {
                // A row as any other: who goes on has none beside it.
                Ok(()) => _ = self.fast.may_fail(actor, Instant::now()),
                Err(_) => {
                    let mut sums = self.sums();
                    let since = sums.remove(&actor);
                    sums.insert(actor, sum.and(since));
                }
            }
        }
        written
    }

    fn sums(&self) -> MutexGuard<'_, BTreeMap<String, Sum>> {
        self.sums.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sum {
    fn of(row: &NewAudit) -> Self {
        let verb = row.verb.clone();
        let (since, until) = (row.at, row.at);
        let mut sum = Self { verb, count: 0, since, until, named: BTreeMap::new(), others: 0 };
        sum.add(row);
        sum
    }

    fn add(&mut self, row: &NewAudit) {
        let mut name = format!("{} {}", row.verb, row.resource);
        name.truncate(name.floor_char_boundary(NAME_MAX));
        self.count += 1;
        self.until = self.until.max(row.at);
        self.named(name, 1);
    }

    fn named(&mut self, name: String, times: u64) {
        match self.named.len() < NAMED || self.named.contains_key(&name) {
            true => *self.named.entry(name).or_default() += times,
            false => self.others += times,
        }
    }

    fn and(mut self, later: Option<Self>) -> Self {
        let Some(later) = later else { return self };
        self.count += later.count;
        self.until = self.until.max(later.until);
        self.others += later.others;
        later.named.into_iter().for_each(|(name, times)| self.named(name, times));
        self
    }

    fn row(&self, actor: &str) -> NewAudit {
        let detail = json!({
            "why": "refused too often for a row each",
            "refused": self.count,
            "since_ms": self.since.0,
            "what": self.named,
            "others": self.others,
        });
        NewAudit {
            at: self.until,
            actor: actor.to_owned(),
            verb: self.verb.clone(),
            resource: format!("{} requests", self.count),
            decision: Decision::Denied,
            policies: Vec::new(),
            detail: detail.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(actor: &str, path: &str) -> NewAudit {
        NewAudit {
            at: Timestamp(7),
            actor: actor.to_owned(),
            verb: "data-read".to_owned(),
            resource: format!("dataset {path}"),
            decision: Decision::Denied,
            policies: Vec::new(),
            detail: "{}".to_owned(),
        }
    }

    async fn rows(store: &Store) -> Vec<NewAudit> {
        let rows = store.read(|r| r.audit(0, 100)).await.unwrap();
        rows.into_iter().map(|row| row.entry).collect()
    }

    #[tokio::test]
    async fn a_loop_of_refusals_is_a_few_rows_that_count_all_of_them() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let (_keep, closing) = watch::channel(false);
        let refusals = Refusals::start(store.clone(), closing);
        for n in 0..1_000 {
            let path = format!("{}/{}", n % 40, "é".repeat(2_000));
            refusals.note(refused("ana", &path)).await.unwrap();
        }
        refusals.note(refused("bo", "x")).await.unwrap();
        assert_eq!(rows(&store).await.len(), 21, "twenty of ana's, and bo's own");
        refusals.write().await.unwrap();
        let told = rows(&store).await.pop().unwrap();
        let detail: serde_json::Value = serde_json::from_str(&told.detail).unwrap();
        assert_eq!((told.actor.as_str(), &detail["refused"]), ("ana", &json!(980)));
        let what = detail["what"].as_object().unwrap();
        let named: u64 = what.values().map(|times| times.as_u64().unwrap()).sum();
        assert_eq!(what.len(), NAMED);
        assert_eq!(named + detail["others"].as_u64().unwrap(), 980);
        refusals.write().await.unwrap();
        assert_eq!(rows(&store).await.len(), 22, "nothing is told twice");
    }

    #[tokio::test]
    async fn what_cannot_be_written_waits_on() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let (_keep, closing) = watch::channel(false);
        let refusals = Refusals::start(store.clone(), closing);
        for _ in 0..30 {
            refusals.note(refused("ana", "x")).await.unwrap();
        }
        store.close().await.unwrap();
        refusals.write().await.unwrap_err();
        refusals.note(refused("ana", "x")).await.unwrap();
        assert_eq!(refusals.sums()["ana"].count, 11);
        refusals.note(refused("bo", "x")).await.unwrap_err();
    }
}
