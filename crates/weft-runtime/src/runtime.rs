//! The runtime as the agent sees it: prepare, start, wait, stop, one directory per run.
//!
//! Thin: it moves blocking work to threads and waits on descriptors. What a run's directory
//! holds is in `runs`; what happens inside is the supervisor's.

use crate::bundle::{BundleError, Bundles};
use crate::environment::Environments;
use crate::gpu::{GpuError, RunLedger};
use crate::image::{ImageError, Images};
use crate::launch::{End, ExecRequest, ExitRecord, Gpu, Launch, MemberKey, Usage};
use crate::prepare::{Prepare, PrepareError, Prepared, Progress, Shelf};
use crate::probe::{self, ProbeFinding};
use crate::process;
use crate::runs::{self, Runs};
use crate::supervisor::control::{self, Request};
use crate::supervisor::log::now_ms;
use crate::supervisor::record::{self, CONTROL, ENDPOINTS, LOG};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use weft_types::{Epoch, Timestamp, WorkloadId};

/// Between two looks at a run that nobody has taken over yet: no event tells.
const LOOK: Duration = Duration::from_millis(20);
/// A living supervisor answers within this.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest line a supervisor answers with.
const ANSWER_MAX: usize = 4 << 10;

/// The local containers of one state directory. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Runtime {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    runs: Runs,
    bundles: Bundles,
    shelf: Shelf,
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
    /// The sandbox could not start the program asked for.
    #[error("{0}")]
    Refused(String),
    /// An image or an environment could not be made ready.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The image of a launch is not here.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A part of a device, or its driver, could not be given.
    #[error(transparent)]
    Gpu(#[from] GpuError),
    /// The bundle could not be unpacked.
    #[error(transparent)]
    Bundle(#[from] BundleError),
}

impl Runtime {
    /// Opens the state directory's runs: makes its folders, removes what dead runs left behind.
    /// `supervisor_exe` is run as `<exe> __supervise <dir>`, usually `/proc/self/exe`. Blocks on
    /// the disk. One at a time per state directory: the server's lock is the caller's business.
    pub fn open(state_dir: &Path, supervisor_exe: &Path) -> Result<Runtime, RuntimeError> {
        Runtime::open_with(state_dir, supervisor_exe, |images| images)
    }

    /// The same, with the images set up as their server wants them.
    pub fn open_with(
        state_dir: &Path,
        supervisor_exe: &Path,
        set_up: impl FnOnce(Images) -> Images,
    ) -> Result<Runtime, RuntimeError> {
        let io = |source| RuntimeError::Io { what: state_dir.display().to_string(), source };
        let images = set_up(Images::open(state_dir).map_err(io)?);
        let inner = Inner {
            runs: Runs::open(state_dir, supervisor_exe)?,
            bundles: Bundles::open(state_dir).map_err(io)?,
            shelf: Shelf::open(state_dir, images).map_err(io)?,
        };
        Ok(Runtime { inner: Arc::new(inner) })
    }

    /// The uploaded bundles, for the API.
    pub fn bundles(&self) -> &Bundles {
        &self.inner.bundles
    }

    /// The images here, for the API.
    pub fn images(&self) -> &Images {
        &self.inner.shelf.images
    }

    /// The environments here, for housekeeping.
    pub fn environments(&self) -> &Environments {
        &self.inner.shelf.environments
    }

    /// The environments that runs which are not over see.
    pub fn environments_in_use(&self) -> Vec<PathBuf> {
        self.inner.runs.environments_in_use()
    }

    /// The digests of the images that runs which are not over see.
    pub fn images_in_use(&self) -> Vec<String> {
        self.inner.runs.images_in_use()
    }

    /// Makes ready the root and the environment a launch needs. Shared, kept, done once. Dropping
    /// the future cancels it.
    pub async fn prepare(
        &self,
        want: &Prepare,
        mut progress: impl FnMut(Progress) + Send + 'static,
    ) -> Result<Prepared, RuntimeError> {
        Ok(self.inner.shelf.prepare(want, &mut progress).await?)
    }

    /// Starts a run, once per key: asked again, it says [`Started::Before`] and changes nothing.
    /// Returns when the supervisor has taken over; the command may not have begun.
    pub async fn start(&self, launch: &Launch) -> Result<Started, RuntimeError> {
        let (inner, launch) = (Arc::clone(&self.inner), launch.clone());
        blocking(move || {
            let digest = runs::digest_of(&launch.root);
            let image = digest.map(|digest| inner.shelf.images.rootfs(digest)).transpose()?;
            inner.runs.start(&launch, image, &inner.bundles)
        })
        .await
    }

    /// Resolves when the run's command itself begins, after sandbox and setup: `true`. Or with
    /// `false` when the run is over without that, or is not there.
    pub async fn started(&self, key: MemberKey) -> bool {
        loop {
            if self.inner.runs.dir(key).join(record::STARTED).exists() {
                return true;
            }
            if let Ok(mut stream) = self.ask(key, &Request::Watch).await
                && read_line(&mut stream).await.is_ok_and(|line| line == control::BEGUN)
            {
                return true;
            }
            match self.standing(key) {
                Standing::Over => return self.inner.runs.dir(key).join(record::STARTED).exists(),
                Standing::Owned(_) | Standing::Unowned => tokio::time::sleep(LOOK).await,
            }
        }
    }

    /// When the run's command began; none where it has not, or the run is not there.
    pub fn began(&self, key: MemberKey) -> Option<Timestamp> {
        let written = std::fs::metadata(self.inner.runs.dir(key).join(record::STARTED));
        let at = written.and_then(|meta| meta.modified()).ok()?;
        let since = at.duration_since(std::time::UNIX_EPOCH).ok()?;
        Some(Timestamp(u64::try_from(since.as_millis()).ok()?))
    }

    /// Whether a process of that number is the supervisor of a run that is not over. What the
    /// kernel says of a socket's other end is thereby as good as a secret of the run.
    pub fn supervises(&self, key: MemberKey, pid: i32) -> bool {
        let owner = self.inner.runs.owner(key).map(|owner| owner.process);
        owner.is_some_and(|process| process.has(pid) && process.open().is_some())
    }

    /// What stands against mounting datasets on this machine, and what to do; none: nothing.
    pub fn data_refused() -> Option<String> {
        probe::data_refused()
    }

    /// Every run that has a directory, ended or not: what a new server adopts.
    pub fn runs(&self) -> Vec<MemberKey> {
        self.inner.runs.list()
    }

    /// The exit record, if the run is over and left one. Does not wait.
    pub fn exit(&self, key: MemberKey) -> Option<ExitRecord> {
        self.inner.runs.exit(key)
    }

    /// Resolves when the run is over: also for adopted runs, and for those already over. A
    /// supervisor gone without a record gives `Lost`, after nothing of the run lives.
    pub async fn wait(&self, key: MemberKey) -> ExitRecord {
        loop {
            if let Some(exit) = self.exit(key) {
                return exit;
            }
            if let Standing::Owned(pidfd) = self.standing(key) {
                if process::ended(pidfd).await.is_err() {
                    tokio::time::sleep(LOOK).await;
                    continue;
                }
                // It has ended. Until its parent reaps it, it still looks alive: do not ask.
                if let Some(exit) = self.exit(key) {
                    return exit;
                }
            }
            let inner = Arc::clone(&self.inner);
            match blocking(move || Ok(inner.runs.bury(key))).await {
                Ok(Ok(Some(exit))) => return exit,
                Ok(Ok(None)) => tokio::time::sleep(LOOK).await,
                // Its death cannot be made sure of or written down yet: a process in the
                // kernel's hands, a full disk. Neither is the end of waiting.
                Ok(Err(error)) => {
                    tracing::warn!(%key, %error, "a lost run cannot be cleared away yet");
                    tokio::time::sleep(PATIENCE).await;
                }
                Err(_) => return lost(),
            }
        }
    }

    /// Asks a run to end: TERM to all of it, KILL after its grace; `now` kills at once. Returns
    /// when the supervisor has taken the request. A run that is over is fine.
    pub async fn stop(&self, key: MemberKey, now: bool) -> Result<(), RuntimeError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let taken = async {
                let mut stream = self.ask(key, &Request::Stop { now }).await?;
                read_line(&mut stream).await
            };
            match taken.await {
                Ok(line) if line == control::TAKEN => return Ok(()),
                Ok(_) | Err(_) if matches!(self.standing(key), Standing::Over) => return Ok(()),
                Err(source) if Instant::now() >= deadline => {
                    return Err(RuntimeError::Io { what: format!("stop of {key}"), source });
                }
                _ => tokio::time::sleep(LOOK).await,
            }
        }
    }

    /// What a run uses now; none when it is over or not there. Reads a few small files.
    pub fn usage(&self, key: MemberKey) -> Option<Usage> {
        self.inner.runs.usage(key)
    }

    /// What a run and the agent share of its parts of devices: what its processes hold, and what
    /// they are given. None where it was given none, or was released. It stays readable from the
    /// start of the run to its release, whichever server started it.
    pub fn ledger(&self, key: MemberKey) -> Option<RunLedger> {
        self.inner.runs.ledger(key)
    }

    /// The run's log: one record per line, `<unix ms> <out|err|weft> <text>`. The older part, if
    /// it was rotated, is beside it as `log.1`.
    pub fn log_path(&self, key: MemberKey) -> PathBuf {
        self.inner.runs.dir(key).join(LOG)
    }

    /// Starts a further program in a running sandbox. The stream carries frames, both ways: one
    /// byte kind (0 stdin/stdout, 1 stderr, 2 exit: i32, 3 resize: u16 rows and columns, 4 end
    /// of stdin), u32 length, payload of at most 64 KiB; numbers big-endian. The exit code of a
    /// program ended by a signal is 128 and its number.
    pub async fn exec(
        &self,
        key: MemberKey,
        request: ExecRequest,
    ) -> Result<UnixStream, RuntimeError> {
        let failed = |source| RuntimeError::Io { what: format!("exec in {key}"), source };
        if !matches!(self.standing(key), Standing::Owned(_)) {
            return Err(RuntimeError::NotRunning(key));
        }
        let mut stream = self.ask(key, &Request::Exec(request)).await.map_err(failed)?;
        match read_line(&mut stream).await {
            Ok(line) if line == control::TAKEN => Ok(stream),
            Ok(why) => Err(RuntimeError::Refused(why)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(RuntimeError::NotRunning(key))
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Gives back what a run that is over still holds: its scratch disk and its user id. Its log,
    /// its outputs and its exit record stay until it is forgotten. Idempotent.
    pub async fn release(&self, key: MemberKey) -> Result<(), RuntimeError> {
        let inner = Arc::clone(&self.inner);
        blocking(move || {
            let failed = |source| RuntimeError::Io { what: format!("release of {key}"), source };
            inner.runs.release(key).map_err(failed)
        })
        .await
    }

    /// What every run that is not over was given of parts of devices. Reads files: blocks.
    pub fn parts(&self) -> Vec<(MemberKey, Gpu)> {
        self.inner.runs.parts()
    }

    /// Ends the daemons of MPS that this state directory has, on all devices but these.
    pub async fn end_mps_but(&self, needed: Vec<String>) -> Result<(), RuntimeError> {
        let inner = Arc::clone(&self.inner);
        blocking(move || {
            inner.runs.end_mps_but(&needed);
            Ok(())
        })
        .await
    }

    /// Workloads for which a folder is kept from start to start.
    pub fn kept(&self) -> Vec<WorkloadId> {
        self.inner.runs.kept.list()
    }

    /// Removes what was kept for a workload that has ended. Idempotent.
    pub async fn forget_kept(&self, workload: WorkloadId) -> Result<(), RuntimeError> {
        let inner = Arc::clone(&self.inner);
        blocking(move || {
            let what = format!("removal of what was kept for {workload}");
            inner.runs.kept.remove(workload).map_err(|source| RuntimeError::Io { what, source })
        })
        .await
    }

    /// Removes all there is of a run: processes, cgroup, directory. Idempotent.
    pub async fn forget(&self, key: MemberKey) -> Result<(), RuntimeError> {
        if matches!(self.standing(key), Standing::Owned(_)) {
            self.stop(key, true).await?;
        }
        if self.inner.runs.dir(key).exists() {
            self.wait(key).await;
        }
        let inner = Arc::clone(&self.inner);
        blocking(move || {
            let failed = |source| RuntimeError::Io { what: format!("removal of {key}"), source };
            inner.runs.remove(key).map_err(failed)
        })
        .await
    }

    /// The run's forwarded ports: the port inside, and the loopback address outside.
    pub fn endpoints(&self, key: MemberKey) -> Vec<(u16, SocketAddr)> {
        record::read(&self.inner.runs.dir(key), ENDPOINTS).unwrap_or_default()
    }

    /// What this machine can and cannot do for sandboxes; for `weft doctor`.
    pub fn probe() -> Vec<ProbeFinding> {
        probe::probe()
    }

    /// Connects to a run's supervisor and sends one request.
    async fn ask(&self, key: MemberKey, request: &Request) -> io::Result<UnixStream> {
        // Through the directory's descriptor: a socket's path is limited to 107 bytes, a state
        // directory's is not.
        let dir = std::fs::File::open(self.inner.runs.dir(key))?;
        let path = format!("/proc/self/fd/{}/{CONTROL}", dir.as_raw_fd());
        let mut stream = UnixStream::connect(path).await?;
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        stream.write_all(&line).await?;
        Ok(stream)
    }

    fn standing(&self, key: MemberKey) -> Standing {
        let runs = &self.inner.runs;
        if runs.exit(key).is_some() || !runs.dir(key).exists() {
            return Standing::Over;
        }
        match runs.owner(key).map(|owner| owner.process.open()) {
            Some(Some(pidfd)) => Standing::Owned(pidfd),
            Some(None) => Standing::Over,
            None => Standing::Unowned,
        }
    }
}

/// Where a run stands, as far as its directory says.
enum Standing {
    /// Its supervisor lives.
    Owned(std::os::fd::OwnedFd),
    /// Nobody has taken it over, yet or ever.
    Unowned,
    /// It has ended, its supervisor is gone, or it is not there.
    Over,
}

/// One line, read byte by byte: what follows it is not ours.
async fn read_line(stream: &mut UnixStream) -> io::Result<String> {
    let mut line = Vec::new();
    loop {
        match stream.read_u8().await? {
            b'\n' => return Ok(String::from_utf8_lossy(&line).into_owned()),
            _ if line.len() >= ANSWER_MAX => return Err(io::ErrorKind::InvalidData.into()),
            byte => line.push(byte),
        }
    }
}

fn lost() -> ExitRecord {
    let detail = "the server is going down".to_owned();
    ExitRecord { end: End::Lost, at: Timestamp(now_ms()), detail, usage: Usage::default() }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RuntimeError> + Send + 'static,
) -> Result<T, RuntimeError> {
    let failed = |error| RuntimeError::Io {
        what: "a task of the runtime".to_owned(),
        source: io::Error::other(error),
    };
    tokio::task::spawn_blocking(work).await.map_err(failed)?
}
