//! Who read how much of which object: summed by the minute, on the audit log.
//!
//! A training run reads the same million objects each epoch, so not each read has a row of its own:
//! those of one caller of one object within a minute are one. Of the upper tiers a read has its row
//! before its first byte leaves, and without the row none does. Used by the API and the S3 front.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use weft_policy::Verb;
use weft_store::{Decision, NewAudit, Store, StoreError};
use weft_types::{Millis, Tier, Timestamp};

/// How long reads of the lower tiers are summed.
const STEP: Millis = Millis::from_secs(60);
/// How often what is summed is written: a crash forgets no more than this of the lower tiers.
const WRITTEN_EVERY: Duration = Duration::from_secs(10);
/// Rows in one transaction: others wait for it.
const ROWS_AT_ONCE: usize = 500;
/// Sums that wait at most, some hundred bytes each: whoever adds one more writes them first.
const WAITING_MAX: usize = 20_000;

/// A read that is about to be answered.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    /// Who.
    pub(crate) actor: String,
    /// Public part of the token or key.
    pub(crate) token: Option<String>,
    /// Of which dataset.
    pub(crate) dataset: String,
    /// Of which team.
    pub(crate) queue: String,
    /// A run reads it, and nobody outside.
    pub(crate) by_run: bool,
    /// How sensitive that is.
    pub(crate) tier: Tier,
    /// Which object.
    pub(crate) path: String,
    /// As which change put it.
    pub(crate) change: u64,
    /// How much of it.
    pub(crate) bytes: u64,
    /// What let it in.
    pub(crate) policies: Vec<String>,
    /// When.
    pub(crate) at: Timestamp,
}

/// What reads are summed by: the minute, who, with what, and what.
type Key = (u64, String, Option<String>, String, String, u64);

