//! Queues: the teams' shares.

use super::call::Call;
use super::fault::{Fault, at, internal, quoted};
use super::reply::{Reply, json};
use axum::response::Response;
use weft_api::problem::{Code, Problem};
use weft_api::wire::{DataQuota, Queue, QueueOrder, QueueQuota};
use weft_policy::Resource;
use weft_sched::{Order, QueueUse, Quota};
use weft_store::{DataHeld, NewEvent, QueueRow, Read, StoreError};
use weft_types::{Bytes, Isolation, MilliCpu, MilliGpu, QueueName};

/// Longest name of a cohort: as that of any name.
const COHORT_MAX: usize = weft_types::NAME_MAX;
/// Largest quota: it is stored as a signed number, and sums of some thousands must fit too.
const QUOTA_MAX: u64 = 1 << 50;

/// That there is no such queue, and where to look.
pub(crate) fn none(name: &QueueName) -> Fault {
    Problem::new(Code::NotFound, format!("there is no queue `{name}`"))
        .hint("`weft admin queue list` shows the queues there are")
        .into()
}

/// The queue of the path, to the policy.
pub(crate) fn of_path(call: &Call) -> Result<Resource, Fault> {
    Ok(Resource::Queue(call.parsed("path")?))
}

/// `GET /queues`.
pub(crate) async fn list(call: Call) -> Result<Response, Fault> {
    let read = |r: &Read<'_>| -> Result<Vec<Queue>, StoreError> {
        let used = weft_sched::queue_use(&r.snapshot()?);
        let rows = r.queues()?;
        rows.iter().map(|row| view(r, row, used.get(&row.name))).collect()
    };
    json(&call.app.store.read(read).await?)
}

/// `PUT /queues/{path}`.
pub(crate) async fn put(call: Call) -> Result<Response, Fault> {
    let name: QueueName = call.parsed("path")?;
    let sent: Queue = call.json()?;
    if sent.name != name.as_str() {
        return Err(at(Code::BadRequest, "name", "must be the name in the path"));
    }
    let queue = read(&sent)?;
    let isolation = sent.isolation.as_deref().map(isolation).transpose()?;
    // Likewise for how much data it may hold: nothing, until somebody says it.
    let data = sent.data.map(data).transpose()?;
    let expected = call.if_match()?;
    call.change_and_wake(move |w, doing| {
        let before = w.queue(&name)?;
        let made = before.is_none();
        // Who was told an order keeps it until somebody names another.
        let kept = before.map(|row| row.queue).unwrap_or_default();
        let order = sent.order.map_or(kept.order, order);
        // Likewise for what keeps its workloads apart: leaving it away is not lifting it.
        let isolation = isolation.unwrap_or(kept.isolation);
        let queue = weft_sched::Queue { order, isolation, ..queue.clone() };
        w.put_queue(&name, &queue, expected)?;
        if let Some(may) = data {
            w.put_data_quota(&name, may)?;
        }
        let what = if made { "made" } else { "changed" };
        w.append_event(event(&name, &doing.actor, doing.now, what))?;
        doing.detail = serde_json::to_value(&queue).map_err(internal)?;
        if let Some(may) = data {
            let may = serde_json::json!({ "bytes": may.bytes, "objects": may.objects });
            doing.detail["data"] = may;
        }
        let row = w.queue(&name)?.ok_or_else(|| internal("a queue just put is gone"))?;
        let used = weft_sched::queue_use(&w.snapshot()?);
        Reply::json(if made { 201 } else { 200 }, &view(w, &row, used.get(&name))?)
    })
    .await
}

/// `DELETE /queues/{path}`.
pub(crate) async fn remove(call: Call) -> Result<Response, Fault> {
    let name: QueueName = call.parsed("path")?;
    let expected = call.if_match()?;
    call.change_and_wake(move |w, doing| {
        if let (Some(expected), Some(row)) = (expected, w.queue(&name)?)
            && row.version != expected
        {
            let (id, found) = (name.to_string(), row.version);
            return Err(StoreError::Conflict { what: "queue", id, expected, found }.into());
        }
        w.delete_queue(&name)?;
        w.append_event(event(&name, &doing.actor, doing.now, "removed"))?;
        Ok(Reply::nothing())
    })
    .await
}

