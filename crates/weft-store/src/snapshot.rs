//! What the planner reads, built in one read transaction from columns alone.
//!
//! The loop calls it on every change, so it must stay quick at tens of thousands of workloads:
//! no JSON is parsed per workload, and queue names and accelerator requests, of which there are
//! few, are parsed once each.

use crate::column::{json, parsed, small, uint, uint_opt, word};
use crate::workloads::handover;
use crate::{Read, StoreError, WorkloadRow};
use rusqlite::Row;
use std::collections::{BTreeMap, HashMap};
use weft_lifecycle::State;
use weft_sched::{
    Device, Node, Pending, Placement, Queue, Request, Running, Snapshot, Workload, WorkloadState,
};
use weft_types::{
    Attempt, Bytes, GpuRequest, MilliCpu, Millis, NodeId, QueueName, ReclaimPolicy, Timestamp,
    WorkloadId,
};

impl Read<'_> {
    /// The pool, the shares and every workload that waits or holds capacity.
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        Ok(Snapshot {
            generation: self.meta()?.generation,
            nodes: self.planner_nodes()?,
            queues: self.planner_queues()?,
            workloads: self.planner_workloads()?,
        })
    }

    fn planner_nodes(&self) -> Result<BTreeMap<NodeId, Node>, StoreError> {
        let mut nodes: BTreeMap<NodeId, Node> = BTreeMap::new();
        for row in self.nodes()? {
            let node = Node {
                schedulable: row.ready && !row.drained,
                cpu: row.cpu,
                memory: row.memory,
                disk: row.disk,
                devices: BTreeMap::new(),
            };
            nodes.insert(row.name, node);
        }
        for row in self.devices()? {
            let device = Device { healthy: row.fault.is_none(), class: row.class, mode: row.mode };
            if let Some(node) = nodes.get_mut(&row.id.node) {
                node.devices.insert(row.id.index, device);
            }
        }
        Ok(nodes)
    }

    fn planner_queues(&self) -> Result<BTreeMap<QueueName, Queue>, StoreError> {
        Ok(self.queues()?.into_iter().map(|row| (row.name, row.queue)).collect())
    }

    fn planner_workloads(&self) -> Result<BTreeMap<WorkloadId, Workload>, StoreError> {
        let mut placements = self.placements_where(None)?;
        let mut query = self.conn.prepare_cached(
            "SELECT id, queue, kind, phase, priority, submitted_at, cpu, memory, disk, gpu, gang,
             preemptible, reclaimable, min_run, max_duration, expected, state, attempt,
             not_before, handover, placed_at
             FROM workloads WHERE state IN ('queued', 'starting', 'running', 'stopping')
             ORDER BY id",
        )?;
        let mut found = query.query([])?;
        let mut known = Known::default();
        let mut out = Vec::new();
        while let Some(row) = found.next()? {
            let id = WorkloadId(uint(row, "id")?);
            let held = placements.remove(&id).unwrap_or_default();
            out.push((id, workload(row, held, &mut known)?));
        }
        Ok(out.into_iter().collect())
    }
}

/// Texts already parsed.
#[derive(Default)]
struct Known {
    queues: HashMap<String, QueueName>,
    gpus: HashMap<String, GpuRequest>,
}

fn workload(
    row: &Row<'_>,
    placements: Vec<Placement>,
    known: &mut Known,
) -> Result<Workload, StoreError> {
    Ok(Workload {
        queue: once(&mut known.queues, row, "queue", parsed)?,
        kind: word(row, "kind")?,
        phase: word(row, "phase")?,
        priority: row.get("priority")?,
        submitted_at: Timestamp(uint(row, "submitted_at")?),
        request: Request {
            cpu: MilliCpu(uint(row, "cpu")?),
            memory: Bytes(uint(row, "memory")?),
            disk: Bytes(uint(row, "disk")?),
            gpu: once(&mut known.gpus, row, "gpu", json)?,
        },
        gang: small(row, "gang")?,
        reclaim: ReclaimPolicy {
            preemptible: row.get("preemptible")?,
            reclaimable: row.get("reclaimable")?,
            min_run_ms: Millis(uint(row, "min_run")?),
        },
        max_duration: uint_opt(row, "max_duration")?.map(Millis),
        expected: uint_opt(row, "expected")?.map(Millis),
        state: state(row, placements)?,
    })
}

fn state(row: &Row<'_>, placements: Vec<Placement>) -> Result<WorkloadState, StoreError> {
    let attempt: u32 = small(row, "attempt")?;
    let state: State = word(row, "state")?;
    Ok(if state.holds_capacity() {
        WorkloadState::Running(Running {
            attempt: Attempt(attempt),
            since: Timestamp(uint_opt(row, "placed_at")?.unwrap_or(0)),
            stopping: state == State::Stopping,
            handover: uint_opt(row, "handover")?.map(WorkloadId),
            placements,
        })
    } else {
        WorkloadState::Pending(Pending {
            not_before: Timestamp(uint(row, "not_before")?),
            next_attempt: Attempt(attempt + 1),
        })
    })
}

fn once<T: Clone>(
    known: &mut HashMap<String, T>,
    row: &Row<'_>,
    name: &str,
    parse: impl FnOnce(&Row<'_>, &str) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let text = row.get_ref(name)?.as_str().unwrap_or_default();
    if let Some(value) = known.get(text) {
        return Ok(value.clone());
    }
    let value = parse(row, name)?;
    known.insert(text.to_owned(), value.clone());
    Ok(value)
}

impl WorkloadRow {
    /// The workload as the planner sees it; none once it has ended.
    pub fn planner_view(&self) -> Option<Workload> {
        let record = &self.record;
        if record.state.is_final() {
            return None;
        }
        let state = if record.state.holds_capacity() {
            WorkloadState::Running(Running {
                attempt: record.attempt,
                since: self.placed_at.unwrap_or(Timestamp::ZERO),
                stopping: record.state == State::Stopping,
                handover: handover(record),
                placements: self.placements.clone(),
            })
        } else {
            WorkloadState::Pending(Pending {
                not_before: record.not_before,
                next_attempt: Attempt(record.attempt.0 + 1),
            })
        };
        Some(Workload {
            queue: self.queue.clone(),
            kind: self.kind,
            phase: self.phase,
            priority: self.priority,
            submitted_at: self.submitted_at,
            request: self.request.clone(),
            gang: self.gang,
            reclaim: self.reclaim,
            max_duration: self.max_duration,
            expected: self.expected,
            state,
        })
    }
}
