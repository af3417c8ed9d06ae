//! What every handler is given: the store, the loop's handle, the machine's runtime, the policy.
//!
//! Made once by `server.rs` and cloned per request (every part is a handle). What handlers ask of
//! the loop is the list of methods of [`Control`]; it is concrete on purpose, since there is one
//! loop. Absent: configuration, clocks, anything a handler could change without the store.
//!
//! What handlers use of `Control` (provided by the loop's `control.rs`):
//!
//! ```text
//! fn wake(&self)                                   a row the planner reads has changed
//! fn kill(&self, WorkloadId)                       stop at once what a row says is stopping
//! fn verdict(&self, WorkloadId) -> Option<Verdict> of the latest plan
//! fn stage(&self, WorkloadId) -> Option<Stage>     what a starting workload is doing
//! fn changed(&self) -> watch::Receiver<u64>        moves when a verdict or stage does
//! async fn what_if(&self, sched::Workload) -> WhatIf { placements, verdict }   nothing is stored
//! fn devices(&self) -> Vec<LiveDevice>             latest sample of each accelerator
//! fn stats(&self) -> LoopStats                     plan times for /metrics
//! fn ready(&self) -> Result<(), String>            Err says what /readyz is waiting for
//! fn shutdown(&self, workloads: bool)              begin a clean end; returns at once
//! fn closing(&self) -> watch::Receiver<bool>       true once it ends: streams close then
//! ```

use crate::api::metrics::HttpMetrics;
use crate::auth::throttle::Throttle;
use crate::control::Control;
use std::path::PathBuf;
use std::sync::Arc;
use weft_policy::Policy;
use weft_runtime::Runtime;
use weft_store::Store;

/// What every handler is given.
#[derive(Clone)]
pub struct App {
    /// Durable state.
    pub store: Store,
    /// The loop.
    pub control: Control,
    /// This machine's workloads: logs, exec, outputs, images.
    pub runtime: Runtime,
    /// What this server is.
    pub about: Arc<About>,
    /// Who may do what.
    pub policy: Arc<Policy>,
    /// Failed authentications, by peer.
    pub throttle: Arc<Throttle>,
    /// Counts of requests, by route.
    pub http: Arc<HttpMetrics>,
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
    /// Whether the accelerators are simulated.
    pub simulated: bool,
}

impl App {
    /// The parts, with a fresh throttle and fresh counts.
    pub fn new(store: Store, control: Control, runtime: Runtime, about: About) -> Self {
        Self {
            store,
            control,
            runtime,
            about: Arc::new(about),
            policy: Arc::new(Policy::embedded()),
            throttle: Arc::default(),
            http: Arc::default(),
        }
    }
}
