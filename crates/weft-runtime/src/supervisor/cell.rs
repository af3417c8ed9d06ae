//! A sandbox's first process in its group, before it is known what will run there.
//!
//! Most of a start's time is the kernel's: new namespaces, and the grace period that moving a
//! process into a version 1 group waits for. None of it depends on the launch, so a supervisor
//! can be parked with a cell made, and take a launch in a few milliseconds. A parked one holds
//! nothing but its group, and goes when its server does.

use super::log::now_ms;
use super::record::Parked;
use crate::cgroup::Group;
use crate::sandbox::message::Line;
use crate::sandbox::{self, Init};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// A group, and the process waiting in it.
#[derive(Debug)]
pub(super) struct Cell {
    /// The group.
    pub(super) group: Group,
    /// The process; it waits for its plan.
    pub(super) init: Init,
    born_unified: bool,
    settled: bool,
}

impl Cell {
    /// Forks the process. The caller must have one thread only.
    pub(super) fn fork(group: Group, unprivileged: bool) -> io::Result<Cell> {
        let unified = group.make_unified();
        let init = sandbox::fork_init(unprivileged, unified.as_ref().map(AsFd::as_fd))?;
        Ok(Cell { group, init, born_unified: unified.is_some(), settled: false })
    }

    /// Puts the process into the group, wholly; once.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        if !self.settled {
            self.group.make();
            self.group.attach(self.init.pid, self.born_unified)?;
            self.settled = true;
        }
        Ok(())
    }
}

/// What a parked supervisor was given to run.
pub(super) struct Taken {
    /// The run's directory.
    pub(super) dir: PathBuf,
    /// Its lock, held by the server until now.
    pub(super) lock: OwnedFd,
    /// The line to the server, for the one answer it waits for.
    pub(super) line: Line,
    /// The cell it will run in.
    pub(super) cell: Cell,
}

/// Makes a cell and waits for a run. None: the server went away, and nothing is left.
pub(super) fn park(line: Line) -> io::Result<Option<Taken>> {
    let Some((Parked::Make { cgroup, unprivileged }, _)) = line.receive()? else {
        return Ok(None);
    };
    let group = Group::named(&cgroup);
    let made = Cell::fork(group.clone(), unprivileged).and_then(|mut cell| {
        cell.settle()?;
        Ok(cell)
    });
    let asked = made.and_then(|cell| Ok((cell, line.receive()?)));
    match asked {
        Ok((cell, Some((Parked::Take { dir }, mut fds)))) if fds.len() == 1 => {
            let lock = fds.remove(0);
            Ok(Some(Taken { dir, lock, line, cell }))
        }
        other => {
            // Its line closed, the process in it ends by itself; the group must be gone too.
            drop(other);
            clear(&group);
            Ok(None)
        }
    }
}

/// Ends and removes a group; what resists is left to the next server's start.
pub(super) fn clear(group: &Group) {
    let _ = group.kill().and_then(|()| group.remove());
}

/// The group's name of a parked supervisor: its own, as no run is known yet. The time is in it
/// because runs outlive their server, and the next one may get the same process number.
pub(crate) fn parked_name(prefix: &Path, number: u64) -> PathBuf {
    let mut name = prefix.as_os_str().to_owned();
    name.push(format!("parked-{}-{:x}-{number}", std::process::id(), now_ms()));
    PathBuf::from(name)
}
