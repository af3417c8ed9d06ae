//! Virtual time, one queue; and what the planner says to those that have to wait.

use super::guess::Guess;
use crate::rng::Rng;
use crate::trace::Job;
use std::collections::{BTreeMap, BTreeSet};
use weft_sched::{
    Action, Device, DeviceClass, DeviceMode, Engine, Node, Order, Pending, Placement, Queue, Quota,
    Request, Running, Snapshot, Workload, WorkloadState,
};
use weft_types::{
    Attempt, Bytes, GpuFilter, GpuRequest, Isolation, Kind, MilliCpu, MilliGpu, Millis, NodeId,
    Phase, QueueName, ReclaimPolicy, Timestamp, WorkloadId,
};

/// Most plans made at one moment: a suspension frees capacity at once, for which is planned again.
const PLANS_AT_ONCE: usize = 8;

/// Tenths of a power of ten, in thousandths: a table, so that every machine draws the same.
const TENTHS: [u64; 10] = [1000, 1259, 1585, 1995, 2512, 3162, 3981, 5012, 6310, 7943];

/// What a run assumes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    /// Machines.
    pub machines: u32,
    /// Devices of each.
    pub devices: u32,
    /// Who goes first.
    pub order: Order,
    /// Whether jobs can be suspended, and what that costs.
    pub suspend: Option<Millis>,
    /// Run times are known but for a factor of up to 10 to this many tenths, either way.
    pub wrong_tenths: usize,
    /// Planned for at multiples of this.
    pub round: Millis,
    /// The planner is asked for reasons at every so many moments at which jobs come: reasons take
    /// longer than decisions.
    pub every: usize,
    /// What is drawn.
    pub seed: u64,
}

/// What the jobs that had to wait were told, and when they started, in the order of submission.
/// Jobs that could never run are left out. `progress` is told the jobs that ended.
pub fn guesses(setup: &Setup, jobs: &[Job], mut progress: impl FnMut(usize)) -> Vec<Guess> {
    let Some(mut world) = World::new(setup, jobs) else { return Vec::new() };
    while let Some(now) = world.next_moment() {
        world.now = now;
        world.end_what_is_done();
        let came = world.submit_what_is_due();
        world.plan(&came);
        progress(world.ended);
    }
    let told = world.told.into_iter();
    told.filter_map(|(id, (submit, eta))| {
        Some(Guess { submit, eta, start: *world.starts.get(&id)? })
    })
    .collect()
}

struct World<'a> {
    setup: &'a Setup,
    queue: QueueName,
    jobs: std::iter::Peekable<std::slice::Iter<'a, Job>>,
    rng: Rng,
    now: Timestamp,
    next: u64,
    engine: Engine,
    /// How long each works in all.
    works: BTreeMap<WorkloadId, Millis>,
    ends: BTreeSet<(Timestamp, WorkloadId)>,
    wake_at: Option<Timestamp>,
    waiting: usize,
    moments: usize,
    ended: usize,
    starts: BTreeMap<WorkloadId, Timestamp>,
    told: BTreeMap<WorkloadId, (Timestamp, Option<Timestamp>)>,
}

impl<'a> World<'a> {
    fn new(setup: &'a Setup, jobs: &'a [Job]) -> Option<Self> {
        let queue = QueueName::new("all").ok()?;
        Some(Self {
            setup,
            engine: Engine::new(pool(setup, &queue)),
            queue,
            jobs: jobs.iter().peekable(),
            rng: Rng::new(setup.seed),
            now: Timestamp::ZERO,
            next: 1,
            works: BTreeMap::new(),
            ends: BTreeSet::new(),
            wake_at: None,
            waiting: 0,
            moments: 0,
            ended: 0,
            starts: BTreeMap::new(),
            told: BTreeMap::new(),
        })
    }

    fn next_moment(&mut self) -> Option<Timestamp> {
        let comes = self.jobs.peek().map(|job| job.submit);
        let ends = self.ends.first().map(|(at, _)| *at);
        let wakes = self.wake_at.filter(|_| self.waiting > 0);
        let next = [comes, ends, wakes].into_iter().flatten().min()?;
        let round = self.setup.round.0.max(1);
        Some(Timestamp(next.0.div_ceil(round) * round).max(self.now))
    }

    fn end_what_is_done(&mut self) {
        while self.ends.first().is_some_and(|(at, _)| *at <= self.now) {
            let Some((_, id)) = self.ends.pop_first() else { return };
            self.engine.set(id, None);
            self.works.remove(&id);
            self.ended += 1;
        }
    }

    fn submit_what_is_due(&mut self) -> Vec<WorkloadId> {
        let mut came = Vec::new();
        while let Some(job) = self.jobs.next_if(|job| job.submit <= self.now) {
            let tenths = self.rng.below(2 * self.setup.wrong_tenths + 1);
            let Some((workload, works)) = self.workload(job, tenths) else { continue };
            let id = WorkloadId(self.next);
            self.next += 1;
            self.engine.set(id, Some(workload));
            self.works.insert(id, works);
            self.waiting += 1;
            came.push(id);
        }
        came
    }

