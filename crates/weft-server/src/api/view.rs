//! From stored rows to the words on the wire.

use super::clock::now;
use super::fault::{Fault, internal};
use super::state::App;
use weft_api::spec::WorkloadSpec;
use weft_api::wire::{
    self, DeviceShare, Exit, FieldChange, Help, Placed, State, UsageSummary, Wait, WaitKind,
};
use weft_lifecycle::{End, StopReason};
use weft_policy::{Principal, Verb};
use weft_sched::{Change, Grant, Placement, Reason, Relaxation, Then, Verdict};
use weft_store::{
    DeviceRow, DeviceUseRow, EventRow, PublicationRow, Published, Read, StoreError, UsageTotals,
    WorkloadRow,
};
use weft_types::{Attempt, DeviceId, Isolation, Member, Millis, Timestamp, WorkloadId};

/// What else than its row a workload's view needs of the store.
pub(crate) struct Aside {
    usage: UsageTotals,
    devices: Vec<DeviceRow>,
    /// What its start used of devices, while it runs on any.
    used: Vec<DeviceUseRow>,
    published: Vec<PublicationRow>,
}

impl Aside {
    /// Reads it, in the same view of the state as the row.
    pub(crate) fn read(
        r: &Read<'_>,
        row: &WorkloadRow,
        now: Timestamp,
    ) -> Result<Self, StoreError> {
        let held = row.placements.iter().flat_map(|placement| &placement.grants);
        let devices = held
            .map(|grant| r.device(grant.device()))
            .filter_map(Result::transpose)
            .collect::<Result<Vec<_>, _>>()?;
        let runs = row.record.state == weft_lifecycle::State::Running && !devices.is_empty();
        let used = match runs {
            true => r.device_use(row.id, Some(row.record.attempt))?,
            false => Vec::new(),
        };
        let published = r.publications(row.id)?;
        Ok(Self { usage: r.usage(row.id, now)?, devices, used, published })
    }
}

/// A workload as this caller may see it.
pub(crate) fn workload(
    app: &App,
    who: &Principal,
    row: &WorkloadRow,
    aside: &Aside,
) -> Result<wire::Workload, Fault> {
    let mut spec: WorkloadSpec = serde_json::from_str(&row.spec_json).map_err(internal)?;
    let sees_all = app.decide(who, Verb::WorkloadLogs, super::guard::of_workload(row)).allow;
    if !sees_all {
        hide(&mut spec);
    }
    let record = &row.record;
    let starting = record.state == weft_lifecycle::State::Starting;
    Ok(wire::Workload {
        id: row.id.to_string(),
        name: row.name.clone(),
        queue: row.queue.to_string(),
        user: row.user.to_string(),
        kind: row.kind.to_string(),
        phase: row.phase.to_string(),
        state: state(record.state),
        stage: if starting { app.control.stage(row.id) } else { None },
        attempt: record.attempt.0,
        submitted_at_ms: row.submitted_at.0,
        placed_at_ms: row.placed_at.map(|at| at.0),
        started_at_ms: row.started_at.map(|at| at.0),
        ended_at_ms: row.ended_at.map(|at| at.0),
        exit: exit(row),
        members: row.members,
        placements: row
            .placements
            .iter()
            .map(|p| placed(p, Some(row.id), &aside.devices))
            .collect(),
        wait: waiting(app, row),
        suspended: suspended(row),
        served_ms: row.served.0,
        expected: expected(row, sees_all),
        usage: usage(row, &aside.usage),
        gpu_idle_since_ms: idle_since(row, &aside.used).map(|at| at.0),
        endpoints: endpoints(app, row),
        tier: match spec.data.is_empty() {
            true => None,
            false => Some(crate::auth::run::carries(&spec.data).to_string()),
        },
        published: aside.published.iter().map(published).collect(),
        spec,
        version: row.version,
    })
}

/// What becomes of an output that goes into a dataset.
fn published(row: &PublicationRow) -> wire::Published {
    wire::Published {
        from: row.path.clone(),
        to: row.dataset.to_string(),
        state: match row.state {
            Published::Waiting => wire::PublishedState::Waiting,
            Published::Made => wire::PublishedState::Made,
            Published::Refused => wire::PublishedState::Refused,
            Published::Dropped => wire::PublishedState::Dropped,
        },
        version: row.version,
        why: Some(row.why.clone()).filter(|why| !why.is_empty()),
    }
}

