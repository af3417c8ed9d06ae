//! The checks before a run's first program: that our library is what answers for its driver.
//!
//! Each is a program that the loader of the run's own file system loads, in the run's sandbox and
//! with its environment, as its programs will be. It ends with the layout that the library says.
//! Anything else is no start: a part of a device that is not kept would be the whole one.

use super::link::{CHECK, Link};
use super::run::phrase;
use crate::gpu::{Delivery, answer};
use crate::launch::End;
use crate::sandbox::message::Ask;
use rustix::fs::{Mode, OFlags};
use rustix::pipe::{PipeFlags, pipe_with};
use std::io;
use std::os::fd::OwnedFd;

/// What is read of a complaint: the loader writes a line.
const COMPLAINT_MAX: usize = 1024;

/// What is left to be checked.
#[derive(Debug)]
pub(super) struct Checks {
    /// Programs, the next one last.
    left: Vec<String>,
    /// What the one that runs writes to its standard error.
    complaint: Option<OwnedFd>,
}

impl Checks {
    /// Of what was delivered.
    pub(super) fn of(gpu: Option<&Delivery>) -> Self {
        let left = gpu.map_or_else(Vec::new, |gpu| gpu.checks.iter().rev().cloned().collect());
        Self { left, complaint: None }
    }

    /// Starts the next one; none where all are done.
    pub(super) fn next(&mut self, env: &[(String, String)], link: &Link) -> Option<io::Result<()>> {
        let program = self.left.pop()?;
        let mut started = || {
            let null = rustix::fs::open("/dev/null", OFlags::RDWR, Mode::empty())?;
            // What it leaves behind may keep its end open: nobody waits for that.
            let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
            self.complaint = Some(read);
            let (argv, env) = (vec![program.clone()], env.to_vec());
            link.tell(&Ask::Spawn { id: CHECK, argv, env, tty: None }, &[&null, &null, &write])
        };
        Some(started())
    }

    /// How the one that ran has ended.
    ///
    /// # Errors
    /// Why nothing is started.
    pub(super) fn ended(&mut self, end: End) -> Result<(), String> {
        if end == End::Exited(answer()) {
            return Ok(());
        }
        let mut complaint = [0; COMPLAINT_MAX];
        let read = self.complaint.take().map(|pipe| rustix::io::read(pipe, &mut complaint));
        let length = read.and_then(Result::ok).unwrap_or(0);
        let said = String::from_utf8_lossy(&complaint[..length]);
        let said = said.trim();
        Err(self.refused(&if said.is_empty() { phrase(end) } else { said.to_owned() }))
    }

    /// Why nothing is started, for people.
    pub(super) fn refused(&self, why: &str) -> String {
        format!(
            "its part of a device cannot be kept: the library that keeps it does not answer for \
             the driver in its file system; {why}"
        )
    }
}
