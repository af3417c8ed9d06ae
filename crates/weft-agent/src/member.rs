//! One member's life on this machine, from its assignment to its acknowledged end.
//!
//! ```text
//! begin:   prepare ─► start      (a stop cancels; what a server left behind is adopted)
//! attend:  wait for the end, meanwhile announce that it runs and pass on stops
//! report:  the end, again and again, until the store has it; then its scratch disk is given back
//! ```
//!
//! One task runs this, top to bottom. It is done once per [`MemberKey`]; after a server's
//! death the next server's agent runs it again with [`Origin::Recovered`], and what was already
//! reported is stale to the lifecycle, hence harmless.

use crate::agent::Inner;
use crate::device_use::UseReader;
use crate::{Assignment, Observed, Origin, Report, Stage, Stop, clock, exit, instance, launch};
use std::future::pending;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use weft_lifecycle::Exit;
use weft_runtime::{MemberKey, Prepared, Progress, Runtime, Usage};
use weft_store::failpoint;
use weft_types::{Bytes, DeviceUse, Timestamp};

/// A command that ends within this is reported once, begun and ended together: it saves a
/// commit where it counts most, and 20 ms is below what a person sees.
const SETTLE: Duration = Duration::from_millis(20);

/// Wait before a report that was not taken, or a stop that did not arrive, is tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// One member: what it is, and what others tell it or want to know of it.
pub(crate) struct Member {
    assignment: Assignment,
    stop: watch::Sender<Stop>,
    stage: Mutex<Option<Stage>>,
    used: Mutex<Used>,
}

/// Whether what it uses of devices can be read.
enum Used {
    /// Nobody has looked, or its ledger is not there yet.
    Unknown,
    /// It has no ledger.
    Untold,
    /// It can.
    Told(Box<UseReader>),
}

/// Runs a member to its end, and reports until that is acknowledged.
pub(crate) async fn live(member: &Arc<Member>, agent: &Arc<Inner>) {
    let (exit, usage) = match member.begin(agent).await {
        Ok(()) => member.attend(agent).await,
        Err(exit) => (exit, Usage::default()),
    };
    tracing::debug!(key = %member.key(), end = ?exit.end, "ended");
    instance::end(&member.assignment, agent).await;
    agent.mps().leave(member.key(), &agent.runtime).await;
    let _ = failpoint::hit("agent.ended");
    let began = agent.runtime.began(member.key()).map(|began| began.min(exit.at));
    let used = member.used_in_all(agent).await;
    member.report(agent, Observed::Ended { began, exit, usage, used }).await;
    if let Err(error) = agent.runtime.release(member.key()).await {
        tracing::warn!(key = %member.key(), %error, "the next start of the server tries again");
    }
}

impl Member {
    pub(crate) fn new(assignment: Assignment) -> Self {
        let told = match assignment.origin {
            Origin::Recovered { stopping: true, .. } => Stop::Ask,
            _ => Stop::No,
        };
        let (stop, stage) = (watch::Sender::new(told), Mutex::default());
        Self { assignment, stop, stage, used: Mutex::new(Used::Unknown) }
    }

    pub(crate) fn key(&self) -> MemberKey {
        self.assignment.key
    }

    /// Asks for its end; a weaker wish than before changes nothing.
    pub(crate) fn stop(&self, how: Stop) {
        self.stop.send_if_modified(|now| {
            let harder = how > *now;
            *now = how.max(*now);
            harder
        });
    }

