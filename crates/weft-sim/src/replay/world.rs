//! Virtual time: jobs come when the log says, end when they have worked as long as it says, and in
//! between the production planner decides.
//!
//! One turn is: what has ended leaves, what has come waits, the planner is asked, its actions are
//! done. Byte-identical on repeat: one clock, ordered maps, chance from a seed.

use super::outcome::JobOutcome;
use super::setup::Setup;
use crate::rng::Rng;
use crate::trace::Job;
use std::collections::{BTreeMap, BTreeSet};
use weft_sched::{Action, Pending, Running, Snapshot, WorkloadState, decide};
use weft_types::{Attempt, Millis, Timestamp, WorkloadId};

/// Most plans made at one moment: a stop frees capacity at once, for which is planned again.
const PLANS_AT_ONCE: usize = 8;

/// Replays the jobs, in the order of their submission; those that ask for more than there is are
/// left out. `progress` is told the jobs that ended, now and then.
#[must_use]
pub fn replay(setup: &Setup, jobs: &[Job], mut progress: impl FnMut(usize)) -> Vec<JobOutcome> {
    let mut world = World::new(setup, jobs);
    while let Some(now) = world.next_moment() {
        world.now = now;
        world.end_what_is_done();
        world.submit_what_is_due();
        world.plan();
        progress(world.done.len());
    }
    world.done.into_values().collect()
}

/// What the log knows of a job, and what it has done so far.
struct Life<'a> {
    job: &'a Job,
    start: Option<Timestamp>,
    suspensions: u32,
    attempt: Attempt,
}

struct World<'a> {
    setup: &'a Setup,
    jobs: std::iter::Peekable<std::slice::Iter<'a, Job>>,
    rng: Rng,
    now: Timestamp,
    snapshot: Snapshot,
    lives: BTreeMap<WorkloadId, Life<'a>>,
    /// When running jobs will be done.
    ends: BTreeSet<(Timestamp, WorkloadId)>,
    /// When the planner wants to be asked again.
    wake_at: Option<Timestamp>,
    waiting: usize,
    done: BTreeMap<WorkloadId, JobOutcome>,
}

impl<'a> World<'a> {
    fn new(setup: &'a Setup, jobs: &'a [Job]) -> Self {
        Self {
            setup,
            jobs: jobs.iter().peekable(),
            rng: Rng::new(setup.seed),
            now: Timestamp::ZERO,
            snapshot: setup.snapshot(jobs),
            lives: BTreeMap::new(),
            ends: BTreeSet::new(),
            wake_at: None,
            waiting: 0,
            done: BTreeMap::new(),
        }
    }

    /// The next moment at which there is something to do, rounded up to a round.
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
            let Some((end, id)) = self.ends.pop_first() else { return };
            self.snapshot.workloads.remove(&id);
            let Some(life) = self.lives.remove(&id) else { continue };
            let outcome = JobOutcome {
                team: life.job.queue.clone(),
                devices: life.job.devices,
                submit: life.job.submit,
                start: life.start.unwrap_or(end),
                end,
                duration: life.job.duration.unwrap_or_default(),
                suspensions: life.suspensions,
            };
            self.done.insert(id, outcome);
        }
    }

    fn submit_what_is_due(&mut self) {
        while let Some(job) = self.jobs.next_if(|job| job.submit <= self.now) {
            let id = WorkloadId((self.lives.len() + self.done.len()) as u64 + 1);
            let Some(workload) = self.setup.workload(job, &mut self.rng) else { continue };
            self.snapshot.workloads.insert(id, workload);
            let life = Life { job, start: None, suspensions: 0, attempt: Attempt(0) };
            self.lives.insert(id, life);
            self.waiting += 1;
        }
    }

    fn plan(&mut self) {
        for _ in 0..PLANS_AT_ONCE {
            if self.waiting == 0 {
                return;
            }
            let plan = decide(&self.snapshot, self.now);
            self.wake_at = plan.wake_at;
            plan.actions.iter().for_each(|action| self.carry_out(action));
            if !plan.actions.iter().any(|action| matches!(action, Action::Stop { .. })) {
                return;
            }
        }
    }

    fn carry_out(&mut self, action: &Action) {
        match action {
            Action::Start { workload, attempt, placements } => {
                self.start(
                    *workload,
                    Running {
                        attempt: *attempt,
                        since: self.now,
                        stopping: false,
                        handover: None,
                        placements: placements.clone(),
                    },
                );
            }
            Action::Stop { workload, .. } => self.suspend(*workload),
        }
    }

    fn start(&mut self, id: WorkloadId, running: Running) {
        let Some(workload) = self.snapshot.workloads.get_mut(&id) else { return };
        let Some(life) = self.lives.get_mut(&id) else { return };
        let resumes = life.start.is_some();
        life.start.get_or_insert(self.now);
        life.attempt = running.attempt;
        let left = life.job.duration.unwrap_or_default().0.saturating_sub(workload.served.0);
        let cost = workload.suspend.filter(|_| resumes).unwrap_or_default();
        self.ends.insert((self.now.after(Millis(left + cost.0)), id));
        workload.state = WorkloadState::Running(running);
        self.waiting -= 1;
    }

    /// It leaves at once; what it worked is kept where it can be suspended, else lost.
    fn suspend(&mut self, id: WorkloadId) {
        let Some(workload) = self.snapshot.workloads.get_mut(&id) else { return };
        let WorkloadState::Running(running) = &workload.state else { return };
        let Some(life) = self.lives.get_mut(&id) else { return };
        let cost = workload.suspend.filter(|_| life.suspensions > 0).unwrap_or_default();
        let worked = Millis(self.now.since(running.since).0.saturating_sub(cost.0));
        if workload.suspend.is_some() {
            workload.served = Millis(workload.served.0 + worked.0);
        }
        workload.state = WorkloadState::Pending(Pending {
            not_before: Timestamp::ZERO,
            since: self.now,
            next_attempt: Attempt(life.attempt.0 + 1),
        });
        life.suspensions += 1;
        self.ends.retain(|(_, other)| *other != id);
        self.waiting += 1;
    }
}
