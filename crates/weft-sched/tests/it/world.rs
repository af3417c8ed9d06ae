//! A pool that lives: workloads come, run as long as they are meant to, stop when they are told,
//! and come back; in virtual time, with a plan at every event as the server makes one.
//!
//! ```text
//! comes ─► waits ─► runs ─► ended
//!            ▲        │ stopped by a plan
//!            └─ stops ┘ for as long as a stop takes
//! ```
//!
//! Absent on purpose: machines that fail and people who cancel; what is promised holds without.

use proptest::test_runner::TestCaseError;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use weft_sched::case::{print_plan, print_snapshot};
use weft_sched::{
    Action, Pending, Plan, Running, Snapshot, StopCause, Workload, WorkloadState, apply, audit,
    plan,
};
use weft_types::{Millis, Timestamp, WorkloadId};

/// A stop takes this long: what the server gives a program to end.
pub(crate) const GRACE: Millis = Millis::from_secs(30);
/// More events than any stream of these tests has: a plan that goes round in circles ends here.
const EVENTS_MAX: u32 = 1_000;

/// One that comes, and how long it has to run in all.
#[derive(Debug, Clone)]
pub(crate) struct Comer {
    pub(crate) id: WorkloadId,
    pub(crate) at: Timestamp,
    pub(crate) length: Millis,
    pub(crate) workload: Workload,
}

/// The pool at a moment.
pub(crate) struct World {
    pub(crate) snapshot: Snapshot,
    pub(crate) now: Timestamp,
    /// Moments at which workloads began to run, the last of each.
    pub(crate) started: BTreeMap<WorkloadId, Timestamp>,
    /// Moments at which workloads ended.
    pub(crate) ended: BTreeMap<WorkloadId, Timestamp>,
    /// Workloads stopped for another.
    pub(crate) evicted: u32,
    coming: VecDeque<Comer>,
    lengths: BTreeMap<WorkloadId, Millis>,
    stops_at: BTreeMap<WorkloadId, (Timestamp, StopCause)>,
    wake_at: Option<Timestamp>,
}

impl World {
    /// A pool to which these come, in the order of time.
    pub(crate) fn new(snapshot: Snapshot, now: Timestamp, mut coming: Vec<Comer>) -> Self {
        coming.sort_by_key(|comer| (comer.at, comer.id));
        Self {
            snapshot,
            now,
            started: BTreeMap::new(),
            ended: BTreeMap::new(),
            evicted: 0,
            lengths: coming.iter().map(|comer| (comer.id, comer.length)).collect(),
            coming: coming.into(),
            stops_at: BTreeMap::new(),
            wake_at: None,
        }
    }

    /// Until nothing happens any more; `look` sees each plan with what it was made of, before it
    /// is carried out.
    pub(crate) fn run(
        &mut self,
        mut look: impl FnMut(&Self, &Plan) -> Result<(), TestCaseError>,
    ) -> Result<(), TestCaseError> {
        for _ in 0..EVENTS_MAX {
            self.come();
            let plan = plan(&self.snapshot, self.now);
            let findings = audit(&self.snapshot, &plan, self.now);
            if !findings.is_empty() {
                return Err(self.broken("the audit", &plan, &format!("{findings:?}")));
            }
            look(self, &plan)?;
            self.carry_out(&plan);
            match self.next_event() {
                Some(at) => self.pass_until(at),
                None => return Ok(()),
            }
        }
        let plan = plan(&self.snapshot, self.now);
        Err(self.broken("the stream does not end", &plan, "after very many events"))
    }

    /// Waiting workloads.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = (WorkloadId, &Workload)> {
        let all = self.snapshot.workloads.iter().map(|(id, workload)| (*id, workload));
        all.filter(|(_, workload)| matches!(workload.state, WorkloadState::Pending(_)))
    }

    /// For whom something is stopping.
    pub(crate) fn awaited(&self) -> BTreeSet<WorkloadId> {
        self.stops_at.values().filter_map(|(_, cause)| cause.beneficiary()).collect()
    }

    /// A law that does not hold at this moment, with the case.
    pub(crate) fn broken(&self, what: &str, plan: &Plan, more: &str) -> TestCaseError {
        let case = print_snapshot(&self.snapshot, self.now);
        let plan = print_plan(&self.snapshot, plan, self.now);
        TestCaseError::fail(format!("{what}: {more}\n{case}--- plan\n{plan}"))
    }

    fn come(&mut self) {
        while self.coming.front().is_some_and(|comer| comer.at <= self.now) {
            let Some(Comer { id, mut workload, .. }) = self.coming.pop_front() else { return };
            workload.submitted_at = self.now;
            if let WorkloadState::Pending(pending) = &mut workload.state {
                pending.since = self.now;
            }
            self.snapshot.workloads.insert(id, workload);
        }
    }

    fn carry_out(&mut self, plan: &Plan) {
        self.wake_at = plan.wake_at;
        self.snapshot = apply(&self.snapshot, plan, self.now);
        for action in &plan.actions {
            match action {
                Action::Start { workload, .. } => {
                    self.started.insert(*workload, self.now);
                }
                Action::Stop { workload, cause, .. } => {
                    self.evicted += u32::from(cause.beneficiary().is_some());
                    self.stops_at.insert(*workload, (self.now.after(GRACE), cause.clone()));
                }
            }
        }
    }

    fn next_event(&self) -> Option<Timestamp> {
        let ends = self.snapshot.workloads.iter().filter_map(|(id, it)| self.ends_at(*id, it));
        let stops = self.stops_at.values().map(|(at, _)| *at);
        let comes = self.coming.front().map(|comer| comer.at);
        ends.chain(stops).chain(comes).chain(self.wake_at).min()
    }

    /// When a running workload has done its work.
    fn ends_at(&self, id: WorkloadId, workload: &Workload) -> Option<Timestamp> {
        let WorkloadState::Running(running) = &workload.state else { return None };
        let left = Millis(self.lengths[&id].0.saturating_sub(workload.served.0));
        Some(running.since.after(left))
    }

    fn pass_until(&mut self, at: Timestamp) {
        self.now = at;
        let ends = |(id, it): (&WorkloadId, &Workload)| {
            self.ends_at(*id, it).filter(|end| *end <= at).map(|_| *id)
        };
        for id in self.snapshot.workloads.iter().filter_map(ends).collect::<Vec<_>>() {
            self.stops_at.remove(&id);
            self.end(id);
        }
        let stopped = self.stops_at.extract_if(.., |_, (stops_at, _)| *stops_at <= at);
        for (id, (_, cause)) in stopped.collect::<Vec<_>>() {
            match cause {
                StopCause::MaxDuration => self.end(id),
                _ => self.wait_again(id),
            }
        }
    }

    fn end(&mut self, id: WorkloadId) {
        self.snapshot.workloads.remove(&id);
        self.ended.insert(id, self.now);
    }

    fn wait_again(&mut self, id: WorkloadId) {
        let Some(workload) = self.snapshot.workloads.get_mut(&id) else { return };
        let WorkloadState::Running(Running { attempt, since, .. }) = &workload.state else {
            return;
        };
        if workload.suspend.is_some() {
            // What it worked while it was being stopped is kept, too.
            workload.served = Millis(workload.served.0 + self.now.since(*since).0);
        }
        workload.state = WorkloadState::Pending(Pending {
            not_before: Timestamp::ZERO,
            since: self.now,
            owed: None,
            next_attempt: weft_types::Attempt(attempt.0 + 1),
        });
    }
}
