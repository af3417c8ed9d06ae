//! Use: a workload's curve, what teams held and used, and whether the ledger's sums agree.

use super::call::Call;
use super::fault::{Fault, at, quoted};
use super::reply::json;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;
use weft_api::problem::Code;
use weft_api::wire::{
    CostLine, CostReport, DeviceUse, LedgerCheck, LedgerDevice, MetricPoint, Metrics,
};
use weft_policy::{Resource, Role, Verb};
use weft_store::{DeviceHeld, DeviceRow, Point, Read, StoreError};
use weft_types::{Attempt, Phase, QueueName, Timestamp, UseSource};

/// Points of a curve on one answer: a day by the minute, and more than a screen is wide.
const POINTS_MAX: u32 = weft_store::PAGE_MAX;
/// What the ledger's sums may differ by: 0.1 %.
const BOUND_PPM: u64 = 1_000;
/// Thousandths of a device, in which the ledger counts.
const WHOLE: u64 = 1_000;
/// Nanoseconds of a microsecond.
const NS_PER_US: u64 = 1_000;
/// What a report without a beginning covers: the last 30 days.
const REPORT_MS: u64 = 30 * 86_400_000;

/// Since when.
#[derive(Debug, Default, Deserialize, IntoParams)]
pub(crate) struct MetricsQuery {
    /// Not older than this.
    since_ms: Option<u64>,
}

/// Whose cost.
#[derive(Debug, Default, Deserialize, IntoParams)]
pub(crate) struct CostQuery {
    /// Of this queue and those below it; absent: the caller's team's, for operators all.
    queue: Option<String>,
    /// Of this phase only.
    phase: Option<String>,
    /// From then on; absent: 30 days ago.
    since_ms: Option<u64>,
}

/// `GET /workloads/{id}/metrics`.
pub(crate) async fn metrics(call: Call) -> Result<Response, Fault> {
    let query: MetricsQuery = call.query()?;
    let (id, since) = (call.workload()?.id, Timestamp(query.since_ms.unwrap_or(0)));
    let (attempt, now) = (call.workload()?.record.attempt, call.now);
    let read = move |r: &Read<'_>| -> Result<_, StoreError> {
        let held = r.devices_held(id, attempt, now)?.into_iter();
        let held = held.map(|held| Ok((r.device(&held.device)?, held)));
        Ok((r.points(id, since, POINTS_MAX)?, held.collect::<Result<Vec<_>, StoreError>>()?))
    };
    let (points, held) = call.app.store.read(read).await?;
    let row = call.workload()?;
    let (members, holds) = (u64::from(row.members), row.record.state.holds_capacity());
    let sum = |of: fn(&DeviceHeld) -> u64| held.iter().map(|(_, held)| of(held)).sum();
    json(&Metrics {
        workload: id.to_string(),
        cpu_limit_milli: row.request.cpu.0.saturating_mul(members),
        memory_limit_bytes: row.request.memory.0.saturating_mul(members),
        gpu_limit_milli: sum(|held| held.milli.0),
        gpu_memory_limit_bytes: sum(|held| held.memory.0),
        points: points.iter().map(point).collect(),
        devices: held
            .into_iter()
            .map(|(device, held)| device_use(device.as_ref(), attempt, held, holds))
            .collect(),
    })
}

/// What a start used of a device; what it holds now, while it does.
fn device_use(
    device: Option<&DeviceRow>,
    attempt: Attempt,
    held: DeviceHeld,
    holds: bool,
) -> DeviceUse {
    let simulated = device.is_some_and(|device| device.simulated);
    let source = held.used.as_ref().map(|row| row.source);
    let used = held.used.map(|row| row.used);
    let (of, work) = (used.as_ref(), used.as_ref().and_then(|used| used.work));
    DeviceUse {
        device: held.device.to_string(),
        class: device.map_or_else(String::new, |device| device.class.name.clone()),
        simulated,
        attempt: attempt.0,
        member: held.member.0,
        milli: held.milli.0,
        source: source.or(simulated.then_some(UseSource::Simulated)).map(|word| word.to_string()),
        held_us: held.held_us,
        used_us: of.and_then(|used| used.gpu_ns).map(|ns| ns / NS_PER_US),
        memory_limit_bytes: held.memory.0,
        memory_bytes: of.filter(|_| holds).map(|used| used.memory.0),
        memory_peak_bytes: of.map(|used| used.memory_peak.0),
        launches: work.map(|work| work.launches),
        to_device_bytes: work.map(|work| work.to_device.0),
        from_device_bytes: work.map(|work| work.from_device.0),
        active_at_ms: of.and_then(|used| used.active_at).map(|at| at.0),
    }
}

