//! What changes a dataset: an object is put, deleted, copied, each in one transaction with whatever
//! else has to be so.

use crate::bond::of_object;
use crate::collect::Writing;
use crate::data::{Also, Data, DataError, DatasetLock};
use crate::key::Key;
use crate::manifest::Manifest;
use crate::master::Master;
use crate::notes::{self, Notes};
use crate::object::Object;
use crate::stage::Staged;
use weft_store::{
    DatasetId, DatasetRow, Expected, NewObject, ObjectEntry, PATH_MAX, Sealed, StoreError, Write,
};
use weft_types::{Bytes, Timestamp};

/// What a manifest is bound to: its key is of one object alone.
pub(crate) const MANIFEST: &[u8] = b"manifest";

/// What was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// The change of the dataset that it was.
    pub change: u64,
    /// Plain bytes.
    pub bytes: Bytes,
    /// Says whether two are equal.
    pub tag: Vec<u8>,
    /// Of how many it was put together; none where it was put at once.
    pub parts: Option<u32>,
    /// Bytes that were new: not of any object of the dataset before.
    pub new: Bytes,
}

/// What was deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deleted {
    /// The change of the dataset that it was; none where there was nothing.
    pub change: Option<u64>,
}

/// An object under seal, but for its key: that is wrapped in the transaction.
pub(crate) struct Unwrapped {
    pub(crate) key: Key,
    pub(crate) new: NewObject,
}

impl Unwrapped {
    /// Seals notes and manifest under a fresh key.
    pub(crate) fn seal(
        path: &str,
        manifest: &Manifest,
        (tag, parts): (Vec<u8>, Option<u32>),
        notes: &Notes,
    ) -> Result<Self, DataError> {
        let sealed = seal(manifest, notes)?;
        let new = NewObject {
            path: checked(path)?,
            bytes: Bytes(manifest.length()),
            tag,
            parts,
            sealed: sealed.1,
            chunks: manifest.ids().map(|id| (id.0, None)).collect(),
        };
        Ok(Self { key: sealed.0, new })
    }

    /// Wraps the key for the change that is next.
    pub(crate) fn wrap(
        &mut self,
        w: &Write<'_>,
        master: &Master,
        dataset: DatasetId,
        now: Timestamp,
    ) -> Result<(), DataError> {
        let entry = ObjectEntry {
            path: self.new.path.clone(),
            since: w.next_change(dataset)?,
            until: None,
            bytes: self.new.bytes,
            tag: self.new.tag.clone(),
            parts: self.new.parts,
            at: now,
        };
        let lock = DatasetLock::open(w, master, dataset)?;
        Ok(lock.wrap(&mut self.new.sealed, &self.key, &of_object(dataset, &entry))?)
    }

    pub(crate) fn put(&self, change: u64, new: Bytes) -> Put {
        let (bytes, tag, parts) = (self.new.bytes, self.new.tag.clone(), self.new.parts);
        Put { change, bytes, tag, parts, new }
    }
}

/// A fresh key, and what is sealed under it; it is not wrapped yet.
pub(crate) fn seal(manifest: &Manifest, notes: &Notes) -> Result<(Key, Sealed), DataError> {
    let key = Key::fresh()?;
    let (notes, manifest) = (notes::seal(&key, notes)?, manifest.seal(&key, MANIFEST));
    Ok((key, Sealed { key_number: 0, key: Vec::new(), notes, manifest }))
}

pub(crate) fn checked(path: &str) -> Result<String, DataError> {
    match path.len() {
        1..=PATH_MAX => Ok(path.to_owned()),
        length => Err(DataError::Path(length)),
    }
}

impl Data {
    /// Puts what was staged; none where what was expected is not so. What it answers is on the
    /// disk.
    ///
    /// # Errors
    /// No path, too many notes, or the state cannot be written; nothing was put.
    ///
    /// # Panics
    /// It was staged for another dataset: its chunks could not be found there.
    #[expect(clippy::too_many_arguments, reason = "what is put, where, on which conditions")]
    pub async fn commit(
        &self,
        dataset: &DatasetRow,
        path: &str,
        staged: Staged,
        notes: Notes,
        expected: Expected,
        also: Also<Put>,
        now: Timestamp,
    ) -> Result<Option<Put>, DataError> {
        assert_eq!(staged.dataset, dataset.id, "it was staged for another dataset");
        let tag = (staged.tag.clone(), None);
        let mut object = Unwrapped::seal(path, &staged.manifest, tag, &notes)?;
        object.new.chunks = staged.chunks();
        self.put_object(dataset.id, object, staged.new, expected, also, staged.writing, now).await
    }

