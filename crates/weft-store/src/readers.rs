//! The readers: a few read-only connections, lent to blocking threads.

use crate::limits::READERS;
use crate::store::said;
use crate::{Read, StoreError, schema};
use rusqlite::Connection;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

type Idle = Arc<Mutex<Vec<Connection>>>;

/// The connections and who may take one.
pub(crate) struct Readers {
    idle: Idle,
    free: Arc<Semaphore>,
}

/// A connection on loan; it goes back when this is dropped, whatever happened.
pub(crate) struct Lease {
    conn: Option<Connection>,
    idle: Idle,
    // After `conn` in the order of drop is not needed: `drop` below gives it back first.
    _permit: OwnedSemaphorePermit,
}

impl Readers {
    pub(crate) fn open(path: &Path) -> Result<Readers, StoreError> {
        let conns = (0..READERS).map(|_| schema::open_reader(path)).collect::<Result<_, _>>()?;
        let free = Arc::new(Semaphore::new(READERS));
        Ok(Readers { idle: Arc::new(Mutex::new(conns)), free })
    }

    /// Waits for a free connection.
    pub(crate) async fn lease(&self) -> Result<Lease, StoreError> {
        let permit =
            Arc::clone(&self.free).acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let conn = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Ok(Lease { conn, idle: Arc::clone(&self.idle), _permit: permit })
    }
}

impl Lease {
    /// Runs `read` in a read transaction.
    pub(crate) fn run<T, E: From<StoreError>>(
        self,
        read: impl FnOnce(&Read<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let conn = self.conn.as_ref().ok_or(StoreError::Closed)?;
        conn.execute_batch("BEGIN").map_err(StoreError::from)?;
        let result = catch_unwind(AssertUnwindSafe(|| read(&Read { conn })));
        // Nothing was written, so how it ends does not matter; a failed read may have ended it.
        if !conn.is_autocommit() {
            conn.execute_batch("ROLLBACK").map_err(StoreError::from)?;
        }
        result.unwrap_or_else(|panic| Err(StoreError::Panicked(said(&*panic)).into()))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(conn) = self.conn.take() {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(conn);
        }
    }
}
