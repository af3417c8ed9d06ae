//! Holders: who has sent the bytes of which bundle. Naming a digest is no proof of having them.
//!
//! A row is written before the bundle gets its name on disk and goes with it; one without its
//! file gives nothing away, since its bytes were here, checked, from that very user.

use crate::column::{int, uint};
use crate::{Read, StoreError, Write};
use rusqlite::params;
use std::collections::BTreeSet;
use weft_types::{Bytes, Timestamp, UserName};

/// A bundle that a user has sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// Whose.
    pub user: UserName,
    /// Which: 64 hexadecimal digits.
    pub sha256: String,
    /// Its size.
    pub bytes: Bytes,
    /// Sent when.
    pub since: Timestamp,
}

impl Read<'_> {
    /// Whether the user has sent this bundle.
    pub fn holds(&self, user: &UserName, sha256: &str) -> Result<bool, StoreError> {
        let mut query =
            self.conn.prepare_cached("SELECT 1 FROM holders WHERE user = ?1 AND sha256 = ?2")?;
        Ok(query.exists([user.as_str(), sha256])?)
    }

    /// Bytes of all bundles that the user has sent and that are kept.
    pub fn held_bytes(&self, user: &UserName) -> Result<Bytes, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT coalesce(sum(bytes), 0) AS bytes FROM holders WHERE user = ?1",
        )?;
        let found = crate::column::first(query.query([user.as_str()])?, |row| uint(row, "bytes"))?;
        Ok(Bytes(found.unwrap_or(0)))
    }
}

impl Write<'_> {
    /// Notes that a user has sent a bundle; again is no error.
    pub fn hold_bundle(&mut self, held: &Holding) -> Result<(), StoreError> {
        self.conn
            .prepare_cached("INSERT OR REPLACE INTO holders VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![
                held.user.as_str(),
                held.sha256,
                int(held.bytes.0),
                int(held.since.0)
            ])?;
        Ok(())
    }

    /// Forgets who held bundles that are not `here` and were sent before `until`: younger ones
    /// may be on their way to their names.
    pub fn forget_bundles(
        &mut self,
        here: &BTreeSet<String>,
        until: Timestamp,
    ) -> Result<u64, StoreError> {
        let here = crate::column::to_json(here)?;
        let gone = self.conn.execute(
            "DELETE FROM holders WHERE since < ?2
             AND sha256 NOT IN (SELECT value FROM json_each(?1))",
            params![here, int(until.0)],
        )?;
        Ok(gone as u64)
    }
}
