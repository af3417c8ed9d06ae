//! This machine in the pool: its name, what it gives, and the first queue.

use crate::watch_devices::{self, Moment};
use std::path::Path;
use weft_agent::{Agent, Headroom, capacity, now};
use weft_device::{DeviceError, DeviceInfo};
use weft_runtime::Runtime;
use weft_sched::Quota;
use weft_store::{DataHeld, NodeReport, Store, StoreError, Write};
use weft_types::{Bytes, MilliCpu, MilliGpu, NodeId, QueueName};

/// The queue of a pool in which nobody has made any.
const FIRST_QUEUE: &str = "default";

/// Objects that its datasets may be: as many as were tried to be listed at once, ten times.
const FIRST_OBJECTS: u64 = 10_000_000;

/// The name of a machine whose own is no name.
const NAMELESS: &str = "local";

/// Puts this machine into the pool, with what the runtime and the driver say of it. The first
/// queue has the whole pool, until an administrator changes it.
pub(crate) async fn register(
    store: &Store,
    agent: &Agent,
    name: Option<NodeId>,
    state_dir: &Path,
    headroom: &Headroom,
) -> Result<NodeId, StoreError> {
    let name = match name {
        Some(name) => name,
        None => known_name(store).await?,
    };
    let (agent, dir, headroom, node) =
        (agent.clone(), state_dir.to_owned(), *headroom, name.clone());
    let report = tokio::task::spawn_blocking(move || report(&agent, node, &dir, &headroom));
    let (report, devices) = report.await.map_err(|_| StoreError::Closed)?;
    // The disk is the first queue's limit: what is left free of it is the packs' own care.
    let disk = rustix::fs::statvfs(state_dir).map_or(0, |disk| disk.f_blocks * disk.f_frsize);
    let may = DataHeld { bytes: Bytes(disk), objects: FIRST_OBJECTS };
    let taken = store.write(move |w| {
        let first = w.queues()?.is_empty();
        take_in(w, report, (&devices, &[]), &Moment::now())?;
        match QueueName::new(FIRST_QUEUE) {
            Ok(name) if first => w.put_data_quota(&name, may),
            _ => Ok(()),
        }
    });
    taken.await?;
    Ok(name)
}

/// Takes in what the driver says now and the errors it has reported.
pub(crate) fn devices_changed(
    w: &mut Write<'_>,
    node: &NodeId,
    told: (&[DeviceInfo], &[DeviceError]),
    moment: &Moment,
) -> Result<(), StoreError> {
    let Some(old) = w.node(node)? else { return Ok(()) };
    let report = NodeReport {
        name: old.name,
        cpu: old.cpu,
        memory: old.memory,
        disk: old.disk,
        warnings: old.warnings,
        devices: Vec::new(),
        at: moment.at,
    };
    take_in(w, report, told, moment)
}

/// A restart keeps the name the machine had, since what runs was placed on it.
async fn known_name(store: &Store) -> Result<NodeId, StoreError> {
    let nodes = store.read(|r| r.nodes()).await?;
    Ok(nodes.into_iter().next().map_or_else(host_name, |node| node.name))
}

/// The machine's own name, as far as it is one.
fn host_name() -> NodeId {
    let uname = rustix::system::uname();
    let text = uname.nodename().to_string_lossy().to_ascii_lowercase();
    let first = text.split('.').next().unwrap_or_default();
    let fallback = || NodeId::new(NAMELESS).ok();
    NodeId::new(first).ok().or_else(fallback).unwrap_or_else(|| unreachable!("`local` is a name"))
}

/// The machine, and beside it its devices as their driver tells them.
fn report(
    agent: &Agent,
    name: NodeId,
    state_dir: &Path,
    headroom: &Headroom,
) -> (NodeReport, Vec<DeviceInfo>) {
    let mut warnings: Vec<String> = Runtime::probe()
        .into_iter()
        .filter(|finding| !finding.ok)
        .map(|finding| format!("{}: {}", finding.what, finding.cost))
        .collect();
    warnings.extend(agent.warning());
    let given = capacity(state_dir, headroom).unwrap_or_else(|error| {
        warnings.push(format!("the machine's size cannot be read: {error}"));
        weft_agent::Capacity { cpu: MilliCpu::ZERO, memory: Bytes::ZERO, disk: Bytes::ZERO }
    });
    let (cpu, memory, disk) = (given.cpu, given.memory, given.disk);
    let report = NodeReport { name, cpu, memory, disk, warnings, devices: Vec::new(), at: now() };
    (report, agent.devices())
}

fn take_in(
    w: &mut Write<'_>,
    mut report: NodeReport,
    (devices, errors): (&[DeviceInfo], &[DeviceError]),
    moment: &Moment,
) -> Result<(), StoreError> {
    let before = whole_pool(w)?;
    for other in w.nodes()?.into_iter().filter(|node| node.name != report.name && node.ready) {
        // This step knows one machine: another name is what this one was called before.
        w.set_node_ready(&other.name, false)?;
    }
    let node = report.name.clone();
    let seen = devices.iter().map(|info| watch_devices::seen(w, &node, info, errors, moment));
    report.devices = seen.collect::<Result<_, _>>()?;
    w.report_node(&report)?;
    let after = whole_pool(w)?;
    let Ok(name) = QueueName::new(FIRST_QUEUE) else { return Ok(()) };
    let first = w.queue(&name)?;
    // Who goes first in it is somebody's choice, and says nothing about how much it has.
    let order = first.as_ref().map_or_else(Default::default, |row| row.queue.order);
    let isolation = first.as_ref().map_or_else(Default::default, |row| row.queue.isolation);
    let untouched = match &first {
        None => w.queues()?.is_empty(),
        Some(row) => row.queue == weft_sched::Queue { order, isolation, ..before.clone() },
    };
    if untouched && (before != after || first.is_none()) {
        w.put_queue(&name, &weft_sched::Queue { order, isolation, ..after }, None)?;
    }
    Ok(())
}

/// A queue to which everything the pool has belongs.
fn whole_pool(w: &Write<'_>) -> Result<weft_sched::Queue, StoreError> {
    let nodes: Vec<_> = w.nodes()?.into_iter().filter(|node| node.ready).collect();
    let devices = w.devices()?;
    let ours = devices.iter().filter(|d| nodes.iter().any(|n| n.name == d.id.node)).count();
    Ok(weft_sched::Queue {
        cohort: None,
        gpu: Quota { nominal: MilliGpu(ours as u64 * 1_000), ..Quota::default() },
        cpu: Quota { nominal: nodes.iter().map(|n| n.cpu).sum(), ..Quota::default() },
        memory: Quota { nominal: nodes.iter().map(|n| n.memory).sum(), ..Quota::default() },
        ..weft_sched::Queue::default()
    })
}
