//! The pool: machines and accelerators, who holds what of them, and draining.

use super::call::Call;
use super::fault::{Fault, internal};
use super::guard::of_workload;
use super::reply::{Reply, json};
use super::view;
use crate::watch_devices::{self, Moment};
use axum::response::Response;
use std::collections::BTreeMap;
use weft_api::problem::{Code, Problem};
use weft_api::wire::{Device, DeviceShare, DeviceUpdate, Health, Node, NodeUpdate, Rung, ShareUse};
use weft_lifecycle::DeviceEvent;
use weft_policy::{Principal, Verb};
use weft_sched::{Pending, Prices, Snapshot, WorkloadState};
use weft_store::{
    DeviceRow, DeviceUseRow, NewEvent, NewWorkload, NodeRow, Read, StoreError, WorkloadRow,
};
use weft_types::{
    Attempt, DeviceId, Isolation, MilliGpu, Millis, NodeId, Timestamp, UseSource, WorkloadId,
};

/// `GET /devices`.
pub(crate) async fn devices(call: Call) -> Result<Response, Fault> {
    let (app, who) = (call.app.clone(), call.who.principal.clone());
    let live: BTreeMap<DeviceId, crate::control::LiveDevice> =
        call.app.control.devices().into_iter().map(|live| (live.device.clone(), live)).collect();
    let read = move |r: &Read<'_>| -> Result<Vec<Device>, Fault> {
        let (snapshot, rows) = (r.snapshot()?, r.devices()?);
        let (free, prices) = (weft_sched::devices(&snapshot), Prices::of(&snapshot));
        let free: BTreeMap<_, _> = free.into_iter().map(|d| (d.device.clone(), d)).collect();
        let mut seen = Seen { app: &app, who: &who, r, known: BTreeMap::new() };
        rows.iter()
            .map(|row| {
                let seen = device(row, free.get(&row.id), live.get(&row.id), &rows, &mut seen)?;
                let worth_milli = prices.priced(&row.id, MilliGpu(1_000)).0;
                Ok(Device { worth_milli, ..seen })
            })
            .collect()
    };
    json(&call.app.store.read(read).await?)
}

/// Whether the caller may know whose a share is, looked up once for each workload.
struct Seen<'a> {
    app: &'a super::state::App,
    who: &'a Principal,
    r: &'a Read<'a>,
    /// The start that is seen; none: it is not to be.
    known: BTreeMap<WorkloadId, Option<Attempt>>,
}

impl Seen<'_> {
    /// The start that is running, where the caller may know of it.
    fn start(&mut self, id: WorkloadId) -> Result<Option<Attempt>, StoreError> {
        if let Some(known) = self.known.get(&id) {
            return Ok(*known);
        }
        let row = self.r.workload(id)?;
        let ask =
            |row: &WorkloadRow| self.app.decide(self.who, Verb::WorkloadRead, of_workload(row));
        let start = row.filter(|row| ask(row).allow).map(|row| row.record.attempt);
        self.known.insert(id, start);
        Ok(start)
    }
}

fn device(
    row: &DeviceRow,
    free: Option<&weft_sched::DeviceFree>,
    live: Option<&crate::control::LiveDevice>,
    rows: &[DeviceRow],
    seen: &mut Seen<'_>,
) -> Result<Device, Fault> {
    let mut shares = Vec::new();
    for (id, member, grant) in free.map_or(&[][..], |free| &free.holders) {
        let start = seen.start(*id)?;
        let used = match start {
            Some(attempt) => seen.r.member_use(*id, attempt, *member, &row.id)?,
            None => None,
        };
        let used = used.map(|row| used_now(row, *id, live));
        shares.push(DeviceShare { used, ..view::share(grant, start.map(|_| *id), rows) });
    }
    let active = live.and_then(crate::control::LiveDevice::active);
    Ok(Device {
        id: row.id.to_string(),
        class: row.class.name.clone(),
        product: row.product.clone(),
        memory_bytes: row.class.memory.0,
        simulated: row.simulated,
        declared: seen.app.about.declared,
        health: health(row),
        isolation: row.rungs.iter().map(rung).collect(),
        shares,
        worth_milli: 0,
        free_milli: free.map_or(0, |free| free.milli.0),
        free_memory_bytes: free.map_or(0, |free| free.memory.0),
        active_percent: active
            .and_then(|(permille, _)| u8::try_from((permille / 10).min(100)).ok()),
        active_source: active.map(|(_, source)| source.to_string()),
        memory_used_bytes: live.filter(|_| !seen.app.about.declared).map(|live| live.memory_used.0),
    })
}

