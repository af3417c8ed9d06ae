//! What can go wrong in the store, in the words of its callers.

use crate::failpoint::Struck;
use weft_types::{Epoch, Generation, QueueName, WorkloadId};

/// A read or a write that did not happen. Nothing of it was stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The disk has no room. Reads go on, and writes do again once there is room.
    #[error("the disk with the state is full: {0}\nhint: free some space; nothing was lost")]
    DiskFull(String),
    /// The disk failed to sync. What the kernel then holds is not what the disk does, so trying
    /// again could lose what it acknowledges (Rebello et al., Can applications recover from fsync
    /// failures?, USENIX ATC 2020): the store has closed itself; a restart reads the truth back.
    #[error("the disk with the state failed to sync: {0}\nhint: check the disk, then restart")]
    SyncFailed(String),
    /// Another server has taken over this state; this one must stop.
    #[error("this server (epoch {mine}) was replaced by another (epoch {current})")]
    Fenced {
        /// The handle's.
        mine: Epoch,
        /// The state's.
        current: Epoch,
    },
    /// The plan was made on a generation that is no longer current: plan again.
    #[error("the plan was made on generation {base}, the state is at {current}")]
    Stale {
        /// The plan's.
        base: Generation,
        /// The state's.
        current: Generation,
    },
    /// There is none of that name.
    #[error("no {what} `{id}`")]
    NotFound {
        /// What was looked for.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// There is one of that name already.
    #[error("{what} `{id}` exists already")]
    Exists {
        /// What.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// It was changed since it was read.
    #[error("{what} `{id}` is at version {found}, not {expected}: it was changed meanwhile")]
    Conflict {
        /// What.
        what: &'static str,
        /// Its id.
        id: String,
        /// The version the caller read.
        expected: u64,
        /// The version stored.
        found: u64,
    },
    /// It is used by something else, or still in use.
    #[error("{what} `{id}` is in use: {by}")]
    InUse {
        /// What.
        what: &'static str,
        /// Its id.
        id: String,
        /// By what, in words.
        by: String,
    },
    /// What was to be put would make a team's datasets more than they may be.
    #[error("the team `{queue}` would hold {held} {what} of data with this; it may hold {may}")]
    OverQuota {
        /// The team.
        queue: QueueName,
        /// Bytes or objects.
        what: &'static str,
        /// With what was to be put.
        held: u64,
        /// What it may hold.
        may: u64,
    },
    /// A value beyond a limit of the store.
    #[error("{what} is {value}, at most {limit} is kept")]
    TooLarge {
        /// Which value.
        what: &'static str,
        /// How large it is.
        value: u64,
        /// The limit.
        limit: u64,
    },
    /// A started workload whose placements are fewer or more than its members may be.
    #[error("{id} is started with {found} placements, its gang is {gang} to {most}")]
    Gang {
        /// Which.
        id: WorkloadId,
        /// Placements given.
        found: usize,
        /// Placements needed at least.
        gang: u32,
        /// And at most.
        most: u32,
    },
    /// A placement that would give something twice. A bug of the planner, caught.
    #[error("{0}")]
    DoubleAllocation(String),
    /// What is stored does not read back.
    #[error("the state is damaged: {0}\nhint: stop the server and restore a backup")]
    Damaged(String),
    /// The state was written by a newer version.
    #[error(
        "the state has schema {found}; this weft ({}) knows schemas up to {known}\n\
         hint: start it with the newer weft that was used before, or restore a backup made with \
         this one",
        env!("CARGO_PKG_VERSION")
    )]
    Newer {
        /// Of the state.
        found: u32,
        /// The newest known here.
        known: u32,
    },
    /// The state's tables are not those of its schema's number.
    #[error(
        "the state says it has schema {found}, but {difference}: it is of a weft from before the \
         first release, or another program's; nothing was changed\n\
         hint: go on with the weft that made it, or move weft.db and its -wal and -shm aside and \
         start anew"
    )]
    Foreign {
        /// The number it has.
        found: u32,
        /// The first difference, in words.
        difference: String,
    },
    /// A file operation around the database failed.
    #[error("{action} `{path}`: {cause}")]
    File {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: String,
        /// Why it failed.
        cause: String,
    },
    /// A closure given to the store panicked; its changes were rolled back.
    #[error("a transaction panicked: {0}")]
    Panicked(String),
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
    /// Anything else SQLite says.
    #[error("sqlite: {0}")]
    Sqlite(String),
}

impl From<Struck> for StoreError {
    fn from(struck: Struck) -> Self {
        StoreError::Sqlite(struck.to_string())
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ffi;
        let text = error.to_string();
        let Some(code) = error.sqlite_error().map(|e| e.extended_code) else {
            return match error {
                rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::InvalidColumnType(..) => StoreError::Damaged(text),
                _ => StoreError::Sqlite(text),
            };
        };
        match (code & 0xff, code) {
            (ffi::SQLITE_FULL, _) => StoreError::DiskFull(text),
            // Where SQLite cannot extend the WAL or its index, it reports the write, not the
            // reason; the others there are, a restart would meet first.
            (_, ffi::SQLITE_IOERR_WRITE | ffi::SQLITE_IOERR_SHMSIZE) => StoreError::DiskFull(text),
            (_, ffi::SQLITE_IOERR_FSYNC | ffi::SQLITE_IOERR_DIR_FSYNC) => {
                StoreError::SyncFailed(text)
            }
            (ffi::SQLITE_CORRUPT | ffi::SQLITE_NOTADB, _) => StoreError::Damaged(text),
            (_, ffi::SQLITE_CONSTRAINT_TRIGGER) if text.contains("double allocation") => {
                StoreError::DoubleAllocation(text)
            }
            _ => StoreError::Sqlite(text),
        }
    }
}
