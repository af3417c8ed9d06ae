//! Copies of the state: made while it runs, brought back while it does not.

use crate::{Store, StoreError};
use std::path::{Path, PathBuf};

/// A copy that was made or brought back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupReport {
    /// The copy; for a restore, the state as it was before.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Rows of the audit log in it.
    pub audit_rows: u64,
}

impl Store {
    /// Copies the state to `path`, which must not exist, while others read and write. The copy
    /// is whole and durable when this returns.
    pub async fn backup(&self, path: &Path) -> Result<BackupReport, StoreError> {
        Err(StoreError::File {
            action: "back up to",
            path: path.display().to_string(),
            cause: "not made yet".to_owned(),
        })
    }
}

/// Replaces the state in `dir` by the copy `from`, after checking the copy; what was there is
/// kept beside it. The server must not run: the caller holds `server.lock`.
pub fn restore(dir: &Path, from: &Path) -> Result<BackupReport, StoreError> {
    let _ = dir;
    Err(StoreError::File {
        action: "restore",
        path: from.display().to_string(),
        cause: "not made yet".to_owned(),
    })
}
