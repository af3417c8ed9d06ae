//! What the planner reads, built in one read transaction from columns alone.
//!
//! The loop calls it on every change, so it must stay quick at tens of thousands of workloads:
//! no JSON is parsed per workload, and queue names and accelerator requests, of which there are
//! few, are parsed once each.

use crate::column::{json, parsed, rows, small, uint, uint_opt, word};
use crate::workloads::handover;
use crate::{Read, StoreError, WorkloadRow};
use rusqlite::Row;
use std::collections::{BTreeMap, HashMap};
use weft_lifecycle::State;
use weft_sched::{
    Data, Device, Node, Pending, Placement, Queue, Request, Running, Snapshot, Workload,
    WorkloadState,
};
use weft_types::{
    Attempt, Bytes, Isolation, MilliCpu, Millis, NodeId, QueueName, ReclaimPolicy, Rung, Timestamp,
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
            market: None,
            large: Vec::new(),
            data: Data::default(),
        })
    }

    fn planner_nodes(&self) -> Result<BTreeMap<NodeId, Node>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT name, ready AND NOT drained, cpu, memory, disk FROM nodes ORDER BY name",
        )?;
        let found = rows(query.query([])?, |row| {
            let node = Node {
                schedulable: row.get(1)?,
                cpu: MilliCpu(uint(row, 2)?),
                memory: Bytes(uint(row, 3)?),
                disk: Bytes(uint(row, 4)?),
                devices: BTreeMap::new(),
            };
            Ok((parsed(row, 0)?, node))
        })?;
        let mut nodes: BTreeMap<NodeId, Node> = found.into_iter().collect();
        let mut query = self.conn.prepare_cached(
            "SELECT node, device, class, mode, fault IS NULL, rungs FROM devices
             ORDER BY node, device",
        )?;
        let (mut classes, mut modes, mut shares) = (Known::new(), Known::new(), Known::new());
        let mut found = query.query([])?;
        while let Some(row) = found.next()? {
            let device = Device {
                class: once(&mut classes, row, 2, json)?,
                mode: once(&mut modes, row, 3, json)?,
                healthy: row.get(4)?,
                share: once(&mut shares, row, 5, |row, at| {
                    Ok(Isolation::of_shares(&json::<Vec<Rung>>(row, at)?))
                })?,
            };
            let node: NodeId = parsed(row, 0)?;
            if let Some(node) = nodes.get_mut(&node) {
                node.devices.insert(row.get(1)?, device);
            }
        }
        Ok(nodes)
    }

    fn planner_queues(&self) -> Result<BTreeMap<QueueName, Queue>, StoreError> {
        Ok(self.queues()?.into_iter().map(|row| (row.name, row.queue)).collect())
    }

    fn planner_workloads(&self) -> Result<BTreeMap<WorkloadId, Workload>, StoreError> {
        let mut placements = self.placements_in(WorkloadId(0)..=WorkloadId(u64::MAX))?;
        let mut query = self.conn.prepare_cached(
            "SELECT id, queue, kind, phase, priority, submitted_at, cpu, memory, disk, gpu, gang,
             preemptible, reclaimable, min_run, max_duration, expected, state, attempt,
             not_before, handover, placed_at, released_at, suspend, served, owed, gang_most,
             isolation
             FROM workloads WHERE state IN ('queued', 'starting', 'running', 'stopping')
             ORDER BY id",
        )?;
        let mut found = query.query([])?;
        let (mut queues, mut gpus) = (Known::new(), Known::new());
        let mut out = Vec::new();
        while let Some(row) = found.next()? {
            let id = WorkloadId(uint(row, 0)?);
            let held = placements.remove(&id).unwrap_or_default();
            let workload = Workload {
                queue: once(&mut queues, row, 1, parsed)?,
                kind: word(row, 2)?,
                phase: word(row, 3)?,
                priority: row.get(4)?,
                submitted_at: Timestamp(uint(row, 5)?),
                request: Request {
                    cpu: MilliCpu(uint(row, 6)?),
                    memory: Bytes(uint(row, 7)?),
                    disk: Bytes(uint(row, 8)?),
                    gpu: once(&mut gpus, row, 9, json)?,
                    isolation: word(row, 26)?,
                },
                gang: small(row, 10)?,
                gang_most: beyond(small(row, 10)?, small(row, 25)?),
                reclaim: ReclaimPolicy {
                    preemptible: row.get(11)?,
                    reclaimable: row.get(12)?,
                    min_run_ms: Millis(uint(row, 13)?),
                },
                max_duration: left(uint_opt(row, 14)?.map(Millis), Millis(uint(row, 23)?)),
                expected: uint_opt(row, 15)?.map(Millis),
                suspend: uint_opt(row, 22)?.map(Millis),
                served: Millis(uint(row, 23)?),
                state: state(row, held)?,
            };
            out.push((id, workload));
        }
        Ok(out.into_iter().collect())
    }
}

/// What is left of a limit: the planner counts from the last start, a person from the first whose
/// work is kept. At least a millisecond: what has run as long as it may is stopped, not forgotten.
fn left(limit: Option<Millis>, served: Millis) -> Option<Millis> {
    limit.map(|limit| Millis(limit.0.saturating_sub(served.0).max(1)))
}

/// The most members where they are more than the fewest; 0 where they are not.
fn beyond(gang: u32, most: u32) -> u32 {
    if most > gang { most } else { 0 }
}

/// Since when what waits does: its submission, or the end of its last start; of one that ended
/// before that was kept, its beginning.
fn waits_since(
    submitted_at: Timestamp,
    placed_at: Option<Timestamp>,
    released_at: Option<Timestamp>,
) -> Timestamp {
    released_at.or(placed_at).map_or(submitted_at, |last| last.max(submitted_at))
}

/// Columns 5 and 16 to 21 of the query above.
fn state(row: &Row<'_>, placements: Vec<Placement>) -> Result<WorkloadState, StoreError> {
    let state: State = word(row, 16)?;
    let attempt: u32 = small(row, 17)?;
    Ok(if state.holds_capacity() {
        WorkloadState::Running(Running {
            attempt: Attempt(attempt),
            since: Timestamp(uint_opt(row, 20)?.unwrap_or(0)),
            stopping: state == State::Stopping,
            handover: uint_opt(row, 19)?.map(WorkloadId),
            placements,
        })
    } else {
        WorkloadState::Pending(Pending {
            not_before: Timestamp(uint(row, 18)?),
            since: waits_since(
                Timestamp(uint(row, 5)?),
                uint_opt(row, 20)?.map(Timestamp),
                uint_opt(row, 21)?.map(Timestamp),
            ),
            owed: uint_opt(row, 24)?.map(Timestamp),
            next_attempt: Attempt(attempt + 1),
        })
    })
}

/// Texts already parsed.
type Known<T> = HashMap<String, T>;

fn once<T: Clone>(
    known: &mut Known<T>,
    row: &Row<'_>,
    at: usize,
    parse: impl FnOnce(&Row<'_>, usize) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let text = row.get_ref(at)?.as_str().unwrap_or_default();
    if let Some(value) = known.get(text) {
        return Ok(value.clone());
    }
    let value = parse(row, at)?;
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
                since: waits_since(self.submitted_at, self.placed_at, self.released_at),
                owed: self.owed,
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
            gang_most: beyond(self.gang, self.gang_most),
            reclaim: self.reclaim,
            max_duration: left(self.max_duration, self.served),
            expected: self.expected,
            suspend: self.suspend,
            served: self.served,
            state,
        })
    }
}
