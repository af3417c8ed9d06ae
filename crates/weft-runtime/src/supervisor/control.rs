//! Requests to a running supervisor: one line of JSON on `control.sock`, one thread each.
//!
//! The socket lies in a directory only the server's user can enter; who connects may do
//! everything with this one run.

use super::link::Link;
use super::record::CONTROL;
use crate::launch::ExecRequest;
use rustix::event::{EventfdFlags, eventfd};
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Requests handled at once; programs added by `exec` count as long as they run.
const AT_ONCE: usize = 64;
/// Of these, programs added by `exec`: whoever may add them must not keep a stop from being heard.
const ADDED: usize = 48;
/// A request line's length: an `exec` with a large environment.
const LINE_MAX: u64 = 128 << 10;
/// A requester that says nothing is dropped.
const PATIENCE: Duration = Duration::from_secs(10);
/// A request's thread copies bytes and waits: it needs little.
const STACK: usize = 256 << 10;
/// The answer to a request that was taken.
pub(crate) const TAKEN: &str = "ok";
/// The answer to `Watch`, once the command has begun.
pub(crate) const BEGUN: &str = "begun";

/// What can be asked of a supervisor.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Request {
    /// End the run: after its grace, or now. Answered by a line.
    Stop { now: bool },
    /// A line when the command begins; the end of the stream if it never does.
    Watch,
    /// Start a program; after a line, the stream carries frames.
    Exec(ExecRequest),
}

/// How far the run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Making,
    Running,
    Over,
}

/// What the main loop and the request threads share.
#[derive(Debug)]
pub(super) struct Shared {
    /// The line to init.
    pub(super) link: Link,
    /// Readable when a stop was asked for.
    pub(super) wake: OwnedFd,
    /// The environment of the run's programs.
    pub(super) env: Vec<(String, String)>,
    stops: Mutex<Vec<bool>>,
    stage: Mutex<Stage>,
    changed: Condvar,
    handled: AtomicUsize,
    added: AtomicUsize,
}

impl Shared {
    pub(super) fn new(link: Link, env: Vec<(String, String)>) -> io::Result<Shared> {
        Ok(Shared {
            link,
            wake: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            env,
            stops: Mutex::default(),
            stage: Mutex::new(Stage::Making),
            changed: Condvar::new(),
            handled: AtomicUsize::new(0),
            added: AtomicUsize::new(0),
        })
    }

    pub(super) fn set_stage(&self, stage: Stage) {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = stage;
        self.changed.notify_all();
    }

    /// Waits until the command has begun: whether it has.
    fn begun(&self) -> bool {
        let stage = self.stage.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_while(stage, |stage| *stage == Stage::Making);
        *waited.unwrap_or_else(PoisonError::into_inner) == Stage::Running
    }

    /// The stops asked for since the last time; each says whether it is to be at once.
    pub(super) fn take_stops(&self) -> Vec<bool> {
        let _ = rustix::io::read(&self.wake, &mut [0u8; 8]);
        std::mem::take(&mut *self.stops.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn ask_stop(&self, now: bool) {
        self.stops.lock().unwrap_or_else(PoisonError::into_inner).push(now);
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }
}

/// Opens the socket in the run's directory, which is the current one.
pub(super) fn listen(dir: &Path) -> io::Result<UnixListener> {
    let listener = UnixListener::bind(dir.join(CONTROL))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Takes every waiting connection, each into a thread of its own.
pub(super) fn accept(listener: &UnixListener, shared: &Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept() {
        if shared.handled.load(Ordering::Relaxed) >= AT_ONCE {
            continue; // Dropped: the requester sees the end of the stream.
        }
        shared.handled.fetch_add(1, Ordering::Relaxed);
        let theirs = Arc::clone(shared);
        let started = thread::Builder::new().stack_size(STACK).spawn(move || {
            // A requester that went away is no fault of the run.
            let _ = handle(stream, &theirs);
            theirs.handled.fetch_sub(1, Ordering::Relaxed);
        });
        if started.is_err() {
            shared.handled.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn handle(mut stream: UnixStream, shared: &Shared) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut line = String::new();
    // Unbuffered past the line: what follows an `exec` belongs to its program.
    BufReader::with_capacity(1, (&stream).take(LINE_MAX)).read_line(&mut line)?;
    match serde_json::from_str(&line)? {
        Request::Stop { now } => {
            shared.ask_stop(now);
            writeln!(stream, "{TAKEN}")
        }
        Request::Watch => match shared.begun() {
            true => writeln!(stream, "{BEGUN}"),
            false => Ok(()),
        },
        Request::Exec(request) => {
            let room = shared.added.fetch_add(1, Ordering::Relaxed) < ADDED;
            let served = match room {
                true => super::exec::serve(stream, &request, shared),
                false => writeln!(stream, "{ADDED} programs are already added; end one first"),
            };
            shared.added.fetch_sub(1, Ordering::Relaxed);
            served
        }
    }
}
