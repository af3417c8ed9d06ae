//! Measures what runs and the accelerators, and writes it to the store's ledger.
//!
//! One write a second while something runs, one in ten while nothing does and there are
//! accelerators, none on an idle machine without: an idle server leaves the disk alone.

use crate::control::{Control, LiveDevice, closed};
use crate::housekeep::housekeep;
use crate::pool;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use weft_agent::{Agent, now};
use weft_device::DeviceInfo;
use weft_meter::{DeviceSample, ProcessSample, Sample, WorkloadSample};
use weft_runtime::Runtime;
use weft_store::{Store, StoreError};
use weft_types::{DeviceId, NodeId};

/// Between two samples while something runs: what `weft metrics -w` shows.
const BUSY: Duration = Duration::from_secs(1);

/// Between two samples while nothing does, and between two looks at the devices' health.
const IDLE: Duration = Duration::from_secs(10);

/// Between two rounds of housekeeping, of the store's and of the disk's.
const HOUSEKEEP: Duration = Duration::from_secs(3_600);

/// Before the first round: past the rush of a start, within the life of any server.
const FIRST_HOUSEKEEP: Duration = Duration::from_secs(60);

/// The sampler's task.
pub(crate) struct Sampler {
    pub(crate) store: Store,
    pub(crate) agent: Agent,
    pub(crate) runtime: Runtime,
    pub(crate) state_dir: PathBuf,
    pub(crate) control: Control,
    pub(crate) node: NodeId,
    /// The inventory as it was last written.
    pub(crate) devices: Vec<DeviceInfo>,
    /// Why the last write failed.
    pub(crate) failure: Option<StoreError>,
}

impl Sampler {
    /// Samples until the server ends.
    pub(crate) async fn run(mut self) {
        let mut beat = tokio::time::interval(BUSY);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut ending = self.control.closing();
        let (mut look_at, mut housekeep_at) = (Instant::now(), Instant::now() + FIRST_HOUSEKEEP);
        loop {
            tokio::select! {
                () = closed(&mut ending) => return,
                _ = beat.tick() => {}
            }
            let now = Instant::now();
            let slow = now >= look_at;
            if slow {
                look_at = now + IDLE;
                self.look_at_devices().await;
            }
            if !self.agent.members().is_empty() || (slow && !self.devices.is_empty()) {
                self.sample().await;
            }
            if now >= housekeep_at {
                housekeep_at = now + HOUSEKEEP;
                let kept = self.store.housekeep(weft_agent::now()).await;
                self.written("housekeeping", kept);
                housekeep(&self.store, &self.runtime, &self.state_dir).await;
            }
        }
    }

    async fn sample(&mut self) {
        let (agent, node) = (self.agent.clone(), self.node.clone());
        let measured = tokio::task::spawn_blocking(move || measure(&agent, &node));
        let Ok((sample, live)) = measured.await else { return };
        self.control.sampled(live);
        let node = self.node.clone();
        let taken = self.store.write(move |w| w.record_sample(&node, &sample)).await;
        self.written("a sample", taken);
    }

    /// Writes the inventory where the driver says something new of it.
    async fn look_at_devices(&mut self) {
        let agent = self.agent.clone();
        let Ok(devices) = tokio::task::spawn_blocking(move || agent.devices()).await else {
            return;
        };
        if devices == self.devices {
            return;
        }
        let (node, simulated, new) = (self.node.clone(), self.agent.simulated(), devices.clone());
        let written =
            self.store.write(move |w| pool::devices_changed(w, &node, &new, simulated, now()));
        if self.written("the inventory", written.await) {
            self.devices = devices;
        }
    }

    /// Whether it was; a failure is told once, until another comes or it goes away.
    fn written(&mut self, what: &str, result: Result<(), StoreError>) -> bool {
        let failure = result.err();
        if let Some(error) = &failure
            && self.failure != failure
        {
            tracing::warn!(%error, "{what} was not written; figures of this time are missing");
        }
        self.failure = failure;
        self.failure.is_none()
    }
}

/// One look at everything.
fn measure(agent: &Agent, node: &NodeId) -> (Sample, Vec<LiveDevice>) {
    let (at, measured) = (now(), agent.sample());
    let id = |index| DeviceId { node: node.clone(), index };
    let live = measured.iter().map(|d| LiveDevice {
        device: id(d.index),
        active_permille: d.active_permille,
        memory_used: d.memory_used,
    });
    let live = live.collect();
    let devices = measured.into_iter().map(|d| DeviceSample {
        device: id(d.index),
        // What the driver cannot tell (MIG) counts as not active, never as a guess.
        active_permille: d.active_permille.unwrap_or(0).into(),
        memory: d.memory_used,
        processes: d.processes.iter().filter_map(process).collect(),
    });
    let devices = devices.collect();
    let workloads = agent.usage().into_iter().map(|(key, usage)| WorkloadSample {
        workload: key.workload,
        attempt: key.attempt,
        member: key.member,
        cpu_us: usage.cpu_us,
        memory: usage.memory,
        memory_peak: usage.memory_peak,
    });
    (Sample { at, devices, workloads: workloads.collect() }, live)
}

/// Whose a process on a device is; none where it is nobody's of ours.
fn process(found: &weft_device::ProcessUse) -> Option<ProcessSample> {
    let workload = weft_agent::owner_of(found.pid)?.workload;
    Some(ProcessSample { workload, active_permille: None, memory: found.memory })
}
