//! Measures what runs and the accelerators, and writes it to the store's ledger.
//!
//! One write a second while something runs, one in ten while nothing does and there are
//! accelerators, none on an idle machine without: an idle server leaves the disk alone.

use crate::control::{Control, LiveDevice, closed};
use crate::data;
use crate::housekeep::housekeep;
use crate::pool;
use crate::scrub;
use crate::watch_devices::{self, Moment};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use weft_agent::{Agent, now};
use weft_device::{DeviceError, DeviceInfo};
use weft_gateway::Data;
use weft_meter::{DeviceSample, ProcessSample, Sample, UseSample, WHOLE, WorkloadSample};
use weft_runtime::{MemberKey, Runtime};
use weft_store::{Store, StoreError};
use weft_types::{Attempt, DeviceId, DeviceUse, Member, NodeId, WorkloadId};

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
    pub(crate) data: Data,
    pub(crate) state_dir: PathBuf,
    pub(crate) control: Control,
    pub(crate) node: NodeId,
    /// The inventory as it was last written.
    pub(crate) devices: Vec<DeviceInfo>,
    /// Errors of devices that are not written yet.
    pub(crate) errors: Vec<DeviceError>,
    /// Why the last write failed.
    pub(crate) failure: Option<StoreError>,
    /// What was used of devices at the sample before.
    pub(crate) before: Before,
}

/// What members of workloads had used of devices in all at a sample.
#[derive(Default)]
pub(crate) struct Before {
    at: Option<Instant>,
    gpu_ns: BTreeMap<(WorkloadId, Attempt, Member, DeviceId), u64>,
}

impl Sampler {
    /// Samples until the server ends.
    pub(crate) async fn run(mut self) {
        let mut beat = tokio::time::interval(BUSY);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut ending = self.control.closing();
        let mut data_kept: Option<JoinHandle<()>> = None;
        let mut scrubbing: Option<JoinHandle<()>> = None;
        let (mut look_at, mut housekeep_at) = (Instant::now(), Instant::now() + FIRST_HOUSEKEEP);
        loop {
            tokio::select! {
                () = closed(&mut ending) => return,
                _ = beat.tick() => {}
            }
            let now = Instant::now();
            let slow = now >= look_at;
            self.errors.extend(self.agent.device_errors());
            if slow || !self.errors.is_empty() {
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
                // Beside the samples: what holds little is copied, and that may be much.
                if data_kept.as_ref().is_none_or(JoinHandle::is_finished) {
                    let (store, data) = (self.store.clone(), self.data.clone());
                    let kept =
                        async move { data::housekeep(&store, &data, weft_agent::now()).await };
                    data_kept = Some(tokio::spawn(kept));
                }
                if scrubbing.as_ref().is_none_or(JoinHandle::is_finished) {
                    let here = (self.store.clone(), self.data.clone(), self.control.closing());
                    scrubbing = Some(tokio::spawn(async move {
                        scrub::scrub(&here.0, &here.1, &here.2, weft_agent::now()).await;
                    }));
                }
            }
        }
    }

    async fn sample(&mut self) {
        let (agent, node) = (self.agent.clone(), self.node.clone());
        let measured = tokio::task::spawn_blocking(move || measure(&agent, &node));
        let Ok((sample, mut live)) = measured.await else { return };
        self.before.tell(&sample.uses, Instant::now(), &mut live);
        self.control.sampled(live);
        let node = self.node.clone();
        let taken = self.store.write(move |w| w.record_sample(&node, &sample)).await;
        self.written("a sample", taken);
    }

    /// Writes the inventory where the driver says something new of it, or a device's health has
    /// changed although it does not. That an operator has changed it is known to the store alone.
    async fn look_at_devices(&mut self) {
        let agent = self.agent.clone();
        let Ok(devices) = tokio::task::spawn_blocking(move || agent.devices()).await else {
            return;
        };
        let moment = Moment::now();
        let asked = (self.node.clone(), devices.clone(), self.errors.clone(), moment.clone());
        let news = self.store.read(move |r| {
            let (node, devices, errors, moment) = &asked;
            watch_devices::news(r, node, (devices, errors), moment)
        });
        match news.await {
            Ok(false) if devices == self.devices => {
                self.errors.clear();
                return;
            }
            Ok(_) => {}
            Err(error) => {
                self.written("the inventory", Err(error));
                return;
            }
        }
        let (node, new, errors) = (self.node.clone(), devices.clone(), self.errors.clone());
        let written =
            self.store.write(move |w| pool::devices_changed(w, &node, (&new, &errors), &moment));
        match written.await {
            Ok(()) => {
                self.devices = devices;
                self.errors.clear();
                self.written("the inventory", Ok(()));
            }
            Err(error) => _ = self.written("the inventory", Err(error)),
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

impl Before {
    /// Adds what was used since the sample before, in thousandths of each device.
    fn tell(&mut self, uses: &[UseSample], now: Instant, live: &mut [LiveDevice]) {
        let passed = self.at.replace(now).map(|at| now.saturating_duration_since(at).as_nanos());
        let before = std::mem::take(&mut self.gpu_ns);
        for sample in uses {
            let UseSample { workload, attempt, member, used } = sample;
            let Some(ns) = used.gpu_ns else { continue };
            let key = (*workload, *attempt, *member, used.device.clone());
            let grown = before.get(&key).map(|before| ns.saturating_sub(*before));
            self.gpu_ns.insert(key, ns);
            let of = live.iter_mut().find(|live| live.device == used.device);
            if let Some((grown, passed, live)) = each(grown, passed.filter(|ns| *ns > 0), of) {
                let milli = u128::from(grown) * u128::from(WHOLE) / passed;
                let milli = u64::try_from(milli).unwrap_or(u64::MAX);
                live.measured.insert((*workload, *member), milli);
            }
        }
    }
}

/// All three, or none.
fn each<A, B, C>(a: Option<A>, b: Option<B>, c: Option<C>) -> Option<(A, B, C)> {
    Some((a?, b?, c?))
}

/// One look at everything.
fn measure(agent: &Agent, node: &NodeId) -> (Sample, Vec<LiveDevice>) {
    let (at, measured) = (now(), agent.sample());
    let id = |index| DeviceId { node: node.clone(), index };
    // What does not exist has no load that could be asked for.
    let real = !agent.declared();
    let live = measured.iter().map(|d| LiveDevice {
        device: id(d.index),
        active_permille: d.active_permille.filter(|_| real),
        memory_used: d.memory_used,
        measured: BTreeMap::new(),
    });
    let live = live.collect();
    let devices = measured.into_iter().map(|d| DeviceSample {
        device: id(d.index),
        // What the driver cannot tell (MIG) is not known, and never a guess.
        active_permille: d.active_permille.filter(|_| real).map(u32::from),
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
    let uses = agent.device_use(at).into_iter().map(|(key, used)| of_member(key, used));
    (Sample { at, devices, workloads: workloads.collect(), uses: uses.collect() }, live)
}

/// What a member used of a device, as the ledger takes it.
pub(crate) fn of_member(key: MemberKey, used: DeviceUse) -> UseSample {
    UseSample { workload: key.workload, attempt: key.attempt, member: key.member, used }
}

/// Whose a process on a device is; none where it is nobody's of ours.
fn process(found: &weft_device::ProcessUse) -> Option<ProcessSample> {
    let workload = weft_agent::owner_of(found.pid)?.workload;
    Some(ProcessSample { workload, active_permille: None, memory: found.memory })
}