/// Reads and bytes since the server began, by the team whose data it is, the tier, and `run` or
/// `client`.
pub(crate) type Totals = BTreeMap<(String, Tier, &'static str), (u64, u64)>;

#[derive(Debug, Clone)]
struct Sum {
    reads: u64,
    bytes: u64,
    policies: Vec<String>,
}

/// The reads that are not written yet.
#[derive(Clone)]
pub(crate) struct Reads {
    store: Store,
    waiting: Arc<Mutex<BTreeMap<Key, Sum>>>,
    /// Whoever writes: when one has written, nothing is on its way that another took.
    writing: Arc<tokio::sync::Mutex<()>>,
    totals: Arc<Mutex<Totals>>,
}

impl Reads {
    /// Sums reads, and writes the sums until the server ends.
    pub(crate) fn start(store: Store, mut closing: watch::Receiver<bool>) -> Self {
        let reads = Self {
            store,
            waiting: Arc::default(),
            writing: Arc::default(),
            totals: Arc::default(),
        };
        let writer = reads.clone();
        tokio::spawn(async move {
            let mut ended = false;
            while !ended {
                ended = tokio::time::timeout(WRITTEN_EVERY, crate::control::closed(&mut closing))
                    .await
                    .is_ok();
                if let Err(error) = writer.write().await {
                    tracing::warn!(%error, "reads of data are not on the audit log yet");
                }
            }
        });
        reads
    }

    /// Notes a read. Of the upper tiers it is on the disk when this returns.
    ///
    /// # Errors
    /// The audit log cannot be written: what was to be read must not be.
    pub(crate) async fn note(&self, read: Read) -> Result<(), StoreError> {
        let by = if read.by_run { "run" } else { "client" };
        let (whose, bytes) = ((read.queue.clone(), read.tier, by), read.bytes);
        self.write_down(read).await?;
        let mut totals = self.totals.lock().unwrap_or_else(PoisonError::into_inner);
        let total = totals.entry(whose).or_default();
        *total = (total.0 + 1, total.1.saturating_add(bytes));
        Ok(())
    }

    /// What was read since the server began.
    pub(crate) fn totals(&self) -> Totals {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn write_down(&self, read: Read) -> Result<(), StoreError> {
        let minute = read.at.0 / STEP.0;
        let key = (minute, read.actor, read.token, read.dataset, read.path, read.change);
        let sum = Sum { reads: 1, bytes: read.bytes, policies: read.policies };
        if read.tier >= Tier::Confidential {
            let row = row(key, sum);
            return self.store.write(move |w| w.append_audit(row).map(drop)).await;
        }
        let full = self.waiting().len() >= WAITING_MAX;
        if full {
            self.write().await?;
        }
        self.add(vec![(key, sum)]);
        Ok(())
    }

    /// Writes what waits. What cannot be written waits on.
    pub(crate) async fn write(&self) -> Result<(), StoreError> {
        let _writing = self.writing.lock().await;
        loop {
            let some: Vec<(Key, Sum)> = {
                let mut waiting = self.waiting();
                std::iter::from_fn(|| waiting.pop_first()).take(ROWS_AT_ONCE).collect()
            };
            if some.is_empty() {
                return Ok(());
            }
            let rows: Vec<_> =
                some.iter().map(|(key, sum)| row(key.clone(), sum.clone())).collect();
            let append = |w: &mut weft_store::Write<'_>| -> Result<(), StoreError> {
                rows.into_iter().try_for_each(|row| w.append_audit(row).map(drop))
            };
            if let Err(error) = self.store.write(append).await {
                self.add(some);
                return Err(error);
            }
        }
    }

    fn add(&self, some: Vec<(Key, Sum)>) {
        let mut waiting = self.waiting();
        for (key, sum) in some {
            let so_far = waiting.entry(key).or_insert(Sum { reads: 0, bytes: 0, ..sum.clone() });
            so_far.reads += sum.reads;
            so_far.bytes = so_far.bytes.saturating_add(sum.bytes);
        }
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<Key, Sum>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn row((minute, actor, token, dataset, path, change): Key, sum: Sum) -> NewAudit {
    let detail = serde_json::json!({
        "token": token, "change": change, "reads": sum.reads, "bytes": sum.bytes,
    });
    NewAudit {
        at: Timestamp(minute * STEP.0),
        actor,
        verb: Verb::DataRead.to_string(),
        resource: format!("dataset {dataset}/{}", crate::api::quoted(&path)),
        decision: Decision::Allowed,
        policies: sum.policies,
        detail: detail.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(tier: Tier, path: &str, at: u64) -> Read {
        Read {
            actor: "ana".to_owned(),
            token: Some("WEFT0".to_owned()),
            dataset: "claims".to_owned(),
            queue: "lab".to_owned(),
            by_run: false,
            tier,
            path: path.to_owned(),
            change: 3,
            bytes: 10,
            policies: Vec::new(),
            at: Timestamp(at),
        }
    }

    async fn rows(store: &Store) -> Vec<(String, serde_json::Value)> {
        let rows = store.read(|r| r.audit(0, 100)).await.unwrap().into_iter();
        let shown = |row: weft_store::AuditRow| {
            (row.entry.resource, serde_json::from_str(&row.entry.detail).unwrap())
        };
        rows.map(shown).collect()
    }

    #[tokio::test]
    async fn a_minute_s_reads_of_an_object_are_one_row() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let (_keep, closing) = watch::channel(false);
        let reads = Reads::start(store.clone(), closing);
        for (path, at) in [("a", 1), ("a", 59_999), ("b", 2), ("a", 60_000)] {
            reads.note(read(Tier::Internal, path, at)).await.unwrap();
        }
        assert_eq!(rows(&store).await, []);
        reads.write().await.unwrap();
        let rows = rows(&store).await;
        let sums: Vec<_> =
            rows.iter().map(|(_, d)| (d["reads"].clone(), d["bytes"].clone())).collect();
        assert_eq!(sums, [(2.into(), 20.into()), (1.into(), 10.into()), (1.into(), 10.into())]);
        assert_eq!(rows[0].0, "dataset claims/a");
        let whose = ("lab".to_owned(), Tier::Internal, "client");
        assert_eq!(reads.totals(), Totals::from([(whose, (4, 40))]));
    }

    #[tokio::test]
    async fn of_the_upper_tiers_the_row_is_first_and_without_it_there_is_no_read() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let (_keep, closing) = watch::channel(false);
        let reads = Reads::start(store.clone(), closing);
        reads.note(read(Tier::Confidential, "a", 1)).await.unwrap();
        assert_eq!(rows(&store).await.len(), 1);
        store.close().await.unwrap();
        reads.note(read(Tier::Restricted, "a", 1)).await.unwrap_err();
        reads.note(read(Tier::Internal, "a", 1)).await.unwrap();
        reads.write().await.unwrap_err();
        assert_eq!(reads.waiting().len(), 1, "what cannot be written waits on");
        // Where no more may wait, there is no read either.
        for n in 1..WAITING_MAX {
            reads.note(read(Tier::Internal, &n.to_string(), 1)).await.unwrap();
        }
        reads.note(read(Tier::Internal, "one more", 1)).await.unwrap_err();
        assert_eq!(reads.waiting().len(), WAITING_MAX);
    }
}