    fn workload(&self, job: &Job, tenths: usize) -> Option<(Workload, Millis)> {
        let works = job.duration?;
        let machine = self.setup.devices;
        let sizes = (1..=machine.min(job.devices)).rev();
        let count = sizes.into_iter().find(|count| job.devices.is_multiple_of(*count))?;
        let gang = job.devices / count;
        if job.devices > machine * self.setup.machines {
            return None;
        }
        let workload = Workload {
            queue: self.queue.clone(),
            kind: Kind::Job,
            phase: Phase::Training,
            priority: 0,
            submitted_at: job.submit,
            request: Request {
                gpu: GpuRequest::Whole { count, filter: GpuFilter::default() },
                ..Request::default()
            },
            gang,
            gang_most: 0,
            reclaim: ReclaimPolicy {
                preemptible: false,
                reclaimable: false,
                min_run_ms: Millis::ZERO,
            },
            max_duration: None,
            expected: Some(wrong(works, tenths, self.setup.wrong_tenths)),
            suspend: self.setup.suspend,
            served: Millis::ZERO,
            state: WorkloadState::Pending(Pending {
                not_before: Timestamp::ZERO,
                since: job.submit,
                owed: None,
                next_attempt: Attempt(1),
            }),
        };
        Some((workload, works))
    }

    fn plan(&mut self, came: &[WorkloadId]) {
        self.moments += usize::from(!came.is_empty());
        let asks = !came.is_empty() && self.moments.is_multiple_of(self.setup.every.max(1));
        for look in 0..PLANS_AT_ONCE {
            if self.waiting == 0 {
                return;
            }
            let plan = match asks && look == 0 {
                true => self.engine.plan(self.now),
                false => self.engine.decide(self.now),
            };
            self.wake_at = plan.wake_at;
            for id in came.iter().filter(|_| look == 0) {
                let Some(verdict) = plan.verdicts.get(id) else { continue };
                let Some(workload) = self.engine.snapshot().workloads.get(id) else { continue };
                self.told.insert(*id, (workload.submitted_at, verdict.eta));
            }
            self.engine.owe(&plan, self.now);
            plan.actions.iter().for_each(|action| self.carry_out(action));
            if !plan.actions.iter().any(|action| matches!(action, Action::Stop { .. })) {
                return;
            }
        }
    }

    fn carry_out(&mut self, action: &Action) {
        match action {
            Action::Start { workload, attempt, placements } => {
                self.start(*workload, *attempt, placements.clone());
            }
            Action::Stop { workload, .. } => self.suspend(*workload),
        }
    }

    fn start(&mut self, id: WorkloadId, attempt: Attempt, placements: Vec<Placement>) {
        let Some(workload) = self.engine.workload_mut(id) else { return };
        let works = self.works.get(&id).copied().unwrap_or_default();
        let resumes = self.starts.contains_key(&id);
        self.starts.entry(id).or_insert(self.now);
        let cost = workload.suspend.filter(|_| resumes).unwrap_or_default();
        let left = Millis(works.0.saturating_sub(workload.served.0) + cost.0);
        self.ends.insert((self.now.after(left), id));
        workload.state = WorkloadState::Running(Running {
            attempt,
            since: self.now,
            stopping: false,
            handover: None,
            placements,
        });
        self.waiting -= 1;
    }

    /// It leaves at once; what it worked is kept.
    fn suspend(&mut self, id: WorkloadId) {
        let Some(workload) = self.engine.workload_mut(id) else { return };
        let WorkloadState::Running(running) = &workload.state else { return };
        let (attempt, since) = (running.attempt, running.since);
        let worked = self.now.since(since).0;
        if workload.suspend.is_some() {
            // What it cost to come back is not work, but is the same for all it is compared with.
            workload.served = Millis(workload.served.0 + worked);
        }
        workload.state = WorkloadState::Pending(Pending {
            not_before: Timestamp::ZERO,
            since: self.now,
            owed: None,
            next_attempt: Attempt(attempt.0 + 1),
        });
        self.ends.retain(|(_, other)| *other != id);
        self.waiting += 1;
    }
}

/// One queue that has all machines.
fn pool(setup: &Setup, queue: &QueueName) -> Snapshot {
    let class = DeviceClass { name: "gpu".into(), memory: Bytes(16_000_000_000), value: 1 };
    let device =
        Device { class, healthy: true, mode: DeviceMode::Whole, share: Some(Isolation::Shared) };
    let node = Node {
        schedulable: true,
        cpu: MilliCpu(0),
        memory: Bytes(0),
        disk: Bytes(0),
        devices: (0..setup.devices).map(|index| (index, device.clone())).collect(),
    };
    let name = |number| Some((NodeId::new(format!("m{number:05}")).ok()?, node.clone()));
    let nominal = MilliGpu(u64::from(setup.machines) * u64::from(setup.devices) * 1000);
    let gpu = Quota { nominal, borrowing: MilliGpu(0), lending: MilliGpu(0) };
    let share = Queue { gpu, order: setup.order, ..Queue::default() };
    Snapshot {
        nodes: (0..setup.machines).filter_map(name).collect(),
        queues: BTreeMap::from([(queue.clone(), share)]),
        ..Snapshot::default()
    }
}

/// A run time times 10 to the power of `tenths − most` tenths.
fn wrong(works: Millis, tenths: usize, most: usize) -> Millis {
    let power = |tenths: usize| {
        TENTHS[tenths % 10] as u128 * 10_u128.pow(u32::try_from(tenths / 10).unwrap_or(0))
    };
    let works = u128::from(works.0);
    let expected = match tenths.checked_sub(most) {
        Some(over) => works * power(over) / 1000,
        None => works * 1000 / power(most - tenths),
    };
    Millis(u64::try_from(expected).unwrap_or(u64::MAX).max(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_are_wrong_by_a_factor_either_way() {
        let by = |tenths| wrong(Millis(100_000), tenths, 10).0;
        assert_eq!([by(0), by(10), by(20), by(13)], [10_000, 100_000, 1_000_000, 199_500]);
        assert_eq!(wrong(Millis(100_000), 0, 0).0, 100_000);
    }
}
