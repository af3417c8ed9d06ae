//! The sandbox: a process tree with nothing but what it was given.
//!
//! The supervisor calls [`fork_init`] once, while it has one thread. The child, pid 1 of its own
//! namespaces, builds the file system (`mounts`), gives up every right (`identity`, `landlock`,
//! `seccomp`) and then only starts, signals and reaps programs on request (`init`). Programs
//! that are added later are its children too, so nothing ever joins a sandbox from outside.
//!
//! ```text
//! clone into namespaces ─► host name, loopback ─► mounts, pivot_root ─► unprivileged user,
//! user namespace ─► (wait for the cgroup) ─► limits, no capabilities ─► Landlock ─► seccomp
//! ```
//!
//! The mounts belong to the namespace left behind: inside, nothing has a right over them.

mod delivered;
mod identity;
mod init;
pub(crate) mod kernel;
mod landlock;
pub(crate) mod message;
mod mounts;
mod seccomp;

use crate::gpu::Delivery;
use identity::Outer;
use kernel::Fork;
use message::{Ask, Line, Say};
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;

/// User and group inside: never root, and the same for every run.
pub(crate) const INNER_ID: u32 = 1000;
/// What the user inside is called.
pub(crate) const INNER_NAME: &str = "weft";
/// A file that S3 clients want to be told of before they ask for keys. It is no secret, and nobody
/// looks at what they make of it.
pub(crate) const DATA_TOKEN: &str = "/run/weft-data";
/// Its home and working directory.
pub(crate) const WORK: &str = "/work";

/// Everything decided about one sandbox.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// Empty folder the file system is put together in.
    pub(crate) staging: PathBuf,
    /// Becomes `/work`, writable.
    pub(crate) work: PathBuf,
    /// Becomes [`crate::CHECKPOINT`], writable; none: there is no such folder.
    pub(crate) kept: Option<PathBuf>,
    /// An unpacked image; none: the host's `/usr`.
    pub(crate) image: Option<PathBuf>,
    /// Seen read-only at the same path.
    pub(crate) environment: Option<PathBuf>,
    /// Where datasets are mounted, read-only.
    pub(crate) data: Vec<PathBuf>,
    /// Generated files of `/etc`.
    pub(crate) etc: Vec<(String, String)>,
    /// Device nodes below `/dev`, beside the basic ones.
    pub(crate) devices: Vec<PathBuf>,
    /// The driver of its devices, and what stands before it.
    pub(crate) gpu: Option<Delivery>,
    /// Host name inside.
    pub(crate) hostname: String,
    /// Bounds `/tmp` and `/dev/shm`, half each; bytes.
    pub(crate) memory: u64,
    /// Longest file; bytes.
    pub(crate) disk: u64,
    /// Processes and threads.
    pub(crate) pids: u32,
    /// Bound on private memory of each process where no cgroup bounds the whole; bytes.
    pub(crate) data_limit: Option<u64>,
    /// The host's user it runs as; none: the supervisor's own, which then needs no rights.
    pub(crate) host_id: Option<u32>,
}

/// The running sandbox, seen from the supervisor.
#[derive(Debug)]
pub(crate) struct Init {
    /// Its pid 1, on the host.
    pub(crate) pid: i32,
    /// The same process, safe from reuse of its number; readable when it is gone.
    pub(crate) pidfd: OwnedFd,
    /// The line to it.
    pub(crate) line: Line,
}

/// A step of the making that failed, for people.
#[derive(Debug)]
struct Step(String);

impl Step {
    fn of<E: Display>(what: &'static str) -> impl Fn(E) -> Step {
        move |error| Step(format!("{what}: {error}"))
    }
}

/// Starts the sandbox's first process, in namespaces of its own and in a v2 cgroup where one is
/// given. It waits for `Build`, then `Go`, and answers `Ready` or `Failed`. `unprivileged` says
/// that the caller has no rights to give up. The caller must have one thread only.
pub(crate) fn fork_init(unprivileged: bool, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Init> {
    let filter = seccomp::filter();
    let outer = unprivileged.then(Outer::current);
    let (ours, theirs) = Line::pair()?;
    let user = if unprivileged { libc::CLONE_NEWUSER as u64 } else { 0 };
    match kernel::fork_into(kernel::NAMESPACES | user, cgroup)? {
        Fork::Parent { pid, pidfd } => Ok(Init { pid, pidfd, line: ours }),
        Fork::Child => {
            drop(ours);
            run_init(outer, theirs, &filter)
        }
    }
}

/// The child's whole life.
fn run_init(outer: Option<Outer>, line: Line, filter: &[libc::sock_filter]) -> ! {
    let Ok(line) = line.settle() else { kernel::exit_now(1) };
    // A supervisor that goes away before it has orders wants nothing of us.
    let Ok(Some((Ask::Build(plan), _))) = line.receive() else { kernel::exit_now(0) };
    match enter(&plan, outer, &line, filter) {
        Ok(()) => init::serve(&line),
        Err(Step(step)) => {
            // If nobody listens any more, nobody needs the reason.
            let _ = line.send(&Say::Failed { step }, &[]);
            kernel::exit_now(1)
        }
    }
}

fn enter(
    plan: &Plan,
    outer: Option<Outer>,
    line: &Line,
    filter: &[libc::sock_filter],
) -> Result<(), Step> {
    if let Some(outer) = outer {
        identity::map_root(outer).map_err(Step::of("user namespace"))?;
    }
    rustix::system::sethostname(plan.hostname.as_bytes()).map_err(Step::of("host name"))?;
    kernel::loopback_up().map_err(Step::of("loopback"))?;
    for fuse in mounts::enter(plan)? {
        // Nobody in here keeps it: who has it decides what programs read.
        line.send(&Say::Mounted, &[&fuse]).map_err(Step::of("line"))?;
    }
    identity::become_nobody(plan)?;
    init::await_cgroup(line)?;
    identity::give_up_rights(plan)?;
    landlock::restrict().map_err(Step::of("landlock"))?;
    kernel::load_filter(filter).map_err(Step::of("seccomp"))?;
    line.send(&Say::Ready, &[]).map_err(Step::of("line"))
}
