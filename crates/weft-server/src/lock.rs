//! One server for each state directory, and the note that tells clients where it is.

use crate::ServeError;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// The file whose lock says that a server owns the directory. Its content means nothing.
const LOCK: &str = "server.lock";

/// The note for clients.
const NOTE: &str = "server.json";

/// The state directory, owned by this process until it is dropped or the process is gone.
#[derive(Debug)]
pub(crate) struct Owned {
    dir: PathBuf,
    _lock: File,
}

/// What clients read to find the server; right only while the directory's lock is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerNote {
    /// Its process.
    pub pid: u32,
    /// When that process began, in clock ticks since boot: `pid` alone may be another's by now.
    pub start_time: u64,
    /// `http://` or `https://`, host and port.
    pub address: String,
    /// Version of the binary.
    pub version: String,
}

impl Owned {
    /// Makes the directory where it is not, and takes it. Only its owner may look into it.
    pub(crate) fn take(dir: &Path) -> Result<Owned, ServeError> {
        let failed = |source| ServeError::StateDir { dir: dir.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
        fs::set_permissions(dir, Permissions::from_mode(0o700)).map_err(failed)?;
        let mut open = OpenOptions::new();
        open.create(true).truncate(false).write(true).mode(0o600);
        let lock = open.open(dir.join(LOCK)).map_err(failed)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Owned { dir: dir.to_owned(), _lock: lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                Err(ServeError::Running { dir: dir.to_owned(), note: read_note(dir) })
            }
            Err(errno) => Err(failed(errno.into())),
        }
    }

    /// Tells clients where the server is: complete or not at all.
    pub(crate) fn announce(&self, address: &str) -> Result<(), ServeError> {
        let note = ServerNote {
            pid: std::process::id(),
            start_time: own_start_time(),
            address: address.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let write = || -> std::io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(&self.dir)?;
            file.write_all(&serde_json::to_vec(&note)?)?;
            // Not synced: after a power cut the lock is free and the note means nothing.
            file.persist(self.dir.join(NOTE))?;
            Ok(())
        };
        write().map_err(|source| ServeError::StateDir { dir: self.dir.clone(), source })
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // Left behind by a crash it does no harm: the lock is what counts.
        let _ = fs::remove_file(self.dir.join(NOTE));
    }
}

/// What the last server of a directory said of itself, if it can be read.
pub fn read_note(dir: &Path) -> Option<ServerNote> {
    serde_json::from_slice(&fs::read(dir.join(NOTE)).ok()?).ok()
}

/// When this process began: field 22 of `/proc/self/stat` (proc_pid_stat(5)); the name before
/// it may hold anything, so counting starts behind its last parenthesis.
fn own_start_time() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    rest.split_whitespace().nth(19).and_then(|field| field.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_owner_and_is_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("a/b");
        let owned = Owned::take(&state).unwrap();
        owned.announce("http://127.0.0.1:1").unwrap();
        assert_eq!(fs::metadata(&state).unwrap().permissions().mode() & 0o777, 0o700);
        let Err(ServeError::Running { note, .. }) = Owned::take(&state) else {
            panic!("taken twice")
        };
        let note = note.unwrap();
        assert_eq!((note.pid, note.start_time > 0), (std::process::id(), true));
        drop(owned);
        assert_eq!(read_note(&state), None);
        Owned::take(&state).unwrap();
    }
}
