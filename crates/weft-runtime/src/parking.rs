//! One supervisor kept ready, so that a start does not wait for what every start needs.
//!
//! It is taken by the next start and replaced in the background. When the server ends, however
//! it ends, the line to it closes and it goes. A start without one makes its own, more slowly.

use crate::runs::supervisor;
use crate::sandbox::message::Line;
use crate::supervisor::PARKED;
use crate::supervisor::cell::parked_name;
use crate::supervisor::record::{Parked, SUPERVISOR};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// A parked supervisor answers within this, even on a machine that swaps.
const PATIENCE: Duration = Duration::from_secs(20);

/// Making one waits so long, so that it does not take the processor, and the kernel's lock over
/// all forks, from the start that took the last one.
const QUIET: Duration = Duration::from_millis(50);

/// The place for one ready supervisor.
#[derive(Debug)]
pub(crate) struct Parking {
    exe: PathBuf,
    cgroup: PathBuf,
    unprivileged: bool,
    ready: Mutex<Option<Ready>>,
    made: AtomicU64,
}

/// A supervisor that waits for a run.
#[derive(Debug)]
pub(crate) struct Ready {
    /// The group it will run it in, below each hierarchy: the run's orders say so before it is
    /// handed over, so that a new server knows whose it is.
    pub(crate) cgroup: PathBuf,
    line: Line,
}

impl Parking {
    pub(crate) fn new(exe: &Path, cgroup: &Path, unprivileged: bool) -> Parking {
        Parking {
            exe: exe.to_owned(),
            cgroup: cgroup.to_owned(),
            unprivileged,
            ready: Mutex::default(),
            made: AtomicU64::new(0),
        }
    }

    /// The ready supervisor, for one run.
    pub(crate) fn take(&self) -> Option<Ready> {
        self.place().take()
    }

    /// Makes the next one ready, in the background.
    pub(crate) fn fill(parking: &Arc<Parking>) {
        let parking = Arc::clone(parking);
        // Without a thread or a process for it, the next start makes its own.
        let _ = thread::Builder::new().spawn(move || {
            thread::sleep(QUIET);
            let ready = parking.make();
            if let Ok(ready) = ready {
                *parking.place() = Some(ready);
            }
        });
    }

    fn make(&self) -> io::Result<Ready> {
        let (line, theirs) = Line::pair()?;
        let mut command = supervisor(&self.exe, Path::new(PARKED));
        command.stdin(theirs.into_stdio()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        drop(command);
        child.wait()?;
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let cgroup = parked_name(&self.cgroup, number);
        let make = Parked::Make { cgroup: cgroup.clone(), unprivileged: self.unprivileged };
        line.send(&make, &[])?;
        Ok(Ready { cgroup, line })
    }

    fn place(&self) -> MutexGuard<'_, Option<Ready>> {
        // A whole value at any time: a panic elsewhere does not spoil it.
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ready {
    /// Gives it a run. If it fails before it has taken the run over, the lock comes back.
    pub(crate) fn run(self, dir: &Path, lock: File) -> Result<(), File> {
        let taken = self
            .line
            .set_patience(PATIENCE)
            .and_then(|()| self.line.send(&Parked::Take { dir: dir.to_owned() }, &[&lock]))
            .and_then(|()| self.line.receive::<Vec<u8>>());
        match taken {
            Ok(Some(_)) => Ok(()),
            // It may have died right after it took over: then the run is lost, not unstarted.
            _ if dir.join(SUPERVISOR).exists() => Ok(()),
            _ => Err(lock),
        }
    }
}
