//! Objects in and out: what the other files make is brought together with the store's index.
//!
//! ```text
//! put   bytes ─► chunks ─► those that are not there: sealed, appended ─► sync ─► one transaction
//! get   path, moment ─► manifest ─► the parts of chunks that the range touches ─► bytes
//! ```
//!
//! What `put` has answered is on the disk, chunks before the object that needs them. A writer that
//! dies leaves bytes that nothing needs. Absent on purpose: who may do it, and who is told.

use crate::collect::{Pins, Writing};
use crate::cut::Cutter;
use crate::key::{Key, KeyError, Wrapped};
use crate::manifest::{Manifest, Piece, Unreadable};
use crate::pack::{PackError, Packs, Place};
use crate::seal::{ChunkId, Secret, Tampered, needed, open, seal};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use weft_store::{
    At, ChunkPlace, DatasetId, DatasetRow, Expected, NewDataset, NewObject, ObjectEntry, Store,
    StoreError,
};
use weft_types::{Bytes, DatasetName, QueueName, Timestamp};

/// Bytes that are read of a body at a time.
const READ: usize = 256 << 10;
/// Reads that wait to be cut: enough that neither side waits for the other.
const READS: usize = 4;
/// Bytes of an object's tag: as many as the MD5 sum has that clients expect to see.
const ETAG_BYTES: usize = 16;

/// The datasets of a state directory.
#[derive(Clone)]
pub struct Data {
    pub(crate) store: Store,
    pub(crate) packs: Arc<Packs>,
    pub(crate) pins: Pins,
    master: Key,
}

/// Why data cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The index.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The files.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// A key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The list of an object's chunks.
    #[error(transparent)]
    Manifest(#[from] Unreadable),
    /// A chunk that is not what was put.
    #[error("{chunk} of `{path}` is damaged: {why}")]
    Tampered {
        /// Of this object.
        path: String,
        /// The chunk, by the beginning of its id.
        chunk: String,
        /// What is wrong.
        why: Tampered,
    },
    /// A chunk that the index does not know.
    #[error(
        "a chunk of `{0}` is missing: the object was deleted meanwhile, or the index is damaged"
    )]
    Missing(String),
    /// What was to be put could not be read.
    #[error("the body ended early: {0}")]
    Body(#[from] std::io::Error),
    /// A thread panicked.
    #[error("a thread of the gateway stopped: {0}")]
    Thread(#[from] tokio::task::JoinError),
}

/// What was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// The change of the dataset that it was.
    pub change: u64,
    /// Plain bytes.
    pub bytes: Bytes,
    /// Says whether two are equal.
    pub tag: Vec<u8>,
    /// Bytes that were new: not of any object of the dataset before.
    pub new: Bytes,
}

impl Data {
    /// Data in these packs, with its index in this store and all keys under this one.
    pub fn new(store: Store, packs: Packs, master: Key) -> Self {
        Self { store, packs: Arc::new(packs), pins: Pins::default(), master }
    }

    /// Makes a dataset with a key of its own; its team's is made with its first.
    ///
    /// # Errors
    /// The name is taken.
    pub async fn make(&self, new: NewDataset) -> Result<DatasetRow, DataError> {
        let (master, key, name) = (self.master.clone(), Key::fresh()?, new.name.to_string());
        let made = self.store.write(move |w| {
            let team = match w.team_key(&new.queue)? {
                Some(wrapped) => team_key(&master, &new.queue, &wrapped)?,
                None => {
                    let team = Key::fresh()?;
                    w.put_team_key(&new.queue, &master.wrap(&team, &of_team(&new.queue))?)?;
                    team
                }
            };
            let key = team.wrap(&key, &of_dataset(&new.name))?.to_vec();
            w.make_dataset(&NewDataset { key, ..new.clone() })?;
            Ok::<_, DataError>(w.dataset(&new.name)?)
        });
        made.await?.ok_or_else(|| StoreError::NotFound { what: "dataset", id: name }.into())
    }

