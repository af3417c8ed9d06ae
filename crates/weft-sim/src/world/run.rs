//! The course of events: jobs come when the log says, end when they have worked as long as it
//! says, machines fail, and in between the production planner decides.
//!
//! One turn is: machines fail or return, what was told to stop lets go, what is done leaves, what
//! has come waits, the planner is asked, its actions are done.

use super::breakdown::{Breakdowns, Turn};
use super::course::{Course, Digest, Fate, Series};
use super::life::Life;
use super::scenario::{Admission, Case, Scenario, milli, node_id};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use weft_lifecycle::End;
use weft_sched::{
    Action, Engine, Pending, Placement, Plan, Running, StopCause, WorkloadState, decide,
};
use weft_types::{Millis, NodeId, Timestamp, WorkloadId};

/// Most plans made at one moment: a stop that takes no time frees capacity at once, for which is
/// planned again.
const PLANS_AT_ONCE: usize = 8;

/// Most turns in a row in which no job comes and none ends: a planner that passes capacity to and
/// fro for ever must not keep a run from ending. What has not ended then stays open.
const TURNS_MAX: usize = 5_000;

/// In debug builds plans of up to so many workloads are compared with those of an engine that
/// remembers nothing.
const CHECKED_MAX: usize = 64;

/// How a run is watched and left early.
#[derive(Clone, Copy, Default)]
pub struct Control<'a> {
    /// Left where this is set.
    pub cancel: Option<&'a AtomicBool>,
    /// Told how many jobs more have ended.
    pub ended: Option<&'a dyn Fn(usize)>,
    /// Left when more has been waited than this.
    pub patience: Option<Patience>,
}

/// What may be waited in all before a run is known to be worse than what it is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// All waits together.
    pub sum: u128,
    /// A wait longer than this is long.
    pub long: Millis,
    /// So many may be long.
    pub longs: usize,
}

