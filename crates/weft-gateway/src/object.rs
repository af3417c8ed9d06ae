//! An object as it was at a moment: what was said of it, and its bytes, opened as they are read.

use crate::bond::of_object;
use crate::chunk::Unopened;
use crate::commit::MANIFEST;
use crate::data::{Data, DataError, DatasetLock};
use crate::key::Key;
use crate::manifest::{Manifest, Piece};
use crate::notes::{self, Notes};
use crate::scrub::Damage;
use crate::seal::{ChunkId, Secret, Tampered};
use std::ops::Range;
use std::sync::Arc;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::runtime::Handle;
use weft_store::{At, DatasetId, DatasetRow, Listing, ObjectEntry, Page, Sealed};

/// An object as lists and heads show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// What the index says of it.
    pub entry: ObjectEntry,
    /// What was said of it, where that was wanted.
    pub notes: Option<Notes>,
}

impl Data {
    /// An object as it was at a moment; none where there was none.
    ///
    /// # Errors
    /// Its manifest, its notes or a key does not open.
    pub async fn object(
        &self,
        dataset: &DatasetRow,
        path: &str,
        at: At,
    ) -> Result<Option<Object>, DataError> {
        let (id, path, master) = (dataset.id, path.to_owned(), self.master());
        let read = move |r: &weft_store::Read<'_>| {
            let Some(row) = r.object(id, &path, at)? else { return Ok(None) };
            let lock = DatasetLock::open(r, &master, id)?;
            let key = lock.unwrap(&row.sealed, &of_object(id, &row.entry))?;
            let notes = notes::open(&key, &row.sealed.notes)?;
            let manifest = Manifest::open(&key, MANIFEST, &row.sealed.manifest)?;
            Ok::<_, DataError>(Some((row.entry, notes, manifest, lock.content)))
        };
        let found = self.store.read(read).await?;
        Ok(found.map(|(entry, notes, manifest, content)| {
            let (data, manifest) = (self.clone(), Arc::new(manifest));
            Object { data, dataset: id, entry, notes, manifest, content }
        }))
    }

    /// As [`Data::object`], for those who read none of its bytes: its manifest stays sealed.
    ///
    /// # Errors
    /// Its notes or a key does not open.
    pub async fn head(
        &self,
        dataset: &DatasetRow,
        path: &str,
        at: At,
    ) -> Result<Option<Listed>, DataError> {
        let (id, path, master) = (dataset.id, path.to_owned(), self.master());
        let read = move |r: &weft_store::Read<'_>| {
            let Some(row) = r.object(id, &path, at)? else { return Ok(None) };
            let lock = DatasetLock::open(r, &master, id)?;
            Ok(Some(listed(id, row.entry, Some(&row.sealed), &lock)?))
        };
        self.store.read(read).await
    }

    /// A page of the objects of a dataset at a moment, with their notes where these are wanted: the
    /// dataset's key is opened once for all.
    ///
    /// # Errors
    /// Notes or a key do not open.
    pub async fn list(
        &self,
        dataset: &DatasetRow,
        at: At,
        listing: Listing,
        with_notes: bool,
    ) -> Result<Page<Listed>, DataError> {
        let (id, master) = (dataset.id, self.master());
        let read = move |r: &weft_store::Read<'_>| {
            let page = r.list_objects(id, at, &listing, with_notes)?;
            let lock = DatasetLock::open(r, &master, id)?;
            let entries = page.entries.into_iter();
            let entries = entries.map(|(entry, sealed)| listed(id, entry, sealed.as_ref(), &lock));
            let entries = entries.collect::<Result<_, DataError>>()?;
            Ok(Page { entries, prefixes: page.prefixes, next: page.next })
        };
        self.store.read(read).await
    }
}

fn listed(
    dataset: DatasetId,
    entry: ObjectEntry,
    sealed: Option<&Sealed>,
    lock: &DatasetLock,
) -> Result<Listed, DataError> {
    let open = |sealed: &Sealed| {
        let key = lock.unwrap(sealed, &of_object(dataset, &entry))?;
        notes::open(&key, &sealed.notes)
    };
    let notes = sealed.map(open).transpose()?;
    Ok(Listed { entry, notes })
}