    /// Puts an object; none where what was expected is not so. What it answers is on the disk.
    ///
    /// # Errors
    /// The body cannot be read, no space is left, or the state cannot be written; nothing was put.
    pub async fn put(
        &self,
        dataset: &DatasetRow,
        path: &str,
        expected: Expected,
        mut body: impl AsyncRead + Unpin,
        now: Timestamp,
    ) -> Result<Option<Put>, DataError> {
        let key = self.dataset_key(dataset).await?;
        let (sender, reads) = mpsc::channel(READS);
        let (data, handle) = (self.clone(), Handle::current());
        let cut = tokio::task::spawn_blocking(move || data.cut(&key, reads, &handle));
        let fed = feed(&mut body, sender).await;
        let (key, cut) = cut.await??;
        fed?;
        let tag = cut.tag.finalize().as_bytes()[..ETAG_BYTES].to_vec();
        let bytes = Bytes(cut.manifest.length());
        let object_key = Key::fresh()?;
        let about = of_object(dataset.id, path, bytes, &tag);
        let new = NewObject {
            path: path.to_owned(),
            bytes,
            key: key.wrap(&object_key, &about)?.to_vec(),
            manifest: cut.manifest.seal(&object_key, &about),
            chunks: cut.chunks(),
            tag: tag.clone(),
        };
        let (id, store, new_bytes, writing) =
            (dataset.id, self.store.clone(), cut.new, cut.writing);
        // In a task of its own: who waits for it may give up, and what is pinned has to be so until
        // the index says that it is needed.
        let put = tokio::spawn(async move {
            let put = store.write(move |w| w.put_object(id, &new, &expected, now)).await;
            drop(writing);
            put
        });
        let put = put.await??;
        Ok(put.map(|change| Put { change, bytes, tag, new: Bytes(new_bytes) }))
    }

    /// Cuts, seals and appends what comes; returns once it is on the disk. Blocks.
    fn cut(
        &self,
        key: &Key,
        mut reads: mpsc::Receiver<Vec<u8>>,
        handle: &Handle,
    ) -> Result<(Key, Cut), DataError> {
        let mut cut = Cut::new(key, self.pins.begin(&self.packs));
        let mut cutter = Cutter::new(key);
        while let Some(bytes) = reads.blocking_recv() {
            cut.tag.update(&bytes);
            cutter.push(&bytes, |chunk| self.take(key, chunk, &mut cut, handle))?;
        }
        cutter.finish(|chunk| self.take(key, chunk, &mut cut, handle))?;
        // Of each pack: a sync of one says nothing of another, which may have been given up.
        cut.last.values().try_for_each(|place| self.packs.sync(*place))?;
        Ok((key.clone(), cut))
    }

    fn take(
        &self,
        key: &Key,
        chunk: &[u8],
        cut: &mut Cut,
        handle: &Handle,
    ) -> Result<(), DataError> {
        let secret = Secret::of(key, chunk);
        let id = secret.id();
        // First, so that what is found stays.
        cut.writing.pin(id);
        if !cut.places.contains_key(&id) {
            let known = handle.block_on(self.store.read(move |r| r.chunk(&id.0)))?;
            let place = match known {
                Some(_) => None,
                None => {
                    let place = self.packs.append(&id, &seal(&secret, chunk))?;
                    cut.last.insert(place.pack, place);
                    cut.new += chunk.len() as u64;
                    Some(place)
                }
            };
            cut.places.insert(id, place);
        }
        let length = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
        cut.manifest.push(Piece { secret, length });
        Ok(())
    }

    /// An object as it was at a moment; none where there was none.
    ///
    /// # Errors
    /// Its manifest or a key does not open.
    pub async fn object(
        &self,
        dataset: &DatasetRow,
        path: &str,
        at: At,
    ) -> Result<Option<Object>, DataError> {
        let (id, wanted) = (dataset.id, path.to_owned());
        let found = self.store.read(move |r| r.object(id, &wanted, at)).await?;
        let Some(row) = found else { return Ok(None) };
        let key = self.dataset_key(dataset).await?;
        let about = of_object(id, path, row.entry.bytes, &row.entry.tag);
        let object_key = key.unwrap(&wrapped(&row.key)?, &about)?;
        let manifest = Arc::new(Manifest::open(&object_key, &about, &row.manifest)?);
        Ok(Some(Object { data: self.clone(), entry: row.entry, manifest, key }))
    }

    /// The key of a dataset.
    async fn dataset_key(&self, dataset: &DatasetRow) -> Result<Key, DataError> {
        let queue = dataset.is.queue.clone();
        let team = self.store.read(move |r| r.team_key(&queue)).await?;
        let team = team.ok_or(KeyError::DoesNotOpen)?;
        let team = team_key(&self.master, &dataset.is.queue, &team)?;
        Ok(team.unwrap(&wrapped(&dataset.is.key)?, &of_dataset(&dataset.is.name))?)
    }
}

/// An object to be read.
#[derive(Clone)]
pub struct Object {
    data: Data,
    /// What lists show of it.
    pub entry: ObjectEntry,
    manifest: Arc<Manifest>,
    key: Key,
}

