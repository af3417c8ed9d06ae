//! Starts this machine's server in the background when a command finds none.
//!
//! The server is this program again, `weft up --background`, in a session of its own. It says
//! that it is ready by a line on its output; until then the starter holds a lock, so that of two
//! commands at once one starts and the other finds.

use crate::exit::Code;
use crate::failure::Failure;
use crate::session::answers;
use crate::show::err_line;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FlockOperation, flock};
use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};
use std::time::Duration;

/// How long a server may take to be ready: opening the store and adopting what runs takes a
/// fraction of it on the slowest disks.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How much longer where it tries MPS first: as long as it gives a trial, and some more.
const TRIES_WITHIN: Duration = Duration::from_secs(120);

/// The server's log is begun anew when a start finds it larger; the older part is kept once.
const LOG_MAX_BYTES: u64 = 16 << 20;

/// Starts the server of a state directory, or finds one that another command has just started.
pub(crate) fn start(state_dir: &Path) -> Result<(), Failure> {
    start_with(state_dir, &[]).map(|_| ())
}

/// The same with more to say to `weft up`; whether one was started.
pub(crate) fn start_with(state_dir: &Path, args: &[OsString]) -> Result<bool, Failure> {
    let failed = |e: std::io::Error| Failure::local(state_dir.display(), e);
    DirBuilder::new().recursive(true).mode(0o700).create(state_dir).map_err(failed)?;
    let _turn = take_turn(state_dir).map_err(failed)?;
    if answers(state_dir) {
        return Ok(false);
    }
    let log_path = state_dir.join("server.log");
    let log = open_log(&log_path).map_err(|e| Failure::local(log_path.display(), e))?;
    let begin = log.metadata().map(|meta| meta.len()).unwrap_or_default();
    let mut child = Command::new("/proc/self/exe")
        .args(["up", "--background", "--state"])
        .arg(state_dir)
        .args(args)
        .current_dir("/")
        .env_remove("WEFT_SERVER")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .map_err(|e| Failure::local("starting the server", e))?;
    let tries = args.iter().any(|arg| arg == "--mps");
    let within = READY_WITHIN + if tries { TRIES_WITHIN } else { Duration::ZERO };
    let ready = child.stdout.take().and_then(|output| wait_ready(output, within));
    match ready {
        Some(address) => {
            err_line(&format!(
                "started weft (state in {}, address {address})",
                state_dir.display()
            ));
            Ok(true)
        }
        None => Err(not_ready(&log_path, begin)),
    }
}

/// Waits for the lock that is held while a server is started.
fn take_turn(state_dir: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).mode(0o600);
    let lock = options.open(state_dir.join("start.lock"))?;
    flock(&lock, FlockOperation::LockExclusive)?;
    Ok(lock)
}

fn open_log(path: &Path) -> std::io::Result<File> {
    if std::fs::metadata(path).is_ok_and(|meta| meta.len() > LOG_MAX_BYTES) {
        std::fs::rename(path, path.with_extension("log.1"))?;
    }
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// The address, once the server says it is ready; none when it ends or takes too long.
fn wait_ready(output: ChildStdout, within: Duration) -> Option<String> {
    let timeout = rustix::event::Timespec::try_from(within).ok()?;
    let mut fds = [PollFd::new(&output, PollFlags::IN)];
    if poll(&mut fds, Some(&timeout)).ok()? == 0 {
        return None;
    }
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line).ok()?;
    line.trim_end().strip_prefix("ready ").map(str::to_owned)
}

/// What the server said before it ended.
fn not_ready(log: &Path, begin: u64) -> Failure {
    let mut said = String::new();
    if let Ok(mut file) = File::open(log)
        && file.seek(SeekFrom::Start(begin)).is_ok()
    {
        let _ = file.take(4096).read_to_string(&mut said);
    }
    let last = said.lines().rev().find(|line| line.contains("error: "));
    let message = match last.and_then(|line| line.split_once("error: ")) {
        Some((_, reason)) => format!("the server could not be started: {reason}"),
        None => "the server could not be started".to_owned(),
    };
    Failure::new(Code::Unreachable, message)
        .hint(format!("`weft up` shows it start; its log is {}", log.display()))
}

/// The line a server in the background says when it is ready.
pub(crate) fn ready_line(address: &str) -> String {
    format!("ready {address}\n")
}

/// Whether runs are there, with a server or without.
pub(crate) fn has_runs(state_dir: &Path) -> bool {
    let runs = std::fs::read_dir(state_dir.join("runs"));
    runs.is_ok_and(|mut runs| runs.next().is_some())
}