/// An object to be read.
#[derive(Clone)]
pub struct Object {
    data: Data,
    dataset: DatasetId,
    /// What lists show of it.
    pub entry: ObjectEntry,
    /// What was said of it.
    pub notes: Notes,
    manifest: Arc<Manifest>,
    content: Key,
}

impl Object {
    /// The dataset that it is of.
    pub fn dataset(&self) -> DatasetId {
        self.dataset
    }

    /// The ids of its chunks, in order: what it has in common with others.
    pub fn chunks(&self) -> impl Iterator<Item = ChunkId> + '_ {
        self.manifest.ids()
    }

    pub(crate) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Writes all of it; where that fails, less.
    pub(crate) async fn send(&self, mut to: impl AsyncWrite + Unpin) -> Result<(), DataError> {
        let (mut at, end) = (0, self.entry.bytes.0);
        while at < end {
            // By offset, which is searched for; by number all parts before would be walked.
            let part = self.read(at..end, 0).await?;
            if part.is_empty() {
                break;
            }
            to.write_all(&part).await?;
            at += part.len() as u64;
        }
        Ok(to.shutdown().await?)
    }

    /// How many parts a range is read in.
    pub fn parts(&self, range: Range<u64>) -> usize {
        self.manifest.parts(range).count()
    }

    /// One part of a range, opened: only what is as it was put is ever given.
    ///
    /// # Errors
    /// It is damaged or cannot be read.
    pub async fn read(&self, range: Range<u64>, part: usize) -> Result<Vec<u8>, DataError> {
        let object = self.clone();
        let handle = Handle::current();
        let read = move || {
            let found = object.manifest.parts(range).nth(part);
            let part = found.map(|part| (part.piece.clone(), part.bytes));
            part.map_or(Ok(Vec::new()), |(piece, bytes)| object.open(&piece, bytes, &handle))
        };
        tokio::task::spawn_blocking(read).await?
    }

    fn open(
        &self,
        piece: &Piece,
        bytes: Range<usize>,
        handle: &Handle,
    ) -> Result<Vec<u8>, DataError> {
        self.data.open_chunk(piece, bytes, None, handle).map_err(|why| self.damaged(piece, why))
    }

    /// Opens every chunk whole and looks whether its secret is that of what is in it. Whoever drops
    /// it ends it: a thread is held for a chunk at a time, not for all of a large object.
    ///
    /// # Errors
    /// The first that is damaged or cannot be read.
    pub async fn verify(&self) -> Result<(), DataError> {
        for number in 0..self.manifest.pieces().len() {
            let (object, handle) = (self.clone(), Handle::current());
            tokio::task::spawn_blocking(move || object.verify_piece(number, &handle)).await??;
        }
        Ok(())
    }

    fn verify_piece(&self, number: usize, handle: &Handle) -> Result<(), DataError> {
        let piece = &self.manifest.pieces()[number];
        let plain = self.open(piece, 0..piece.length as usize, handle)?;
        if Secret::of(&self.content, &plain) != piece.secret {
            return Err(self.damaged(piece, Unopened::Tampered(Tampered { segment: 0 })));
        }
        Ok(())
    }

    /// Says of this object what is wrong with a chunk, and keeps it for who looks after the data.
    fn damaged(&self, piece: &Piece, why: Unopened) -> DataError {
        if !matches!(why, Unopened::Store(_)) {
            self.data.damages.note(Damage {
                dataset: self.dataset,
                path: self.entry.path.clone(),
                change: self.entry.since,
                chunk: Some(piece.secret.id()),
                why: why.to_string(),
            });
        }
        let path = self.entry.path.clone();
        match why {
            Unopened::Store(error) => error.into(),
            Unopened::Pack(error) => error.into(),
            Unopened::Missing => DataError::Missing(path),
            Unopened::Tampered(why) => {
                let chunk = hex::encode(&piece.secret.id().0[..8]);
                DataError::Tampered { path, chunk, why }
            }
        }
    }
}
