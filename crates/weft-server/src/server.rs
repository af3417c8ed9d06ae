//! A server's life: take the state, find what runs, listen, turn the loop, end.
//!
//! The command line calls [`serve`] once. The order is the point: nobody is let in before the
//! store is this server's (its epoch fences an older one) and what runs has been adopted; the
//! note for clients is written last. Workloads outlive the server, however it ends.

use crate::api::{self, About, App};
use crate::control::{Control, Ended, Loop, history};
use crate::listen::Listeners;
use crate::lock::{Owned, ServerNote};
use crate::sampler::Sampler;
use crate::{ServeConfig, auth, pool, recover};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use weft_agent::{Agent, now};
use weft_lifecycle::{Event, State};
use weft_runtime::{Runtime, RuntimeError};
use weft_store::{Store, StoreError, WorkloadFilter};

/// Reports under way to the loop: as many as a full machine's members have in a burst.
const REPORTS: usize = 256;

/// How long workloads may take to end when the server stops them, beyond which they are
/// killed: longer than the usual grace of ten seconds.
const WORKLOADS_END: Duration = Duration::from_secs(30);

/// How long the loop and the sampler may take to end.
const TASKS_END: Duration = Duration::from_secs(5);

/// What is known once a server can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// `http://` or `https://`, host and port.
    pub address: String,
    /// The Unix socket.
    pub socket: PathBuf,
    /// The first administrator's token, on the first start: the only time it is seen.
    pub token: Option<String>,
}

