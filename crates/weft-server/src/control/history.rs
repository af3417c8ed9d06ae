//! What becomes of a stored workload: its record, its times and the event that tells of it.
//!
//! The loop and the handlers change workloads through [`happened`] and in no other way, inside
//! the transaction they have open; what is legal is `weft-lifecycle`'s to say.

use super::assign;
use crate::sampler::of_member;
use weft_agent::{Assignment, Observed};
use weft_lifecycle::{End, Event, Exit, Refusal, State, StopReason};
use weft_meter::WorkloadSample;
use weft_runtime::MemberKey;
use weft_sched::{Action, Placement, Plan, StopCause};
use weft_store::{NewEvent, StoreError, WorkloadRow, Write, failpoint::Struck};
use weft_types::{Epoch, Member, Millis, Timestamp, WorkloadId};

/// Who the platform is in events.
const WEFT: &str = "weft";

/// Why a step of the loop did not happen. Nothing of it was stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Uncommitted {
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The plan and the lifecycle disagree, or the planner panicked: a bug of ours.
    #[error("{0}")]
    Bug(String),
    /// A test struck.
    #[error(transparent)]
    Struck(#[from] Struck),
}

/// Applies what happened to a workload, with the event that tells of it. `Err(Refusal)` inside:
/// it does not apply, and nothing was changed.
pub(crate) fn happened(
    w: &mut Write<'_>,
    mut row: WorkloadRow,
    event: Event,
    actor: &str,
    now: Timestamp,
) -> Result<Result<WorkloadRow, Refusal>, StoreError> {
    let before = row.clone();
    if let Err(refusal) = row.record.apply(event, now) {
        return Ok(Err(refusal));
    }
    if row.record.attempt != before.record.attempt {
        (row.placed_at, row.started_at, row.ended_at) = (Some(now), None, None);
    }
    if !row.record.state.holds_capacity() {
        row.placements.clear();
    }
    if before.record.state.holds_capacity() && !row.record.state.holds_capacity() {
        gave_back(&mut row, now);
    }
    if row.record.state.is_final() {
        row.ended_at = Some(row.record.exit.as_ref().map_or(now, |exit| exit.at));
    }
    row.version = w.save_workload(&row, now)?;
    if let Some((what, detail)) = told(&before, &row, now) {
        w.append_event(NewEvent {
            at: now,
            actor: actor.to_owned(),
            kind: "workload".to_owned(),
            subject: row.id.to_string(),
            queue: Some(row.queue.clone()),
            what: what.to_owned(),
            detail,
        })?;
    }
    Ok(Ok(row))
}

/// Its capacity is free from now on: how long it had it counts as service where that was not in
/// vain.
fn gave_back(row: &mut WorkloadRow, now: Timestamp) {
    let ran = row.placed_at.map_or(Millis::ZERO, |placed_at| now.since(placed_at));
    if row.suspend.is_some() || row.record.state == State::Succeeded {
        row.served = Millis(row.served.0.saturating_add(ran.0));
    }
    row.released_at = Some(now);
}

/// Carries one action of a plan out in the store; gives what is to be started.
pub(super) fn carry_out(
    w: &mut Write<'_>,
    action: &Action,
    epoch: Epoch,
    now: Timestamp,
) -> Result<Vec<Assignment>, Uncommitted> {
    match action {
        Action::Start { workload, attempt, placements } => {
            let mut row = found(w, *workload)?;
            row.placements.clone_from(placements);
            row.members = u32::try_from(placements.len()).unwrap_or(u32::MAX);
            row.owed = None;
            let started = Event::Started { attempt: *attempt, gang: row.members };
            let row = must(w, row, started, now)?;
            match assign::spec(&row) {
                Ok(spec) => Ok(assign::fresh(&row, &spec, epoch)),
                Err(why) => unreadable(w, row, &why, now).map(|()| Vec::new()),
            }
        }
        Action::Stop { workload, attempt, cause } => {
            let reason = match cause {
                StopCause::Preempt { beneficiary } => StopReason::Preempted(*beneficiary),
                StopCause::Reclaim { beneficiary } => StopReason::Reclaimed(*beneficiary),
                StopCause::Suspend { beneficiary } => StopReason::Suspended(*beneficiary),
                StopCause::MaxDuration => StopReason::MaxDuration,
            };
            let row = found(w, *workload)?;
            must(w, row, Event::StopPlanned { attempt: *attempt, reason }, now)?;
            Ok(Vec::new())
        }
    }
}

