//! Tries in a child process what cannot be undone in this one.
//!
//! `weft doctor` and the server have several threads, and a forked copy of such a process must
//! not allocate or lock. So each attempt is the supervisor's program run anew, or a raw fork
//! that only makes system calls.

use crate::supervisor::{TRIAL, TRIAL_WORKED};
use std::io;
use std::process::Command;

/// Whether a namespace of this kind can be entered: as we are, or from a user namespace.
pub(super) fn namespace(flag: i32) -> bool {
    let alone = crate::sandbox::kernel::try_unshare(flag);
    alone || crate::sandbox::kernel::try_unshare(flag | libc::CLONE_NEWUSER)
}

/// Whether a sandbox starts, wholly: with a program of its own in it.
pub(super) fn sandbox() -> io::Result<()> {
    let exe = std::env::current_exe()?;
    let out = Command::new(exe).args(["__supervise", TRIAL]).output()?;
    if String::from_utf8_lossy(&out.stdout).contains(TRIAL_WORKED) {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&out.stderr).trim().to_owned();
    Err(io::Error::other(if why.is_empty() { "it did not say why".to_owned() } else { why }))
}
