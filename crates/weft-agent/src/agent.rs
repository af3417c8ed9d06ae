//! The agent: a register of the members of this machine, and one task for each.
//!
//! Called by the server's loop (start, stop), by its handlers (stage, kill) and its sampler
//! (usage). Idempotent: a member that is known is left alone, whoever asks again.

use crate::member::{self, Member};
use crate::mps::{self, Mps};
use crate::shares::Shares;
use crate::{Assignment, Report, Stage, Stop};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Semaphore, mpsc, watch};
use weft_device::{DeviceDriver, DeviceError, DeviceInfo, DeviceSample, Instances, found};
use weft_runtime::{Driver, MemberKey, Runtime, Usage};
use weft_sched::DeviceMode;
use weft_types::{Attempt, DeviceUse, Epoch, Isolation, Timestamp, WorkloadId};

/// Starts under way for each core: a start is processor time, so that more of them at once
/// would only make each later, and keep the threads that the store's readers need.
const STARTS_PER_CORE: usize = 4;

/// A machine's accelerators.
pub struct Accelerators {
    /// What tells of them.
    pub devices: Arc<dyn DeviceDriver>,
    /// Their MIG instances that are Weft's.
    pub instances: Arc<Instances>,
    /// The driver's files, which workloads are given; none where none were found.
    pub driver: Option<Driver>,
}

/// This machine's executor. Cheap to clone.
#[derive(Clone)]
pub struct Agent {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) runtime: Runtime,
    pub(crate) reports: mpsc::Sender<Report>,
    /// One for each start under way.
    pub(crate) starts: Semaphore,
    accelerators: Accelerators,
    /// Why no part of a device can be kept here.
    keeps: Result<(), String>,
    epoch: Epoch,
    shares: Shares,
    mps: Mps,
    members: Mutex<BTreeMap<MemberKey, Arc<Member>>>,
    stages: watch::Sender<u64>,
}

/// Whether parts of devices can be kept apart here, else why not.
fn keeps(driver: Option<&Driver>) -> Result<(), String> {
    driver.ok_or("the driver's libraries are not found; name their folder with --gpu-libraries")?;
    weft_runtime::keeps_parts().map_err(|error| error.to_string())
}