/// Notes for whom the plan stops others: they go first until they start.
pub(super) fn owe(w: &mut Write<'_>, plan: &Plan, now: Timestamp) -> Result<(), Uncommitted> {
    for (beneficiary, at) in plan.promises(now) {
        let mut row = found(w, beneficiary)?;
        if row.owed.is_none() {
            row.owed = Some(at);
            w.save_workload(&row, now)?;
        }
    }
    Ok(())
}

/// Takes in what an agent saw. What is stale, or of a workload that was removed, is known.
pub(super) fn learn(
    w: &mut Write<'_>,
    key: MemberKey,
    observed: &Observed,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(mut row) = w.workload(key.workload)? else { return Ok(()) };
    let (attempt, member) = (key.attempt, key.member);
    let current = attempt == row.record.attempt;
    let event = match observed {
        Observed::Running { at } => {
            row.started_at = row.started_at.or(current.then_some(*at));
            Event::MemberRunning { attempt, member }
        }
        Observed::Ended { began, exit, usage, used } => {
            row.started_at = row.started_at.or(began.filter(|_| current));
            let sample = WorkloadSample {
                workload: key.workload,
                attempt,
                member,
                cpu_us: usage.cpu_us,
                memory: usage.memory,
                memory_peak: usage.memory_peak,
            };
            let used = used.iter().map(|used| of_member(key, used.clone()));
            w.record_usage(now, &[sample], &used.collect::<Vec<_>>())?;
            Event::MemberEnded { attempt, member, exit: exit.clone() }
        }
    };
    match happened(w, row, event, WEFT, now)? {
        Err(Refusal::Illegal) => tracing::error!(%key, ?observed, "an impossible report; ignored"),
        Err(Refusal::Stale) | Ok(_) => {}
    }
    Ok(())
}

/// Ends every member of a start that cannot be carried out, because this version cannot read
/// what was submitted.
pub(crate) fn unreadable(
    w: &mut Write<'_>,
    mut row: WorkloadRow,
    why: &str,
    now: Timestamp,
) -> Result<(), Uncommitted> {
    for member in 0..row.record.members.len() as u32 {
        let exit = Exit { end: End::NotStarted, at: now, detail: why.to_owned() };
        let (attempt, member) = (row.record.attempt, Member(member));
        let ended = Event::MemberEnded { attempt, member, exit };
        match happened(w, row.clone(), ended, WEFT, now)? {
            Ok(next) => row = next,
            Err(Refusal::Stale) => {}
            Err(Refusal::Illegal) => return Err(Uncommitted::Bug(format!("{}: {why}", row.id))),
        }
    }
    Ok(())
}

/// Writes down that a plan was not carried out.
pub(super) fn refused(w: &mut Write<'_>, detail: String, at: Timestamp) -> Result<(), StoreError> {
    let (actor, kind, what) = (WEFT.to_owned(), "plan".to_owned(), "refused".to_owned());
    let subject = "loop".to_owned();
    w.append_event(NewEvent { at, actor, kind, subject, queue: None, what, detail })?;
    Ok(())
}

fn found(w: &Write<'_>, id: weft_types::WorkloadId) -> Result<WorkloadRow, Uncommitted> {
    w.workload(id)?.ok_or_else(|| Uncommitted::Bug(format!("the plan names {id}, which is not")))
}

/// What a plan on the current generation says must be possible.
fn must(
    w: &mut Write<'_>,
    row: WorkloadRow,
    event: Event,
    now: Timestamp,
) -> Result<WorkloadRow, Uncommitted> {
    let text = format!("{event:?} does not apply to {} in {:?}", row.id, row.record);
    happened(w, row, event, WEFT, now)?.map_err(|_| Uncommitted::Bug(text))
}

