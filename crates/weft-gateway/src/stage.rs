//! A body on its way to be an object: cut, sealed, appended and on the disk. Nothing needs it yet.
//!
//! Whoever drops what was staged leaves bytes that the next collection takes.

use crate::collect::Writing;
use crate::cut::Cutter;
use crate::data::{Data, DataError};
use crate::key::Key;
use crate::manifest::{Manifest, Piece};
use crate::seal::{ChunkId, Secret, seal};
use std::collections::BTreeMap;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use weft_store::{ChunkPlace, DatasetId, DatasetRow};
use weft_types::Bytes;

/// Bytes that are read of a body at a time.
const READ: usize = 256 << 10;
/// Reads that wait to be cut: enough that neither side waits for the other.
const READS: usize = 4;
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
        let (id, key) = (dataset.id, self.content_key(dataset.id).await?);
        let (sender, reads) = mpsc::channel(READS);
        let (data, handle) = (self.clone(), Handle::current());
        let cut = tokio::task::spawn_blocking(move || data.cut(id, &key, reads, &handle));
        let fed = feed(&mut body, sender).await;
        let staged = cut.await??;
        fed?;
        Ok(staged)
    }

    /// Cuts, seals and appends what comes; returns once it is on the disk. Blocks.
    fn cut(
        &self,
        dataset: DatasetId,
        key: &Key,
        mut reads: mpsc::Receiver<Vec<u8>>,
        handle: &Handle,
    ) -> Result<Staged, DataError> {
        let mut cut = Cut::new(key, self.pins.begin(&self.packs));
        let mut cutter = Cutter::new(key);
        while let Some(bytes) = reads.blocking_recv() {
            cut.tag.update(&bytes);
            cutter.push(&bytes, |chunk| self.take(key, chunk, &mut cut, handle))?;
        }
        cutter.finish(|chunk| self.take(key, chunk, &mut cut, handle))?;
        // Of each pack: a sync of one says nothing of another, which may have been given up.
        cut.last.values().try_for_each(|place| self.packs.sync(*place))?;
        let tag = cut.tag.finalize().as_bytes()[..TAG_BYTES].to_vec();
        let (manifest, places, writing) = (cut.manifest, cut.places, cut.writing);
        Ok(Staged { dataset, manifest, tag, new: Bytes(cut.new), places, writing })
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
}

/// A stream on its way to be an object.
struct Cut {
    manifest: Manifest,
    tag: blake3::Hasher,
    /// Each chunk, and where it was appended if it was not there.
    places: BTreeMap<ChunkId, Option<ChunkPlace>>,
    /// What was appended last to each pack.
    last: BTreeMap<u64, ChunkPlace>,
    new: u64,
    writing: Writing,
}

impl Cut {
    fn new(key: &Key, writing: Writing) -> Self {
        // Of the content under the dataset's key: two that are equal show it, and nothing else.
        let tag = blake3::derive_key("weft gateway 2026 tags", key.bytes());
        let tag = blake3::Hasher::new_keyed(&tag);
        let (manifest, places, last) = (Manifest::default(), BTreeMap::new(), BTreeMap::new());
        Self { manifest, tag, places, last, new: 0, writing }
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
