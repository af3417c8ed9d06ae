//! `weft down`: ends this machine's server; its runs go on, or are ended with it.

use crate::autostart;
use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::session::{Session, Target, answers};
use crate::show::{self, err_line};
use clap::Args;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::path::Path;
use std::time::Duration;
use weft_client::Intent;
use weft_server::read_note;

/// How long the end is waited for: runs get their grace, then a kill, each within 30 s.
const END_WITHIN: Duration = Duration::from_secs(90);

/// End this machine's server
///
/// Runs go on, and the next server finds them. With --all they are ended too.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  weft down\n  weft down --all")]
pub(crate) struct Down {
    /// End the runs, too
    #[arg(long)]
    all: bool,
}

impl Down {
    pub(crate) async fn run(self, session: &Session) -> Outcome {
        let target = session.target()?;
        let here = match &target {
            Target::Here(dir) => Some(dir.as_path()),
            Target::There { .. } => None,
        };
        // Runs without a server are ended by one that adopts them first.
        let orphaned = here.is_some_and(|dir| !answers(dir) && autostart::has_runs(dir));
        let client = match self.all && orphaned {
            true => Some(session.client()?),
            false => session.client_if_running()?,
        };
        let Some(client) = client else {
            return told(session.json, false, "no server runs");
        };
        let process = here.and_then(process_of);
        client.shutdown(self.all, &Intent::new()).await?;
        if let Some(process) = process {
            wait_gone(&process)?;
        }
        let runs = if self.all { "and its runs have ended" } else { "has ended; its runs go on" };
        told(session.json, true, &format!("the server {runs}"))
    }
}

/// The server's process, held so that its number cannot become another's.
fn process_of(state_dir: &Path) -> Option<rustix::fd::OwnedFd> {
    let pid = i32::try_from(read_note(state_dir)?.pid).ok().and_then(Pid::from_raw)?;
    pidfd_open(pid, PidfdFlags::empty()).ok()
}

fn wait_gone(process: &rustix::fd::OwnedFd) -> Result<(), Failure> {
    let timeout = rustix::event::Timespec::try_from(END_WITHIN).ok();
    let mut fds = [PollFd::new(process, PollFlags::IN)];
    match poll(&mut fds, timeout.as_ref()) {
        Ok(0) => Err(Failure::new(Code::Failed, "the server does not end")
            .hint("`weft ps` shows what it waits for")),
        _ => Ok(()),
    }
}

fn told(json: bool, ended: bool, says: &str) -> Outcome {
    if json {
        show::json(&serde_json::json!({ "ended": ended }));
    } else {
        err_line(says);
    }
    Ok(Code::Done.number())
}
