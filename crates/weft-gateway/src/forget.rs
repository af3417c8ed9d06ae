//! Forgetting that is real: keys are overwritten where they lay, and what they sealed is noise.
//!
//! What housekeeping calls, and what answers for a dataset that is no more. Absent on purpose:
//! backups from before, which end with their own age.

use crate::data::{Also, Data, DataError, DatasetLock};
use std::time::Duration;
use weft_store::{DatasetId, ForgottenDataset, Write};
use weft_types::Timestamp;

/// Rows that go in one transaction, fewer where they have many chunks: others wait for it.
const FORGOTTEN_AT_ONCE: u32 = 500;
/// Objects that are looked for at once: each search walks all that has ended.
const LOOKED_FOR: u32 = 100_000;
/// How long an upload is kept that is neither finished nor given up: S3's clients that resume one
/// do so within days.
const UPLOADS_KEPT: u64 = 7 * 24 * 3_600_000;
/// How long a chunk that nobody needs is kept: what is put again is often put soon.
const CHUNKS_KEPT: u64 = 3_600_000;
/// How often it is asked for the end of the log while readers need it.
const FOLDS: u32 = 50;
/// How long those have between two times.
const FOLD_PAUSE: Duration = Duration::from_millis(100);

/// What the end of a dataset can be told by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// What it was, its objects and their digest, and when its keys were forgotten.
    pub of: ForgottenDataset,
    /// Of the keys that were forgotten: whoever finds a key can tell whether it is theirs.
    pub fingerprint: [u8; 32],
}

/// What was forgotten.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Objects that ended, with their keys.
    pub objects: u64,
    /// Uploads that nobody finished.
    pub uploads: u64,
    /// Whether the log of the index is ended, too; if not, readers needed it all the time.
    pub folded: bool,
}

impl Data {
    /// Forgets what no dataset keeps any more, and collects what nobody needs then. For
    /// housekeeping, about once an hour.
    ///
    /// # Errors
    /// The state or a file cannot be read or written; what was done is done.
    pub async fn housekeep(&self, now: Timestamp) -> Result<Forgotten, DataError> {
        let before = Timestamp(now.0.saturating_sub(UPLOADS_KEPT));
        let uploads = self.give_up_uploads(before, now).await?;
        let forgotten = self.forget(now).await?;
        if self.master().is_rotating() {
            // It was cut off.
            self.rotate_master(Box::new(|_, ()| Ok(()))).await?;
        }
        self.collect(Timestamp(now.0.saturating_sub(CHUNKS_KEPT))).await?;
        Ok(Forgotten { uploads, ..forgotten })
    }

    /// Forgets what ended in each dataset, is in no version, and was kept as long as it is to be.
    ///
    /// # Errors
    /// The state cannot be written; what was done is done.
    pub async fn forget(&self, now: Timestamp) -> Result<Forgotten, DataError> {
        let mut all = Forgotten::default();
        for dataset in self.store.read(|r| r.datasets_and_samples()).await? {
            all.objects += self.forget_objects(dataset.id, now).await?;
        }
        for id in self.store.read(|r| r.forgotten_datasets()).await? {
            self.forget_rows(id, now).await?;
        }
        all.folded = self.fold().await?;
        Ok(all)
    }

    /// As [`Data::forget`], of one dataset. Writers wait for what is forgotten, not for the search.
    async fn forget_objects(&self, id: DatasetId, now: Timestamp) -> Result<u64, DataError> {
        self.store.write(move |w| w.forget_versions(id, now)).await?;
        let mut all = 0;
        loop {
            let look = self.store.read(move |r| r.forgettable(id, now, LOOKED_FOR, now));
            let found = look.await?;
            let mut left = &*found;
            while !left.is_empty() {
                let some = left[..left.len().min(FORGOTTEN_AT_ONCE as usize)].to_vec();
                let these = self.store.write(move |w| w.forget_these(id, &some, now));
                let (count, looked_at) = these.await?;
                all += count;
                left = &left[looked_at..];
            }
            if found.len() < LOOKED_FOR as usize {
                return Ok(all);
            }
        }
    }

    /// Forgets the keys of a dataset that was ended, and with them all that was ever in it, in
    /// packs and in every copy of them. What is left is collected.
    ///
    /// # Errors
    /// It was not ended, or not long enough ago; the state cannot be written.
    pub async fn shred(
        &self,
        id: DatasetId,
        also: Also<Certificate>,
        now: Timestamp,
    ) -> Result<Certificate, DataError> {
        let master = self.master();
        // Some seconds for millions of objects: no writer waits for it.
        let summed = self.store.read(move |r| r.sum_own_objects(id)).await?;
        let shred = move |w: &mut Write<'_>| {
            let fingerprint = DatasetLock::open(w, &master, id)?.fingerprint();
            let certificate =
                Certificate { of: w.forget_dataset(id, Some(summed), now)?, fingerprint };
            also(w, &certificate)?;
            Ok::<_, DataError>(certificate)
        };
        let certificate = self.store.write(shred).await?;
        self.forget_rows(id, now).await?;
        self.fold().await?;
        Ok(certificate)
    }

    async fn forget_rows(&self, id: DatasetId, now: Timestamp) -> Result<(), DataError> {
        let some = move |w: &mut Write<'_>| w.forget_rows(id, FORGOTTEN_AT_ONCE, now);
        while self.store.write(some).await? {}
        Ok(())
    }

    /// Ends the index's log; false where readers need it all the time.
    pub(crate) async fn fold(&self) -> Result<bool, DataError> {
        for _ in 0..FOLDS {
            if self.store.fold().await? {
                return Ok(true);
            }
            tokio::time::sleep(FOLD_PAUSE).await;
        }
        Ok(false)
    }
}
