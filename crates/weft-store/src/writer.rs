//! The writer: one thread, one connection, many callers' changes in one commit.
//!
//! ```text
//! callers ─► queue ─► BEGIN IMMEDIATE ─► per closure: SAVEPOINT, run, RELEASE or ROLLBACK TO
//!                       ▲                     │ queue empty, or BATCH_MAX closures
//!                       │                     ▼
//!                       └── answer all ◄── COMMIT (one fsync)
//! ```
//!
//! While one commit waits for the disk the next batch gathers, so no timer is needed: a lone
//! caller pays one sync, a crowd shares it.

use crate::commits::Counter;
use crate::failpoint::hit;
use crate::limits::{BATCH_MAX, BUSY_MS, FOLD_MS, WRITE_QUEUE};
use crate::{Heads, Read, StoreError, Write};
use rusqlite::Connection;
use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot, watch};
use weft_types::Epoch;

/// A caller's closure, given the transaction or the reason why there is none; it says whether
/// its changes are to be kept and how to answer.
pub(crate) type Job = Box<dyn FnOnce(Result<&mut Write<'_>, StoreError>) -> Done + Send>;

/// What became of a closure.
pub(crate) struct Done {
    /// Its changes are to be committed.
    pub(crate) keep: bool,
    /// Tells the caller, given how the commit went.
    pub(crate) answer: Answer,
}

type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

type Closed = oneshot::Sender<Result<(), StoreError>>;
type Folded = oneshot::Sender<Result<bool, StoreError>>;

enum Message {
    Run(Job),
    Fold(Folded),
    Close(Closed),
}

/// The way to the writer's thread, which ends when this is dropped.
pub(crate) struct Writer {
    queue: mpsc::Sender<Message>,
}

impl Writer {
    /// Starts the thread.
    pub(crate) fn start(
        conn: Connection,
        epoch: Epoch,
        commits: Arc<Counter>,
    ) -> Result<(Writer, watch::Receiver<Heads>), StoreError> {
        let (tell, heads) = watch::channel(Read { conn: &conn }.heads()?);
        let (queue, jobs) = mpsc::channel(WRITE_QUEUE);
        let thread = Thread { conn, epoch, tell, starved: Cell::new(false), commits };
        std::thread::Builder::new()
            .name("weft-writer".to_owned())
            .spawn(move || thread.run(jobs))
            .map_err(|e| StoreError::File {
                action: "start a thread for",
                path: crate::store::FILE.to_owned(),
                cause: e.to_string(),
            })?;
        Ok((Writer { queue }, heads))
    }

    pub(crate) async fn send(&self, job: Job) -> Result<(), StoreError> {
        self.queue.send(Message::Run(job)).await.map_err(|_| StoreError::Closed)
    }

    pub(crate) async fn fold(&self) -> Result<bool, StoreError> {
        let (tell, told) = oneshot::channel();
        self.queue.send(Message::Fold(tell)).await.map_err(|_| StoreError::Closed)?;
        told.await.map_err(|_| StoreError::Closed)?
    }

    pub(crate) async fn close(&self) -> Result<(), StoreError> {
        let (tell, told) = oneshot::channel();
        if self.queue.send(Message::Close(tell)).await.is_err() {
            return Ok(());
        }
        told.await.unwrap_or(Ok(()))
    }
}

/// What follows a batch.
enum Next {
    /// The next one.
    More,
    /// The log is folded into the file first.
    Fold(Folded),
    /// An orderly end, as was asked.
    Close(Closed),
    /// The end, at once: the state is not marked as closed in good order.
    Stop,
}

struct Thread {
    conn: Connection,
    epoch: Epoch,
    tell: watch::Sender<Heads>,
    /// The last batch met a full disk.
    starved: Cell<bool>,
    commits: Arc<Counter>,
}

impl Thread {
    fn run(self, mut jobs: mpsc::Receiver<Message>) {
        while let Some(first) = jobs.blocking_recv() {
            match first {
                Message::Run(job) => match self.batch(job, &mut jobs) {
                    Next::More => {}
                    Next::Fold(tell) => self.fold(tell),
                    Next::Close(tell) => return self.close(Some(tell)),
                    Next::Stop => return,
                },
                Message::Fold(tell) => self.fold(tell),
                Message::Close(tell) => return self.close(Some(tell)),
            }
        }
        self.close(None);
    }

    /// One commit.
    fn batch(&self, first: Job, jobs: &mut mpsc::Receiver<Message>) -> Next {
        let mut then = Next::More;
        let begun = Instant::now();
        let mut answers: Vec<Done> = Vec::new();
        let mut outcome = self.make_room().and_then(|()| self.begin());
        let mut next = Some(first);
        while let Some(job) = next.take() {
            answers.push(self.one(job, &mut outcome));
            if answers.len() < BATCH_MAX {
                next = match jobs.try_recv() {
                    Ok(Message::Run(job)) => Some(job),
                    Ok(Message::Fold(tell)) => {
                        then = Next::Fold(tell);
                        None
                    }
                    Ok(Message::Close(tell)) => {
                        then = Next::Close(tell);
                        None
                    }
                    Err(_) => None,
                };
            }
        }
        let outcome = outcome.and_then(|()| self.commit());
        match &outcome {
            Ok(()) => {
                self.commits.note(begun.elapsed());
                self.announce();
            }
            Err(error) => self.abandon(error),
        }
        for Done { keep, answer } in answers {
            answer(if keep { outcome.clone() } else { Ok(()) });
        }
        match outcome {
            Err(StoreError::SyncFailed(_)) => Next::Stop,
            _ => then,
        }
    }

    fn begin(&self) -> Result<(), StoreError> {
        hit("store.begin")?;
        self.conn.execute_batch("BEGIN IMMEDIATE")?;
        let current = Read { conn: &self.conn }.meta()?.epoch;
        match current == self.epoch {
            true => Ok(()),
            false => Err(StoreError::Fenced { mine: self.epoch, current }),
        }
    }

    /// Runs one closure in its savepoint. Once the batch is lost the rest only learn why.
    fn one(&self, job: Job, outcome: &mut Result<(), StoreError>) -> Done {
        let opened = outcome.clone().and_then(|()| Ok(self.conn.execute_batch("SAVEPOINT one")?));
        if let Err(error) = opened {
            *outcome = Err(error.clone());
            return job(Err(error));
        }
        let mut write = Write::new(&self.conn);
        let mut done = job(Ok(&mut write));
        // A full disk or a failed write may have rolled the whole transaction back.
        if self.conn.is_autocommit() {
            *outcome = Err(StoreError::DiskFull("the transaction was rolled back".into()));
            return done;
        }
        let finished = if done.keep { write.finish() } else { Ok(()) };
        let sql = match done.keep && finished.is_ok() {
            true => "RELEASE one",
            false => "ROLLBACK TO one; RELEASE one",
        };
        *outcome = finished.and(self.conn.execute_batch(sql).map_err(StoreError::from));
        done.keep |= outcome.is_err();
        done
    }

    fn commit(&self) -> Result<(), StoreError> {
        hit("store.commit.before")?;
        hit("store.commit.sync").map_err(|e| StoreError::SyncFailed(e.to_string()))?;
        self.conn.execute_batch("COMMIT")?;
        // From here on it is durable: an error would be a lie, so only `abort` strikes.
        let _ = hit("store.commit.after");
        Ok(())
    }

    fn abandon(&self, error: &StoreError) {
        if !self.conn.is_autocommit() {
            // Nothing more can be done where it fails; the next begin will say so.
            let _ = self.conn.execute_batch("ROLLBACK");
        }
        self.starved.set(matches!(error, StoreError::DiskFull(_)));
    }

    /// After a full disk: what the WAL holds goes into the file, so that its room serves the
    /// next writes. While the disk stays full this fails, and changes nothing. It waits for no
    /// reader.
    fn make_room(&self) -> Result<(), StoreError> {
        if self.starved.get() {
            self.conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
            self.starved.set(false);
        }
        Ok(())
    }

    fn announce(&self) {
        if let Ok(heads) = (Read { conn: &self.conn }).heads() {
            self.tell.send_if_modified(|old| std::mem::replace(old, heads) != heads);
        }
    }

    /// Ends the log, if no reader needs it; waits for them a little.
    fn fold(&self, tell: Folded) {
        let fold = || {
            self.conn.busy_timeout(Duration::from_millis(FOLD_MS))?;
            let sql = "PRAGMA wal_checkpoint(TRUNCATE)";
            let busy = self.conn.query_row(sql, [], |row| row.get::<_, bool>(0));
            self.conn.busy_timeout(Duration::from_millis(BUSY_MS))?;
            match busy {
                Ok(busy) => Ok(!busy),
                Err(error) => match StoreError::from(error) {
                    StoreError::Sqlite(_) => Ok(false),
                    other => Err(other),
                },
            }
        };
        let _ = tell.send(fold());
    }

    fn close(self, tell: Option<Closed>) {
        let result = crate::schema::close_writer(&self.conn, self.epoch);
        drop(self.conn);
        if let Some(tell) = tell {
            let _ = tell.send(result);
        }
    }
}
