//! What the rest of the server asks of the loop: wake it, read its last verdicts, end it.
//!
//! Everything here is in memory and may be lost: what must last is in the store.

use super::lately::Lately;
use super::near::Held;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, watch};
use weft_agent::{Agent, Stop, now};
use weft_api::wire;
use weft_sched::{
    Action, Engine, May, Offer, Placement, Plan, Relaxation, Snapshot, Verdict, Workload,
};
use weft_store::{Store, StoreError};
use weft_types::{Bytes, DeviceId, Generation, Member, Timestamp, UseSource, WorkloadId};

/// The loop's handle. Cheap to clone.
#[derive(Clone)]
pub struct Control {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    agent: Agent,
    wake: Notify,
    changed: watch::Sender<u64>,
    ending: watch::Sender<bool>,
    shutdown: watch::Sender<Option<bool>>,
    latest: Mutex<Latest>,
    lately: Lately,
    planner: Mutex<Planner>,
    /// Room for questions that plan on a copy of their own: one at a time, so that however many
    /// ask, the loop and everybody's reads go on.
    questions: Arc<Semaphore>,
}

/// The planner, and what it remembers of the plan before: the loop plans with it, and why one waits
/// is asked of the same working copy, which undoes what it tries.
#[derive(Default)]
struct Planner {
    engine: Engine,
    /// The moment of the last plan. A question is asked of that moment: time that goes back and
    /// forth would have the copy made anew.
    at: Option<Timestamp>,
}

/// What the last turns left in memory.
#[derive(Default)]
struct Latest {
    killed: BTreeSet<WorkloadId>,
    plan: Arc<Plan>,
    stats: LoopStats,
    devices: Vec<LiveDevice>,
    refused: Option<Generation>,
    held: Held,
    unready: Option<String>,
}

/// What the loop did, for `/metrics`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LoopStats {
    /// Plans made.
    pub plans: u64,
    /// Plans that broke a rule and were not carried out.
    pub refused: u64,
    /// Time spent planning, in all.
    pub plan_time: Duration,
    /// The last plan's time.
    pub plan_last: Duration,
    /// The longest plan's time.
    pub plan_longest: Duration,
    /// Workloads that waited after the last plan.
    pub waiting: u64,
    /// The generation of the last plan.
    pub generation: Generation,
    /// Bytes of datasets that what was started had declared to read.
    pub declared: u64,
    /// Bytes of these that the machines did not hold.
    pub brought: u64,
}

/// What an accelerator did at the last sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveDevice {
    /// Which.
    pub device: DeviceId,
    /// Thousandths of the sampling period in which a kernel ran; none where not measured.
    pub active_permille: Option<u16>,
    /// Memory in use.
    pub memory_used: Bytes,
    /// What members of workloads used of it since the sample before, in thousandths of the device,
    /// where that is measured.
    pub measured: BTreeMap<(WorkloadId, Member), u64>,
}

impl LiveDevice {
    /// In how many thousandths of the last sampling period kernels ran, and who says so: the
    /// driver, else those who hold it.
    pub fn active(&self) -> Option<(u64, UseSource)> {
        match self.active_permille {
            Some(permille) => Some((permille.into(), UseSource::Sampled)),
            None if self.measured.is_empty() => None,
            None => Some((self.measured.values().sum(), UseSource::Measured)),
        }
    }
}

/// What a plan would do with a workload that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhatIf {
    /// Where it would start at once; empty if it would wait.
    pub placements: Vec<Placement>,
    /// Why it would wait.
    pub verdict: Option<Verdict>,
    /// What would let it start at once, or whose end.
    pub relaxations: Vec<Relaxation>,
}

/// Why the loop ends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Ended {
    /// It was asked to.
    #[error("asked to end")]
    Asked,
    /// The store takes nothing from this server any more: another has taken the state over, or
    /// the disk cannot be trusted. What runs goes on, and is the next server's to adopt.
    #[error("{0}")]
    Store(StoreError),
}

