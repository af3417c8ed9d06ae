//! The files of a run's directory that server and supervisor speak through.
//!
//! ```text
//! runs/w42-1-0/  lock             held from the first preparation to the supervisor's end
//!                launch.json      the server's orders
//!                supervisor.json  who took them over
//!                control.sock     requests while it runs
//!                log, log.1       framed output
//!                started          the command has begun
//!                endpoints.json   forwarded ports
//!                loader-cache     what it finds as `/etc/ld.so.cache`, where it was given a driver
//!                variables        for MPS, of its programs' environment, where that keeps its part
//!                usage.json       last look at disk, and at memory where no cgroup counts
//!                work/            the working directory
//!                exit.json        how it ended; written last, once, durably
//! ```

use crate::cgroup::Group;
use crate::gpu::Delivery;
use crate::launch::{ExitRecord, Launch};
use crate::process::Process;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

pub(crate) const LOCK: &str = "lock";
pub(crate) const ORDERS: &str = "launch.json";
pub(crate) const SUPERVISOR: &str = "supervisor.json";
pub(crate) const CONTROL: &str = "control.sock";
pub(crate) const LOG: &str = "log";
pub(crate) const STARTED: &str = "started";
pub(crate) const ENDPOINTS: &str = "endpoints.json";
pub(crate) const USAGE: &str = "usage.json";
pub(crate) const WORK: &str = "work";
pub(crate) const STAGING: &str = "root";
pub(crate) const EXIT: &str = "exit.json";

/// `launch.json`: what to start, and what the runtime has decided about its place here.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Orders {
    /// What was asked for.
    pub(crate) launch: Launch,
    /// The host's user it runs as; none: the server's own.
    pub(crate) host_id: Option<u32>,
    /// Its group, below each hierarchy's base.
    pub(crate) cgroup: PathBuf,
    /// The unpacked image, where it has one.
    pub(crate) image: Option<PathBuf>,
    /// Where its outputs go.
    pub(crate) outputs: PathBuf,
    /// The folder that is kept from start to start, where it has one.
    #[serde(default)]
    pub(crate) kept: Option<PathBuf>,
    /// What it finds of its devices' driver, where it was given one.
    #[serde(default)]
    pub(crate) gpu: Option<Delivery>,
    /// The server's socket: where the bytes of datasets come from.
    #[serde(default)]
    pub(crate) server: PathBuf,
    /// The state's file system is not filled beyond this, by the run that grows; bytes.
    pub(crate) reserve: u64,
}

/// What a server says to a supervisor it has parked, in this order.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Parked {
    /// Make a cell in the group named so.
    Make { cgroup: PathBuf, unprivileged: bool },
    /// Run what lies in this directory; its lock comes along.
    Take { dir: PathBuf },
}

/// `supervisor.json`: who owns the run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Owner {
    /// The supervisor.
    pub(crate) process: Process,
    /// The run's group.
    pub(crate) group: Group,
}

/// Reads one of the files. None where it is not there or torn: both mean it was not written.
pub(crate) fn read<T: DeserializeOwned>(dir: &Path, name: &str) -> Option<T> {
    serde_json::from_slice(&fs::read(dir.join(name)).ok()?).ok()
}

/// Writes one of the files, whole or not at all as far as other processes see. Not durable: if
/// the machine goes down, what it describes is gone too.
pub(crate) fn write(dir: &Path, name: &str, value: &impl Serialize) -> io::Result<()> {
    let temporary = dir.join(format!("{name}.new"));
    fs::write(&temporary, serde_json::to_vec(value)?)?;
    fs::rename(temporary, dir.join(name))
}

/// Writes `supervisor.json` unless it is there, by one step: of two supervisors given the same
/// run, by a server that lost patience with the first, only one takes it over. The other ends.
pub(crate) fn claim(dir: &Path, owner: &Owner) -> io::Result<()> {
    let temporary = dir.join(format!("{SUPERVISOR}.{}", std::process::id()));
    fs::write(&temporary, serde_json::to_vec(owner)?)?;
    let claimed = fs::hard_link(&temporary, dir.join(SUPERVISOR));
    fs::remove_file(&temporary)?;
    match claimed {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => std::process::exit(0),
        other => other,
    }
}

/// Writes the exit record: when this returns it survives a power failure. Renamed first, so that
/// the usual file systems need one journal commit for content and name; a power failure between
/// the two may leave a torn record, which reads as none: a lost run, as it would be without.
pub(crate) fn write_exit(dir: &Path, exit: &ExitRecord) -> io::Result<()> {
    let temporary = dir.join("exit.json.new");
    let mut file = File::create(&temporary)?;
    file.write_all(&serde_json::to_vec(exit)?)?;
    crate::failpoint::hit("exit-before-rename");
    fs::rename(temporary, dir.join(EXIT))?;
    file.sync_all()?;
    File::open(dir)?.sync_all()
}