fn read(sent: &Queue) -> Result<weft_sched::Queue, Fault> {
    if let Some(cohort) = &sent.cohort
        && (cohort.is_empty()
            || cohort.len() > COHORT_MAX
            || !cohort.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_/".contains(&b)))
    {
        let rule = format!("must be 1 to {COHORT_MAX} letters, digits, `-`, `_` or `/`");
        return Err(at(Code::BadRequest, "cohort", rule));
    }
    Ok(weft_sched::Queue {
        cohort: sent.cohort.clone(),
        gpu: quota("gpu_milli", &sent.gpu_milli, MilliGpu)?,
        cpu: quota("cpu_milli", &sent.cpu_milli, MilliCpu)?,
        memory: quota("memory_bytes", &sent.memory_bytes, Bytes)?,
        ..weft_sched::Queue::default()
    })
}

fn order(sent: QueueOrder) -> Order {
    match sent {
        QueueOrder::Submission => Order::Submission,
        QueueOrder::Service => Order::Service,
    }
}

fn isolation(word: &str) -> Result<Isolation, Fault> {
    let words = Isolation::LADDER.map(Isolation::as_str).join(", ");
    let rule = || format!("`{}` is none of {words}", quoted(word));
    Isolation::rung(word).ok_or_else(|| at(Code::BadRequest, "isolation", rule()))
}

fn quota<T>(field: &str, sent: &QueueQuota, unit: fn(u64) -> T) -> Result<Quota<T>, Fault> {
    let parts =
        [("nominal", sent.nominal), ("borrowing", sent.borrowing), ("lending", sent.lending)];
    if let Some((part, value)) = parts.into_iter().find(|(_, value)| *value > QUOTA_MAX) {
        let rule = format!("is {value}, at most {QUOTA_MAX}");
        return Err(at(Code::BadRequest, &format!("{field}.{part}"), rule));
    }
    if sent.lending > sent.nominal {
        let rule = "is more than nominal: only what is its own can be lent";
        return Err(at(Code::BadRequest, &format!("{field}.lending"), rule));
    }
    Ok(Quota {
        nominal: unit(sent.nominal),
        borrowing: unit(sent.borrowing),
        lending: unit(sent.lending),
    })
}

fn data(sent: DataQuota) -> Result<DataHeld, Fault> {
    for (part, value) in [("bytes", sent.bytes), ("objects", sent.objects)] {
        if value > QUOTA_MAX {
            let rule = format!("is {value}, at most {QUOTA_MAX}");
            return Err(at(Code::BadRequest, &format!("data.{part}"), rule));
        }
    }
    Ok(DataHeld { bytes: Bytes(sent.bytes), objects: sent.objects })
}

fn view(r: &Read<'_>, row: &QueueRow, used: Option<&QueueUse>) -> Result<Queue, StoreError> {
    let (waiting, running) = r.queue_load(&row.name)?;
    let used = used.copied().unwrap_or_default();
    let (may, holds) = (r.data_quota(&row.name)?, r.data_held(&row.name)?);
    Ok(Queue {
        data: Some(DataQuota {
            bytes: may.bytes.0,
            objects: may.objects,
            used_bytes: holds.bytes.0,
            used_objects: holds.objects,
        }),
        name: row.name.to_string(),
        cohort: row.queue.cohort.clone(),
        order: Some(match row.queue.order {
            Order::Submission => QueueOrder::Submission,
            Order::Service => QueueOrder::Service,
        }),
        isolation: Some(row.queue.isolation.to_string()),
        gpu_milli: shown(&row.queue.gpu, used.gpu, |MilliGpu(n)| n),
        cpu_milli: shown(&row.queue.cpu, used.cpu, |MilliCpu(n)| n),
        memory_bytes: shown(&row.queue.memory, used.memory, |Bytes(n)| n),
        waiting,
        running,
        version: row.version,
    })
}

fn shown<T: Copy>(quota: &Quota<T>, used: T, number: fn(T) -> u64) -> QueueQuota {
    QueueQuota {
        nominal: number(quota.nominal),
        borrowing: number(quota.borrowing),
        lending: number(quota.lending),
        used: number(used),
    }
}

fn event(name: &QueueName, actor: &str, at: weft_types::Timestamp, what: &str) -> NewEvent {
    NewEvent {
        at,
        actor: actor.to_owned(),
        kind: "queue".to_owned(),
        subject: name.to_string(),
        queue: Some(name.clone()),
        what: what.to_owned(),
        detail: String::new(),
    }
}

/// Whether `queue` is `top` or lies below it.
pub(crate) fn within(queue: &QueueName, top: &QueueName) -> bool {
    std::iter::successors(Some(queue.clone()), QueueName::parent).any(|queue| queue == *top)
}
