//! The loop: observe, plan, audit, commit, execute, learn.
//!
//! ```text
//!    observe ─► plan ─► audit ─► commit ─► execute ─► learn ─┐
//!       ▲      (pure)   (pure)  (one tx)  (idempotent)       │
//!       └────────────────────────────────────────────────────┘
//! ```
//!
//! One task runs it. It is level-triggered: a wake (a new generation, a report, a moment the
//! plan named, a slow tick) carries no data, so any number of them become one turn, and a lost
//! one costs a tick. Whatever fails leaves the store as it was and the next turn tries again.
//! Handlers reach it through [`Control`]. Absent on purpose: choices (`weft-sched`), what may
//! happen to a workload (`weft-lifecycle`), SQL.

mod assign;
mod handle;
pub(crate) mod history;
mod kept;
mod lately;
mod near;

pub(crate) use assign::{recovered, spec};
pub use handle::{Control, LiveDevice, LoopStats, WhatIf};
pub(crate) use handle::{Ended, closed};
pub(crate) use near::Near;

use crate::record::Recorder;
use crate::recover;
use futures_util::future::join_all;
use history::Uncommitted;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use weft_agent::{Agent, Assignment, Report, now};
use weft_sched::{Action, Finding, Plan, Snapshot, WorkloadState};
use weft_store::{Store, StoreError, failpoint};
use weft_types::Timestamp;

/// The longest time between two turns: what heals a wake that was lost to a failure.
const TICK: Duration = Duration::from_secs(5);

/// The shortest: a moment that has passed and is named again must not make the loop spin.
const PAUSE: Duration = Duration::from_millis(10);

/// Reports learned in one commit at most: as many as the store puts in one batch.
const LEARN_MAX: usize = 128;

/// The loop's task.
pub(crate) struct Loop {
    pub(crate) store: Store,
    pub(crate) agent: Agent,
    pub(crate) control: Control,
    pub(crate) reports: mpsc::Receiver<Report>,
    /// What is told of data.
    pub(crate) near: Arc<Near>,
    /// Where plans are written down, if they are.
    pub(crate) recorder: Option<Arc<Recorder>>,
}

impl Loop {
    /// Turns until it is asked to end.
    pub(crate) async fn run(mut self) -> Ended {
        let mut heads = self.store.watch();
        let mut ending = self.control.closing();
        let mut last = None;
        let mut until = Instant::now();
        loop {
            let mut due = false;
            tokio::select! {
                biased;
                () = closed(&mut ending) => return Ended::Asked,
                Some(report) = self.reports.recv() => self.learn(report).await,
                moved = heads.changed() => if moved.is_err() {
                    return Ended::Store(StoreError::Closed);
                },
                () = self.control.woken() => due = true,
                () = tokio::time::sleep_until(until.into()) => due = true,
            }
            let generation = heads.borrow_and_update().generation;
            if !due && last == Some(generation) {
                continue;
            }
            last = Some(generation);
            match self.turn().await {
                Ok(wake_at) => until = Instant::now() + rest(wake_at, now()),
                Err(Uncommitted::Store(
                    error @ (StoreError::Fenced { .. } | StoreError::SyncFailed(_)),
                )) => return Ended::Store(error),
                // Something changed since the look: the generation has moved, look again.
                Err(Uncommitted::Store(StoreError::Stale { .. })) => last = None,
                Err(error) => {
                    tracing::error!(%error, "a turn failed; again soon");
                    until = Instant::now() + TICK;
                    // It may have failed between commit and execute.
                    if let Err(error) = recover::adopt(&self.store, &self.agent).await {
                        tracing::error!(%error, "what runs could not be compared with the store");
                    }
                }
            }
        }
    }

    /// One turn; says when time alone calls for the next.
    async fn turn(&mut self) -> Result<Option<Timestamp>, Uncommitted> {
        let now = now();
        let mut snapshot = self.observe(now).await?;
        let mut plan = self.plan(&snapshot, now).await?;
        let mut findings = self.audit(&snapshot, &plan, now).await?;
        if !findings.is_empty() && !snapshot.large.is_empty() {
            // Keeping machines ahead is the newest rule and may be left out of a plan.
            tracing::error!(?findings, "refused with machines kept ahead; planned without them");
            Arc::make_mut(&mut snapshot).large.clear();
            plan = self.plan(&snapshot, now).await?;
            findings = self.audit(&snapshot, &plan, now).await?;
        }
        let started = match findings.as_slice() {
            [] => {
                let started = self.commit(&plan, now).await?;
                self.control.brings(&snapshot, &plan);
                started
            }
            findings => self.refuse(&plan, findings, now).await?,
        };
        self.execute(&snapshot, &plan, started);
        let wake_at = plan.wake_at;
        self.control.publish(plan);
        // The turn is done. What is not kept now is kept later, or read anew at the next start.
        if let Err(error) = self.control.lately().keep(&self.store, now).await {
            tracing::warn!(%error, "what queues held lately is not kept yet");
        }
        Ok(wake_at)
    }

    /// Step 1: the pool, the shares and the workloads, in one read transaction; and whether this
    /// is their server still. What the past says comes from the loop.
    async fn observe(&self, now: Timestamp) -> Result<Arc<Snapshot>, StoreError> {
        let (mine, control) = (self.store.epoch(), self.control.clone());
        let near = self.near.clone();
        let read = self.store.read(move |r| match r.meta()?.epoch {
            current if current != mine => Err(StoreError::Fenced { mine, current }),
            _ => {
                let mut snapshot = r.snapshot()?;
                let held = near.tell(r, &mut snapshot)?;
                control.lately().learn(r, &snapshot, now)?;
                Ok((snapshot, held))
            }
        });
        let (mut snapshot, held) = read.await?;
        self.control.hold(held);
        self.control.lately().note(&mut snapshot, now);
        Ok(Arc::new(snapshot))
    }

