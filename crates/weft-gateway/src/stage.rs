//! A body on its way to be an object: cut, sealed, appended and on the disk. Nothing needs it yet.
//!
//! Whoever drops what was staged leaves bytes that the next collection takes.

use crate::collect::Writing;
use crate::cut::Cutter;
use crate::data::{Data, DataError, DatasetLock};
use crate::key::Key;
use crate::manifest::{Manifest, Piece};
use crate::seal::{ChunkId, Secret, seal};
use std::collections::BTreeMap;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::runtime::Handle;
use weft_store::{ChunkPlace, DatasetId, DatasetRow, Read};
use weft_types::Bytes;

/// Bytes that are read of a body while those before are cut: few threads' changes, little memory.
const READ: usize = 1 << 20;
/// Bytes of a large body after which the disk is asked to take them while more comes, so that
/// little is left to wait for at its end.
const SYNCED_AHEAD: u64 = 16 << 20;
/// Bytes of an object's tag: as many as the MD5 sum has that clients expect to see.
pub(crate) const TAG_BYTES: usize = 16;

/// A body that is on the disk. What it relies on stays while this is held.
#[derive(Debug)]
pub struct Staged {
    pub(crate) dataset: DatasetId,
    pub(crate) manifest: Manifest,
    pub(crate) tag: Vec<u8>,
    pub(crate) new: Bytes,
    /// Each chunk, and where it was appended if it was not there.
    places: BTreeMap<ChunkId, Option<ChunkPlace>>,
    pub(crate) writing: Writing,
}

impl Staged {
    /// Plain bytes.
    pub fn bytes(&self) -> Bytes {
        Bytes(self.manifest.length())
    }

    /// Says whether two are equal, within a dataset.
    pub fn tag(&self) -> &[u8] {
        &self.tag
    }

    /// Bytes that were new: not of any object of the dataset before.
    pub fn new_bytes(&self) -> Bytes {
        self.new
    }

    /// Chunks that are appended and in no index yet.
    pub(crate) fn appended(&self) -> impl Iterator<Item = (ChunkId, ChunkPlace)> + '_ {
        self.places.iter().filter_map(|(id, place)| Some((*id, (*place)?)))
    }

    /// Its chunks, as the index keeps them.
    pub(crate) fn chunks(&self) -> Vec<([u8; 32], Option<ChunkPlace>)> {
        let place = |id: ChunkId| self.places.get(&id).copied().flatten();
        self.manifest.ids().map(|id| (id.0, place(id))).collect()
    }
}

impl Data {
    /// Cuts, seals and appends a body, and returns once it is on the disk; nothing needs it yet.
    ///
    /// # Errors
    /// The body cannot be read, no space is left, or the state cannot be read: all is given up.
    pub async fn stage(
        &self,
        dataset: &DatasetRow,
        mut body: impl AsyncRead + Unpin,
    ) -> Result<Staged, DataError> {
        let id = dataset.id;
        let (mut bytes, mut begun) = (some(&mut body).await?, None);
        // No thread waits for the body: whoever sends it slowly holds none. One that is small takes
        // one, once.
        while bytes.len() == READ {
            let (data, handle) = (self.clone(), Handle::current());
            let cut = tokio::task::spawn_blocking(move || {
                let mut cut = data.begin(id, begun, &handle)?;
                cut.push(&data, &bytes, &handle).map(|()| cut)
            });
            let (cut, next) = tokio::join!(cut, some(&mut body));
            (bytes, begun) = (next?, Some(cut??));
        }
        let (data, handle) = (self.clone(), Handle::current());
        let cut = tokio::task::spawn_blocking(move || {
            let mut cut = data.begin(id, begun, &handle)?;
            cut.push(&data, &bytes, &handle)?;
            cut.finish(&data, &handle)
        });
        cut.await?
    }

