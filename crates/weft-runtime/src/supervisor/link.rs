//! The supervisor's side of the line to init, shared by its threads.
//!
//! The main loop alone receives; it handles what concerns the run itself and delivers the rest
//! to whoever asked, by the request's number.

use crate::sandbox::message::{Ask, Line, Say};
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The setup lines' request; the main loop's own.
pub(super) const SETUP: u32 = 1;
/// The command's request; the main loop's own.
pub(super) const COMMAND: u32 = 2;
/// The proxy's listener; the main loop's own.
pub(super) const PROXY: u32 = 3;
/// What is checked before the first program; the main loop's own.
pub(super) const CHECK: u32 = 4;
/// The listener of its way to its datasets; the main loop's own.
pub(super) const DATASETS: u32 = 5;
/// The listener of its way to what it tracks; the main loop's own.
pub(super) const TRACKING: u32 = 6;
/// Threads' requests count from here.
const FIRST_FREE: u32 = 16;
/// A program begins and ends; a socket comes once. More is not believed, and dropped.
const ANSWERS: usize = 2;
/// Init answers at once or not at all; it only waits for a fork.
const PATIENCE: Duration = Duration::from_secs(10);

type Answer = (Say, Vec<OwnedFd>);

/// The shared line.
#[derive(Debug)]
pub(super) struct Link {
    line: Line,
    next: AtomicU32,
    waiting: Mutex<HashMap<u32, SyncSender<Answer>>>,
}

/// A request of a thread, and where its answers come.
#[derive(Debug)]
pub(super) struct Request<'a> {
    /// Its number.
    pub(super) id: u32,
    answers: Receiver<Answer>,
    link: &'a Link,
}

impl Link {
    pub(super) fn new(line: Line) -> Link {
        Link { line, next: AtomicU32::new(FIRST_FREE), waiting: Mutex::default() }
    }

    /// Sends what needs no answer, or whose answer the main loop handles. That init is gone is
    /// no error here: why, and that it is, the main loop receives.
    pub(super) fn tell(&self, ask: &Ask, fds: &[&dyn AsFd]) -> io::Result<()> {
        match self.line.send(ask, fds) {
            Err(error) if is_gone(&error) => Ok(()),
            sent => sent,
        }
    }

    /// The next message, for the main loop.
    pub(super) fn receive(&self) -> io::Result<Option<Answer>> {
        self.line.receive()
    }

    /// Sends a request and keeps its answers apart.
    pub(super) fn ask(
        &self,
        make: impl FnOnce(u32) -> Ask,
        fds: &[&dyn AsFd],
    ) -> io::Result<Request<'_>> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answers) = sync_channel(ANSWERS);
        self.table().insert(id, sender);
        let request = Request { id, answers, link: self };
        self.line.send(&make(id), fds)?;
        Ok(request)
    }

    /// Hands a message to whoever asked for it. Nobody left: it is dropped.
    pub(super) fn deliver(&self, id: u32, say: Say, fds: Vec<OwnedFd>) {
        if let Some(sender) = self.table().get(&id) {
            let _ = sender.try_send((say, fds));
        }
    }

    /// A TCP socket of the sandbox's network: listening on a loopback port, or unconnected.
    pub(super) fn socket(&self, listen: Option<u16>) -> io::Result<OwnedFd> {
        let request = self.ask(|id| Ask::Socket { id, listen }, &[])?;
        match request.answer()? {
            (Say::Socket { .. }, mut fds) if fds.len() == 1 => Ok(fds.remove(0)),
            (Say::Refused { why, .. }, _) => Err(io::Error::other(why)),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    fn table(&self) -> MutexGuard<'_, HashMap<u32, SyncSender<Answer>>> {
        // The table is whole between any two statements: a panic elsewhere does not spoil it.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the other end is gone.
pub(super) fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}

impl Request<'_> {
    /// The next answer, within the time init needs.
    pub(super) fn answer(&self) -> io::Result<Answer> {
        self.answers.recv_timeout(PATIENCE).map_err(|_| io::ErrorKind::TimedOut.into())
    }

    /// The next answer, however long it takes; none when the run is over.
    pub(super) fn wait(&self) -> Option<Answer> {
        self.answers.recv().ok()
    }
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        self.link.table().remove(&self.id);
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.line.as_fd()
    }
}