    /// Step 2: what to do about it. Pure, so it may run where blocking is allowed.
    async fn plan(
        &self,
        snapshot: &Arc<Snapshot>,
        now: Timestamp,
    ) -> Result<Arc<Plan>, Uncommitted> {
        let (begun, seen) = (Instant::now(), snapshot.clone());
        let control = self.control.clone();
        let plan = Arc::new(off_loop(move || control.plan(seen, now)).await?);
        self.control.planned(&plan, begun.elapsed());
        if let Some(recorder) = self.recorder.clone() {
            let (snapshot, plan) = (snapshot.clone(), plan.clone());
            off_loop(move || recorder.put(&snapshot, now, &plan)).await?;
        }
        Ok(plan)
    }

    /// Step 3: whether the plan keeps the rules, by code that shares nothing with the planner.
    async fn audit(
        &self,
        snapshot: &Arc<Snapshot>,
        plan: &Arc<Plan>,
        now: Timestamp,
    ) -> Result<Vec<Finding>, Uncommitted> {
        if plan.is_idle() {
            return Ok(Vec::new());
        }
        if let Err(struck) = failpoint::hit("loop.audit") {
            return Ok(vec![Finding::Over {
                whose: "a test".to_owned(),
                what: struck.to_string(),
            }]);
        }
        let (snapshot, plan) = (snapshot.clone(), plan.clone());
        off_loop(move || weft_sched::audit(&snapshot, &plan, now)).await
    }

    /// Step 4: the plan in one transaction, if nothing it was made on has changed. Gives what
    /// is to be started.
    async fn commit(
        &self,
        plan: &Arc<Plan>,
        now: Timestamp,
    ) -> Result<Vec<Assignment>, Uncommitted> {
        if plan.is_idle() {
            return Ok(Vec::new());
        }
        failpoint::hit("loop.commit")?;
        let (epoch, plan) = (self.store.epoch(), plan.clone());
        let started = self.store.write(move |w| {
            w.commit_plan(epoch, plan.base)?;
            history::owe(w, &plan, now)?;
            let carry_out = |action| history::carry_out(w, action, epoch, now);
            plan.actions.iter().map(carry_out).collect::<Result<Vec<_>, Uncommitted>>()
        });
        let started = started.await?.into_iter().flatten().collect();
        failpoint::hit("loop.committed")?;
        Ok(started)
    }

    /// Step 5: what was committed, handed to the agent. It has no choices left, and does each
    /// once: so every stop the store holds is passed on again, in case the last one was lost.
    fn execute(&self, snapshot: &Snapshot, plan: &Plan, started: Vec<Assignment>) {
        self.agent.start(started);
        // After the last start that any earlier look knew of: whoever is not here has ended.
        self.agent.keep_only(|id| snapshot.workloads.contains_key(&id));
        let how = self.control.how_hard(snapshot);
        for (id, workload) in &snapshot.workloads {
            if let WorkloadState::Running(running) = &workload.state
                && running.stopping
            {
                self.agent.stop(*id, Some(running.attempt), how(*id));
            }
        }
        for action in &plan.actions {
            if let Action::Stop { workload, attempt, .. } = action {
                self.agent.stop(*workload, Some(*attempt), how(*workload));
            }
        }
    }

    /// Step 6: what the agent saw, through the lifecycle into the store. What is on disk is
    /// acknowledged; what is not comes again.
    async fn learn(&mut self, first: Report) {
        let mut batch = vec![first];
        while batch.len() < LEARN_MAX
            && let Ok(report) = self.reports.try_recv()
        {
            batch.push(report);
        }
        join_all(batch.into_iter().map(|report| self.learn_one(report))).await;
    }

    /// Each report is a transaction of its own; the store gives them one commit together.
    async fn learn_one(&self, report: Report) {
        let (key, observed, at) = (report.key, report.observed, now());
        let learned = async {
            failpoint::hit("loop.learn")?;
            self.store.write(move |w| history::learn(w, key, &observed, at)).await?;
            failpoint::hit("loop.learned")?;
            Ok::<_, Uncommitted>(())
        };
        match learned.await {
            // The agent may be gone: then the next one reports again, and it is stale.
            Ok(()) => _ = report.done.send(()),
            Err(error) => tracing::error!(%key, %error, "a report was not stored; it comes again"),
        }
    }

    /// A plan that breaks a rule is a bug of ours: it is written down and not carried out.
    async fn refuse(
        &self,
        plan: &Plan,
        findings: &[Finding],
        now: Timestamp,
    ) -> Result<Vec<Assignment>, Uncommitted> {
        tracing::error!(base = %plan.base, ?findings, ?plan.actions, "the plan breaks a rule");
        if self.control.first_refusal(plan.base) {
            let detail = format!("plan on generation {} not carried out: {findings:?}", plan.base);
            self.store.write(move |w| history::refused(w, detail, now)).await?;
        }
        Ok(Vec::new())
    }
}

/// How long the loop may sleep: until the plan's moment, within bounds.
fn rest(wake_at: Option<Timestamp>, now: Timestamp) -> Duration {
    let rest = wake_at.map_or(TICK, |at| Duration::from_millis(at.since(now).0));
    rest.clamp(PAUSE, TICK)
}

/// Runs a pure function where blocking is allowed. That it panics is a bug of ours, which must
/// not take the loop along.
async fn off_loop<T: Send + 'static>(
    pure: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Uncommitted> {
    let done = tokio::task::spawn_blocking(pure).await;
    done.map_err(|panic| Uncommitted::Bug(panic.to_string()))
}
