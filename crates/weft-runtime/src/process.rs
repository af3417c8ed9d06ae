//! A process named so that it cannot be mistaken: number, start time and boot.
//!
//! Used by the supervisor for itself and by the runtime to find it again. A number alone may
//! have been given to another process meanwhile.

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// One process of this machine, now or before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    pid: i32,
    /// Clock ticks after boot; field 22 of `/proc/<pid>/stat`.
    start: u64,
    boot: String,
}

impl Process {
    /// This process.
    pub(crate) fn current() -> Option<Process> {
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        Some(Process { pid, start: stat_of(pid)?.1, boot: boot()? })
    }

    /// Whether it has that number.
    pub(crate) fn has(&self, pid: i32) -> bool {
        self.pid == pid
    }

    /// A descriptor of it if it lives, readable when it ends. One that has ended and was not
    /// reaped yet, which may take its parent seconds, does not live.
    pub(crate) fn open(&self) -> Option<OwnedFd> {
        if boot().as_ref() != Some(&self.boot) {
            return None;
        }
        let pidfd = pidfd_open(Pid::from_raw(self.pid)?, PidfdFlags::empty()).ok()?;
        // Looked at after the descriptor was taken: it can be of no later process.
        (stat_of(self.pid)? == (true, self.start)).then_some(pidfd)
    }
}

/// Resolves when the process behind the descriptor has ended.
pub(crate) async fn ended(pidfd: OwnedFd) -> io::Result<()> {
    // SAFETY: the registration owns the descriptor: it stays open and the same until dropped.
    let pidfd = unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) }?;
    pidfd.readable().await.map(drop)
}

/// Whether it still runs, and when it started.
fn stat_of(pid: i32) -> Option<(bool, u64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name, in brackets, and may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_whitespace();
    let runs = !matches!(fields.next()?, "Z" | "X");
    Some((runs, fields.nth(22 - 4)?.parse().ok()?))
}

fn boot() -> Option<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reused_number_is_not_the_process() {
        let me = Process::current().unwrap();
        assert!(me.open().is_some());
        assert!(Process { start: me.start + 1, ..me.clone() }.open().is_none());
        assert!(Process { boot: "another".to_owned(), ..me }.open().is_none());
    }
}