    pub(crate) fn stage(&self) -> Option<Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What it used of devices up to now, where that is measured. Reads files: blocks.
    pub(crate) fn device_use(&self, runtime: &Runtime, at: Timestamp) -> Vec<DeviceUse> {
        let grants = &self.assignment.placement.grants;
        if grants.is_empty() {
            return Vec::new();
        }
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*used, Used::Unknown) {
            let began = runtime.began(self.key());
            *used = match UseReader::open(runtime, self.key(), grants, began) {
                Some(reader) => Used::Told(Box::new(reader)),
                // It is made before the command begins.
                None if began.is_some() => Used::Untold,
                None => Used::Unknown,
            };
        }
        match &mut *used {
            Used::Told(reader) => reader.look(at),
            Used::Unknown | Used::Untold => Vec::new(),
        }
    }

    /// What it used of devices, now that it is over and holds none of their memory.
    async fn used_in_all(self: &Arc<Self>, agent: &Arc<Inner>) -> Vec<DeviceUse> {
        let (member, runtime) = (self.clone(), agent.runtime.clone());
        let used = tokio::task::spawn_blocking(move || member.device_use(&runtime, clock::now()));
        let used = used.await.unwrap_or_default().into_iter();
        used.map(|used| DeviceUse { memory: Bytes::ZERO, ..used }).collect()
    }

    /// Makes it run, or finds that it did already. `Err` is an end: nothing of it lives.
    async fn begin(self: &Arc<Self>, agent: &Arc<Inner>) -> Result<(), Exit> {
        if let Origin::Recovered { running, .. } = self.assignment.origin {
            let log = agent.runtime.log_path(self.key());
            if log.parent().is_some_and(Path::exists) {
                return Ok(());
            }
            if running {
                return Err(exit::lost(clock::now()));
            }
        }
        let prepared = self.prepare(agent).await?;
        self.start(prepared, agent).await
    }

    /// Makes root and environment ready; a stop cancels it.
    async fn prepare(self: &Arc<Self>, agent: &Arc<Inner>) -> Result<Prepared, Exit> {
        let want = launch::prepare(&self.assignment);
        let (member, inner) = (self.clone(), agent.clone());
        let progress = move |progress| member.show(Some(stage(progress)), &inner);
        tokio::select! {
            biased;
            _ = self.asked_to_stop(Stop::No) => Err(exit::stopped(clock::now())),
            prepared = agent.runtime.prepare(&want, progress) => prepared.map_err(refused),
        }
    }

    /// Starts it, when it is its turn. Not cancelled: a start that was begun is seen through,
    /// then ended like any other.
    async fn start(&self, prepared: Prepared, agent: &Arc<Inner>) -> Result<(), Exit> {
        self.show(Some(self.starting()), agent);
        let devices = match self.assignment.placement.grants.is_empty() {
            true => Vec::new(),
            false => agent.devices().await,
        };
        let opened = instance::open(&self.assignment, &devices, agent).await.map_err(refused)?;
        let given = (&devices[..], &opened[..]);
        let launch = launch::launch(&self.assignment, prepared, given, agent.driver());
        let launch = launch.map_err(refused)?;
        let _turn = tokio::select! {
            biased;
            _ = self.asked_to_stop(Stop::No) => return Err(exit::stopped(clock::now())),
            turn = agent.starts.acquire() => turn.map_err(refused)?,
        };
        if let Some(gpu) = launch.gpu.as_ref().filter(|gpu| gpu.mps) {
            let device = gpu.slices.first().map(|slice| slice.uuid.clone());
            agent.mps().hold(self.key(), device.unwrap_or_default()).await;
        }
        failpoint::hit("agent.start").map_err(refused)?;
        let started = agent.runtime.start(&launch).await;
        // From here on it exists: the only thing that may strike is the end of this process.
        let _ = failpoint::hit("agent.started");
        if let Err(error) = started {
            agent.mps().not_served(&launch, &error);
            // What may have come of it is gone before its capacity is given again.
            let (_, _) =
                tokio::join!(agent.runtime.stop(self.key(), true), agent.runtime.wait(self.key()));
            return Err(refused(error));
        }
        Ok(())
    }

    /// Waits for its end; meanwhile says that it runs and passes on stops.
    async fn attend(&self, agent: &Arc<Inner>) -> (Exit, Usage) {
        let _share = agent.runtime.ledger(self.key()).map(|ledger| agent.shares().join(ledger));
        let over = agent.runtime.wait(self.key());
        let (announce, pass_on) = (self.announce(agent), self.pass_on_stops(agent));
        tokio::pin!(over, announce, pass_on);
        let record = tokio::select! {
            biased;
            record = &mut over => record,
            () = async { tokio::join!(announce, pass_on); } => over.await,
        };
        self.show(None, agent);
        let placement = &self.assignment.placement;
        let given = exit::Given { memory: placement.memory, disk: placement.disk };
        (exit::of_record(&record, given), record.usage)
    }

    /// Reports that its command began, unless the store knows or it never does.
    async fn announce(&self, agent: &Arc<Inner>) {
        if matches!(self.assignment.origin, Origin::Recovered { running: true, .. }) {
            return;
        }
        if !agent.runtime.started(self.key()).await {
            return;
        }
        let at = agent.runtime.began(self.key()).unwrap_or_else(clock::now);
        self.show(None, agent);
        tokio::time::sleep(SETTLE).await;
        self.report(agent, Observed::Running { at }).await;
    }

    /// Hands every stop to the supervisor, until it has taken it. Never returns.
    async fn pass_on_stops(&self, agent: &Arc<Inner>) {
        let mut passed = Stop::No;
        loop {
            let how = self.asked_to_stop(passed).await;
            match agent.runtime.stop(self.key(), how == Stop::Now).await {
                Ok(()) => passed = how,
                Err(error) => {
                    tracing::warn!(key = %self.key(), %error, "stop not delivered; again soon");
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }

    /// Reports until the store has it on disk.
    async fn report(&self, agent: &Arc<Inner>, observed: Observed) {
        loop {
            let (done, acknowledged) = oneshot::channel();
            let report = Report { key: self.key(), observed: observed.clone(), done };
            if agent.reports.send(report).await.is_err() {
                // The server is closing: what ended stays on disk for the next one.
                return pending().await;
            }
            if acknowledged.await.is_ok() {
                return;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Waits until it is asked to stop harder than it was before.
    async fn asked_to_stop(&self, before: Stop) -> Stop {
        match self.stop.subscribe().wait_for(|how| *how > before).await.map(|how| *how) {
            Ok(how) => how,
            Err(_) => pending().await,
        }
    }

    fn show(&self, stage: Option<Stage>, agent: &Inner) {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = stage;
        agent.stage_moved();
    }

    /// What is left to do once root and environment are ready, by its longest part.
    fn starting(&self) -> Stage {
        let spec = &self.assignment.spec;
        let name = match (spec.setup.is_empty(), spec.bundle.is_some()) {
            (false, _) => "setup",
            (true, true) => "files",
            (true, false) => "container",
        };
        Stage { name, percent: None, detail: String::new() }
    }
}

/// The end of what could not be started.
fn refused(why: impl std::fmt::Display) -> Exit {
    exit::not_started(clock::now(), &why)
}

fn stage(progress: Progress) -> Stage {
    let name = match progress.stage {
        weft_runtime::Stage::Image => "image",
        weft_runtime::Stage::Environment => "environment",
    };
    Stage { name, percent: progress.percent, detail: progress.detail }
}