/// Runs the cases, in the order of their submission; those that could never run are left out.
#[must_use]
pub fn simulate(scenario: &Scenario, cases: &[Case<'_>], control: &Control<'_>) -> Course {
    let mut simulation = Simulation::new(scenario, cases);
    simulation.until(None, control);
    simulation.finish()
}

/// A run that is gone on with in parts. Where it pauses changes nothing of what comes of it.
pub struct Simulation<'a, 's>(World<'a, 's>);

impl<'a, 's> Simulation<'a, 's> {
    /// Before the first of the cases, which are in the order of their submission.
    #[must_use]
    pub fn new(scenario: &'s Scenario, cases: &'s [Case<'a>]) -> Self {
        Self(World::new(scenario, cases))
    }

    /// Goes on while there is something to do no later than `pause`. Whether it is over: nothing
    /// is left to do, or it was to be left.
    pub fn until(&mut self, pause: Option<Timestamp>, control: &Control<'_>) -> bool {
        let world = &mut self.0;
        world.long = control.patience.map(|patience| patience.long);
        while let Some(now) = world.next_moment() {
            if world.is_left(control) {
                world.course.cut = Some(world.now);
                return true;
            }
            if world.turns > TURNS_MAX {
                return true;
            }
            if pause.is_some_and(|pause| now > pause) {
                return false;
            }
            let before = world.fates.len();
            world.turn(now);
            if let Some(ended) = control.ended {
                ended(world.fates.len() - before);
            }
        }
        true
    }

    /// What came of it so far.
    #[must_use]
    pub fn finish(self) -> Course {
        self.0.finish()
    }
}

/// What a team has under way, in thousandths of devices.
#[derive(Debug, Clone, Copy, Default)]
struct TeamUse {
    own: u64,
    wanted: u64,
    used: u64,
}

struct World<'a, 's> {
    scenario: &'s Scenario,
    admission: Admission<'s>,
    cases: std::iter::Peekable<std::iter::Enumerate<std::slice::Iter<'s, Case<'a>>>>,
    now: Timestamp,
    engine: Engine,
    lives: BTreeMap<WorkloadId, Life<'a>>,
    /// When running jobs will be done, and when those told to stop let go.
    ends: BTreeSet<(Timestamp, WorkloadId)>,
    stops: BTreeSet<(Timestamp, WorkloadId)>,
    end_of: BTreeMap<WorkloadId, Timestamp>,
    breakdowns: Option<Breakdowns>,
    /// When the planner wants to be asked again.
    wake_at: Option<Timestamp>,
    waiting: usize,
    teams: BTreeMap<&'s str, TeamUse>,
    used: u64,
    borrowed: u64,
    waited: u128,
    long: Option<Millis>,
    longs: usize,
    turns: usize,
    digest: Digest,
    fates: BTreeMap<usize, Fate>,
    course: Course,
}

impl<'a, 's> World<'a, 's> {
    fn new(scenario: &'s Scenario, cases: &'s [Case<'a>]) -> Self {
        let begin = cases.first().map_or(Timestamp::ZERO, |case| case.job.submit);
        let breakdowns = scenario
            .failures
            .map(|it| Breakdowns::new(it, scenario.machines.len(), begin, scenario.seed));
        let teams = scenario.teams.iter().map(|(name, share)| {
            (name.as_str(), TeamUse { own: share.own * 1000, ..TeamUse::default() })
        });
        let course =
            Course { used: Series::new(begin), borrowed: Series::new(begin), ..Course::default() };
        Self {
            scenario,
            admission: scenario.admission(),
            cases: cases.iter().enumerate().peekable(),
            now: begin,
            engine: Engine::new(scenario.snapshot()),
            lives: BTreeMap::new(),
            ends: BTreeSet::new(),
            stops: BTreeSet::new(),
            end_of: BTreeMap::new(),
            breakdowns,
            wake_at: None,
            waiting: 0,
            teams: teams.collect(),
            used: 0,
            borrowed: 0,
            waited: 0,
            long: None,
            longs: 0,
            turns: 0,
            digest: Digest::default(),
            fates: BTreeMap::new(),
            course,
        }
    }

    fn turn(&mut self, now: Timestamp) {
        self.advance(now);
        self.machines_turn();
        self.release_what_stopped();
        self.turns += 1;
        self.end_what_is_done();
        self.submit_what_is_due();
        self.plan();
    }

    /// The next moment at which there is something to do, rounded up to a round.
    fn next_moment(&mut self) -> Option<Timestamp> {
        let comes = self.cases.peek().map(|(_, case)| case.job.submit);
        let ends = self.ends.first().map(|(at, _)| *at);
        let stops = self.stops.first().map(|(at, _)| *at);
        // A planner that asks for a moment that has come is asked at the next one.
        let soon = self.now.after(Millis(1));
        let wakes = self.wake_at.filter(|_| self.waiting > 0).map(|at| at.max(soon));
        let away = self.breakdowns.as_ref().is_some_and(Breakdowns::some_away);
        let breaks = self.breakdowns.as_ref().and_then(Breakdowns::next);
        let breaks = breaks.filter(|_| !self.ends.is_empty() || (away && self.waiting > 0));
        let next = [comes, ends, stops, wakes, breaks].into_iter().flatten().min()?;
        let round = self.scenario.round.0.max(1);
        Some(Timestamp(next.0.div_ceil(round).saturating_mul(round)).max(self.now))
    }

    fn is_left(&self, control: &Control<'_>) -> bool {
        let cancelled = control.cancel.is_some_and(|it| it.load(Ordering::Relaxed));
        let over = |patience: Patience| self.waited > patience.sum || self.longs > patience.longs;
        cancelled || control.patience.is_some_and(over)
    }

    fn advance(&mut self, now: Timestamp) {
        self.course.used.add(self.now, now, self.used);
        self.course.borrowed.add(self.now, now, self.borrowed);
        self.now = now;
    }

    fn machines_turn(&mut self) {
        while let Some((machine, turn)) = self.breakdowns.as_mut().and_then(|it| it.pop(self.now)) {
            let Some(id) = node_id(machine) else { continue };
            if let Some(node) = self.engine.node_mut(&id) {
                node.schedulable = turn == Turn::Returns;
            }
            if turn == Turn::Fails {
                self.course.failures += 1;
                self.lose_what_runs_on(&id);
            }
        }
    }

    fn lose_what_runs_on(&mut self, node: &NodeId) {
        let here = |it: &&Placement| it.node == *node;
        let workloads = self.engine.snapshot().workloads.iter();
        let lost = workloads.filter_map(|(id, workload)| match &workload.state {
            WorkloadState::Running(run) => run.placements.iter().find(here).map(|_| *id),
            WorkloadState::Pending(_) => None,
        });
        for id in lost.collect::<Vec<_>>() {
            if let Some(life) = self.lives.get(&id) {
                let worked = u128::from(life.worked(self.now).0);
                self.course.destroyed += worked * u128::from(milli(life.job));
            }
            self.let_go(id, End::Lost);
        }
    }

    fn release_what_stopped(&mut self) {
        while self.stops.first().is_some_and(|(at, _)| *at <= self.now) {
            let Some((_, id)) = self.stops.pop_first() else { return };
            self.let_go(id, End::Stopped);
        }
    }

    fn end_what_is_done(&mut self) {
        while self.ends.first().is_some_and(|(at, _)| *at <= self.now) {
            let Some((end, id)) = self.ends.pop_first() else { return };
            self.end_of.remove(&id);
            self.account(id, false);
            self.engine.set(id, None);
            let Some(mut life) = self.lives.remove(&id) else { continue };
            life.ends(End::Exited(0), end);
            if let Some(team) = self.teams.get_mut(life.job.queue.as_str()) {
                team.wanted -= milli(life.job);
            }
            self.fates.insert(life.case, life.fate(end));
            self.turns = 0;
        }
    }

    fn submit_what_is_due(&mut self) {
        while let Some((at, case)) = self.cases.next_if(|(_, case)| case.job.submit <= self.now) {
            let Ok(workload) = self.admission.workload(case) else { continue };
            let id = WorkloadId(at as u64 + 1);
            self.engine.set(id, Some(workload));
            let claim = self.teams.get_mut(case.job.queue.as_str()).is_some_and(|team| {
                team.wanted += milli(case.job);
                team.wanted <= team.own
            });
            self.lives.insert(id, Life::new(at, case.job, claim));
            self.turns = 0;
            self.waiting += 1;
        }
    }

    fn plan(&mut self) {
        for _ in 0..PLANS_AT_ONCE {
            if self.waiting == 0 {
                return;
            }
            let plan = self.engine.decide(self.now);
            debug_assert!(self.is_made_anew(&plan), "the engine's copy is not of its snapshot");
            self.course.plans += 1;
            self.wake_at = plan.wake_at;
            let mut freed = false;
            self.engine.owe(&plan, self.now);
            for action in &plan.actions {
                self.digest.add(self.now, action);
                freed |= self.carry_out(action);
            }
            if !freed {
                return;
            }
        }
    }

    /// Whether this is the plan of the snapshot alone, as far as that is quickly found out.
    fn is_made_anew(&self, plan: &Plan) -> bool {
        let snapshot = self.engine.snapshot();
        snapshot.workloads.len() > CHECKED_MAX || decide(snapshot, self.now) == *plan
    }

    /// Whether capacity is free at once that was not.
    fn carry_out(&mut self, action: &Action) -> bool {
        match action {
            Action::Start { workload, placements, .. } => {
                self.start(*workload, placements.clone());
                false
            }
            Action::Stop { workload, cause, .. } => self.stop(*workload, cause),
        }
    }

    fn start(&mut self, id: WorkloadId, placements: Vec<Placement>) {
        let Some(workload) = self.engine.workload_mut(id) else { return };
        let Some(life) = self.lives.get_mut(&id) else { return };
        let attempt = life.next_attempt();
        if life.first_start().is_none() {
            let wait = self.now.since(life.job.submit);
            self.waited += u128::from(wait.0);
            self.longs += usize::from(self.long.is_some_and(|long| wait > long));
        }
        let resume = Millis(self.scenario.suspend.0.saturating_sub(self.scenario.stop.0));
        let end = life.starts([attempt.0, workload.gang], self.now, resume, workload.served);
        self.ends.insert((end, id));
        self.end_of.insert(id, end);
        workload.state = WorkloadState::Running(Running {
            attempt,
            since: self.now,
            stopping: false,
            handover: None,
            placements,
        });
        self.waiting -= 1;
        self.account(id, true);
    }

    /// It is told to stop, works no more, and lets go when its state is saved; one that is done
    /// by then is left to end.
    fn stop(&mut self, id: WorkloadId, cause: &StopCause) -> bool {
        let gone = self.now.after(self.scenario.stop);
        let Some(workload) = self.engine.workload_mut(id) else { return false };
        let WorkloadState::Running(running) = &mut workload.state else { return false };
        let Some(life) = self.lives.get_mut(&id) else { return false };
        self.course.reclaims += u64::from(matches!(cause, StopCause::Reclaim { .. }));
        running.stopping = true;
        running.handover = cause.beneficiary();
        let Some(end) = self.end_of.get(&id).filter(|end| **end > gone).copied() else {
            return false;
        };
        life.is_told_to_stop(cause, self.now);
        if workload.suspend.is_some() {
            workload.served = Millis(workload.served.0 + life.worked(self.now).0);
        }
        self.ends.remove(&(end, id));
        self.end_of.remove(&id);
        if gone > self.now {
            self.stops.insert((gone, id));
            return false;
        }
        self.let_go(id, End::Stopped);
        true
    }

    /// Its capacity is free, and it waits again.
    fn let_go(&mut self, id: WorkloadId, end: End) {
        self.account(id, false);
        if let Some(end) = self.end_of.remove(&id) {
            self.ends.remove(&(end, id));
        }
        self.stops.retain(|(_, other)| *other != id);
        let Some(workload) = self.engine.workload_mut(id) else { return };
        let Some(life) = self.lives.get_mut(&id) else { return };
        let not_before = life.ends(end, self.now).unwrap_or_default();
        workload.state = WorkloadState::Pending(Pending {
            not_before,
            since: self.now,
            owed: None,
            next_attempt: life.next_attempt(),
        });
        self.waiting += 1;
    }

    /// Books what a job takes or gives back.
    fn account(&mut self, id: WorkloadId, takes: bool) {
        let Some(life) = self.lives.get(&id) else { return };
        let amount = milli(life.job);
        let Some(team) = self.teams.get_mut(life.job.queue.as_str()) else { return };
        let over = |team: &TeamUse| team.used.saturating_sub(team.own);
        let before = over(team);
        match takes {
            true => (team.used, self.used) = (team.used + amount, self.used + amount),
            false => (team.used, self.used) = (team.used - amount, self.used - amount),
        }
        self.borrowed = self.borrowed + over(team) - before;
    }

    fn finish(mut self) -> Course {
        let admission = &self.admission;
        let coming = self.cases.filter(|(_, case)| admission.admits(case.job).is_ok());
        let open = self.lives.values().map(|life| life.case).chain(coming.map(|(at, _)| at));
        self.course.open_cases = open.collect();
        self.course.open_cases.sort_unstable();
        self.course.open = self.course.open_cases.len();
        self.course.decisions = self.digest.number();
        self.course.fates = self.fates.into_values().collect();
        self.course
    }
}