    /// What was begun, or another.
    fn begin(
        &self,
        dataset: DatasetId,
        begun: Option<Cut>,
        handle: &Handle,
    ) -> Result<Cut, DataError> {
        if let Some(begun) = begun {
            return Ok(begun);
        }
        let key = |r: &Read<'_>| DatasetLock::open(r, &self.master(), dataset);
        let key = self.store.read_here(handle, key)?.content;
        let (cutter, writing) = (Cutter::new(&key), self.pins.begin(&self.packs));
        let staged = Staged {
            dataset,
            manifest: Manifest::default(),
            tag: Vec::new(),
            new: Bytes(0),
            places: BTreeMap::new(),
            writing,
        };
        let into = Into { key, staged, last: BTreeMap::new(), unsynced: 0 };
        Ok(Cut { cutter, into })
    }
}

/// A body on its way.
struct Cut {
    cutter: Cutter,
    into: Into,
}

/// What its chunks become.
struct Into {
    key: Key,
    staged: Staged,
    /// What was appended last to each pack.
    last: BTreeMap<u64, ChunkPlace>,
    /// Bytes since the disk was last asked to take what there is.
    unsynced: u64,
}

impl Cut {
    /// Cuts, seals and appends what comes next. Blocks.
    fn push(&mut self, data: &Data, bytes: &[u8], handle: &Handle) -> Result<(), DataError> {
        self.cutter.push(bytes, |chunk| self.into.take(data, chunk, handle))
    }

    /// The body has ended; returns once all of it is on the disk. Blocks.
    fn finish(mut self, data: &Data, handle: &Handle) -> Result<Staged, DataError> {
        self.cutter.finish(|chunk| self.into.take(data, chunk, handle))?;
        // Of each pack: a sync of one says nothing of another, which may have been given up.
        self.into.last.values().try_for_each(|place| data.packs.sync(*place))?;
        let tag = self.into.tag();
        Ok(Staged { tag, ..self.into.staged })
    }
}

impl Into {
    /// Two that are equal show it, and nothing else: what is equal is cut alike and has the same
    /// secrets, so those are hashed, not all the bytes once more.
    fn tag(&self) -> Vec<u8> {
        let key = blake3::derive_key("weft gateway 2026 tags", self.key.bytes());
        let mut tag = blake3::Hasher::new_keyed(&key);
        for piece in self.staged.manifest.pieces() {
            tag.update(&*piece.secret.0).update(&piece.length.to_le_bytes());
        }
        tag.finalize().as_bytes()[..TAG_BYTES].to_vec()
    }

    /// Seals and appends a chunk, if it is not there.
    fn take(&mut self, data: &Data, chunk: &[u8], handle: &Handle) -> Result<(), DataError> {
        let (secret, staged) = (Secret::of(&self.key, chunk), &mut self.staged);
        let id = secret.id();
        // First, so that what is found stays.
        staged.writing.pin(id);
        if !staged.places.contains_key(&id) {
            let known = data.store.read_here(handle, |r| r.chunk(&id.0))?;
            let place = match known {
                Some(_) => None,
                None => {
                    let place = data.packs.append(&id, &seal(&secret, chunk))?;
                    self.last.insert(place.pack, place);
                    staged.new.0 += chunk.len() as u64;
                    self.unsynced += u64::from(place.length);
                    if self.unsynced >= SYNCED_AHEAD {
                        self.unsynced = 0;
                        let packs = data.packs.clone();
                        // What it says is asked again at the end.
                        handle.spawn_blocking(move || packs.sync(place));
                    }
                    Some(place)
                }
            };
            staged.places.insert(id, place);
        }
        let length = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
        staged.manifest.push(Piece { secret, length });
        Ok(())
    }
}

/// The next of a body; less than [`READ`] where it ends.
async fn some(body: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Vec<u8>> {
    // Small ones are many: none takes more than it has.
    let mut bytes = Vec::new();
    body.take(READ as u64).read_to_end(&mut bytes).await?;
    Ok(bytes)
}
