//! The rung `mps` on this machine: tried on each device when the server starts, ended when unused.
//!
//! A trial is two runs like any other, of a workload that nobody has: the first takes memory as a
//! client of MPS within a limit, is refused more, and holds what it took; the second is to start
//! beside it. So whatever a run needs of the machine, its driver, its sandbox and its users, is
//! tried by what runs need. What a server that dies leaves of a trial is a run that the store does
//! not know, and goes as such.
//!
//! Absent on purpose: a second try. What was refused, then or at a start, is told by `weft doctor`
//! until the next start of the server; and a device of which parts are held that are kept otherwise
//! is not tried: what keeps parts of a device apart is one thing for all of them.

use crate::agent::Inner;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use weft_device::{DeviceInfo, found};
use weft_runtime::{
    Driver, End, Gpu, GpuError, Launch, Limits, MemberKey, Network, Root, Runtime, RuntimeError,
    Slice,
};
use weft_sched::DeviceMode;
use weft_types::{
    Attempt, Bytes, Epoch, Isolation, Member, MilliCpu, MilliGpu, Millis, Rung, WorkloadId,
};

/// How long a trial may take: a daemon and three contexts, on a device that is made ready first.
const PATIENCE: Duration = Duration::from_secs(90);
/// Between two looks at the first run's log.
const LOOK: Duration = Duration::from_millis(10);
/// What the first run prints when it holds what it took.
const HOLDS: &str = " out holds";
/// The program that tries; in each run that MPS serves (`weft-runtime`, `gpu/check.rs`).
const TRIES: [&str; 3] = ["env", "WEFT_GPU_TRIAL=1", "/run/weft/gpu/check-mps"];
/// No workload has this number: they count from one.
const NOBODY: WorkloadId = WorkloadId(0);

/// What the machine's devices were found to have of MPS, and who uses it.
#[derive(Debug, Default)]
pub(crate) struct Mps {
    /// By device: what was seen, or why it is not offered. Empty: nobody asked for it.
    tried: Mutex<BTreeMap<String, Result<String, String>>>,
    /// Members that it serves, and the device of each.
    users: Mutex<BTreeMap<MemberKey, String>>,
    /// Held while a daemon is ended, or found to be needed: one that was just found is not ended.
    turn: tokio::sync::Mutex<()>,
}

impl Mps {
    /// Says of a device that is given in shares what was found.
    pub(crate) fn tell(&self, device: &str, driver: Option<&Driver>, rungs: &mut [Rung]) {
        let tried = lock(&self.tried).get(device).cloned();
        let (offered, why) = match (driver.and_then(Driver::control), tried) {
            (None, _) => (false, "the driver has no nvidia-cuda-mps-control".to_owned()),
            (_, None) => (false, "not asked for; `weft up --mps` has it tried".to_owned()),
            (_, Some(Ok(seen))) => (true, seen),
            (_, Some(Err(why))) => (false, format!("tried, and not offered: {why}")),
        };
        found(rungs, Isolation::Mps, offered, &why);
    }

    /// Counts a member as one that a device's daemon serves.
    pub(crate) async fn hold(&self, member: MemberKey, device: String) {
        let _turn = self.turn.lock().await;
        lock(&self.users).insert(member, device);
    }

    /// A member is over: a daemon that nobody else needs is ended.
    pub(crate) async fn leave(&self, member: MemberKey, runtime: &Runtime) {
        let _turn = self.turn.lock().await;
        if lock(&self.users).remove(&member).is_some() {
            end_unneeded(runtime, self.needed()).await;
        }
    }

    /// A run was not served. Where nobody is any more, the rung is not offered there from now on:
    /// every start would fail.
    pub(crate) fn not_served(&self, launch: &Launch, error: &RuntimeError) {
        let served = launch.gpu.as_ref().filter(|gpu| gpu.mps).and_then(|gpu| gpu.slices.first());
        let (Some(slice), RuntimeError::Gpu(GpuError::Mps { .. })) = (served, error) else {
            return;
        };
        let others =
            lock(&self.users).iter().any(|(key, of)| *key != launch.key && *of == slice.uuid);
        if !others {
            tracing::warn!(device = slice.uuid, %error, "MPS is not offered on it any more");
            lock(&self.tried).insert(slice.uuid.clone(), Err(error.to_string()));
        }
    }

    fn needed(&self) -> Vec<String> {
        let all: BTreeSet<String> = lock(&self.users).values().cloned().collect();
        all.into_iter().collect()
    }

