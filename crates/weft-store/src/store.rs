//! The store's handle: opened once per server, cloned freely.

use crate::commits::{Commits, Counter};
use crate::readers::Readers;
use crate::writer::{Done, Job, Writer};
use crate::{Read, StoreError, Write, schema};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use weft_types::{Epoch, Generation};

/// The file in the state directory.
pub(crate) const FILE: &str = "weft.db";

/// How far the state has come; watched by whoever waits for news.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Heads {
    /// Changes of what the planner reads.
    pub generation: Generation,
    /// The last event's number; 0 before the first.
    pub event_seq: u64,
    /// Versions of views that wait to be made.
    pub views: u64,
}

/// The store. Clones share one writer and one set of readers.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    epoch: Epoch,
    writer: Writer,
    readers: Readers,
    heads: watch::Receiver<Heads>,
    commits: Arc<Counter>,
}

impl Store {
    /// Opens the state in `dir`, making it where there is none, and takes it over: from now on
    /// any other handle's writes are refused. Blocks; call it before the runtime is busy.
    pub fn open(dir: &Path) -> Result<Store, StoreError> {
        let path = dir.join(FILE);
        let conn = schema::open_writer(&path)?;
        let epoch = schema::take_over(&conn)?;
        let readers = Readers::open(&path)?;
        let commits = Arc::<Counter>::default();
        let (writer, heads) = Writer::start(conn, epoch, commits.clone())?;
        Ok(Store { inner: Arc::new(Inner { path, epoch, writer, readers, heads, commits }) })
    }

    /// The epoch this handle writes under; actions handed to agents carry it.
    pub fn epoch(&self) -> Epoch {
        self.inner.epoch
    }

    /// The database file.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// How long commits have taken since this handle was opened.
    pub fn commits(&self) -> Commits {
        self.inner.commits.read()
    }

    /// News of the state: changes after every commit that changed one of the heads. Its sender
    /// is gone once the store is closed, by request or by a failed sync: nothing can be written
    /// any more, and the server should end.
    pub fn watch(&self) -> watch::Receiver<Heads> {
        self.inner.heads.clone()
    }

    /// Runs `read` on one consistent view, on a thread that may block.
    pub async fn read<T, E, F>(&self, read: F) -> Result<T, E>
    where
        F: FnOnce(&Read<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let lease = self.inner.readers.lease().await?;
        let run = move || lease.run(read);
        match tokio::task::spawn_blocking(run).await {
            Ok(result) => result,
            Err(_) => Err(StoreError::Closed.into()),
        }
    }

    /// As [`Store::read`], at once, on the thread that asks: for a few rows that are found by
    /// their keys, which takes less than the way to another thread and back. Whatever walks over
    /// many belongs there.
    pub async fn glance<T, E, F>(&self, read: F) -> Result<T, E>
    where
        F: FnOnce(&Read<'_>) -> Result<T, E>,
        E: From<StoreError>,
    {
        self.inner.readers.lease().await?.run(read)
    }

    /// As [`Store::read`], on this thread, which must be one that may block: whoever holds such a
    /// thread and waits for another would wait for ever once all are held.
    pub fn read_here<T, E, F>(&self, runtime: &Handle, read: F) -> Result<T, E>
    where
        F: FnOnce(&Read<'_>) -> Result<T, E>,
        E: From<StoreError>,
    {
        runtime.block_on(self.inner.readers.lease())?.run(read)
    }

    /// Runs `write` in a transaction; when this returns `Ok`, what it did is on disk. Where it
    /// fails or panics, nothing of it is. Several callers' closures share one commit, each in
    /// a savepoint of its own, so it must not wait for another closure.
    pub async fn write<T, E, F>(&self, write: F) -> Result<T, E>
    where
        F: FnOnce(&mut Write<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel::<Result<T, E>>();
        let job: Job = Box::new(move |given| {
            let result = match given {
                Ok(w) => catch_unwind(AssertUnwindSafe(|| write(w)))
                    .unwrap_or_else(|panic| Err(StoreError::Panicked(said(&*panic)).into())),
                Err(error) => Err(error.into()),
            };
            Done {
                keep: result.is_ok(),
                answer: Box::new(move |commit| {
                    // A caller that has gone away does not want its answer.
                    let _ = answer.send(commit.map_err(E::from).and(result));
                }),
            }
        });
        self.inner.writer.send(job).await?;
        answered.await.unwrap_or_else(|_| Err(StoreError::Closed.into()))
    }

    /// Folds the WAL into the file and ends it, so that what was overwritten there is in neither;
    /// false where a reader still needs it: ask again.
    pub async fn fold(&self) -> Result<bool, StoreError> {
        self.inner.writer.fold().await
    }

    /// Finishes what is queued, folds the WAL into the file and marks the state as closed in
    /// good order. Later writes are refused.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.inner.writer.close().await
    }
}

/// What a panic said.
pub(crate) fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "?".to_owned())
}
