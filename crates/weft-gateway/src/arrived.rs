//! What has arrived and is no object yet, by ranges: some files say what they are at their end.

use crate::data::{Data, DataError};
use crate::manifest::Manifest;
use crate::seal::ChunkId;
use crate::stage::Staged;
use std::collections::BTreeMap;
use std::ops::Range;
use tokio::runtime::Handle;
use weft_store::ChunkPlace;
use weft_types::Bytes;

/// A body that is on the disk. It is there for as long as what was staged is held, or the parts of
/// an upload are kept.
pub struct Arrived {
    data: Data,
    manifest: Manifest,
    /// Where chunks lie of which the index does not know yet.
    places: BTreeMap<ChunkId, ChunkPlace>,
}

impl Data {
    /// What was staged.
    pub fn arrived(&self, staged: &Staged) -> Arrived {
        let (manifest, places) = (staged.manifest.clone(), staged.appended().collect());
        Arrived { data: self.clone(), manifest, places }
    }

    /// What was put in parts that the index knows.
    pub(crate) fn arrived_in_parts(&self, manifest: Manifest) -> Arrived {
        Arrived { data: self.clone(), manifest, places: BTreeMap::new() }
    }
}

impl Arrived {
    /// Plain bytes.
    pub fn bytes(&self) -> Bytes {
        Bytes(self.manifest.length())
    }

    /// Some bytes from the beginning of a range on; none where it is behind the end. Blocks.
    ///
    /// # Errors
    /// They are damaged or cannot be read.
    pub fn read(&self, range: Range<u64>, handle: &Handle) -> Result<Vec<u8>, DataError> {
        let Some(part) = self.manifest.parts(range).next() else { return Ok(Vec::new()) };
        let place = self.places.get(&part.piece.secret.id()).copied();
        Ok(self.data.open_chunk(part.piece, part.bytes, place, handle)?)
    }
}
