//! The supervisor: the small process that owns one run from its start to its exit record.
//!
//! The server starts it as `weft __supervise <dir>`; it forks once more, so that it is nobody's
//! child and outlives the server. Or it is parked beforehand and told later (`cell`). It holds
//! the run's lock for its whole life, takes requests on `control.sock`, and leaves `exit.json`
//! behind. If it is killed, the sandbox ends with it.
//!
//! ```text
//! read orders ─► supervisor.json, control.sock ─► tell the server ─► cgroup, sandbox
//!   ─► checks ─► setup ─► command ─► everything else killed ─► log complete ─► outputs
//!   ─► exit.json
//! ```

pub(crate) mod cell;
mod check;
pub(crate) mod control;
mod data;
mod disk;
mod exec;
mod link;
pub(crate) mod log;
pub(crate) mod record;
mod run;
mod surroundings;
mod trial;
mod watch;

use crate::cgroup::Group;
use crate::failpoint;
use crate::launch::{End, ExitRecord, Usage};
use crate::process::Process;
use crate::sandbox::kernel;
use crate::sandbox::message::Line;
use cell::{Cell, Taken};
use log::{Log, now_ms};
use record::{EXIT, ORDERS, Orders, Owner, STAGING, SUPERVISOR};
use run::Run;
use rustix::fs::{Mode, OFlags};
use std::fs;
use std::io::{self, Write};
use std::os::fd::IntoRawFd;
use std::path::Path;
use std::process::exit;
use weft_types::Timestamp;

const STDOUT: i32 = 1;

/// What the server reads when the run was taken over.
pub(crate) const TAKEN: &[u8] = b"taken\n";

/// The directory's name that says: only see whether a sandbox can be made.
pub(crate) const TRIAL: &str = "?";
/// What a successful trial prints: another program asked by mistake would not.
pub(crate) const TRIAL_WORKED: &str = "weft: a sandbox can be made here";

/// The directory's name that says: wait, it comes on standard input.
pub(crate) const PARKED: &str = "-";

/// Entry of `weft __supervise <dir>`: runs one launch to its end and exits. Called by `main`
/// before anything else: the process has one thread and no runtime. Standard input is the run's
/// locked lock file, standard output a pipe to the server, standard error a file. With `-` for
/// the directory, standard input is a line on which the directory and the lock come later; with
/// `?` it only sees whether a sandbox can be made.
pub fn supervise(dir: &Path) -> ! {
    if dir == Path::new(TRIAL) {
        match trial::try_once() {
            Ok(()) => drop(io::stdout().write_all(TRIAL_WORKED.as_bytes())),
            Err(error) => fail("sandbox", &error),
        }
        exit(0)
    }
    // Whatever else the server, or the shell it came from, had left open.
    let _ = kernel::close_from(3);
    match kernel::fork() {
        Ok(0) => {}
        Ok(_) => kernel::exit_now(0),
        Err(error) => fail("fork", &error),
    }
    let _ = rustix::process::setsid();
    // Its end is asked for through its socket. A stray TERM to a process group must not make a
    // run lost.
    ignore_signals();
    if dir != Path::new(PARKED) {
        run_in(dir, None, |()| {
            // A server that went away meanwhile finds the run by its record.
            let _ = io::stdout().write_all(TAKEN).and_then(|()| io::stdout().flush());
        });
    }
    match Line::standard_input().and_then(cell::park) {
        Ok(None) => exit(0),
        Ok(Some(Taken { dir, lock, line, cell })) => {
            // The lock is held by its open file; it ends with this process.
            let _ = lock.into_raw_fd();
            run_in(&dir, Some(cell), move |()| {
                let _ = line.send(&TAKEN, &[]);
            })
        }
        Err(error) => fail("parked", &error),
    }
}

fn run_in(dir: &Path, cell: Option<Cell>, tell: impl FnOnce(())) -> ! {
    if let Err(error) = rustix::process::chdir(dir) {
        fail("directory", &error.into());
    }
    let dir = Path::new(".");
    let Some(orders) = record::read::<Orders>(dir, ORDERS) else {
        fail(ORDERS, &io::ErrorKind::InvalidData.into());
    };
    if dir.join(SUPERVISOR).exists() || dir.join(EXIT).exists() {
        // It was taken over before: by one that has ended, as the lock is ours.
        exit(0);
    }
    failpoint::hit("supervisor-begin");
    match take_over(dir, orders, cell, tell) {
        Ok(run) => finish(dir, run.finish()),
        Err(error) => {
            let detail = format!("the sandbox could not be made: {error}");
            let usage = Usage::default();
            let at = Timestamp(now_ms());
            finish(dir, ExitRecord { end: End::NotStarted, at, detail, usage })
        }
    }
}

/// Makes the run this process's own and tells the server so.
fn take_over(
    dir: &Path,
    orders: Orders,
    cell: Option<Cell>,
    tell: impl FnOnce(()),
) -> io::Result<Run> {
    let group = match &cell {
        Some(cell) => cell.group.clone(),
        None => Group::named(&orders.cgroup),
    };
    let process = Process::current().ok_or_else(|| io::Error::other("no /proc to be found in"))?;
    let log = Log::open(dir)?;
    let listener = control::listen(dir)?;
    record::claim(dir, &Owner { process, group: group.clone() })?;
    failpoint::hit("supervisor-recorded");
    tell(());
    kernel::move_to(rustix::fs::open("/dev/null", OFlags::RDWR, Mode::empty())?, STDOUT)?;
    let cell = match cell {
        Some(cell) => Ok(cell),
        None => Cell::fork(group.clone(), orders.host_id.is_none()),
    };
    cell.and_then(|cell| Run::begin(dir, orders, cell, log, listener))
        .inspect_err(|_| cell::clear(&group))
}

/// Leaves the record, durably, and ends. A record that cannot be written is a lost run: better
/// than one that claims what nobody can prove.
fn finish(dir: &Path, exit_record: ExitRecord) -> ! {
    let _ = fs::remove_file(dir.join(record::CONTROL));
    let _ = fs::remove_dir(dir.join(STAGING));
    failpoint::hit("exit-before-write");
    let mut tries = EXIT_TRIES;
    loop {
        match record::write_exit(dir, &exit_record) {
            Ok(()) => exit(0),
            // The state directory was removed under it: nobody is left to tell.
            Err(error) if error.kind() == io::ErrorKind::NotFound => fail(EXIT, &error),
            Err(error) if tries == 0 => fail(EXIT, &error),
            // A full disk is emptied by somebody, some time.
            Err(_) => std::thread::sleep(EXIT_PAUSE),
        }
        tries -= 1;
    }
}

/// How long the record is tried to be written on a full disk, one try a second: an hour.
const EXIT_TRIES: u32 = 3_600;
const EXIT_PAUSE: std::time::Duration = std::time::Duration::from_secs(1);

fn ignore_signals() {
    for signal in [libc::SIGHUP, libc::SIGINT, libc::SIGTERM, libc::SIGPIPE, libc::SIGXFSZ] {
        kernel::ignore_signal(signal);
    }
}

#[expect(clippy::print_stderr, reason = "its standard error is a file for exactly this")]
fn fail(what: &str, error: &io::Error) -> ! {
    eprintln!("supervisor: {what}: {error}");
    exit(1)
}
