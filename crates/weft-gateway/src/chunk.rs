//! A chunk from the disk, opened: where it lies is asked of the index, again if it was moved.

use crate::data::Data;
use crate::manifest::Piece;
use crate::pack::PackError;
use crate::seal::{Tampered, needed, open};
use std::ops::Range;
use tokio::runtime::Handle;
use weft_store::{ChunkPlace, StoreError};

/// Why a chunk does not open.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unopened {
    /// The index cannot be read: nothing is known of the chunk.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The index does not know it.
    #[error("the index does not know the chunk")]
    Missing,
    /// The file cannot be read there.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// It is not what was put.
    #[error(transparent)]
    Tampered(#[from] Tampered),
}

/// Whether a pack is not on the disk.
pub(crate) fn absent(error: &PackError) -> bool {
    matches!(error, PackError::Io { cause, .. } if cause.kind() == std::io::ErrorKind::NotFound)
}

impl Unopened {
    /// Nothing is known of the chunk: the index or the store that has it cannot be asked.
    pub(crate) fn says_nothing(&self) -> bool {
        matches!(self, Self::Store(_) | Self::Pack(PackError::Away { .. }))
    }
}

impl Data {
    /// Opens these bytes of a chunk; it lies there, if that is known. Blocks.
    pub(crate) fn open_chunk(
        &self,
        piece: &Piece,
        bytes: Range<usize>,
        at: Option<ChunkPlace>,
        handle: &Handle,
    ) -> Result<Vec<u8>, Unopened> {
        let (id, length) = (piece.secret.id(), piece.length as usize);
        let find = || {
            let place = self.store.read_here(handle, |r| r.chunk(&id.0))?;
            place.ok_or(Unopened::Missing)
        };
        let mut place = at.map_or_else(find, Ok)?;
        let sealed = loop {
            let again = match self.read_place(place, needed(&bytes, length), handle) {
                Ok(sealed) => break sealed,
                // It may have been copied elsewhere, and its pack be gone.
                Err(error) => find().map(|place| (place, error))?,
            };
            if again.0 == place {
                return Err(again.1.into());
            }
            place = again.0;
        };
        match open(&piece.secret, sealed, bytes.clone(), length) {
            Ok(plain) => Ok(plain),
            // What the disk has spoilt the store may have whole: then the disk's goes.
            Err(tampered) => match self.read_there(place, needed(&bytes, length), handle) {
                Ok(Some(sealed)) => {
                    let plain = open(&piece.secret, sealed, bytes, length)?;
                    // Not for one range of a pack that is not whole there itself.
                    if self.is_there(place.pack, handle) {
                        self.packs.remove(place.pack)?;
                    }
                    Ok(plain)
                }
                _ => Err(tampered.into()),
            },
        }
    }
}

impl From<Unopened> for crate::data::DataError {
    /// Of one that says nothing of the chunk.
    fn from(why: Unopened) -> Self {
        match why {
            Unopened::Store(error) => error.into(),
            Unopened::Pack(error) => error.into(),
            Unopened::Missing => Self::Missing(String::new()),
            Unopened::Tampered(why) => {
                Self::Tampered { path: String::new(), chunk: String::new(), why }
            }
        }
    }
}