impl Object {
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
        let (id, length) = (piece.secret.id(), piece.length as usize);
        let find = || {
            let place = handle.block_on(self.data.store.read(move |r| r.chunk(&id.0)))?;
            place.ok_or_else(|| DataError::Missing(self.entry.path.clone()))
        };
        let mut place = find()?;
        let sealed = loop {
            let again = match self.data.packs.read(packed(place), needed(&bytes, length)) {
                Ok(sealed) => break sealed,
                // It may have been copied elsewhere, and its pack be gone.
                Err(error) => find().map(|place| (place, error))?,
            };
            if again.0 == place {
                return Err(again.1.into());
            }
            place = again.0;
        };
        open(&piece.secret, sealed, bytes, length).map_err(|why| self.damaged(&id, why))
    }

    /// Opens every chunk whole and looks whether its secret is that of what is in it.
    ///
    /// # Errors
    /// The first that is damaged or cannot be read.
    pub async fn verify(&self) -> Result<(), DataError> {
        let (object, handle) = (self.clone(), Handle::current());
        let look = move || {
            for piece in object.manifest.pieces() {
                let plain = object.open(piece, 0..piece.length as usize, &handle)?;
                if Secret::of(&object.key, &plain) != piece.secret {
                    return Err(object.damaged(&piece.secret.id(), Tampered { segment: 0 }));
                }
            }
            Ok(())
        };
        tokio::task::spawn_blocking(look).await?
    }

    fn damaged(&self, id: &ChunkId, why: Tampered) -> DataError {
        let (path, chunk) = (self.entry.path.clone(), hex::encode(&id.0[..8]));
        DataError::Tampered { path, chunk, why }
    }
}

/// A stream on its way to be an object.
struct Cut {
    manifest: Manifest,
    tag: blake3::Hasher,
    /// Each chunk, and where it was appended if it was not there.
    places: BTreeMap<ChunkId, Option<Place>>,
    /// What was appended last to each pack.
    last: BTreeMap<u64, Place>,
    new: u64,
    writing: Writing,
}

impl Cut {
    fn new(key: &Key, writing: Writing) -> Self {
        // Of the content under the dataset's key: two that are equal show it, and nothing else.
        let tag = blake3::keyed_hash(key.bytes(), b"weft gateway 2026 tags");
        let tag = blake3::Hasher::new_keyed(tag.as_bytes());
        let (manifest, places, last) = (Manifest::default(), BTreeMap::new(), BTreeMap::new());
        Self { manifest, tag, places, last, new: 0, writing }
    }

    fn chunks(&self) -> Vec<([u8; 32], Option<ChunkPlace>)> {
        let place = |id: ChunkId| self.places.get(&id).copied().flatten().map(indexed);
        self.manifest.ids().map(|id| (id.0, place(id))).collect()
    }
}

/// Hands a body on as it comes.
async fn feed(
    body: &mut (impl AsyncRead + Unpin),
    to: mpsc::Sender<Vec<u8>>,
) -> Result<(), DataError> {
    loop {
        let mut bytes = Vec::with_capacity(READ);
        let mut some = body.take(READ as u64);
        while some.read_buf(&mut bytes).await? > 0 {}
        // Where nobody takes it, why is said there.
        if bytes.is_empty() || to.send(bytes).await.is_err() {
            return Ok(());
        }
    }
}

fn team_key(master: &Key, queue: &QueueName, key: &[u8]) -> Result<Key, KeyError> {
    master.unwrap(&wrapped(key)?, &of_team(queue))
}

fn wrapped(bytes: &[u8]) -> Result<Wrapped, KeyError> {
    bytes.try_into().map_err(|_| KeyError::DoesNotOpen)
}

/// What keys are bound to: each of its own kind.
fn of_team(queue: &QueueName) -> Vec<u8> {
    format!("team\0{queue}").into_bytes()
}

fn of_dataset(name: &DatasetName) -> Vec<u8> {
    format!("dataset\0{name}").into_bytes()
}

fn of_object(dataset: DatasetId, path: &str, bytes: Bytes, tag: &[u8]) -> Vec<u8> {
    format!("object\0{}\0{path}\0{}\0{}", dataset.0, bytes.0, hex::encode(tag)).into_bytes()
}

pub(crate) fn indexed(place: Place) -> ChunkPlace {
    ChunkPlace { pack: place.pack, offset: place.offset, length: place.length }
}

pub(crate) fn packed(place: ChunkPlace) -> Place {
    Place { pack: place.pack, offset: place.offset, length: place.length }
}