/// Why a server does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The state directory cannot be used.
    #[error("the state directory `{}`: {source}", dir.display())]
    StateDir {
        /// Which.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is a server already.
    #[error("a server runs on `{}` already{}", dir.display(), at(note.as_ref()))]
    Running {
        /// The state directory.
        dir: PathBuf,
        /// What it says of itself.
        note: Option<ServerNote>,
    },
    /// The accelerators that were declared cannot be simulated.
    #[error("{0}")]
    Simulate(#[from] weft_device::SimulationError),
    /// The store refused.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// The machine's runtime cannot be opened.
    #[error("{0}")]
    Runtime(#[from] RuntimeError),
    /// It cannot listen there.
    #[error("cannot listen on {on}: {source}\nhint: choose another address with --listen")]
    Listen {
        /// Where.
        on: String,
        /// What the system said.
        source: io::Error,
    },
    /// An address that others can reach, without TLS.
    #[error(
        "{listen} can be reached from other machines, where tokens would go in clear text\n\
         hint: add --tls-cert and --tls-key, or listen on 127.0.0.1"
    )]
    NeedsTls {
        /// What was asked for.
        listen: String,
    },
    /// The certificate or its key cannot be used.
    #[error("`{}`: {why}\nhint: PEM files, as --tls-cert and --tls-key", file.display())]
    Tls {
        /// Which file.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A part of the server ended that never should.
    #[error("{0}")]
    Broken(String),
}

/// Runs a server until SIGTERM, SIGINT or `admin/shutdown` ends it. `ready` is told once it can
/// be used.
pub async fn serve(config: ServeConfig, ready: oneshot::Sender<Ready>) -> Result<(), ServeError> {
    let owned = Owned::take(&config.state_dir)?;
    let (server, token) = Server::open(&config).await?;
    let listeners = Listeners::bind(&config).await?;
    let about = About {
        state_dir: config.state_dir.clone(),
        address: listeners.address.clone(),
        hosts: listeners.hosts.clone(),
        simulated: server.agent.simulated(),
    };
    let (address, socket) = (listeners.address.clone(), listeners.socket.clone());
    let app = App::new(server.store.clone(), server.control.clone(), server.runtime.clone(), about);
    let door = tokio::spawn(listeners.serve(api::router(app), server.control.closing()));
    owned.announce(&address)?;
    tracing::info!(address, epoch = %server.store.epoch(), "ready");
    // Whoever asked may have gone away; the server serves all the same.
    let _ = ready.send(Ready { address, socket, token });
    let ended = server.attend().await;
    server.control.end();
    for task in [door, server.sampler] {
        let _ = tokio::time::timeout(TASKS_END, task).await;
    }
    server.store.close().await?;
    ended
}

/// The parts that live as long as the server.
struct Server {
    store: Store,
    runtime: Runtime,
    agent: Agent,
    control: Control,
    turning: tokio::sync::Mutex<JoinHandle<Ended>>,
    sampler: JoinHandle<()>,
}

impl Server {
    /// Takes the state over, adopts what runs and starts the loop.
    async fn open(config: &ServeConfig) -> Result<(Server, Option<String>), ServeError> {
        let (dir, exe) = (config.state_dir.clone(), config.supervisor_exe.clone());
        let opened = tokio::task::spawn_blocking(move || -> Result<_, ServeError> {
            Ok((Store::open(&dir)?, Runtime::open(&dir, &exe)?))
        });
        let opened = opened.await.map_err(|panic| ServeError::Broken(panic.to_string()))?;
        let (store, runtime) = opened?;
        let driver = Arc::from(weft_device::detect(config.simulate.as_deref())?);
        let (reported, reports) = mpsc::channel(REPORTS);
        let changed = watch::Sender::new(0);
        let epoch = store.epoch();
        let agent = Agent::new(runtime.clone(), driver, epoch, reported, changed.clone());
        let (name, headroom) = (config.node.clone(), &config.headroom);
        let node = pool::register(&store, &agent, name, &config.state_dir, headroom).await?;
        let token = auth::bootstrap(&store, now()).await?;
        recover::clear(&store, &runtime).await?;
        recover::adopt(&store, &agent).await?;
        let control = Control::new(store.clone(), agent.clone(), changed);
        let turning =
            Loop { store: store.clone(), agent: agent.clone(), control: control.clone(), reports };
        let sampler =
            Sampler { store: store.clone(), agent: agent.clone(), control: control.clone(), node };
        let turning = tokio::sync::Mutex::new(tokio::spawn(turning.run()));
        let sampler = tokio::spawn(sampler.run());
        Ok((Server { store, runtime, agent, control, turning, sampler }, token))
    }

    /// Waits until the server is to end, and ends the workloads where that was asked for.
    async fn attend(&self) -> Result<(), ServeError> {
        let mut turning = self.turning.lock().await;
        let broken = |source| ServeError::Broken(format!("no signals: {source}"));
        let mut terminate = signal(SignalKind::terminate()).map_err(broken)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(broken)?;
        let workloads = tokio::select! {
            _ = terminate.recv() => false,
            _ = interrupt.recv() => false,
            workloads = self.control.asked_to_shut_down() => workloads,
            ended = &mut *turning => return Err(ServeError::Broken(match ended {
                Ok(ended) => ended.to_string(),
                Err(panic) => format!("the loop failed: {panic}"),
            })),
        };
        tracing::info!(workloads, "ending");
        if workloads {
            self.end_workloads().await?;
        }
        self.control.end();
        let _ = tokio::time::timeout(TASKS_END, &mut *turning).await;
        Ok(())
    }

    /// Stops whatever waits or runs, and waits until nothing holds capacity.
    async fn end_workloads(&self) -> Result<(), ServeError> {
        let live = self.stop_all().await?;
        if tokio::time::timeout(WORKLOADS_END, self.none_holds()).await.is_ok() {
            return Ok(());
        }
        live.into_iter().for_each(|id| self.control.kill(id));
        if tokio::time::timeout(WORKLOADS_END, self.none_holds()).await.is_err() {
            tracing::error!("some workloads did not end; they go on without the server");
        }
        Ok(())
    }

    async fn stop_all(&self) -> Result<Vec<weft_types::WorkloadId>, StoreError> {
        let stopped = self.store.write(|w| -> Result<_, StoreError> {
            let live: Vec<_> = w.snapshot()?.workloads.into_keys().collect();
            for row in live.iter().map(|id| w.workload(*id)).collect::<Result<Vec<_>, _>>()? {
                let Some(row) = row else { continue };
                let _ = history::happened(w, row, Event::StopRequested, "weft", now())?;
            }
            Ok(live)
        });
        stopped.await
    }

    async fn none_holds(&self) -> Result<(), StoreError> {
        let mut heads = self.store.watch();
        loop {
            heads.borrow_and_update();
            let states = vec![State::Starting, State::Running, State::Stopping];
            let filter = WorkloadFilter { states, ..WorkloadFilter::default() };
            if self.store.read(move |r| r.workloads(&filter, None, 1)).await?.is_empty() {
                return Ok(());
            }
            if heads.changed().await.is_err() {
                return Err(StoreError::Closed);
            }
        }
    }
}

fn at(note: Option<&ServerNote>) -> String {
    note.map_or_else(String::new, |note| format!(": process {}, {}", note.pid, note.address))
}
