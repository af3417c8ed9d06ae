//! What nobody needs any more goes: chunks from the index, then packs that hold little.
//!
//! Writers are never stopped for it. Each says before it begins which packs it may append to, and
//! before it looks for a chunk that it relies on it; `weft-store`'s `chunks.rs` says why that is
//! enough.

use crate::chunk::absent;
use crate::data::{Data, DataError};
use crate::pack::{PackError, Packs, RECORD_HEAD};
use crate::seal::ChunkId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::runtime::Handle;
use weft_store::failpoint::hit;
use weft_store::{ChunkKey, ChunkPlace, PackUse, StoreError};
use weft_types::{Bytes, Timestamp};

/// Chunks that are doomed in one transaction: others wait for it.
const DOOMED_AT_ONCE: u32 = 1_000;
/// Chunks that are copied with one sync and moved in one transaction, likewise.
const MOVED_AT_ONCE: usize = 1_000;

/// What writers rely on that nothing in the index says yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pins(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    next: u64,
    /// By writer: the first pack that it may have appended to, and what it looks for.
    writers: BTreeMap<u64, (u64, BTreeSet<ChunkId>)>,
}

/// A writer, until it is dropped.
#[derive(Debug)]
pub(crate) struct Writing {
    pins: Pins,
    number: u64,
}

impl Pins {
    /// A writer begins: what it will append to stays.
    pub(crate) fn begin(&self, packs: &Packs) -> Writing {
        let mut state = self.state();
        state.next += 1;
        let number = state.next;
        state.writers.insert(number, (packs.current(), BTreeSet::new()));
        Writing { pins: self.clone(), number }
    }

    fn holds(&self, id: &ChunkId) -> bool {
        self.state().writers.values().any(|(_, ids)| ids.contains(id))
    }

