//! An object as it was at a moment: what was said of it, and its bytes, opened as they are read.

use crate::chunk::Unopened;
use crate::commit::MANIFEST;
use crate::data::{Data, DataError, DatasetLock};
use crate::key::Key;
use crate::manifest::{Manifest, Piece};
use crate::notes::{self, Notes};
use crate::scrub::Damage;
use crate::seal::{ChunkId, SEGMENT, Secret, Tampered, needed, open};
use std::ops::Range;
use std::sync::Arc;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::runtime::Handle;
use weft_store::{At, ChunkPlace, DatasetId, DatasetRow, Listing, ObjectEntry, Page, Read, Sealed};
use weft_types::Bytes;

/// Longest object whose list of chunks, some kilobytes, is opened on the thread that asks for it.
const SHORT: Bytes = Bytes(8 << 20);
/// Longest part of an object that is opened there.
const SHORT_PART: usize = SEGMENT;

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
        let found = self.store.glance(|r| self.find(r, dataset.id, path, at, SHORT)).await?;
        let Some(Found::Longer) = found else { return Ok(found.and_then(Found::object)) };
        let (data, id, path) = (self.clone(), dataset.id, path.to_owned());
        let found = self.store.read(move |r| data.find(r, id, &path, at, Bytes(u64::MAX))).await?;
        Ok(found.and_then(Found::object))
    }

    /// An object, opened, if it has no more than so many bytes.
    fn find(
        &self,
        r: &Read<'_>,
        dataset: DatasetId,
        path: &str,
        at: At,
        most: Bytes,
    ) -> Result<Option<Found>, DataError> {
        let found = r.object_where(dataset, path, at, |entry| entry.bytes <= most)?;
        let Some((entry, sealed)) = found else { return Ok(None) };
        let Some(sealed) = sealed else { return Ok(Some(Found::Longer)) };
        let lock = DatasetLock::open(r, &self.master(), dataset)?;
        let key = lock.unwrap_object(&entry, &sealed)?;
        let notes = notes::open(&key, &sealed.notes)?;
        let manifest = Manifest::open(&key, MANIFEST, &sealed.manifest)?;
        let place = match manifest.pieces() {
            [only] => r.chunk(&only.secret.id().0)?,
            _ => None,
        };
        let (data, manifest, content) = (self.clone(), Arc::new(manifest), lock.content);
        let object = Object { data, dataset, entry, notes, manifest, place, content };
        Ok(Some(Found::Object(Box::new(object))))
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
        let read = move |r: &Read<'_>| {
            let Some(row) = r.object(id, &path, at)? else { return Ok(None) };
            let lock = DatasetLock::open(r, &master, id)?;
            Ok(Some(listed(row.entry, Some(&row.sealed), &lock)?))
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
        let read = move |r: &Read<'_>| {
            let page = r.list_objects(id, at, &listing, with_notes)?;
            let lock = DatasetLock::open(r, &master, id)?;
            let entries = page.entries.into_iter();
            let entries = entries.map(|(entry, sealed)| listed(entry, sealed.as_ref(), &lock));
            let entries = entries.collect::<Result<_, DataError>>()?;
            Ok(Page { entries, prefixes: page.prefixes, next: page.next })
        };
        self.store.read(read).await
    }
}

fn listed(
    entry: ObjectEntry,
    sealed: Option<&Sealed>,
    lock: &DatasetLock,
) -> Result<Listed, DataError> {
    let open = |sealed: &Sealed| {
        let key = lock.unwrap_object(&entry, sealed)?;
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
    /// Where its only chunk lay when it was looked for; none where it has several.
    place: Option<ChunkPlace>,
    content: Key,
}

/// What was found at a path.
enum Found {
    Object(Box<Object>),
    /// One that is longer than was wanted.
    Longer,
}

impl Found {
    fn object(self) -> Option<Object> {
        match self {
            Self::Object(object) => Some(*object),
            Self::Longer => None,
        }
    }
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
        if let Some(bytes) = self.at_hand(&range, part) {
            return Ok(bytes);
        }
        let object = self.clone();
        let handle = Handle::current();
        let read = move || {
            let found = object.manifest.parts(range).nth(part);
            let part = found.map(|part| (part.piece.clone(), part.bytes));
            part.map_or(Ok(Vec::new()), |(piece, bytes)| object.open(&piece, bytes, &handle))
        };
        tokio::task::spawn_blocking(read).await?
    }

    /// A short part of an object of one chunk, if it is in memory: no thread has to wait for the
    /// disk. What is wrong with it is not told here, but where it is read in the other way.
    fn at_hand(&self, range: &Range<u64>, part: usize) -> Option<Vec<u8>> {
        let (place, found) = (self.place?, self.manifest.parts(range.clone()).nth(part)?);
        if found.bytes.len() > SHORT_PART {
            return None;
        }
        let length = found.piece.length as usize;
        let sealed = self.data.packs.at_hand(place, needed(&found.bytes, length))?;
        open(&found.piece.secret, sealed, found.bytes, length).ok()
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
        if !why.says_nothing() {
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