    #[expect(clippy::too_many_arguments, reason = "what is put, where, on which conditions")]
    async fn put_object(
        &self,
        id: DatasetId,
        mut object: Unwrapped,
        new: Bytes,
        expected: Expected,
        also: Also<Put>,
        writing: Writing,
        now: Timestamp,
    ) -> Result<Option<Put>, DataError> {
        let master = self.master();
        // Whoever waits for it may give up; what is pinned has to be so until the index says that
        // it is needed. So the pins go with what is answered, which is kept until the commit.
        let put = move |w: &mut Write<'_>| {
            object.wrap(w, &master, id, now)?;
            let Some(change) = w.put_object(id, &object.new, &expected, now)? else {
                return Ok((None, writing));
            };
            let put = object.put(change, new);
            also(w, &put)?;
            Ok::<_, DataError>((Some(put), writing))
        };
        Ok(self.store.write(put).await?.0)
    }

    /// Ends an object; none where what was expected is not so. Versions that have it keep it.
    ///
    /// # Errors
    /// The state cannot be written; nothing was deleted.
    pub async fn delete(
        &self,
        dataset: &DatasetRow,
        path: &str,
        expected: Expected,
        also: Also<Deleted>,
        now: Timestamp,
    ) -> Result<Option<Deleted>, DataError> {
        let (id, path) = (dataset.id, path.to_owned());
        let delete = move |w: &mut Write<'_>| {
            let Some(change) = w.delete_object(id, &path, &expected, now)? else {
                return Ok(None);
            };
            let deleted = Deleted { change };
            also(w, &deleted)?;
            Ok::<_, StoreError>(Some(deleted))
        };
        Ok(self.store.write(delete).await?)
    }

    /// The dataset that finds equal bytes as this one does: of a branch its source.
    async fn family(&self, id: DatasetId) -> Result<DatasetId, DataError> {
        Ok(self.store.read(move |r| r.branch(id)).await?.map_or(id, |branch| branch.source))
    }

    /// Puts an object again, elsewhere. Within a dataset and its branches it shares the chunks and
    /// reads no byte; to another it is read and sealed anew. Its own notes go with it where none
    /// are given.
    ///
    /// # Errors
    /// As of [`Data::commit`]; and where the object is damaged, or was forgotten meanwhile.
    #[expect(clippy::too_many_arguments, reason = "what is put, where, on which conditions")]
    pub async fn copy(
        &self,
        from: &Object,
        to: &DatasetRow,
        path: &str,
        notes: Option<Notes>,
        expected: Expected,
        also: Also<Put>,
        now: Timestamp,
    ) -> Result<Option<Put>, DataError> {
        let notes = notes.unwrap_or_else(|| from.notes.clone());
        if self.family(from.dataset()).await? != self.family(to.id).await? {
            let (body, pipe) = tokio::io::duplex(PIPE);
            let (sent, staged) = tokio::join!(from.send(pipe), self.stage(to, body));
            // First why it was not staged: its sender saw no more than that nobody reads on. But a
            // body that ends early is staged as if it were whole: its sender says so.
            let staged = staged?;
            sent?;
            return self.commit(to, path, staged, notes, expected, also, now).await;
        }
        let mut writing = self.pins.begin(&self.packs);
        from.manifest().ids().for_each(|id| writing.pin(id));
        let tag = (from.entry.tag.clone(), from.entry.parts);
        let object = Unwrapped::seal(path, from.manifest(), tag, &notes)?;
        let gone = |error| match error {
            DataError::Store(StoreError::NotFound { what: "chunk", .. }) => {
                DataError::Missing(from.entry.path.clone())
            }
            other => other,
        };
        let new = Bytes(0);
        self.put_object(to.id, object, new, expected, also, writing, now).await.map_err(gone)
    }
}

/// Bytes on their way from one dataset to another.
const PIPE: usize = 1 << 20;