    /// The first pack that somebody may be appending to.
    fn floor(&self, packs: &Packs) -> u64 {
        let state = self.state();
        let first = state.writers.values().map(|(pack, _)| *pack).min();
        first.map_or(packs.current(), |first| first.min(packs.current()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writing {
    /// It looks for this chunk.
    pub(crate) fn pin(&mut self, id: ChunkId) {
        if let Some((_, ids)) = self.pins.state().writers.get_mut(&self.number) {
            ids.insert(id);
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.pins.state().writers.remove(&self.number);
    }
}

/// What was collected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// Chunks that nobody needed.
    pub chunks: u64,
    /// Files that are gone.
    pub packs: u64,
    /// Files that would be, but for chunks that cannot be read.
    pub unreadable: u64,
    /// Bytes that the disk has again.
    pub freed: Bytes,
}

impl Data {
    /// Collects what nobody has needed since then, and packs of which less than half is needed.
    ///
    /// # Errors
    /// The state or a file cannot be read or written; what was done is done.
    pub async fn collect(&self, freed_before: Timestamp) -> Result<Collected, DataError> {
        let mut all = Collected::default();
        while self.store.write(move |w| w.doom_chunks(freed_before, DOOMED_AT_ONCE)).await? > 0 {
            let pins = self.pins.clone();
            let gone = self.store.write(move |w| w.collect_chunks(|id| pins.holds(&ChunkId(*id))));
            let gone = gone.await?.len() as u64;
            all.chunks += gone;
            if gone == 0 {
                break;
            }
        }
        // First: who ends after this look is kept by it, who ended before it is in the next one.
        let floor = self.pins.floor(&self.packs);
        let used = self.store.read(|r| r.packs()).await?;
        let kept = |used: &PackUse| used.bytes + used.chunks * RECORD_HEAD as u64;
        let used: BTreeMap<u64, u64> = used.iter().map(|used| (used.pack, kept(used))).collect();
        let packs = self.packs.clone();
        let there = self.store.read(|r| r.packs_away()).await?;
        let there = there.into_iter().filter(|row| row.gone_at.is_none());
        let there: BTreeMap<u64, u64> = there.map(|row| (row.pack, row.bytes)).collect();
        let known = there.clone();
        let sizes = move || {
            let all: BTreeSet<u64> =
                packs.numbers()?.into_iter().chain(known.keys().copied()).collect();
            let below = all.into_iter().filter(|pack| *pack < floor);
            let size = |pack| match packs.bytes(pack) {
                Err(error) if absent(&error) => known.get(&pack).copied().ok_or(error),
                other => other,
            };
            Ok::<_, PackError>(below.map(|pack| (pack, size(pack))).collect::<Vec<_>>())
        };
        let mut packs = tokio::task::spawn_blocking(sizes).await??;
        // Those that need no room to be emptied first: where the disk is full, they make it.
        packs.sort_by_key(|(pack, _)| used.contains_key(pack));
        for (pack, bytes) in packs {
            let kept = used.get(&pack).copied().unwrap_or(0);
            match bytes {
                Err(_) => all.unreadable += 1,
                Ok(bytes) if kept * 2 >= bytes => {}
                Ok(_) if self.empty(pack).await? > 0 => all.unreadable += 1,
                Ok(bytes) => {
                    hit("gateway.collect.moved").map_err(StoreError::from)?;
                    // First: what is on the disk without need goes in the next round, if not now.
                    if there.contains_key(&pack) {
                        self.store.write(move |w| w.pack_is_gone(pack, freed_before)).await?;
                    }
                    let packs = self.packs.clone();
                    tokio::task::spawn_blocking(move || packs.remove(pack)).await??;
                    hit("gateway.collect.removed").map_err(StoreError::from)?;
                    (all.packs, all.freed) = (all.packs + 1, Bytes(all.freed.0 + bytes - kept));
                }
            }
        }
        Ok(all)
    }

    /// Copies what is needed of a pack to where chunks are appended now; how many chunks of it
    /// cannot be read. Those stay where they are, and their pack with them.
    async fn empty(&self, pack: u64) -> Result<usize, DataError> {
        // The copies are nobody's until they are moved to: another collection must leave them.
        let _copying = self.pins.begin(&self.packs);
        let chunks = self.store.read(move |r| r.chunks_of(pack)).await?;
        let mut unreadable = 0;
        for some in chunks.chunks(MOVED_AT_ONCE) {
            let (data, some) = (self.clone(), some.to_vec());
            let handle = Handle::current();
            let wanted = some.len();
            let copied = tokio::task::spawn_blocking(move || copy(&data, &handle, some)).await??;
            unreadable += wanted - copied.len();
            hit("gateway.collect.copied").map_err(StoreError::from)?;
            let moved = self.store.write(move |w| {
                copied.iter().try_for_each(|(id, from, to)| w.move_chunk(id, *from, *to).map(drop))
            });
            moved.await?;
        }
        Ok(unreadable)
    }
}

/// A chunk, where it lies, and where its copy does.
type Copied = (ChunkKey, ChunkPlace, ChunkPlace);

/// Appends chunks anew that can be read; returns once their copies are on the disk. Blocks.
fn copy(
    data: &Data,
    handle: &Handle,
    chunks: Vec<(ChunkKey, ChunkPlace)>,
) -> Result<Vec<Copied>, PackError> {
    let (mut copied, mut last) = (Vec::with_capacity(chunks.len()), BTreeMap::new());
    for (id, from) in chunks {
        let sealed = match data.read_place(from, 0..from.length as usize, handle) {
            Ok(sealed) => sealed,
            // The next would not come either: all of it waits for the next round.
            Err(error @ PackError::Away { .. }) => return Err(error),
            Err(_) => continue,
        };
        let to = data.packs.append_anyway(&ChunkId(id), &sealed)?;
        last.insert(to.pack, to);
        copied.push((id, from, to));
    }
    last.into_values().try_for_each(|place| data.packs.sync(place))?;
    Ok(copied)
}
