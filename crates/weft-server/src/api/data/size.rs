//! How much is in a dataset now: counted once for each number of changes, since counting walks
//! through all of its objects.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use weft_store::{DatasetId, DatasetRow, Read, StoreError};
use weft_types::Timestamp;

/// What was counted last, by dataset.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sizes(Arc<Mutex<BTreeMap<DatasetId, Counted>>>);

/// What a dataset is now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counted {
    changes: u64,
    pub(super) objects: u64,
    pub(super) bytes: u64,
    /// When the newest object was put.
    pub(super) put_at: Option<Timestamp>,
}

impl Sizes {
    /// Objects and their bytes; the row is one that the transaction has read.
    pub(super) fn of(&self, r: &Read<'_>, row: &DatasetRow) -> Result<Counted, StoreError> {
        // The map holds finished counts only, so that one of a thread that panicked is fine.
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = known().get(&row.id).copied().filter(|last| last.changes == row.changes);
        if let Some(counted) = last {
            return Ok(counted);
        }
        let (objects, bytes, put_at) = r.dataset_size(row.id)?;
        let counted = Counted { changes: row.changes, objects, bytes: bytes.0, put_at };
        known().insert(row.id, counted);
        Ok(counted)
    }
}
