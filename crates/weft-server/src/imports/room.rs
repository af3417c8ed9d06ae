//! Which imports run: so many at once, each of which can be ended. In memory only.

use crate::api::{Fault, Share, Shares};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use weft_api::problem::{Code, Problem};
use weft_types::{QueueName, UserName};

/// Imports at once, of all users: each holds a connection, a part of the disk and a few megabytes;
/// one that is sent the longest rows that are taken (16 MiB) up to a hundred while one becomes CSV,
/// so all of them together less than a gigabyte.
const AT_ONCE: usize = 8;
/// Imports of one user at once: others of the team get theirs.
const PER_USER: u64 = 4;
/// Imports into one team's datasets at once: others get theirs, however many people a team has.
const PER_TEAM: u64 = 6;

/// What has come of one so far.
#[derive(Debug, Default)]
pub(crate) struct Going {
    pub(crate) files: AtomicU64,
    pub(crate) bytes: AtomicU64,
}

/// Each by its number, with what ends it.
type Running = BTreeMap<u64, (Arc<Going>, AbortHandle)>;

/// The imports that run.
#[derive(Clone)]
pub(crate) struct Imports {
    room: Arc<Semaphore>,
    users: Shares,
    teams: Shares,
    going: Arc<Mutex<Running>>,
}

/// A place among them, until it is dropped.
pub(crate) struct Place {
    _room: OwnedSemaphorePermit,
    _shares: [Share; 2],
}

impl Default for Imports {
    fn default() -> Self {
        let room = Arc::new(Semaphore::new(AT_ONCE));
        Self { room, users: Shares::default(), teams: Shares::default(), going: Arc::default() }
    }
}

impl Imports {
    /// A place for one more, of this user, into a dataset of this team.
    ///
    /// # Errors
    /// The user, the team or all together have as many as they may.
    pub(crate) fn place(&self, user: &UserName, team: &QueueName) -> Result<Place, Fault> {
        let own = self.users.take(user, PER_USER, "imports")?;
        let of_team = self.teams.take_of_team(team, PER_TEAM, "imports")?;
        let room = self.room.clone().try_acquire_owned();
        let room = room.map_err(|_| {
            Problem::new(Code::Busy, "as many imports run as may at once")
                .hint("wait for one to end: `weft data imports DATASET` shows those of a dataset")
        })?;
        Ok(Place { _room: room, _shares: [own, of_team] })
    }

    /// Runs one, and forgets it when it ends.
    pub(crate) fn run<F>(&self, id: u64, place: Place, run: impl FnOnce(Arc<Going>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let going = Arc::new(Going::default());
        let (running, all) = (run(going.clone()), self.going.clone());
        // Held until it is noted, so that it cannot end before.
        let mut held = lock(&self.going);
        let gone = Gone { id, all, _place: place };
        let task = tokio::spawn(async move {
            let _gone = gone;
            running.await;
        });
        held.insert(id, (going, task.abort_handle()));
    }

    /// Files and bytes that have come of one that runs.
    pub(crate) fn so_far(&self, id: u64) -> Option<(u64, u64)> {
        let held = lock(&self.going);
        held.get(&id).map(|(going, _)| (going.files.load(Relaxed), going.bytes.load(Relaxed)))
    }

    /// Ends one.
    pub(crate) fn end(&self, id: u64) {
        let found = lock(&self.going).remove(&id);
        if let Some((_, task)) = found {
            task.abort();
        }
    }
}

impl Imports {
    /// Ends all: the server does.
    pub(crate) fn end_all(&self) {
        let all = std::mem::take(&mut *lock(&self.going));
        all.into_values().for_each(|(_, task)| task.abort());
    }
}

/// Takes it off the list, however it ends.
struct Gone {
    id: u64,
    all: Arc<Mutex<Running>>,
    _place: Place,
}

impl Drop for Gone {
    fn drop(&mut self) {
        lock(&self.all).remove(&self.id);
    }
}

fn lock<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