impl Inner {
    /// A question that panicked leaves the engine without a working copy, which is made anew.
    fn planner(&self) -> MutexGuard<'_, Planner> {
        self.planner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Control {
    /// A handle to the loop of this store and agent; `changed` is the sender the agent has.
    pub(crate) fn new(store: Store, agent: Agent, changed: watch::Sender<u64>) -> Self {
        let latest = Latest {
            unready: Some("the first plan is not made yet".to_owned()),
            ..Latest::default()
        };
        let (ending, shutdown) = (watch::Sender::new(false), watch::Sender::new(None));
        let (wake, latest) = (Notify::new(), Mutex::new(latest));
        let (lately, planner) = (Lately::default(), Mutex::default());
        let inner = Inner {
            store,
            agent,
            wake,
            changed,
            ending,
            shutdown,
            latest,
            lately,
            planner,
            questions: Arc::new(Semaphore::new(1)),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Reads what queues held of devices before this server.
    pub(crate) async fn remember(&self, now: Timestamp) -> Result<(), StoreError> {
        self.inner.lately.load(&self.inner.store, now).await
    }

    /// What the planner is told of the past.
    pub(super) fn lately(&self) -> &Lately {
        &self.inner.lately
    }

    /// The plan for now. Takes as long as a plan does, or a question that is being answered.
    pub(super) fn plan(&self, snapshot: Arc<Snapshot>, now: Timestamp) -> Plan {
        let mut planner = self.inner.planner();
        planner.engine.replace(snapshot);
        planner.at = Some(now);
        planner.engine.plan(now)
    }

    /// Calls for a turn. A new generation in the store does so by itself.
    pub fn wake(&self) {
        self.inner.wake.notify_one();
    }

    /// Kills at once whatever of a workload runs here, or is about to. Its row must say that it
    /// is stopping.
    pub fn kill(&self, workload: WorkloadId) {
        self.latest().killed.insert(workload);
        self.inner.agent.stop(workload, None, Stop::Now);
    }

    /// Why a workload waits, by the latest plan; none before its first.
    pub fn verdict(&self, workload: WorkloadId) -> Option<Verdict> {
        self.latest().plan.verdicts.get(&workload).cloned()
    }

    /// What a starting workload is doing.
    pub fn stage(&self, workload: WorkloadId) -> Option<wire::Stage> {
        self.inner.agent.stage(workload).map(|stage| wire::Stage {
            name: stage.name.to_owned(),
            percent: stage.percent,
            detail: (!stage.detail.is_empty()).then_some(stage.detail),
        })
    }

    /// Moves whenever a verdict or a stage does.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.inner.changed.subscribe()
    }

    /// Why a workload waits now, and what would let it start; none where it does not wait. What
    /// else may be changed is asked of `may`.
    pub async fn why(
        &self,
        workload: WorkloadId,
        may: impl FnOnce(&Snapshot) -> May + Send + 'static,
    ) -> Result<Option<(Verdict, Vec<Relaxation>)>, StoreError> {
        let inner = self.inner.clone();
        let snapshot = self.inner.store.read(|r| r.snapshot()).await?;
        // Not in the read: a question waits for the plan being made, and must not hold a reader.
        let why = tokio::task::spawn_blocking(move || {
            let mut snapshot = snapshot;
            inner.lately.tell(&mut snapshot);
            let may = may(&snapshot);
            let mut planner = inner.planner();
            let at = planner.at.unwrap_or_else(now);
            planner.engine.replace(snapshot);
            planner.engine.why(workload, at, &may)
        });
        // The estimate looks at all that wait; the last plan has made it.
        let eta = self.verdict(workload).and_then(|verdict| verdict.eta);
        let why = why.await.map_err(|_| StoreError::Closed)?;
        Ok(why.map(|why| {
            let verdict = Verdict { reason: why.reason, position: why.position, eta };
            (verdict, why.relaxations)
        }))
    }

    /// What the planner would do with one more workload now. Nothing is stored.
    pub async fn what_if(
        &self,
        workload: Workload,
        may: impl FnOnce(&Snapshot) -> May + Send + 'static,
    ) -> Result<WhatIf, StoreError> {
        self.ask(move |snapshot| {
            let (id, snapshot) = weft_sched::with_one(&snapshot, workload);
            let (now, may) = (now(), may(&snapshot));
            let mut engine = Engine::new(snapshot);
            let mut plan = engine.plan(now);
            let started = plan.actions.into_iter().find_map(|action| match action {
                Action::Start { workload, placements, .. } if workload == id => Some(placements),
                _ => None,
            });
            let (placements, verdict) = (started.unwrap_or_default(), plan.verdicts.remove(&id));
            let why = verdict.as_ref().and_then(|_| engine.why(id, now, &may));
            let relaxations = why.map(|why| why.relaxations).unwrap_or_default();
            WhatIf { placements, verdict, relaxations }
        })
        .await
    }

    /// What one more workload like this could have now, by kind of accelerator. Nothing is stored.
    pub async fn offers(&self, like: Workload) -> Result<Vec<Offer>, StoreError> {
        self.ask(move |snapshot| weft_sched::offers(&snapshot, &like, now())).await
    }

    /// Asks something of the planner on a copy of its own, beside the loop and outside the read.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(Snapshot) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let turn = self.inner.questions.clone().acquire_owned().await;
        let turn = turn.map_err(|_| StoreError::Closed)?;
        let mut snapshot = self.inner.store.read(|r| r.snapshot()).await?;
        self.inner.lately.tell(&mut snapshot);
        // Its turn lasts as long as it plans, also when nobody waits for the answer any more.
        let plan = move || (question(snapshot), turn).0;
        let answer = tokio::task::spawn_blocking(plan).await;
        answer.map_err(|_| StoreError::Closed)
    }

    /// What each accelerator did at the last sample.
    pub fn devices(&self) -> Vec<LiveDevice> {
        self.latest().devices.clone()
    }

    /// What the loop did so far.
    pub fn stats(&self) -> LoopStats {
        self.latest().stats
    }

    /// Whether the loop turns; else what it waits for.
    pub fn ready(&self) -> Result<(), String> {
        if *self.inner.ending.borrow() {
            return Err("the server is ending".to_owned());
        }
        self.latest().unready.clone().map_or(Ok(()), Err)
    }

    /// Begins a clean end: workloads go on, or with `workloads` are stopped first. Returns at
    /// once.
    pub fn shutdown(&self, workloads: bool) {
        self.inner.shutdown.send_modify(|asked| {
            *asked = Some(workloads || asked.unwrap_or(false));
        });
    }

    /// Whether the workloads are being ended with the server: whatever came now would be, too.
    pub(crate) fn ends_workloads(&self) -> bool {
        *self.inner.shutdown.borrow() == Some(true)
    }

    /// True once the server ends: streams close then.
    pub fn closing(&self) -> watch::Receiver<bool> {
        self.inner.ending.subscribe()
    }

    /// Waits for [`Control::shutdown`], and says whether workloads are to be stopped first.
    pub(crate) async fn asked_to_shut_down(&self) -> bool {
        let mut asked = self.inner.shutdown.subscribe();
        match asked.wait_for(Option::is_some).await.map(|asked| *asked) {
            Ok(asked) => asked.unwrap_or(false),
            Err(_) => std::future::pending().await,
        }
    }

    /// Ends the loop and every stream.
    pub(crate) fn end(&self) {
        self.inner.ending.send_replace(true);
    }

    pub(super) async fn woken(&self) {
        self.inner.wake.notified().await;
    }

    /// How hard what is stopping is to be stopped. Wishes for what has ended are dropped.
    pub(super) fn how_hard(&self, snapshot: &Snapshot) -> impl Fn(WorkloadId) -> Stop + use<> {
        let killed = &mut self.latest().killed;
        killed.retain(|id| snapshot.workloads.contains_key(id));
        let killed = killed.clone();
        move |id| if killed.contains(&id) { Stop::Now } else { Stop::Ask }
    }

    /// Notes a plan made.
    pub(super) fn planned(&self, plan: &Plan, took: Duration) {
        let stats = &mut self.latest().stats;
        stats.plans += 1;
        stats.plan_time += took;
        stats.plan_last = took;
        stats.plan_longest = stats.plan_longest.max(took);
        stats.waiting = plan.verdicts.len() as u64;
        stats.generation = plan.base;
    }

    /// Notes what the starts of a plan that was committed read, and have to have brought.
    pub(super) fn brings(&self, snapshot: &Snapshot, plan: &Plan) {
        let brought = plan.to_move(snapshot);
        if brought.is_empty() {
            return;
        }
        let all: u64 = brought.keys().map(|id| snapshot.data.declared_by(*id).0).sum();
        let stats = &mut self.latest().stats;
        stats.declared = stats.declared.saturating_add(all);
        stats.brought = brought.values().fold(stats.brought, |sum, it| sum.saturating_add(it.0));
    }

    /// Notes a plan that broke a rule; whether it is the first on its generation.
    pub(super) fn first_refusal(&self, base: Generation) -> bool {
        let mut latest = self.latest();
        latest.stats.refused += 1;
        latest.refused.replace(base) != Some(base)
    }

    /// Notes who is left out of plans, until what they wait for is there.
    pub(super) fn hold(&self, held: Held) {
        self.latest().held = held;
    }

    /// Why a workload is in no plan yet.
    pub(crate) fn held(&self, id: WorkloadId) -> Option<String> {
        self.latest().held.get(&id).cloned()
    }

    /// Shows a plan's verdicts from now on.
    pub(super) fn publish(&self, plan: Arc<Plan>) {
        let mut latest = self.latest();
        latest.unready = None;
        let before = std::mem::replace(&mut latest.plan, plan);
        let same = before.verdicts == latest.plan.verdicts;
        drop(latest);
        if same {
            return;
        }
        self.inner.changed.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Shows what the accelerators did from now on.
    pub(crate) fn sampled(&self, devices: Vec<LiveDevice>) {
        self.latest().devices = devices;
    }

    fn latest(&self) -> MutexGuard<'_, Latest> {
        self.inner.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits until the server ends, by [`Control::closing`].
pub(crate) async fn closed(closing: &mut watch::Receiver<bool>) {
    // An error means that the sender, and with it the server, is gone.
    let _ = closing.wait_for(|closing| *closing).await;
}
