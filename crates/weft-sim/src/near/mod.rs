//! Data near to compute: the same jobs on the same pool, with the planner told what machines hold
//! and not told, and what had to be brought to them.
//!
//! Each machine keeps of the versions that were read there the ones that were read last, as far as
//! they fit. A job reads one version; which, is drawn so that a few are read often. Bringing takes
//! no time here, so that waits differ by places alone. Called by `src/bin/near.rs`. Absent on
//! purpose: networks, and when bytes come.

use crate::churn::{LIFE, exponential};
use crate::openb::planner::{pool, queue_name, workload};
use crate::pack::{Class, Kind, Node};
use crate::rng::Rng;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use weft_sched::{Action, Engine, Versions};
use weft_types::{Bytes, NodeId, Timestamp, WorkloadId};

/// Ticks from plan to plan: three minutes.
const ROUND: u64 = LIFE / 200;
/// Milliseconds of a mean life: ten hours.
const LIFE_MS: u64 = 36_000_000;
const GB: u64 = 1_000_000_000;
/// A version has between one and so many times ten gigabytes.
const SIZES: usize = 50;
/// Devices of a machine.
const DEVICES: u64 = 8;

/// What a run assumes.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Machines of eight devices.
    pub machines: usize,
    /// Jobs in all.
    pub jobs: usize,
    /// Devices asked for over devices there are, in thousandths.
    pub load: u64,
    /// Versions of datasets.
    pub versions: usize,
    /// Gigabytes that a machine keeps.
    pub cache_gb: u64,
    /// What is drawn.
    pub seed: u64,
    /// Whether the planner is told what machines hold.
    pub told: bool,
}

/// What came of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Jobs that started.
    pub started: u64,
    /// Bytes that they read.
    pub read: u128,
    /// Bytes of these that had to be brought.
    pub moved: u128,
    /// Jobs whose machine held all of it.
    pub near: u64,
    /// Milliseconds waited by all of them.
    pub waited: u128,
    /// Milliseconds from the first arrival to the last start.
    pub span: u64,
}

/// What a machine keeps: the version read last stands last.
#[derive(Debug, Default)]
struct Cache {
    kept: Vec<u64>,
}

impl Cache {
    /// A version is read here: whether it was here. What was not read for longest makes place.
    fn read(&mut self, version: u64, sizes: &[u64], most: u64) -> bool {
        let at = self.kept.iter().position(|kept| *kept == version);
        at.map(|at| self.kept.remove(at));
        self.kept.push(version);
        let held = |kept: &[u64]| kept.iter().map(|it| sizes[*it as usize]).sum::<u64>();
        while held(&self.kept) > most {
            self.kept.remove(0);
        }
        at.is_some()
    }
}

struct World {
    setup: Setup,
    rng: Rng,
    engine: Engine,
    sizes: Vec<u64>,
    caches: BTreeMap<NodeId, Cache>,
    /// By job: the version, how long it lasts, when it came.
    jobs: Vec<(u64, u64, u64)>,
    ends: BinaryHeap<Reverse<(u64, u64)>>,
    outcome: Outcome,
}

/// Runs the jobs.
///
/// # Errors
/// In words, where a machine cannot be said to the planner.
pub fn near(setup: &Setup) -> Result<Outcome, String> {
    let snapshot = pool(&vec![machine(); setup.machines])?;
    let caches = snapshot.nodes.keys().map(|name| (name.clone(), Cache::default())).collect();
    let mut rng = Rng::new(setup.seed);
    let sizes = (0..setup.versions).map(|_| (1 + rng.below(SIZES) as u64) * 10 * GB).collect();
    let engine = Engine::new(snapshot);
    let (jobs, ends) = (Vec::new(), BinaryHeap::new());
    let outcome = Outcome::default();
    let mut world = World { setup: setup.clone(), rng, engine, sizes, caches, jobs, ends, outcome };
    // A job takes 2.25 devices on average.
    let between = LIFE * 9 * 1000 / (4 * setup.machines as u64 * DEVICES * setup.load.max(1));
    let (mut arrives, mut now) = (0, 0);
    while world.outcome.started < setup.jobs as u64 {
        now += ROUND;
        while world.ends.peek().is_some_and(|Reverse((end, _))| *end <= now) {
            world.leave();
        }
        while arrives <= now && world.jobs.len() < setup.jobs {
            world.arrive(arrives)?;
            arrives += exponential(&mut world.rng, between);
        }
        world.plan(now);
    }
    Ok(world.outcome)
}