    /// Counts who is served already, and ends what a server before left that nobody needs.
    async fn find_users(&self, parts: &[(MemberKey, Gpu)], runtime: &Runtime) {
        let _turn = self.turn.lock().await;
        let served = parts.iter().filter(|(key, gpu)| gpu.mps && key.workload != NOBODY);
        let users =
            served.flat_map(|(key, gpu)| gpu.slices.first().map(|s| (*key, s.uuid.clone())));
        lock(&self.users).extend(users);
        end_unneeded(runtime, self.needed()).await;
    }
}

fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whole between any two statements: a panic elsewhere does not spoil it.
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn end_unneeded(runtime: &Runtime, needed: Vec<String>) {
    if let Err(error) = runtime.end_mps_but(needed).await {
        tracing::warn!(%error, "MPS may still be there for a device that nobody uses by it");
    }
}

/// Finds who is served by MPS already; then, where that is asked for, tries it on every device that
/// is given in shares.
pub(crate) async fn begin(agent: &Arc<Inner>, wanted: bool) {
    let runtime = agent.runtime.clone();
    let parts = tokio::task::spawn_blocking(move || runtime.parts()).await.unwrap_or_default();
    agent.mps().find_users(&parts, &agent.runtime).await;
    for device in agent.mps().needed() {
        // As with a device that was tried: it was, by the server that gave them.
        let why = "runs are there whose parts it keeps".to_owned();
        lock(&agent.mps().tried).insert(device, Ok(why));
    }
    let driver = agent.driver().filter(|driver| wanted && driver.control().is_some());
    let Some(driver) = driver else { return };
    let mut trials = JoinSet::new();
    let known: Vec<String> = lock(&agent.mps().tried).keys().cloned().collect();
    let untried = |device: &DeviceInfo| is_shared(device) && !known.contains(&device.uuid);
    for device in agent.devices().await.into_iter().filter(untried) {
        if !device.health.is_healthy() {
            let why = "it was not well when the server started; the next start tries";
            lock(&agent.mps().tried).insert(device.uuid.clone(), Err(why.to_owned()));
            continue;
        }
        let otherwise = |(_, gpu): &(MemberKey, Gpu)| {
            !gpu.mps && gpu.slices.iter().any(|slice| slice.uuid == device.uuid)
        };
        if parts.iter().any(otherwise) {
            let why = "runs hold parts of it that are kept otherwise; the next start tries";
            lock(&agent.mps().tried).insert(device.uuid.clone(), Err(why.to_owned()));
            continue;
        }
        let (agent, driver) = (agent.clone(), driver.clone());
        trials.spawn(async move { (device.uuid.clone(), trial(&agent, &driver, &device).await) });
    }
    while let Some(tried) = trials.join_next().await {
        let Ok((device, result)) = tried else { continue };
        match &result {
            Ok(seen) => tracing::info!(device, seen, "MPS keeps parts of it apart"),
            Err(why) => tracing::warn!(device, why, "MPS is not offered on it"),
        }
        lock(&agent.mps().tried).insert(device, result);
    }
}

/// Whether parts of it can be given at all.
fn is_shared(device: &DeviceInfo) -> bool {
    let kept = Isolation::of_shares(&device.rungs).is_some();
    device.mode == DeviceMode::Whole && kept
}

/// Tries MPS on a device by two runs; what was seen.
async fn trial(agent: &Arc<Inner>, driver: &Driver, device: &DeviceInfo) -> Result<String, String> {
    let [first, second] = [0, 1].map(|member| MemberKey {
        workload: NOBODY,
        attempt: Attempt(device.index + 1),
        member: Member(member),
    });
    let begun = Instant::now();
    let launch = |key, command: &[&str]| launch(agent, driver, device, (key, command));
    agent.mps().hold(first, device.uuid.clone()).await;
    let (first_launch, second_launch) = (launch(first, &TRIES), launch(second, &["true"]));
    let both = both(&agent.runtime, &first_launch, &second_launch);
    let result = tokio::time::timeout(PATIENCE, both).await;
    for key in [first, second] {
        if let Err(error) = agent.runtime.forget(key).await {
            tracing::warn!(%key, %error, "the next start of the server removes it");
        }
    }
    agent.mps().leave(first, &agent.runtime).await;
    result.map_err(|_| format!("after {} s it was not over", PATIENCE.as_secs()))??;
    Ok(format!(
        "tried in {} ms: two runs were served at once, and one was refused memory above its limit",
        begun.elapsed().as_millis()
    ))
}

async fn both(runtime: &Runtime, first: &Launch, second: &Launch) -> Result<(), String> {
    let said = |error: RuntimeError| error.to_string();
    for key in [first.key, second.key] {
        // A server that died had begun.
        runtime.forget(key).await.map_err(said)?;
    }
    runtime.start(first).await.map_err(said)?;
    holds(runtime, first.key).await?;
    runtime.start(second).await.map_err(said)?;
    let beside = runtime.wait(second.key).await;
    match beside.end {
        End::Exited(0) => Ok(()),
        _ => Err(format!("beside another: {}", beside.detail)),
    }
}

