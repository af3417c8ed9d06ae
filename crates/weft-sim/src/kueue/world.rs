//! Virtual time for the fixture: workloads come when it says and end when they have run.

use super::fixture::{ClassName, Fixture, Sort};
use crate::rng::Rng;
use std::collections::{BTreeMap, BTreeSet};
use weft_sched::{Action, Pending, Plan, Running, Snapshot, WorkloadState, owe};
use weft_types::{Attempt, Millis, Timestamp, WorkloadId};

/// Most plans made at one moment: what an eviction frees is planned for at once, and a chain of
/// evictions ends, because each is for one that ranks higher.
const PLANS_AT_ONCE: u32 = 16;

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// When the last one ended.
    pub makespan: Millis,
    /// By class.
    pub classes: BTreeMap<ClassName, Admitted>,
    /// Evictions.
    pub evictions: u64,
    /// Units times milliseconds of work lost by them.
    pub lost: u64,
    /// Evictions whose beneficiary did not start at the moment of the eviction.
    pub vain: u64,
    /// Times the planner was asked.
    pub plans: u64,
    /// A hash of all actions in order.
    pub decisions: u64,
}

/// How one class fared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Admitted {
    /// How many ended.
    pub count: u64,
    /// Sum of the times from submission to the first start.
    pub first: Millis,
    /// Sum of the times from submission to the start that ran to its end.
    pub last: Millis,
}

/// Runs a fixture to its end, asking this planner. Should it start nothing any more, what waits
/// is left waiting: fewer end than were submitted.
pub fn run(fixture: &Fixture, decide: impl FnMut(&Snapshot, Timestamp) -> Plan) -> Outcome {
    let mut all = fixture.workloads();
    all.reverse();
    let mut world = World {
        snapshot: fixture.snapshot(),
        lives: BTreeMap::new(),
        ends: BTreeSet::new(),
        waiting: 0,
        now: Timestamp::ZERO,
        decide,
        outcome: Outcome {
            makespan: Millis::ZERO,
            classes: BTreeMap::new(),
            evictions: 0,
            lost: 0,
            vain: 0,
            plans: 0,
            decisions: 0,
        },
    };
    loop {
        let comes = all.last().map(|(_, _, workload)| workload.submitted_at);
        let ends = world.ends.first().map(|(at, _)| *at);
        let Some(now) = comes.into_iter().chain(ends).min() else { return world.outcome };
        world.now = now;
        world.end_what_is_done();
        while all.last().is_some_and(|(_, _, workload)| workload.submitted_at <= now) {
            let Some((id, sort, workload)) = all.pop() else { break };
            world.snapshot.workloads.insert(id, workload);
            world.lives.insert(id, Life { sort, first: None });
            world.waiting += 1;
        }
        world.plan();
    }
}

struct Life {
    sort: Sort,
    first: Option<Timestamp>,
}

struct World<D> {
    snapshot: Snapshot,
    lives: BTreeMap<WorkloadId, Life>,
    ends: BTreeSet<(Timestamp, WorkloadId)>,
    waiting: usize,
    now: Timestamp,
    decide: D,
    outcome: Outcome,
}

impl<D: FnMut(&Snapshot, Timestamp) -> Plan> World<D> {
    fn end_what_is_done(&mut self) {
        while self.ends.first().is_some_and(|(at, _)| *at <= self.now) {
            let Some((end, id)) = self.ends.pop_first() else { return };
            let Some(workload) = self.snapshot.workloads.remove(&id) else { continue };
            let Some(life) = self.lives.remove(&id) else { continue };
            let class = self.outcome.classes.entry(life.sort.class).or_default();
            let last = Timestamp(end.0.saturating_sub(life.sort.runs.0));
            let first = life.first.unwrap_or(last);
            class.count += 1;
            class.first.0 += first.since(workload.submitted_at).0;
            class.last.0 += last.since(workload.submitted_at).0;
            self.outcome.makespan = end.since(Timestamp::ZERO);
        }
    }

    fn plan(&mut self) {
        let mut awaited = BTreeSet::new();
        for _ in 0..PLANS_AT_ONCE {
            if self.waiting == 0 {
                break;
            }
            self.outcome.plans += 1;
            let plan = (self.decide)(&self.snapshot, self.now);
            owe(&mut self.snapshot, &plan, self.now);
            for action in &plan.actions {
                self.carry_out(action, &mut awaited);
            }
            if !plan.actions.iter().any(|action| matches!(action, Action::Stop { .. })) {
                break;
            }
        }
        self.outcome.vain += awaited.len() as u64;
    }

    fn carry_out(&mut self, action: &Action, awaited: &mut BTreeSet<WorkloadId>) {
        let (word, id) = match action {
            Action::Start { workload, .. } => (1, *workload),
            Action::Stop { workload, .. } => (2, *workload),
        };
        let hash = self.outcome.decisions ^ (id.0 << 2 | word) ^ self.now.0.rotate_left(32);
        self.outcome.decisions = Rng::new(hash).bits();
        match action {
            Action::Start { attempt, placements, .. } => {
                awaited.remove(&id);
                let running = Running {
                    attempt: *attempt,
                    since: self.now,
                    stopping: false,
                    handover: None,
                    placements: placements.clone(),
                };
                self.start(id, running);
            }
            Action::Stop { cause, .. } => {
                awaited.extend(cause.beneficiary());
                self.evict(id);
            }
        }
    }

    fn start(&mut self, id: WorkloadId, running: Running) {
        let Some(workload) = self.snapshot.workloads.get_mut(&id) else { return };
        let Some(life) = self.lives.get_mut(&id) else { return };
        life.first.get_or_insert(self.now);
        self.ends.insert((self.now.after(life.sort.runs), id));
        workload.state = WorkloadState::Running(running);
        self.waiting -= 1;
    }

    /// It leaves at once, and what it has done is lost.
    fn evict(&mut self, id: WorkloadId) {
        let Some(workload) = self.snapshot.workloads.get_mut(&id) else { return };
        let WorkloadState::Running(running) = &workload.state else { return };
        let Some(life) = self.lives.get(&id) else { return };
        self.ends.remove(&(running.since.after(life.sort.runs), id));
        self.outcome.evictions += 1;
        self.outcome.lost += self.now.since(running.since).0 * u64::from(life.sort.units);
        workload.state = WorkloadState::Pending(Pending {
            not_before: Timestamp::ZERO,
            since: self.now,
            owed: None,
            next_attempt: Attempt(running.attempt.0 + 1),
        });
        self.waiting += 1;
    }
}
