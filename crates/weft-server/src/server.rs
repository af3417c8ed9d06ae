//! The parts of a server that need no network: store, runtime, agent, loop, sampler.
//!
//! `serve.rs` opens one and puts listeners before it; tests open one and use its parts. The
//! order of [`Server::open`] is the point: the store's epoch fences an older server before
//! anything is touched, and what runs is adopted before the first plan is made. Workloads
//! outlive a server, however it ends; dropping one leaves its tasks to the runtime they are on.

use crate::control::{Control, Ended, Loop, Near, history};
use crate::record::Recorder;
use crate::sampler::{Before, Sampler};
use crate::{ServeConfig, ServeError, auth, pool, recover};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use weft_agent::{Accelerators, Agent, now};
use weft_device::{DeviceDriver, Instances};
use weft_gateway::Data;
use weft_lifecycle::{Event, State};
use weft_runtime::{Driver, Images, Registries, Runtime};
use weft_store::{Store, StoreError, WorkloadFilter};
use weft_types::WorkloadId;

/// Reports under way to the loop: as many as a full machine's members have in a burst.
const REPORTS: usize = 256;

/// How long workloads may take to end when the server stops them, beyond which they are
/// killed: longer than the usual grace of ten seconds.
const WORKLOADS_END: Duration = Duration::from_secs(30);

/// Where it is noted whose the machine's MIG instances are, below the state directory.
const INSTANCES: &str = "instances";

/// How long the loop and the sampler may take to end.
const TASKS_END: Duration = Duration::from_secs(5);

/// A server without its listeners.
pub struct Server {
    store: Store,
    data: Data,
    runtime: Runtime,
    agent: Agent,
    control: Control,
    turning: JoinHandle<Ended>,
    sampling: JoinHandle<()>,
    simulated: bool,
    token: Option<String>,
}

/// Where plans are to be recorded.
fn recorder(config: &ServeConfig) -> Result<Option<Arc<Recorder>>, ServeError> {
    let Some(dir) = &config.record else { return Ok(None) };
    let refused = |error| ServeError::Broken(format!("--record {}: {error}", dir.display()));
    Recorder::open(dir).map(|recorder| Some(Arc::new(recorder))).map_err(refused)
}

/// The machine's accelerators, and the driver that workloads are given for them.
fn accelerators(config: &ServeConfig) -> Result<Accelerators, ServeError> {
    let refused = |why| ServeError::Broken(format!("--gpu-libraries {why}"));
    let named = config.driver.as_deref().map(Driver::named).transpose().map_err(refused)?;
    let management = named.as_ref().and_then(Driver::management);
    let devices: Arc<dyn DeviceDriver> =
        Arc::from(weft_device::detect(config.simulate.as_deref(), management)?);
    let instances = Instances::new(devices.clone(), &config.state_dir.join(INSTANCES));
    let driver = named.or_else(Driver::of_machine);
    Ok(Accelerators { devices, instances: Arc::new(instances), driver })
}

impl Server {
    /// Takes the state over, adopts what runs and starts the loop. The state directory must be
    /// there, and be this process's alone.
    pub async fn open(config: &ServeConfig) -> Result<Server, ServeError> {
        let (dir, exe) = (config.state_dir.clone(), config.supervisor_exe.clone());
        let registries = Arc::new(Registries::allowing(config.registries.clone()));
        let reserve = config.limits.disk_reserve.map(|bytes| bytes.0);
        let opened = tokio::task::spawn_blocking(move || -> Result<_, ServeError> {
            let set_up = |images: Images| images.pulling(registries).keeping(reserve);
            Ok((Store::open(&dir)?, Runtime::open_with(&dir, &exe, set_up)?))
        });
        let opened = opened.await.map_err(|panic| ServeError::Broken(panic.to_string()))?;
        let (store, runtime) = opened?;
        let data = crate::data::open(&store, &config.state_dir).await?;
        let data = crate::data_store::with_store(data, &config.state_dir).await?;
        crate::imports::recover(&store, now()).await?;
        let accelerators = accelerators(config)?;
        let (reported, reports) = mpsc::channel(REPORTS);
        let changed = watch::Sender::new(0);
        let agent =
            Agent::new(runtime.clone(), accelerators, store.epoch(), reported, changed.clone());
        // What a server before has left of a trial is in the way of none, and what MPS keeps is
        // known before the first device is told of.
        agent.begin_mps(config.mps).await;
        let (name, headroom) = (config.node.clone(), &config.headroom);
        let node = pool::register(&store, &agent, name, &config.state_dir, headroom).await?;
        let here = node.clone();
        let devices = store.read(move |r| r.devices_of(&here)).await?;
        let simulated = devices.iter().any(|device| device.simulated);
        let token = auth::bootstrap(&store, now()).await?;
        recover::clear(&store, &runtime).await?;
        recover::adopt(&store, &agent).await?;
        let left = agent.clone();
        let ended = tokio::task::spawn_blocking(move || left.end_left_instances());
        ended.await.map_err(|panic| ServeError::Broken(panic.to_string()))?;
        let control = Control::new(store.clone(), agent.clone(), changed);
        control.remember(now()).await?;
        let turn = Loop {
            store: store.clone(),
            agent: agent.clone(),
            control: control.clone(),
            reports,
            near: Arc::new(Near::new(node.clone())),
            recorder: recorder(config)?,
        };
        let sample = Sampler {
            data: data.clone(),
            store: store.clone(),
            agent: agent.clone(),
            runtime: runtime.clone(),
            state_dir: config.state_dir.clone(),
            control: control.clone(),
            node,
            devices: Vec::new(),
            errors: Vec::new(),
            failure: None,
            before: Before::default(),
        };
        let turning = tokio::spawn(turn.run());
        let sampling = tokio::spawn(sample.run());
        if data.away().is_some() {
            tokio::spawn(crate::data_store::run(data.clone(), control.closing()));
        }
        Ok(Server { store, data, runtime, agent, control, turning, sampling, simulated, token })
    }

    /// The truth.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The datasets.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// The loop's handle.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// This machine's workloads.
    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Whether there is no hardware behind some accelerator of the machine.
    pub fn simulated(&self) -> bool {
        self.simulated
    }

    /// Whether the accelerators are declared by the operator, so that nothing runs on them.
    pub fn declared(&self) -> bool {
        self.agent.declared()
    }

    /// The first administrator's token, where this was the first start.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    /// Waits for what never should happen: that the loop ends by itself.
    pub async fn broken(&mut self) -> ServeError {
        ServeError::Broken(match (&mut self.turning).await {
            Ok(ended) => ended.to_string(),
            Err(panic) => format!("the loop failed: {panic}"),
        })
    }

    /// Stops whatever waits or runs, and waits until nothing holds capacity.
    pub async fn end_workloads(&self) -> Result<(), ServeError> {
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

    /// Ends the loop and the sampler and closes the store. Workloads go on.
    pub async fn close(self) -> Result<(), ServeError> {
        self.control.end();
        let _ = tokio::time::timeout(TASKS_END, self.turning).await;
        let _ = tokio::time::timeout(TASKS_END, self.sampling).await;
        Ok(self.store.close().await?)
    }

    async fn stop_all(&self) -> Result<Vec<WorkloadId>, StoreError> {
        let stopped = self.store.write(|w| -> Result<_, StoreError> {
            let live: Vec<_> = w.snapshot()?.workloads.into_keys().collect();
            for id in &live {
                if let Some(row) = w.workload(*id)? {
                    let _ = history::happened(w, row, Event::StopRequested, "weft", now())?;
                }
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