/// What a member of a workload uses now of a device that it holds.
fn used_now(
    row: DeviceUseRow,
    id: WorkloadId,
    live: Option<&crate::control::LiveDevice>,
) -> ShareUse {
    let milli = live.and_then(|live| match row.source {
        UseSource::Measured => live.measured.get(&(id, row.member)).copied(),
        _ => live.active_permille.map(u64::from),
    });
    ShareUse {
        source: row.source.to_string(),
        milli,
        memory_bytes: row.used.memory.0,
        active_at_ms: row.used.active_at.map(|at| at.0),
    }
}

fn health(row: &DeviceRow) -> Health {
    Health {
        ok: row.fault.is_none(),
        state: row.health.state.as_str().to_owned(),
        since_ms: row.health.since.0,
        detail: row.fault.clone(),
    }
}

/// `PATCH /devices/{node}/{index}`.
pub(crate) async fn update_device(call: Call) -> Result<Response, Fault> {
    let (node, index): (NodeId, u32) = (call.parsed("node")?, call.parsed("index")?);
    let update: DeviceUpdate = call.json()?;
    let reason = update.reason.as_deref().map(reason).transpose()?;
    let id = DeviceId { node, index };
    call.change_and_wake(move |w, doing| {
        let row = w.device(&id)?.ok_or_else(|| no_device(&id))?;
        let event = match update.takes_work {
            true => DeviceEvent::GivenBack,
            false => DeviceEvent::TakenOut { what: taken_out(&doing.actor, reason.as_deref()) },
        };
        let moment = Moment { at: doing.now, ..Moment::now() };
        doing.detail = serde_json::json!({ "takes_work": update.takes_work, "reason": reason });
        match watch_devices::ordered(w, row, &event, &doing.actor, &moment)? {
            Ok(row) => Reply::json(200, &health(&row)),
            Err(_) => Err(held(w, &id)?),
        }
    })
    .await
}

/// Longest reason of an operator, in characters: a line that fits beside a device.
const REASON_MAX: usize = 200;

/// An operator's reason, if it is one line of text.
fn reason(text: &str) -> Result<String, Fault> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > REASON_MAX || text.contains(char::is_control) {
        let length = text.chars().count();
        let detail =
            format!("reason must be one line of 1 to {REASON_MAX} characters, and has {length}");
        let hint = "say in a few words why it is taken out, or leave it away";
        return Err(Problem::new(Code::BadRequest, detail).hint(hint).into());
    }
    Ok(text.to_owned())
}

/// That somebody has taken a device out, and why if he said so.
fn taken_out(actor: &str, reason: Option<&str>) -> String {
    let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
    format!("taken out by {actor}{reason}")
}

fn no_device(id: &DeviceId) -> Fault {
    let detail = format!("there is no accelerator `{id}`");
    Problem::new(Code::NotFound, detail).hint("`weft gpus` shows those there are").into()
}

/// That it cannot be given back while something holds it.
fn held(r: &Read<'_>, id: &DeviceId) -> Result<Fault, StoreError> {
    let holders: Vec<_> = r.device_holders(id)?.iter().map(WorkloadId::to_string).collect();
    let detail = format!("{id} is held by {} and is given back once empty", holders.join(", "));
    let hint = "wait until they end, or stop them with `weft stop`";
    Ok(Problem::new(Code::Conflict, detail).hint(hint).into())
}

fn rung(rung: &weft_types::Rung) -> Rung {
    Rung { isolation: rung.isolation.to_string(), offered: rung.offered, why: rung.why.clone() }
}

