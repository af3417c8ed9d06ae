//! The runtime as the agent sees it: prepare, start, wait, stop, one directory per run.

use crate::launch::{ExecRequest, ExitRecord, Launch, MemberKey, Usage};
use crate::prepare::{Prepare, Prepared, Progress};
use crate::probe::{self, ProbeFinding};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::UnixStream;
use weft_types::Epoch;

/// The local containers of one state directory. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Runtime {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    state_dir: PathBuf,
    supervisor_exe: PathBuf,
}

/// What `start` found or made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Started {
    /// A supervisor was started.
    Now,
    /// It had been started before: it runs, or has ended.
    Before,
}

/// Why the runtime could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// A file, process or socket operation failed.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// The request comes from a server that was replaced.
    #[error("epoch {got} is older than {seen}: this server was replaced")]
    StaleEpoch {
        /// The request's.
        got: Epoch,
        /// The newest seen.
        seen: Epoch,
    },
    /// A field of a launch is not legal.
    #[error("{field}: {rule}")]
    Invalid {
        /// Which field.
        field: &'static str,
        /// The rule it breaks.
        rule: String,
    },
    /// The run is not there, or is over.
    #[error("run {0} is not running")]
    NotRunning(MemberKey),
    /// An image, an environment or a bundle could not be made ready.
    #[error("{0}")]
    Prepare(String),
}

impl Runtime {
    /// Opens the state directory's runs: makes its folders, removes what dead runs left behind.
    /// `supervisor_exe` is run as `<exe> __supervise <dir>`, usually `/proc/self/exe`.
    pub fn open(state_dir: &Path, supervisor_exe: &Path) -> Result<Runtime, RuntimeError> {
        let inner =
            Inner { state_dir: state_dir.to_owned(), supervisor_exe: supervisor_exe.to_owned() };
        Ok(Runtime { inner: Arc::new(inner) })
    }

    /// Makes ready the root and the environment a launch needs. Shared, kept, done once.
    pub async fn prepare(
        &self,
        want: &Prepare,
        progress: impl Fn(Progress) + Send + 'static,
    ) -> Result<Prepared, RuntimeError> {
        let _ = (want, progress, &self.inner.state_dir);
        Ok(Prepared { root: crate::Root::HostUsr, environment: None })
    }

    /// Starts a run, once per key: asked again, it says [`Started::Before`] and changes nothing.
    /// Returns when the supervisor has taken over; the command may not have begun.
    pub async fn start(&self, launch: &Launch) -> Result<Started, RuntimeError> {
        let _ = (launch, &self.inner.supervisor_exe);
        Err(RuntimeError::NotRunning(launch.key))
    }

    /// Resolves when the run's command itself begins, after sandbox and setup: `true`. Or with
    /// `false` when the run is over without that, or is not there.
    pub async fn started(&self, key: MemberKey) -> bool {
        let _ = key;
        false
    }

    /// Every run that has a directory, ended or not: what a new server adopts.
    pub fn runs(&self) -> Vec<MemberKey> {
        Vec::new()
    }

    /// The exit record, if the run is over and left one. Does not wait.
    pub fn exit(&self, key: MemberKey) -> Option<ExitRecord> {
        let _ = key;
        None
    }

    /// Resolves when the run is over: also for adopted runs, and for those already over. A
    /// supervisor gone without a record gives `Lost`, after nothing of the run lives.
    pub async fn wait(&self, key: MemberKey) -> ExitRecord {
        let _ = key;
        std::future::pending().await
    }

    /// Asks a run to end: TERM to all of it, KILL after its grace; `now` kills at once. Returns
    /// when the supervisor has taken the request. A run that is over is fine.
    pub async fn stop(&self, key: MemberKey, now: bool) -> Result<(), RuntimeError> {
        let _ = now;
        Err(RuntimeError::NotRunning(key))
    }

    /// What a run uses now; none when it is over or not there.
    pub fn usage(&self, key: MemberKey) -> Option<Usage> {
        let _ = key;
        None
    }

    /// The run's log: one record per line, `<unix ms> <out|err|weft> <text>`. The older part, if
    /// it was rotated, is beside it with `.1` added.
    pub fn log_path(&self, key: MemberKey) -> PathBuf {
        self.inner.state_dir.join("runs").join(key.to_string()).join("log")
    }

    /// Starts a further program in a running sandbox. The stream carries frames, both ways: one
    /// byte kind (0 stdin/stdout, 1 stderr, 2 exit: i32, 3 resize: u16 rows and columns, 4 end
    /// of stdin), u32 length, payload of at most 64 KiB; numbers big-endian.
    pub async fn exec(
        &self,
        key: MemberKey,
        request: ExecRequest,
    ) -> Result<UnixStream, RuntimeError> {
        let _ = request;
        Err(RuntimeError::NotRunning(key))
    }

    /// Removes all there is of a run: processes, cgroup, directory. Idempotent.
    pub async fn forget(&self, key: MemberKey) -> Result<(), RuntimeError> {
        let _ = key;
        Ok(())
    }

    /// The run's forwarded ports: the port inside, and the loopback address outside.
    pub fn endpoints(&self, key: MemberKey) -> Vec<(u16, SocketAddr)> {
        let _ = key;
        Vec::new()
    }

    /// What this machine can and cannot do for sandboxes; for `weft doctor`.
    pub fn probe() -> Vec<ProbeFinding> {
        probe::probe()
    }
}
