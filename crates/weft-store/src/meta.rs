//! The state's own row: who it is, whose it is, how often it changed.

use crate::column::uint;
use crate::{Read, StoreError, Write};
use weft_types::{Epoch, Generation};

/// The state's own row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// Names this state; kept through backup and restore.
    pub instance: String,
    /// Of the server that owns it.
    pub epoch: Epoch,
    /// Grows with every committed change of what the planner reads.
    pub generation: Generation,
}

impl Read<'_> {
    /// The state's own row.
    pub fn meta(&self) -> Result<Meta, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT * FROM meta")?;
        let mut rows = query.query([])?;
        let row = rows.next()?.ok_or_else(|| StoreError::Damaged("meta is empty".into()))?;
        Ok(Meta {
            instance: row.get("instance")?,
            epoch: Epoch(uint(row, "epoch")?),
            generation: Generation(uint(row, "generation")?),
        })
    }
}

impl Write<'_> {
    /// Refuses a plan made by another server or on another generation. Call it first in the
    /// transaction that carries the plan out.
    pub fn commit_plan(&mut self, epoch: Epoch, base: Generation) -> Result<(), StoreError> {
        let meta = self.meta()?;
        if meta.epoch != epoch {
            return Err(StoreError::Fenced { mine: epoch, current: meta.epoch });
        }
        if meta.generation != base {
            return Err(StoreError::Stale { base, current: meta.generation });
        }
        Ok(())
    }
}
