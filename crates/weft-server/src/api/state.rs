//! What every handler is given: the store, the loop's handle, the machine's runtime, the policy.
//!
//! Made once by `serve.rs` and cloned per request (every part is a handle). Absent:
//! configuration, clocks, anything a handler could change without the store.

use super::data::size::Sizes;
use super::feed::Feed;
use super::images::UPLOADS;
use super::metrics::HttpMetrics;
use super::share::Shares;
use crate::Limits;
use crate::auth::throttle::Throttle;
use crate::control::Control;
use crate::imports::Imports;
use crate::reads::Reads;
use crate::refusals::Refusals;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::Semaphore;
use weft_gateway::Data;
use weft_policy::Policy;
use weft_runtime::{Bundles, Images, Runtime};
use weft_store::Store;

/// What every handler is given.
#[derive(Clone)]
pub struct App {
    /// Durable state.
    pub(crate) store: Store,
    /// Datasets.
    pub(crate) data: Data,
    /// How much is in each of them.
    pub(crate) sizes: Sizes,
    /// Who read what of them.
    pub(crate) reads: Reads,
    /// What was refused to whom.
    pub(crate) refusals: Refusals,
    /// The loop.
    pub(crate) control: Control,
    /// This machine's workloads: logs, exec, endpoints.
    pub(crate) runtime: Runtime,
    /// The files of workloads to be.
    pub(crate) bundles: Bundles,
    /// This machine's images.
    pub(crate) images: Arc<Images>,
    /// What this server is.
    pub(crate) about: Arc<About>,
    /// Who may do what.
    pub(crate) policy: Arc<Policy>,
    /// Failed authentications, by peer.
    pub(crate) throttle: Arc<Throttle>,
    /// Counts of requests, by route.
    pub(crate) http: Arc<HttpMetrics>,
    /// News of events.
    pub(crate) feed: Feed,
    /// Room for requests.
    pub(crate) requests: Arc<Semaphore>,
    /// Room for streams.
    pub(crate) streams: Arc<Semaphore>,
    /// Streams of each user.
    pub(crate) streaming: Shares,
    /// Uploads of each user.
    pub(crate) uploading: Shares,
    /// Imports that run.
    pub(crate) imports: Imports,
}

/// What this server is: fixed at its start.
#[derive(Debug, Clone)]
pub struct About {
    /// Where its state is.
    pub state_dir: PathBuf,
    /// The address clients are told.
    pub address: String,
    /// Host names, besides loopback ones, under which TCP clients may address it: what
    /// `--listen` named. Others are refused, against DNS rebinding.
    pub hosts: Vec<String>,
    /// Whether there is no hardware behind the accelerators.
    pub simulated: bool,
    /// Whether they are only declared, so that nothing runs on them.
    pub declared: bool,
    /// What one user may take of it.
    pub limits: Limits,
}

impl App {
    /// The parts, with a fresh throttle and fresh counts. Needs a tokio runtime; makes and
    /// clears the folders of what is uploaded.
    pub fn new(
        store: Store,
        data: Data,
        control: Control,
        runtime: Runtime,
        about: About,
    ) -> io::Result<Self> {
        let uploads = about.state_dir.join(UPLOADS);
        match std::fs::remove_dir_all(&uploads) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => std::fs::create_dir_all(&uploads)?,
        }
        let reserve = about.limits.disk_reserve.map(|bytes| bytes.0);
        Ok(Self {
            bundles: Bundles::open(&about.state_dir)?,
            images: Arc::new(Images::open(&about.state_dir)?.keeping(reserve)),
            feed: Feed::start(store.clone(), control.closing()),
            reads: Reads::start(store.clone(), control.closing()),
            refusals: Refusals::start(store.clone(), control.closing()),
            store,
            data,
            sizes: Sizes::default(),
            control,
            runtime,
            policy: Arc::new(Policy::embedded()),
            throttle: Arc::default(),
            http: Arc::default(),
            requests: places(about.limits.requests),
            streams: places(about.limits.streams),
            streaming: Shares::default(),
            uploading: Shares::default(),
            imports: Imports::default(),
            about: Arc::new(about),
        })
    }
}

/// Room for so many at once; more than a semaphore counts is as good as any.
fn places(most: u64) -> Arc<Semaphore> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)))
}
