//! Where chunks of data lie, and how many need each; what nobody needs is collected in two steps.
//!
//! ```text
//! a writer    pins ids ─► looks them up ─► appends what is not there ─► use_chunks ─► unpins
//! collection  doom_chunks ──commit──► collect_chunks (not what is pinned) ──commit──► packs
//! ```
//!
//! A writer that finds a chunk relies on it before anything says so here. What is doomed is found
//! by nobody new, and whoever found it before has pinned it by the time of the second step, since
//! between the two lies a commit. So no chunk goes that a writer has found. One that is used after
//! all, though doomed, is there again.

use crate::column::{first, int, rows, small, uint};
use crate::datasets::DatasetId;
use crate::{Read, StoreError, Write};
use rusqlite::{Row, params};
use weft_types::Timestamp;

/// A chunk's name: the 32 bytes of its id.
pub type ChunkKey = [u8; 32];

/// Where a chunk lies under seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChunkPlace {
    /// Number of the pack.
    pub pack: u64,
    /// Byte of it.
    pub offset: u64,
    /// Bytes under seal.
    pub length: u32,
}

/// What of a pack is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PackUse {
    /// Number of the pack.
    pub pack: u64,
    /// Chunks that lie there.
    pub chunks: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Read<'_> {
    /// Where a chunk lies; none where it does not, or is about to go.
    pub fn chunk(&self, id: &ChunkKey) -> Result<Option<ChunkPlace>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT pack, offset, length FROM chunks WHERE id = ?1 AND doomed = 0",
        )?;
        first(query.query([id])?, place)
    }

    /// What lies in each pack that holds anything, by number.
    pub fn packs(&self) -> Result<Vec<PackUse>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT pack, count(*) AS chunks, sum(length) AS bytes FROM chunks
             GROUP BY pack ORDER BY pack",
        )?;
        rows(query.query([])?, |row| {
            let (pack, chunks) = (uint(row, "pack")?, uint(row, "chunks")?);
            Ok(PackUse { pack, chunks, bytes: uint(row, "bytes")? })
        })
    }

    /// The chunks of a pack, in the order in which they lie there.
    pub fn chunks_of(&self, pack: u64) -> Result<Vec<(ChunkKey, ChunkPlace)>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT id, pack, offset, length FROM chunks WHERE pack = ?1 ORDER BY offset",
        )?;
        rows(query.query([int(pack)])?, |row| Ok((row.get("id")?, place(row)?)))
    }
}

/// Chunks whose uses are counted in one transaction that has many objects to go through: each is a
/// row to be found and changed, some microseconds, and other writers wait for all of them. Objects
/// are no measure of that: one may have a chunk or a million. One is never divided.
pub(crate) const COUNTED_AT_ONCE: usize = 10_000;