/// `GET /nodes`.
pub(crate) async fn nodes(call: Call) -> Result<Response, Fault> {
    let read = |r: &Read<'_>| -> Result<Vec<Node>, StoreError> {
        let (snapshot, rows) = (r.snapshot()?, r.nodes()?);
        Ok(rows.iter().map(|row| node(row, &snapshot)).collect())
    };
    json(&call.app.store.read(read).await?)
}

/// `PATCH /nodes/{name}`.
pub(crate) async fn update(call: Call) -> Result<Response, Fault> {
    let name: NodeId = call.parsed("name")?;
    let update: NodeUpdate = call.json()?;
    let expected = call.if_match()?;
    call.change_and_wake(move |w, doing| {
        w.drain_node(&name, update.drained, expected)?;
        w.append_event(NewEvent {
            at: doing.now,
            actor: doing.actor.clone(),
            kind: "node".to_owned(),
            subject: name.to_string(),
            queue: None,
            what: if update.drained { "drained" } else { "undrained" }.to_owned(),
            detail: String::new(),
        })?;
        doing.detail = serde_json::json!({ "drained": update.drained });
        let row = w.node(&name)?.ok_or_else(|| internal("a machine just drained is gone"))?;
        Reply::json(200, &node(&row, &w.snapshot()?))
    })
    .await
}

fn node(row: &NodeRow, snapshot: &Snapshot) -> Node {
    let running = snapshot.workloads.values().filter_map(|workload| match &workload.state {
        WorkloadState::Running(running) => Some(&running.placements),
        WorkloadState::Pending(_) => None,
    });
    let here = || running.clone().flatten().filter(|placement| placement.node == row.name);
    let devices = snapshot.nodes.get(&row.name).map_or(0, |node| node.devices.len());
    Node {
        name: row.name.to_string(),
        ready: row.ready,
        drained: row.drained,
        cpu_milli: row.cpu.0,
        cpu_allocated_milli: here().map(|placement| placement.cpu.0).sum(),
        memory_bytes: row.memory.0,
        memory_allocated_bytes: here().map(|placement| placement.memory.0).sum(),
        disk_bytes: row.disk.0,
        devices: u32::try_from(devices).unwrap_or(u32::MAX),
        warnings: row.warnings.clone(),
        version: row.version,
    }
}

/// The machines alone, empty: what a request must fit in, ever. Cheaper than a snapshot, and
/// asked for each submission.
pub(crate) fn machines(r: &Read<'_>) -> Result<Snapshot, StoreError> {
    let mut machines = Snapshot::default();
    for row in r.nodes()? {
        let node = weft_sched::Node {
            schedulable: true,
            cpu: row.cpu,
            memory: row.memory,
            disk: row.disk,
            devices: BTreeMap::new(),
        };
        machines.nodes.insert(row.name, node);
    }
    for row in r.devices()? {
        // One that is broken may be mended: a request for it is not impossible.
        let device = weft_sched::Device {
            class: row.class,
            healthy: true,
            mode: row.mode,
            share: Isolation::of_shares(&row.rungs),
        };
        if let Some(node) = machines.nodes.get_mut(&row.id.node) {
            node.devices.insert(row.id.index, device);
        }
    }
    Ok(machines)
}

/// A workload to be, as the planner would see it.
pub(crate) fn pending(new: NewWorkload) -> weft_sched::Workload {
    weft_sched::Workload {
        queue: new.queue,
        kind: new.kind,
        phase: new.phase,
        priority: new.priority,
        submitted_at: new.submitted_at,
        request: new.request,
        gang: new.gang,
        gang_most: new.gang_most,
        reclaim: new.reclaim,
        max_duration: new.max_duration,
        expected: new.expected,
        suspend: new.suspend,
        served: Millis::ZERO,
        state: WorkloadState::Pending(Pending {
            not_before: Timestamp::ZERO,
            since: new.submitted_at,
            owed: None,
            next_attempt: Attempt(1),
        }),
    }
}