/// What a user's program is told is the user's: values of the environment, the command's and
/// setup's text stay with those who may read the log. So does the bundle's name: whoever knows
/// it can run something that reads the bundle.
fn hide(spec: &mut WorkloadSpec) {
    const HIDDEN: &str = "(hidden)";
    spec.env.values_mut().for_each(|value| HIDDEN.clone_into(value));
    spec.command.iter_mut().skip(1).for_each(|argument| HIDDEN.clone_into(argument));
    spec.setup.iter_mut().for_each(|line| HIDDEN.clone_into(line));
    spec.bundle = spec.bundle.as_ref().map(|_| HIDDEN.to_owned());
    spec.runtime.requirements = spec.runtime.requirements.as_ref().map(|_| HIDDEN.to_owned());
}

/// The state's word on the wire.
pub(crate) const fn state(state: weft_lifecycle::State) -> State {
    use weft_lifecycle::State as Stored;
    match state {
        Stored::Queued => State::Queued,
        Stored::Starting => State::Starting,
        Stored::Running => State::Running,
        Stored::Stopping => State::Stopping,
        Stored::Succeeded => State::Succeeded,
        Stored::Failed => State::Failed,
        Stored::Stopped => State::Stopped,
    }
}

/// How it ended; of the last start, while it waits again.
fn exit(row: &WorkloadRow) -> Option<Exit> {
    let exit = row.record.exit.as_ref()?;
    let (kind, code) = match exit.end {
        End::Exited(code) => ("exited", Some(code)),
        End::Signalled(signal) => ("signalled", Some(128 + signal)),
        End::OutOfMemory => ("out-of-memory", Some(137)),
        End::OutOfDisk => ("out-of-disk", Some(137)),
        End::NotStarted => ("not-started", None),
        End::Lost => ("lost", None),
        End::Stopped => match row.record.stop {
            Some(StopReason::MaxDuration) => ("max-duration", Some(143)),
            _ => ("stopped", Some(143)),
        },
    };
    let detail = match exit.detail.is_empty() {
        true => sentence(exit.end, row),
        false => exit.detail.clone(),
    };
    Some(Exit { kind: kind.to_owned(), code, detail })
}

fn sentence(end: End, row: &WorkloadRow) -> String {
    match end {
        End::Exited(0) => "the command ended well".to_owned(),
        End::Exited(code) => format!("the command ended with {code}; its log says why"),
        End::Signalled(signal) => format!("the command was ended by signal {signal}"),
        End::OutOfMemory => format!(
            "it used more than its {} of memory; ask for more with resources.memory",
            row.request.memory
        ),
        End::OutOfDisk => format!(
            "it used more than its {} of disk; ask for more with resources.disk",
            row.request.disk
        ),
        End::NotStarted => "its environment could not be made; its log says why".to_owned(),
        End::Lost => "its machine or supervisor went away".to_owned(),
        End::Stopped => match row.record.stop {
            Some(StopReason::MaxDuration) => "it reached its max_duration".to_owned(),
            Some(StopReason::Preempted(by)) => format!("{by} of higher priority took its place"),
            Some(StopReason::Reclaimed(by)) => format!("its capacity went back to {by}'s team"),
            Some(StopReason::Suspended(by)) => format!("it was {by}'s turn"),
            Some(StopReason::DeviceFailed) => "a device it held failed".to_owned(),
            Some(StopReason::DeviceTakenOut) => "an operator took out a device it held".to_owned(),
            _ => "it was stopped".to_owned(),
        },
    }
}

/// Whose turn it is instead, from the plan that says so until it is started again.
fn suspended(row: &WorkloadRow) -> Option<wire::Suspended> {
    let Some(StopReason::Suspended(by)) = row.record.stop else { return None };
    if row.record.state.is_final() {
        return None;
    }
    let holds = row.placed_at.filter(|_| row.record.state.holds_capacity());
    let now = holds.map_or(Millis::ZERO, |since| now().since(since));
    Some(wire::Suspended { by: by.to_string(), after_ms: row.served.0.saturating_add(now.0) })
}

fn expected(row: &WorkloadRow, sees_all: bool) -> Option<wire::Expected> {
    let learned = row.learned_from > 0 && sees_all;
    Some(wire::Expected {
        duration_ms: row.expected?.0,
        runs: row.learned_from,
        program: learned.then(|| row.program.clone()),
    })
}

