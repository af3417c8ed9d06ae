//! A dataset becomes exactly what somebody puts into it, and that a version: what a run left.
//!
//! What it was is kept, as every change is. Up to ten thousand objects are one transaction, so that
//! nobody sees the dataset on its way and no crash leaves it there; of more, others may see it so,
//! and a version when it has arrived and not before. If somebody else
//! changes it meanwhile, no version is made, since it would not be what it says: the caller begins
//! again.

use crate::collect::Writing;
use crate::commit::Unwrapped;
use crate::data::{Also, Data, DataError};
use crate::notes::Notes;
use crate::stage::Staged;
use std::collections::BTreeSet;
use weft_store::{
    At, DatasetId, DatasetRow, DatasetVersionRow, Expected, Listing, Read, StoreError, Write,
};
use weft_types::{Bytes, Timestamp};

/// Objects that are put, or deleted, in one transaction: others wait for it, a second or two.
pub const REPLACED_AT_ONCE: usize = 10_000;
/// Chunks of those that are put, likewise: few objects may have many.
const CHUNKS_AT_ONCE: usize = 50_000;

/// A dataset on its way to be what is put into it.
pub struct Replacing {
    data: Data,
    dataset: DatasetId,
    /// How often it had changed before.
    begun: u64,
    /// How often it has changed, if nobody else changes it.
    changes: u64,
    /// What is to stay.
    paths: BTreeSet<String>,
    /// What waits for its transaction. It is pinned until then.
    waiting: Vec<(Unwrapped, Writing)>,
    new: Bytes,
    /// Chunks of what waits.
    chunks: usize,
    at_once: usize,
}

impl Data {
    /// Begins to replace what is in a dataset; its row is as it was read now. So many objects are
    /// one transaction, which are [`REPLACED_AT_ONCE`] but in tests.
    pub fn replace(&self, dataset: &DatasetRow, at_once: usize) -> Replacing {
        Replacing {
            data: self.clone(),
            dataset: dataset.id,
            begun: dataset.changes,
            changes: dataset.changes,
            paths: BTreeSet::new(),
            waiting: Vec::new(),
            new: Bytes(0),
            chunks: 0,
            at_once,
        }
    }
}

impl Replacing {
    /// Takes an object that was staged.
    ///
    /// # Errors
    /// No path, too many notes; [`DataError::Moved`]; the state cannot be written.
    ///
    /// # Panics
    /// It was staged for another dataset.
    pub async fn put(
        &mut self,
        path: &str,
        staged: Staged,
        notes: &Notes,
        now: Timestamp,
    ) -> Result<(), DataError> {
        assert_eq!(staged.dataset, self.dataset, "it was staged for another dataset");
        let tag = (staged.tag.clone(), None);
        let mut object = Unwrapped::seal(path, &staged.manifest, tag, notes)?;
        object.new.chunks = staged.chunks();
        self.paths.insert(path.to_owned());
        self.new.0 += staged.new.0;
        self.chunks += object.new.chunks.len();
        self.waiting.push((object, staged.writing));
        match self.waiting.len() > self.at_once || self.chunks > CHUNKS_AT_ONCE {
            true => self.write(Vec::new(), now, |_, _| Ok(())).await,
            false => Ok(()),
        }
    }

    /// Objects that were put so far.
    pub fn objects(&self) -> usize {
        self.paths.len()
    }

    /// Bytes among them that were new.
    pub fn new_bytes(&self) -> Bytes {
        self.new
    }

    /// Ends what is there beside what was put, and makes the version; the last one again, where
    /// nothing has changed. `also` is done in the transaction that makes it.
    ///
    /// # Errors
    /// [`DataError::Moved`]; the state cannot be written. There is no version then.
    pub async fn finish(
        &mut self,
        (by, note): (String, String),
        also: Also<DatasetVersionRow>,
        now: Timestamp,
    ) -> Result<DatasetVersionRow, DataError> {
        let mut others = self.others().await?;
        while others.len() > self.at_once {
            let some = others.split_off(others.len() - self.at_once);
            self.write(some, now, |_, _| Ok(())).await?;
        }
        self.write(others, now, move |w, dataset| {
            let version = w.make_version(dataset, &by, &note, now)?;
            also(w, &version)?;
            Ok(version)
        })
        .await
    }

    /// Puts back what was there before, for who gives up: of many objects some were written.
    /// Nothing where somebody else has written since.
    ///
    /// # Errors
    /// As of [`Data::restore`].
    pub async fn undo(self, now: Timestamp) -> Result<(), DataError> {
        let id = self.dataset;
        let row = self.data.store.read(move |r| r.dataset_by_id(id)).await?;
        match row.filter(|row| self.begun < self.changes && row.changes == self.changes) {
            None => Ok(()),
            Some(row) => {
                let nothing: Also<u64> = Box::new(|_, _| Ok(()));
                self.data.restore(&row, self.begun, nothing, now).await.map(drop)
            }
        }
    }

    /// What is there and was not put.
    async fn others(&self) -> Result<Vec<String>, DataError> {
        let (dataset, mut others, mut after) = (self.dataset, Vec::new(), String::new());
        loop {
            let listing = Listing { after, limit: 1_000, ..Listing::default() };
            let read = move |r: &Read<'_>| r.list_objects(dataset, At::Now, &listing, false);
            let page = self.data.store.read(read).await?;
            let paths = page.entries.into_iter().map(|(entry, _)| entry.path);
            others.extend(paths.filter(|path| !self.paths.contains(path)));
            match page.next {
                Some(next) => after = next,
                None => return Ok(others),
            }
        }
    }

    /// One transaction: what waits is put, `gone` is deleted, then `last`.
    async fn write<T: Send + 'static>(
        &mut self,
        gone: Vec<String>,
        now: Timestamp,
        last: impl FnOnce(&mut Write<'_>, DatasetId) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, DataError> {
        let (dataset, expected) = (self.dataset, self.changes);
        let (store, master) = (self.data.store.clone(), self.data.master());
        let waiting = std::mem::take(&mut self.waiting);
        self.chunks = 0;
        // In a task of its own: see `Data::commit`.
        let written = tokio::spawn(async move {
            let (objects, writing): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
            let written = store.write(move |w| {
                if w.next_change(dataset)? != expected + 1 {
                    return Err(DataError::Moved);
                }
                for object in objects {
                    put(w, &master, dataset, object, now)?;
                }
                for path in gone {
                    w.delete_object(dataset, &path, &Expected::Anything, now)?;
                }
                let done = last(w, dataset)?;
                Ok((done, w.next_change(dataset)? - 1))
            });
            let written = written.await;
            drop(writing);
            written
        });
        let (done, changes) = written.await??;
        self.changes = changes;
        Ok(done)
    }
}

/// Puts an object, if what is there is not equal to it.
fn put(
    w: &mut Write<'_>,
    master: &crate::master::Master,
    dataset: DatasetId,
    mut object: Unwrapped,
    now: Timestamp,
) -> Result<(), DataError> {
    let there = w.object_entry(dataset, &object.new.path, At::Now)?;
    if there.is_some_and(|there| (there.bytes, &there.tag) == (object.new.bytes, &object.new.tag)) {
        return Ok(());
    }
    object.wrap(w, master, dataset, now)?;
    w.put_object(dataset, &object.new, &Expected::Anything, now)?;
    Ok(())
}
