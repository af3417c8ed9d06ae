//! A server as the command line runs it: the lock, the listeners, the signals.
//!
//! [`serve`] is called once. Nobody is let in before the state is this server's and what runs
//! has been adopted; the note for clients is written last.

use crate::api::{self, About, App};
use crate::listen::Listeners;
use crate::lock::{Owned, ServerNote};
use crate::{ServeConfig, Server, publish, s3, tracking, views};
use std::io;
use std::path::PathBuf;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use weft_runtime::RuntimeError;
use weft_store::StoreError;

/// What is known once a server can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// `http://` or `https://`, host and port.
    pub address: String,
    /// The Unix socket.
    pub socket: PathBuf,
    /// Whether there is no hardware behind the accelerators.
    pub simulated: bool,
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
    // Before anything is touched: what cannot be served must not leave a state behind.
    Listeners::check(&config).await?;
    let owned = Owned::take(&config.state_dir)?;
    let mut server = Server::open(&config).await?;
    let listeners = Listeners::bind(&config).await?;
    let about = About {
        state_dir: config.state_dir.clone(),
        address: listeners.address.clone(),
        hosts: listeners.hosts.clone(),
        simulated: server.simulated(),
        declared: server.declared(),
        limits: config.limits.clone(),
    };
    let (store, control, runtime) = (server.store(), server.control(), server.runtime());
    let data = server.data().clone();
    let app = App::new(store.clone(), data, control.clone(), runtime.clone(), about)
        .map_err(|source| ServeError::Broken(format!("the state directory: {source}")))?;
    let (reads, imports) = (app.reads.clone(), app.imports.clone());
    let refusals = app.refusals.clone();
    let publishing = tokio::spawn(publish::run(app.clone()));
    let viewing = tokio::spawn(views::run(app.clone()));
    let tracking = tokio::spawn(tracking::run(app.clone()));
    let (address, socket) = (listeners.address.clone(), listeners.socket.clone());
    let inside = (s3::inside(app.clone()), runtime.clone());
    let door = tokio::spawn(listeners.serve(api::router(app), inside, control.closing()));
    owned.announce(&address)?;
    tracing::info!(address, epoch = %store.epoch(), "ready");
    let token = server.token().map(str::to_owned);
    // Whoever asked may have gone away; the server serves all the same.
    let simulated = server.simulated();
    let _ = ready.send(Ready { address, socket, simulated, token });
    let ended = attend(&mut server).await;
    server.control().end();
    let _ = door.await;
    // What it leaves undone goes on with the next server.
    publishing.abort();
    viewing.abort();
    tracking.abort();
    imports.end_all();
    if let Err(error) = refusals.write().await {
        tracing::error!(%error, "the last refusals are not on the audit log");
    }
    if let Err(error) = reads.write().await {
        tracing::error!(%error, "the last reads of data are not on the audit log");
    }
    server.close().await?;
    ended
}

/// Waits until the server is to end, and ends the workloads where that was asked for.
async fn attend(server: &mut Server) -> Result<(), ServeError> {
    let unheard = |source| ServeError::Broken(format!("no signals can be received: {source}"));
    let mut terminate = signal(SignalKind::terminate()).map_err(unheard)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(unheard)?;
    let control = server.control().clone();
    let workloads = tokio::select! {
        _ = terminate.recv() => false,
        _ = interrupt.recv() => false,
        workloads = control.asked_to_shut_down() => workloads,
        broken = server.broken() => return Err(broken),
    };
    tracing::info!(workloads, "ending");
    match workloads {
        true => server.end_workloads().await,
        false => Ok(()),
    }
}

fn at(note: Option<&ServerNote>) -> String {
    note.map_or_else(String::new, |note| format!(": process {}, {}", note.pid, note.address))
}