impl World {
    fn arrive(&mut self, now: u64) -> Result<(), String> {
        let devices = [1, 1, 1, 1, 2, 2, 4, 6][self.rng.below(8)];
        let cpu = u32::from(devices) * 1000 * (2 + self.rng.below(6) as u32);
        let class = Class { cpu, memory: 0, devices, milli: 1000, models: u64::MAX };
        let lasts = exponential(&mut self.rng, LIFE);
        // Below an even draw: a tenth of the versions is read by a third of the jobs.
        let drawn = self.rng.below(self.setup.versions) as u64;
        let version = self.rng.below(drawn as usize + 1) as u64;
        let id = WorkloadId(self.jobs.len() as u64);
        self.jobs.push((version, lasts, now));
        let asks = workload(&queue_name()?, &class, moment(now));
        let mut snapshot = (**self.engine.snapshot()).clone();
        let size = Bytes(self.sizes[version as usize]);
        snapshot.data.read.insert(id, Versions::from([(version, size)]));
        self.engine.replace(snapshot);
        self.engine.set(id, Some(asks));
        Ok(())
    }

    fn leave(&mut self) {
        if let Some(Reverse((_, id))) = self.ends.pop() {
            self.engine.set(WorkloadId(id), None);
        }
    }

    fn plan(&mut self, now: u64) {
        if self.setup.told {
            self.tell();
        }
        let plan = self.engine.decide(moment(now));
        for action in &plan.actions {
            let Action::Start { workload, placements, .. } = action else { continue };
            let (version, lasts, came) = self.jobs[workload.0 as usize];
            self.ends.push(Reverse((now + lasts, workload.0)));
            let size = self.sizes[version as usize];
            let most = self.setup.cache_gb * GB;
            let machine = placements.first().and_then(|it| self.caches.get_mut(&it.node));
            let here = machine.is_some_and(|cache| cache.read(version, &self.sizes, most));
            let outcome = &mut self.outcome;
            outcome.started += 1;
            outcome.near += u64::from(here);
            outcome.read += u128::from(size);
            outcome.moved += if here { 0 } else { u128::from(size) };
            outcome.waited += u128::from(moment(now - came).0);
            outcome.span = moment(now).0;
        }
        self.engine.commit(&plan, moment(now));
    }

    /// The planner is told what machines hold now.
    fn tell(&mut self) {
        let mut snapshot: weft_sched::Snapshot = (**self.engine.snapshot()).clone();
        let versions = |cache: &Cache| -> Versions {
            let kept = cache.kept.iter();
            kept.map(|version| (*version, Bytes(self.sizes[*version as usize]))).collect()
        };
        let held = self.caches.iter().map(|(name, cache)| (name.clone(), versions(cache)));
        snapshot.data.held = held.collect();
        snapshot.data.read.retain(|id, _| snapshot.workloads.contains_key(id));
        self.engine.replace(Arc::new(snapshot));
    }
}

fn moment(ticks: u64) -> Timestamp {
    Timestamp((u128::from(ticks) * u128::from(LIFE_MS) / u128::from(LIFE)) as u64)
}

fn machine() -> Node {
    let (free, held) = ([1000; _], [0; Kind::COUNT]);
    Node { model: 0, devices: DEVICES as u8, cpu: 64_000, memory: 512 * GB, free, held }
}