fn point(point: &Point) -> MetricPoint {
    let span = point.span_ms.max(1);
    MetricPoint {
        at_ms: point.at.0,
        // Microseconds in milliseconds are thousandths of a core.
        cpu_milli: point.cpu_us / span,
        memory_bytes: point.memory.0,
        gpu_active_milli: (point.gpu_known > 0 || point.gpu_active > 0)
            .then_some(point.gpu_active / span),
        gpu_memory_bytes: point.gpu_memory.0,
    }
}

/// Whose cost is asked for.
pub(crate) fn asked(call: &Call) -> Result<(Verb, Resource), Fault> {
    let query: CostQuery = call.query()?;
    let who = &call.who.principal;
    let named = |text: String| {
        QueueName::new(text).map_err(|e| at(Code::BadRequest, "queue", quoted(&e.to_string())))
    };
    let queue = match (query.queue, who.role) {
        (Some(text), _) => Some(named(text)?),
        (None, Role::Admin | Role::Operator) => None,
        (None, _) => who.queue.clone(),
    };
    Ok(match queue {
        Some(queue) => (Verb::CostRead, Resource::Queue(queue)),
        None => (Verb::CostReadAll, Resource::Pool),
    })
}

/// `GET /cost`.
pub(crate) async fn cost(call: Call) -> Result<Response, Fault> {
    let query: CostQuery = call.query()?;
    let phases = [Phase::Concept, Phase::Training, Phase::Deployment];
    let phase = query.phase.as_deref().map(|word| {
        let phase = phases.into_iter().find(|phase| phase.as_str() == word);
        let rule = "must be concept, training or deployment";
        phase.ok_or_else(|| at(Code::BadRequest, "phase", rule))
    });
    let phase = phase.transpose()?;
    let until = call.now;
    let from = Timestamp(query.since_ms.unwrap_or(until.0.saturating_sub(REPORT_MS)));
    let top = match asked(&call)? {
        (_, Resource::Queue(queue)) => Some(queue),
        _ => None,
    };
    let lines = call.app.store.read(move |r| r.cost(None, phase, from, until)).await?;
    let within = |line: &weft_store::CostLine| {
        top.as_ref().is_none_or(|top| super::queues::within(&line.queue, top))
    };
    let lines = lines.into_iter().filter(within).map(line).collect();
    json(&CostReport { from_ms: from.0, until_ms: until.0, lines })
}

fn line(line: weft_store::CostLine) -> CostLine {
    CostLine {
        queue: line.queue.to_string(),
        phase: line.phase.to_string(),
        workloads: line.workloads,
        cpu_allocated_ms: line.cpu_allocated_ms,
        cpu_used_ms: line.cpu_used_ms,
        gpu_allocated_ms: line.gpu_allocated_ms,
        gpu_active_ms: line.gpu_active_ms,
        gpu_measured_ms: line.gpu_measured_ms,
        gpu_sampled_ms: line.gpu_sampled_ms,
        gpu_simulated_ms: line.gpu_simulated_ms,
        memory_gb_s: line.memory_gb_s,
    }
}

/// `GET /ledger/check`.
pub(crate) async fn check(call: Call) -> Result<Response, Fault> {
    let devices = call.app.store.read(|r| r.ledger_check()).await?;
    json(&LedgerCheck {
        ok: devices.iter().all(|device| device.balance.error_ppm() <= BOUND_PPM),
        bound_ppm: BOUND_PPM,
        devices: devices
            .into_iter()
            .map(|device| LedgerDevice {
                device: device.device.to_string(),
                wall_ms: device.balance.wall / WHOLE,
                accounted_ms: device.balance.accounted() / WHOLE,
                error_ppm: device.balance.error_ppm(),
            })
            .collect(),
    })
}
