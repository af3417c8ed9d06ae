//! Packs that lie in an object store: what they are called there, and which of them are owed to it.
//!
//! ```text
//! named ─► there ─► gone ─► (removed there) ─► no row
//! ```
//!
//! A pack has its name before the first byte of it is sent and until the last one is removed, so a
//! crash leaves nothing there that no row knows.

use crate::column::{first, int, rows, uint, uint_opt};
use crate::{Read, StoreError, Write};
use rusqlite::{Row, params};
use weft_types::Timestamp;

/// A pack that lies elsewhere, or is to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackAway {
    /// Number of the pack.
    pub pack: u64,
    /// The store, as the configuration names it.
    pub place: String,
    /// What it is called there.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Whether all of it is there.
    pub there: bool,
    /// Since when nobody needs it.
    pub gone_at: Option<Timestamp>,
}

impl Read<'_> {
    /// Where a pack lies that is not on the disk.
    pub fn pack_away(&self, pack: u64) -> Result<Option<PackAway>, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT * FROM packs_away WHERE pack = ?1")?;
        first(query.query([int(pack)])?, away)
    }

    /// All of them, by number.
    pub fn packs_away(&self) -> Result<Vec<PackAway>, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT * FROM packs_away ORDER BY pack")?;
        rows(query.query([])?, away)
    }

    /// The highest number of a pack that the index knows: numbers go on behind it, whatever of
    /// them is on the disk.
    pub fn last_pack(&self) -> Result<u64, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT max(coalesce((SELECT max(pack) FROM chunks), 0),
                        coalesce((SELECT max(pack) FROM packs_away), 0)) AS last",
        )?;
        Ok(first(query.query([])?, |row| uint(row, "last"))?.unwrap_or_default())
    }

    /// Whether anything that is needed lies in a pack.
    pub fn pack_is_used(&self, pack: u64) -> Result<bool, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT 1 FROM chunks WHERE pack = ?1 LIMIT 1")?;
        Ok(query.exists([int(pack)])?)
    }
}

impl Write<'_> {
    /// A pack is owed to a store, under this name; one that has a name keeps it.
    pub fn owe_pack(
        &mut self,
        pack: u64,
        place: &str,
        name: &str,
        bytes: u64,
    ) -> Result<(), StoreError> {
        let mut insert = self.conn.prepare_cached(
            "INSERT INTO packs_away (pack, place, name, bytes) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (pack) DO NOTHING",
        )?;
        insert.execute(params![int(pack), place, name, int(bytes)])?;
        Ok(())
    }

    /// All of a pack is there, or not any more: then it is owed again.
    pub fn pack_is_there(&mut self, pack: u64, there: bool) -> Result<(), StoreError> {
        let mut update =
            self.conn.prepare_cached("UPDATE packs_away SET there = ?2 WHERE pack = ?1")?;
        update.execute(params![int(pack), there])?;
        Ok(())
    }

    /// Nobody needs a pack any more, since now or before.
    pub fn pack_is_gone(&mut self, pack: u64, now: Timestamp) -> Result<(), StoreError> {
        let mut update = self.conn.prepare_cached(
            "UPDATE packs_away SET gone_at = coalesce(gone_at, ?2) WHERE pack = ?1",
        )?;
        update.execute(params![int(pack), int(now.0)])?;
        Ok(())
    }

    /// Nothing of a pack is there any more.
    pub fn forget_pack_away(&mut self, pack: u64) -> Result<(), StoreError> {
        self.conn.prepare_cached("DELETE FROM packs_away WHERE pack = ?1")?.execute([int(pack)])?;
        Ok(())
    }
}

fn away(row: &Row<'_>) -> Result<PackAway, StoreError> {
    Ok(PackAway {
        pack: uint(row, "pack")?,
        place: row.get("place")?,
        name: row.get("name")?,
        bytes: uint(row, "bytes")?,
        there: row.get("there")?,
        gone_at: uint_opt(row, "gone_at")?.map(Timestamp),
    })
}