/// What one member holds.
pub(crate) fn placed(
    placement: &Placement,
    workload: Option<WorkloadId>,
    devices: &[DeviceRow],
) -> Placed {
    let isolation = placement.grants.iter().map(|grant| isolation(grant, devices)).max();
    Placed {
        member: placement.member.0,
        node: placement.node.to_string(),
        cpu_milli: placement.cpu.0,
        memory_bytes: placement.memory.0,
        devices: placement.grants.iter().map(|grant| share(grant, workload, devices)).collect(),
        isolation: isolation.unwrap_or(Isolation::None).to_string(),
    }
}

/// What a grant gives of its device.
pub(crate) fn share(
    grant: &Grant,
    workload: Option<WorkloadId>,
    devices: &[DeviceRow],
) -> DeviceShare {
    let of = |id: &DeviceId| devices.iter().find(|device| device.id == *id);
    let device = of(grant.device());
    let (milli, memory_bytes, mig) = match grant {
        Grant::Whole { .. } => (1_000, device.map_or(0, |d| d.class.memory.0), None),
        Grant::Share { milli, memory, .. } => (milli.0, memory.0, None),
        Grant::Mig { placement, .. } => {
            (mig_milli(device, placement), placement.memory.0, Some(placement.profile.to_string()))
        }
    };
    DeviceShare {
        device: grant.device().to_string(),
        class: device.map_or_else(String::new, |d| d.class.name.clone()),
        workload: workload.map(|id| id.to_string()),
        milli,
        memory_bytes,
        mig,
        isolation: isolation(grant, devices).to_string(),
        simulated: device.is_some_and(|d| d.simulated),
        used: None,
    }
}

/// How well a grant is kept apart. What keeps the parts of a device is one thing for all of them
/// (`weft-agent`, `mps.rs`), so that of the device is the grant's.
fn isolation(grant: &Grant, devices: &[DeviceRow]) -> Isolation {
    let device = devices.iter().find(|device| device.id == *grant.device());
    let shared = device.and_then(|device| Isolation::of_shares(&device.rungs));
    match grant {
        Grant::Share { .. } => shared.unwrap_or(Isolation::Shared),
        Grant::Whole { .. } | Grant::Mig { .. } => grant.isolation(),
    }
}

/// A MIG instance's share of its device: its compute slices of all.
fn mig_milli(device: Option<&DeviceRow>, placement: &weft_sched::MigPlacement) -> u64 {
    match device.map(|device| &device.mode) {
        Some(weft_sched::DeviceMode::Mig { compute_slices, .. }) if *compute_slices > 0 => {
            u64::from(placement.profile.slices) * 1_000 / u64::from(*compute_slices)
        }
        _ => 0,
    }
}

/// Why it waits, while it does.
pub(crate) fn waiting(app: &App, row: &WorkloadRow) -> Option<Wait> {
    if row.record.state != weft_lifecycle::State::Queued {
        return None;
    }
    let unplanned = |kind, reason| Wait {
        kind,
        reason,
        hint: None,
        position: 1,
        eta_ms: None,
        helps: Vec::new(),
    };
    Some(match (app.control.held(row.id), app.control.verdict(row.id)) {
        (Some(why), _) => unplanned(WaitKind::Sample, why),
        (None, Some(verdict)) => wait(&verdict),
        (None, None) => unplanned(WaitKind::New, "the next plan will look at it".to_owned()),
    })
}

/// A verdict in words.
pub(crate) fn wait(verdict: &Verdict) -> Wait {
    let (reason, hint) = weft_sched::describe(&verdict.reason);
    Wait {
        kind: kind(&verdict.reason),
        reason,
        hint,
        position: verdict.position,
        eta_ms: verdict.eta.map(|at| at.0),
        helps: Vec::new(),
    }
}

/// What kind of reason it is.
pub(crate) fn kind(reason: &Reason) -> WaitKind {
    match reason {
        Reason::BackOff { .. } => WaitKind::BackOff,
        Reason::Impossible { .. } => WaitKind::Impossible,
        Reason::Quota { .. } => WaitKind::Quota,
        Reason::Capacity { .. } => WaitKind::Capacity,
        Reason::Handover { .. } => WaitKind::Handover,
        Reason::MinRun { .. } => WaitKind::MinRun,
        Reason::Behind { .. } => WaitKind::Behind,
        Reason::Kept { .. } => WaitKind::Kept,
    }
}

/// A verdict in words, with what would help.
pub(crate) fn wait_with(verdict: &Verdict, relaxations: &[Relaxation]) -> Wait {
    let mut wait = wait(verdict);
    wait.helps = relaxations.iter().map(help).collect();
    // What it says in general is said exactly now.
    let general = matches!(wait.kind, WaitKind::Capacity | WaitKind::Impossible);
    wait.hint = wait.hint.filter(|_| wait.helps.is_empty() || !general);
    wait
}

