//! How much is in a dataset now: counted once for each number of changes, since counting walks
//! through all of its objects.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use weft_store::{DatasetId, DatasetRow, Read, StoreError};

/// What was counted last, by dataset.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sizes(Arc<Mutex<BTreeMap<DatasetId, Counted>>>);

#[derive(Debug, Clone, Copy)]
struct Counted {
    changes: u64,
    objects: u64,
    bytes: u64,
}

impl Sizes {
    /// Objects and their bytes; the row is one that the transaction has read.
    pub(super) fn of(&self, r: &Read<'_>, row: &DatasetRow) -> Result<(u64, u64), StoreError> {
        // The map holds finished counts only, so that one of a thread that panicked is fine.
        let known = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = known().get(&row.id).copied().filter(|last| last.changes == row.changes);
        if let Some(Counted { objects, bytes, .. }) = last {
            return Ok((objects, bytes));
        }
        let (objects, bytes) = r.dataset_size(row.id)?;
        known().insert(row.id, Counted { changes: row.changes, objects, bytes: bytes.0 });
        Ok((objects, bytes.0))
    }
}