impl Write<'_> {
    /// Counts one more use of each of these chunks of a dataset. Where it was appended is given of
    /// those that were not there; if another was faster, what is there stays, and the other is
    /// waste.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] of a chunk that is not there and was not appended.
    pub fn use_chunks(
        &mut self,
        dataset: DatasetId,
        chunks: impl IntoIterator<Item = (ChunkKey, Option<ChunkPlace>)>,
    ) -> Result<(), StoreError> {
        // What was needed by nobody, and is by this dataset now, is held by it again.
        let mut known = self.conn.prepare_cached(
            "UPDATE chunks SET uses = uses + 1, freed_at = NULL, doomed = 0 WHERE id = ?1
             RETURNING CASE uses WHEN 1 THEN length ELSE 0 END",
        )?;
        let mut held = 0;
        let mut new = self.conn.prepare_cached(
            "INSERT INTO chunks (id, pack, offset, length, uses) VALUES (?1, ?2, ?3, ?4, 1)",
        )?;
        for (id, appended) in chunks {
            if let Some(bytes) = first(known.query([&id])?, |row| Ok(row.get::<_, i64>(0)?))? {
                held += bytes;
                continue;
            }
            let missing = || StoreError::NotFound { what: "chunk", id: hex(&id) };
            let place = appended.ok_or_else(missing)?;
            new.execute(params![id, int(place.pack), int(place.offset), place.length])?;
            held += i64::from(place.length);
        }
        drop((known, new));
        self.count_held(dataset, held, 0)
    }

    /// Counts one use less of each of these chunks of a dataset.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] of a chunk that nobody used.
    pub fn release_chunks(
        &mut self,
        dataset: DatasetId,
        chunks: impl IntoIterator<Item = ChunkKey>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut held = 0;
        let mut release = self.conn.prepare_cached(
            "UPDATE chunks SET uses = uses - 1, freed_at = CASE uses WHEN 1 THEN ?2 END
             WHERE id = ?1 AND uses > 0
             RETURNING CASE uses WHEN 0 THEN length ELSE 0 END",
        )?;
        for id in chunks {
            let found = release.query(params![id, int(now.0)])?;
            match first(found, |row| Ok(row.get::<_, i64>(0)?))? {
                Some(bytes) => held += bytes,
                None => {
                    return Err(StoreError::Damaged(format!("chunk {} has no use", hex(&id))));
                }
            }
        }
        drop(release);
        self.count_held(dataset, -held, 0)
    }

    /// The first step: of what nobody has needed since then so many are found by nobody any more;
    /// how many are so now, of this step and those before it.
    pub fn doom_chunks(&mut self, freed_before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let mut doom = self.conn.prepare_cached(
            "UPDATE chunks SET doomed = 1 WHERE id IN (
               SELECT id FROM chunks WHERE freed_at < ?1 AND doomed = 0
               ORDER BY freed_at LIMIT ?2)",
        )?;
        doom.execute(params![int(freed_before.0), limit])?;
        let mut count = self.conn.prepare_cached(
            "SELECT count(*) AS doomed FROM chunks WHERE freed_at IS NOT NULL AND doomed = 1",
        )?;
        let doomed = first(count.query([])?, |row| uint(row, "doomed"))?;
        Ok(doomed.unwrap_or_default())
    }

    /// The second step, in another transaction than the first: what is doomed goes, but what a
    /// writer has pinned stays as it was. The packs in which they lay may be removed.
    pub fn collect_chunks(
        &mut self,
        is_pinned: impl Fn(&ChunkKey) -> bool,
    ) -> Result<Vec<(ChunkKey, ChunkPlace)>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT id, pack, offset, length FROM chunks
             WHERE freed_at IS NOT NULL AND doomed = 1 ORDER BY pack, offset",
        )?;
        let doomed = rows(query.query([])?, |row| Ok((row.get("id")?, place(row)?)))?;
        let mut keep = self.conn.prepare_cached("UPDATE chunks SET doomed = 0 WHERE id = ?1")?;
        let mut remove = self.conn.prepare_cached("DELETE FROM chunks WHERE id = ?1")?;
        let mut gone = Vec::with_capacity(doomed.len());
        for (id, place) in doomed {
            if is_pinned(&id) {
                keep.execute([&id])?;
            } else {
                remove.execute([&id])?;
                gone.push((id, place));
            }
        }
        Ok(gone)
    }

    /// A chunk lies elsewhere now, if it still lay where it was copied from.
    pub fn move_chunk(
        &mut self,
        id: &ChunkKey,
        from: ChunkPlace,
        to: ChunkPlace,
    ) -> Result<bool, StoreError> {
        let mut update = self.conn.prepare_cached(
            "UPDATE chunks SET pack = ?4, offset = ?5
             WHERE id = ?1 AND pack = ?2 AND offset = ?3 AND length = ?6",
        )?;
        let (pack, offset) = (int(from.pack), int(from.offset));
        let key = params![id, pack, offset, int(to.pack), int(to.offset), to.length];
        Ok(update.execute(key)? == 1)
    }
}

fn place(row: &Row<'_>) -> Result<ChunkPlace, StoreError> {
    let (pack, offset) = (uint(row, "pack")?, uint(row, "offset")?);
    Ok(ChunkPlace { pack, offset, length: small(row, "length")? })
}

fn hex(id: &ChunkKey) -> String {
    id.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