/// Waits until the first run holds what it took.
async fn holds(runtime: &Runtime, key: MemberKey) -> Result<(), String> {
    let log = runtime.log_path(key);
    loop {
        let said = read(&log);
        if said.lines().any(|line| line.ends_with(HOLDS)) {
            return Ok(());
        }
        if let Some(exit) = runtime.exit(key) {
            let last = said.lines().rev().find_map(|line| line.split_once(" err "));
            let why = last.map_or(exit.detail.as_str(), |(_, why)| why);
            return Err(why.to_owned());
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn read(log: &Path) -> String {
    // A few lines at most; not there yet: nothing was said.
    std::fs::read_to_string(log).unwrap_or_default()
}

/// A run of the trial.
fn launch(
    agent: &Inner,
    driver: &Driver,
    device: &DeviceInfo,
    (key, command): (MemberKey, &[&str]),
) -> Launch {
    let slice = Slice { uuid: device.uuid.clone(), memory: Bytes(2 << 30), milli: MilliGpu(500) };
    let gpu = Gpu { driver: driver.clone(), slices: vec![slice], mps: true };
    Launch { devices: device.device_nodes.clone(), ..run(key, command, agent.epoch(), gpu) }
}

fn run(key: MemberKey, command: &[&str], epoch: Epoch, gpu: Gpu) -> Launch {
    let uuid = gpu.slices.first().map(|slice| slice.uuid.clone()).unwrap_or_default();
    Launch {
        key,
        epoch,
        root: Root::HostUsr,
        environment: None,
        bundle: None,
        setup: Vec::new(),
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        env: [("CUDA_VISIBLE_DEVICES".to_owned(), uuid)].into(),
        gang: 1,
        outputs: Vec::new(),
        data: Vec::new(),
        limits: Limits {
            cpu: MilliCpu(1_000),
            // A limit only: a driver takes some hundred mebibytes of it.
            memory: Bytes(4 << 30),
            disk: Bytes(64 << 20),
            pids: 256,
        },
        devices: Vec::new(),
        gpu: Some(gpu),
        network: Network::None,
        ports: Vec::new(),
        hostname: "trial".to_owned(),
        stop_grace: Millis(1_000),
        kept: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that is a driver with a control program.
    fn driver(folder: &Path) -> Driver {
        for name in ["libcuda.so.1", "libnvidia-ml.so.1", "nvidia-cuda-mps-control"] {
            std::fs::write(folder.join(name), "").unwrap();
        }
        Driver::named(folder).unwrap()
    }

    fn served(driver: &Driver, workload: u64) -> Launch {
        let key =
            MemberKey { workload: WorkloadId(workload), attempt: Attempt(1), member: Member(0) };
        let slice = Slice { uuid: "GPU-1".to_owned(), memory: Bytes(1), milli: MilliGpu(1) };
        run(
            key,
            &["true"],
            Epoch(1),
            Gpu { driver: driver.clone(), slices: vec![slice], mps: true },
        )
    }

    #[tokio::test]
    async fn what_serves_nobody_any_more_is_not_offered() {
        let folder = tempfile::tempdir().unwrap();
        let (mps, driver) = (Mps::default(), driver(folder.path()));
        let said = |mps: &Mps| {
            let why = String::new();
            let mut rungs = [Rung { isolation: Isolation::Mps, offered: false, why }];
            mps.tell("GPU-1", Some(&driver), &mut rungs);
            (rungs[0].offered, rungs[0].why.clone())
        };
        assert!(!said(&mps).0 && said(&mps).1.contains("weft up --mps"));
        lock(&mps.tried).insert("GPU-1".to_owned(), Ok("seen".to_owned()));
        assert_eq!(said(&mps), (true, "seen".to_owned()));
        let (one, other) = (served(&driver, 1), served(&driver, 2));
        for launch in [&one, &other] {
            mps.hold(launch.key, "GPU-1".to_owned()).await;
        }
        let dead = RuntimeError::Gpu(GpuError::Mps { why: "it is mute".to_owned() });
        mps.not_served(&other, &RuntimeError::NotRunning(other.key));
        mps.not_served(&other, &dead);
        assert!(said(&mps).0, "another error; and another run, which it serves");
        lock(&mps.users).remove(&one.key);
        mps.not_served(&other, &dead);
        assert!(!said(&mps).0 && said(&mps).1.contains("it is mute"), "{:?}", said(&mps));
    }
}