/// Changes in words, with what to write where.
pub(crate) fn changed(changes: &[Change]) -> String {
    let fields = changes.iter().map(|change| {
        let (field, value, _) = weft_sched::describe_change(change);
        format!("`{field}: {value}`")
    });
    let fields: Vec<_> = fields.collect();
    format!("{}: {}", weft_sched::describe_changes(changes), fields.join(", "))
}

fn help(relaxation: &Relaxation) -> Help {
    let ids = |ids: &[WorkloadId]| ids.iter().map(ToString::to_string).collect();
    let change = |change| {
        let (field, value, _) = weft_sched::describe_change(change);
        FieldChange { field: field.to_owned(), value }
    };
    let (at_ms, ends, stops) = match &relaxation.then {
        Then::Now => (None, Vec::new(), Vec::new()),
        Then::After(victims) => (None, Vec::new(), ids(victims)),
        Then::Ends { workloads, at } => (Some(at.0), ids(workloads), Vec::new()),
    };
    Help {
        what: weft_sched::describe_relaxation(relaxation),
        changes: relaxation.changes.iter().map(change).collect(),
        given_up_milli: relaxation.given_up,
        at_ms,
        ends,
        stops,
    }
}

fn usage(row: &WorkloadRow, totals: &UsageTotals) -> UsageSummary {
    UsageSummary {
        wall_ms: totals.held_ms,
        cpu_ms: totals.cpu_us / 1_000,
        cpu_allocated_ms: totals.cpu_allocated_ms,
        memory_peak_bytes: totals.memory_peak.0,
        memory_limit_bytes: row.request.memory.0,
        gpu_allocated_ms: totals.gpu_allocated_ms,
        gpu_active_ms: totals.gpu_active_ms,
        gpu_source: totals.gpu_source.map(|source| source.to_string()),
    }
}

/// Since when a running workload has not used its devices: since it was seen to use any of them,
/// else since it runs. None where of one of them nobody can tell.
fn idle_since(row: &WorkloadRow, used: &[DeviceUseRow]) -> Option<Timestamp> {
    let of = |(member, device): (Member, &DeviceId)| {
        used.iter().find(|row| row.member == member && row.used.device == *device)
    };
    let grants = row.placements.iter().flat_map(|placement| {
        placement.grants.iter().map(|grant| (placement.member, grant.device()))
    });
    let active: Option<Vec<_>> =
        grants.map(|held| of(held).map(|row| row.used.active_at)).collect();
    let last = active.filter(|all| !all.is_empty())?.into_iter().max().flatten();
    last.max(row.started_at)
}

fn endpoints(app: &App, row: &WorkloadRow) -> Vec<String> {
    if row.record.state != weft_lifecycle::State::Running {
        return Vec::new();
    }
    let members = (0..row.members).map(Member);
    let key =
        |member| weft_runtime::MemberKey { workload: row.id, attempt: row.record.attempt, member };
    let of = |member| app.runtime.endpoints(key(member));
    members.flat_map(of).map(|(_, outside)| outside.to_string()).collect()
}

/// The run directory of a member's current start; of the last one, once it is over.
pub(crate) fn member_key(row: &WorkloadRow, member: Member) -> Option<weft_runtime::MemberKey> {
    let attempt = row.record.attempt;
    (attempt > Attempt(0) && member.0 < row.members).then_some(weft_runtime::MemberKey {
        workload: row.id,
        attempt,
        member,
    })
}

/// An event.
pub(crate) fn event(row: EventRow) -> wire::Event {
    let event = row.event;
    wire::Event {
        seq: row.seq,
        at_ms: event.at.0,
        actor: event.actor,
        kind: event.kind,
        subject: event.subject,
        what: event.what,
        detail: event.detail,
    }
}

/// A fresh view of one workload, from the store.
pub(crate) async fn fresh(
    app: &App,
    who: &Principal,
    id: WorkloadId,
) -> Result<Option<wire::Workload>, Fault> {
    let now = now();
    let read = move |r: &Read<'_>| -> Result<_, StoreError> {
        let Some(row) = r.workload(id)? else { return Ok(None) };
        let aside = Aside::read(r, &row, now)?;
        Ok(Some((row, aside)))
    };
    match app.store.read(read).await? {
        Some((row, aside)) => workload(app, who, &row, &aside).map(Some),
        None => Ok(None),
    }
}