impl Agent {
    /// An agent that obeys the server of this epoch and reports to it; `stages` moves whenever
    /// the stage of a member does. Runs nothing yet.
    pub fn new(
        runtime: Runtime,
        accelerators: Accelerators,
        epoch: Epoch,
        reports: mpsc::Sender<Report>,
        stages: watch::Sender<u64>,
    ) -> Self {
        let members = Mutex::default();
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let starts = Semaphore::new(cores * STARTS_PER_CORE);
        let (shares, mps) = (Shares::default(), Mps::default());
        let keeps = keeps(accelerators.driver.as_ref());
        let inner = Inner {
            runtime,
            reports,
            starts,
            accelerators,
            keeps,
            epoch,
            shares,
            mps,
            members,
            stages,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Finds whom MPS serves already; where it is wanted, tries it on every device that is given in
    /// shares, which takes seconds. Called once, before anything is planned or adopted.
    pub async fn begin_mps(&self, wanted: bool) {
        mps::begin(&self.inner, wanted).await;
    }

    /// Starts members, or adopts what is left of them. One that is known is left alone; one of
    /// another epoch is refused.
    pub fn start(&self, assignments: Vec<Assignment>) {
        for assignment in assignments {
            if assignment.epoch != self.inner.epoch {
                let (key, epoch) = (assignment.key, assignment.epoch);
                tracing::error!(%key, %epoch, "refused: the order is another server's");
                continue;
            }
            let mut members = self.inner.members();
            if members.contains_key(&assignment.key) {
                continue;
            }
            let member = Arc::new(Member::new(assignment));
            members.insert(member.key(), member.clone());
            drop(members);
            let inner = self.inner.clone();
            tokio::spawn(async move {
                member::live(&member, &inner).await;
                inner.members().remove(&member.key());
            });
        }
    }

    /// Ends the members of one start of a workload, as hard as is asked, or of whichever start
    /// there is. What has ended, or is being ended as hard, is left alone.
    pub fn stop(&self, workload: WorkloadId, attempt: Option<Attempt>, how: Stop) {
        for (key, member) in self.inner.members().iter() {
            if key.workload == workload && attempt.is_none_or(|a| a == key.attempt) {
                member.stop(how);
            }
        }
    }

    /// Removes what was kept for workloads that are none of these: they have ended. Returns at
    /// once; what could not be removed is tried again when this is asked again.
    pub fn keep_only(&self, live: impl Fn(WorkloadId) -> bool) {
        for workload in self.inner.runtime.kept().into_iter().filter(|id| !live(*id)) {
            let runtime = self.inner.runtime.clone();
            tokio::spawn(async move {
                if let Err(error) = runtime.forget_kept(workload).await {
                    tracing::warn!(%workload, %error, "what it kept is still there");
                }
            });
        }
    }

    /// Ends MIG instances made for members that are none of those known here: a server died with
    /// them, and their end was reported or their start is not to be. Blocks.
    pub fn end_left_instances(&self) {
        let known: Vec<MemberKey> = self.members();
        let of_known = |holder: &str| {
            let key = holder.split_once('.').and_then(|(key, _)| key.parse().ok());
            key.is_some_and(|key| known.contains(&key))
        };
        for error in self.inner.accelerators.instances.keep_only(of_known) {
            tracing::warn!(%error, "a MIG instance left by an earlier server is still there");
        }
    }

    /// What the least advanced member of a starting workload is doing.
    pub fn stage(&self, workload: WorkloadId) -> Option<Stage> {
        let members = self.inner.members();
        let mut own = members.iter().filter(|(key, _)| key.workload == workload);
        own.find_map(|(_, member)| member.stage())
    }

    /// Every member that has not ended, as far as is known.
    pub fn members(&self) -> Vec<MemberKey> {
        self.inner.members().keys().copied().collect()
    }

    /// What each member uses now; those that have no figures are left out. Reads files: blocks.
    pub fn usage(&self) -> Vec<(MemberKey, Usage)> {
        let usage = |key| self.inner.runtime.usage(key).map(|usage| (key, usage));
        self.members().into_iter().filter_map(usage).collect()
    }

    /// What each member used of devices in all, where that is measured. Reads files: blocks.
    pub fn device_use(&self, at: Timestamp) -> Vec<(MemberKey, DeviceUse)> {
        let members: Vec<_> = self.inner.members().values().cloned().collect();
        let used = |member: Arc<Member>| {
            let (key, used) = (member.key(), member.device_use(&self.inner.runtime, at));
            used.into_iter().map(move |used| (key, used))
        };
        members.into_iter().flat_map(used).collect()
    }

    /// The machine's accelerators. Asks the driver: blocks.
    pub fn devices(&self) -> Vec<DeviceInfo> {
        self.inner.inventory()
    }

    /// Errors of accelerators since this was last asked; who asks keeps them.
    pub fn device_errors(&self) -> Vec<DeviceError> {
        self.inner.accelerators.devices.errors()
    }

    /// What each accelerator does now. Asks the driver: blocks.
    pub fn sample(&self) -> Vec<DeviceSample> {
        self.inner.accelerators.devices.sample()
    }

    /// Whether the accelerators are declared by the operator, so that nothing runs on them.
    pub fn declared(&self) -> bool {
        self.inner.accelerators.devices.simulated()
    }

    /// Why the inventory of accelerators may be incomplete.
    pub fn warning(&self) -> Option<String> {
        self.inner.accelerators.devices.warning()
    }
}

impl Inner {
    fn members(&self) -> MutexGuard<'_, BTreeMap<MemberKey, Arc<Member>>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The machine's accelerators, asked off the event loop.
    pub(crate) async fn devices(self: &Arc<Self>) -> Vec<DeviceInfo> {
        let inner = self.clone();
        tokio::task::spawn_blocking(move || inner.inventory()).await.unwrap_or_default()
    }

    /// The machine's accelerators with what was found of them here. Blocks.
    fn inventory(&self) -> Vec<DeviceInfo> {
        let mut devices = self.accelerators.instances.inventory();
        if self.accelerators.devices.simulated() {
            return devices;
        }
        let whole = devices.iter_mut().filter(|device| device.mode == DeviceMode::Whole);
        for device in whole {
            let (offered, why) = match &self.keeps {
                Ok(()) => (true, "weft's library is here, and is tried at each start"),
                Err(why) => (false, why.as_str()),
            };
            found(&mut device.rungs, Isolation::Shared, offered, why);
            // Below the library: nothing keeps a part without it.
            if offered {
                self.mps.tell(&device.uuid, self.driver(), &mut device.rungs);
            }
        }
        devices
    }

    /// Asks the machine's MIG instances something, off the event loop: the driver takes its time.
    pub(crate) async fn instances<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Instances) -> T + Send + 'static,
    ) -> Option<T> {
        let instances = self.accelerators.instances.clone();
        tokio::task::spawn_blocking(move || ask(&instances)).await.ok()
    }

    /// The driver's files, which workloads are given.
    pub(crate) fn driver(&self) -> Option<&Driver> {
        self.accelerators.driver.as_ref()
    }

    /// What MPS has on the machine's devices.
    pub(crate) fn mps(&self) -> &Mps {
        &self.mps
    }

    /// The server's epoch.
    pub(crate) fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// What divides devices' time.
    pub(crate) fn shares(&self) -> &Shares {
        &self.shares
    }

    /// Tells whoever shows stages that one has moved.
    pub(crate) fn stage_moved(&self) {
        self.stages.send_modify(|count| *count = count.wrapping_add(1));
    }
}