/// What there is to tell: a word and a sentence.
fn told(before: &WorkloadRow, row: &WorkloadRow, now: Timestamp) -> Option<(&'static str, String)> {
    let (was, is) = (&before.record, &row.record);
    let exit = || is.exit.as_ref().map_or(String::new(), |exit| exit.detail.clone());
    match is.state {
        State::Starting if was.state == State::Queued => Some(("placed", on(row))),
        State::Running if was.state != State::Running => Some(("running", String::new())),
        State::Stopping if is.stop != was.stop => Some(match is.stop? {
            StopReason::Requested => ("stop-requested", String::new()),
            StopReason::MaxDuration => ("time-limit", "it has run as long as it may".to_owned()),
            StopReason::Preempted(by) => ("preempted", format!("for {by}; it will wait again")),
            StopReason::Reclaimed(by) => ("reclaimed", format!("for {by}; it will wait again")),
            StopReason::Suspended(by) => ("suspended", turn_over(row, by, now)),
            StopReason::MemberFailed => ("member-failed", "its other members are ended".to_owned()),
            StopReason::DeviceFailed => ("moved", "off a device that failed".to_owned()),
            StopReason::DeviceTakenOut => {
                ("moved", "off a device that an operator takes out".to_owned())
            }
        }),
        State::Queued if was.state.holds_capacity() => Some(("requeued", again(row, exit()))),
        State::Succeeded => Some(("exited", "succeeded".to_owned())),
        State::Failed => Some(("exited", format!("failed: {}", exit()))),
        State::Stopped => Some(("exited", "stopped".to_owned())),
        _ => None,
    }
}

/// Where a workload was placed, and on what.
fn on(row: &WorkloadRow) -> String {
    let Some(first) = row.placements.first() else { return String::new() };
    let many = if first.cpu.0 == 1000 { "" } else { "s" };
    let Placement { node, cpu, memory, .. } = first;
    let mut text = format!("on {node}: {cpu} core{many}, {memory} of memory");
    let grants: Vec<String> = first.grants.iter().map(|g| g.device().to_string()).collect();
    if !grants.is_empty() {
        text += &format!(", {}", grants.join(" "));
    }
    match (row.members, row.gang_most) {
        (1, 1) => text,
        (members, most) if most == row.gang => {
            format!("{members} members, each as the first: {text}")
        }
        (members, most) => {
            let (least, many) = (row.gang, if members == 1 { "" } else { "s" });
            format!("{members} member{many} of {least} to {most}, each as the first: {text}")
        }
    }
}

/// That a turn is over, after how long in all, for whom, and what becomes of the work.
fn turn_over(row: &WorkloadRow, by: WorkloadId, now: Timestamp) -> String {
    let ran = row.placed_at.map_or(Millis::ZERO, |placed_at| now.since(placed_at));
    let served = Millis(row.served.0.saturating_add(ran.0));
    format!("after {served}, for {by}; it goes on from what it saves when its turn comes again")
}

/// Why a workload waits again.
fn again(row: &WorkloadRow, exit: String) -> String {
    match row.record.stop {
        Some(StopReason::Preempted(by) | StopReason::Reclaimed(by) | StopReason::Suspended(by)) => {
            match row.suspend {
                Some(_) => format!("its place went to {by}; it goes on from what it saved"),
                None => format!("its place went to {by}"),
            }
        }
        Some(StopReason::DeviceFailed) => match row.suspend {
            Some(_) => "its device failed; it goes on from what it saved".to_owned(),
            None => "its device failed; it starts anew elsewhere".to_owned(),
        },
        Some(StopReason::DeviceTakenOut) => match row.suspend {
            Some(_) => "its device was taken out; it goes on from what it saved".to_owned(),
            None => "its device was taken out; it starts anew elsewhere".to_owned(),
        },
        _ => format!("retry {} of {}: {exit}", row.record.retries, row.record.retry.max),
    }
}
