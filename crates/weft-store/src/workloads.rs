//! Workloads: what was submitted and where it stands.

use crate::column::{first, int, json, parsed, rows, small, to_json, uint, uint_opt, word};
use crate::limits::{PAGE_MAX, SPEC_MAX};
use crate::{Read, StoreError, Write};
use rusqlite::{Row, params};
use weft_lifecycle::{Record, RetryPolicy, State, StopReason};
use weft_sched::{Placement, Request};
use weft_types::{
    Bytes, Kind, MilliCpu, Millis, Phase, QueueName, ReclaimPolicy, Timestamp, UserName, WorkloadId,
};

/// A workload to be submitted; its id is given by the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewWorkload {
    /// Unique in its queue while it is kept; see [`Read::free_name`].
    pub name: String,
    /// Whose share it uses; must exist.
    pub queue: QueueName,
    /// Who submitted it.
    pub user: UserName,
    /// What it is.
    pub kind: Kind,
    /// Where it stands in a model's life.
    pub phase: Phase,
    /// Higher goes first within its queue.
    pub priority: i32,
    /// When.
    pub submitted_at: Timestamp,
    /// As submitted, as JSON; at most [`crate::SPEC_MAX`] bytes.
    pub spec_json: String,
    /// What each member needs.
    pub request: Request,
    /// Members that start together; at least 1.
    pub gang: u32,
    /// Members it takes where there is room for more; below `gang`: no more.
    pub gang_most: u32,
    /// What may be taken back from it.
    pub reclaim: ReclaimPolicy,
    /// It is stopped when it has run this long.
    pub max_duration: Option<Millis>,
    /// How long it is expected to run, where known.
    pub expected: Option<Millis>,
    /// How many ended runs that was learned from; 0: it was stated.
    pub learned_from: u32,
    /// What it runs, in a word: equal ones of a user and queue are learned from. Empty: from none.
    pub program: String,
    /// What suspending it costs, in time not worked; none: it cannot be suspended.
    pub suspend: Option<Millis>,
    /// When it is started again.
    pub retry: RetryPolicy,
}

/// A workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadRow {
    /// Never reused.
    pub id: WorkloadId,
    /// Unique in its queue while it is kept.
    pub name: String,
    /// Whose share it uses.
    pub queue: QueueName,
    /// Who submitted it.
    pub user: UserName,
    /// What it is.
    pub kind: Kind,
    /// Where it stands in a model's life.
    pub phase: Phase,
    /// Higher goes first within its queue.
    pub priority: i32,
    /// When it was submitted.
    pub submitted_at: Timestamp,
    /// As submitted, as JSON.
    pub spec_json: String,
    /// What each member needs.
    pub request: Request,
    /// Members that start together, at least.
    pub gang: u32,
    /// Members it takes where there is room for more.
    pub gang_most: u32,
    /// Members of its current start, else of its last; of none yet: the fewest.
    pub members: u32,
    /// What may be taken back from it.
    pub reclaim: ReclaimPolicy,
    /// It is stopped when it has run this long.
    pub max_duration: Option<Millis>,
    /// How long it is expected to run, where known.
    pub expected: Option<Millis>,
    /// How many ended runs that was learned from; 0: it was stated.
    pub learned_from: u32,
    /// What it runs, in a word: equal ones of a user and queue are learned from. Empty: from none.
    pub program: String,
    /// What suspending it costs, in time not worked; none: it cannot be suspended.
    pub suspend: Option<Millis>,
    /// How long it held capacity in earlier starts whose work was kept; once it has succeeded,
    /// in all.
    pub served: Millis,
    /// Where it stands.
    pub record: Record,
    /// What it holds, in member order; empty exactly while it holds no capacity.
    pub placements: Vec<Placement>,
    /// When its last start was placed.
    pub placed_at: Option<Timestamp>,
    /// When its command began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// When its last start gave its capacity back.
    pub released_at: Option<Timestamp>,
    /// Since when something has been stopped for it, until it starts.
    pub owed: Option<Timestamp>,
    /// Grows with each change.
    pub version: u64,
}

impl WorkloadRow {
    /// Members of its current start, as placed, else of its last.
    fn members_now(&self) -> u32 {
        match self.record.state.holds_capacity() {
            true => u32::try_from(self.placements.len()).unwrap_or(u32::MAX),
            false => self.members,
        }
    }
}

/// Which workloads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkloadFilter {
    /// In these states only; empty: in any.
    pub states: Vec<State>,
    /// Of this queue only.
    pub queue: Option<QueueName>,
    /// Of this user only.
    pub user: Option<UserName>,
    /// Of this queue and those below it, or of this user: what a team's member may see.
    pub team: Option<(QueueName, UserName)>,
}

/// Which namesakes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// Everybody's.
    Anybodys,
    /// This user's.
    Users(UserName),
    /// Of this queue and those below it, or of this user: what a team's member may see.
    Teams(QueueName, UserName),
}

/// One of several workloads of the same name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namesake {
    /// Its id.
    pub id: WorkloadId,
    /// Who submitted it.
    pub user: UserName,
    /// In which queue.
    pub queue: QueueName,
}

macro_rules! listed {
    ($from:literal, $where:literal) => {
        concat!(
            "SELECT * FROM ",
            $from,
            " JOIN specs ON workload = id
             WHERE removed = 0",
            $where,
            " AND (?1 IS NULL OR id < ?1)
             AND (?2 = '[]' OR state IN (SELECT value FROM json_each(?2)))
             AND (?3 IS NULL OR queue = ?3) AND (?4 IS NULL OR user = ?4)
             AND (?6 IS NULL OR queue = ?6 OR queue GLOB ?6 || '/*' OR user = ?7)
             ORDER BY id DESC LIMIT ?5",
        )
    };
}

/// A page of a listing.
const LISTED: &str = listed!("workloads", "");

/// The same of those that have not ended, however many have.
pub(crate) const LISTED_LIVE: &str = listed!(
    "workloads INDEXED BY workloads_live",
    " AND state IN ('queued', 'starting', 'running', 'stopping')"
);

impl Read<'_> {
    /// One workload; none where it was removed.
    pub fn workload(&self, id: WorkloadId) -> Result<Option<WorkloadRow>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT * FROM workloads JOIN specs ON workload = id WHERE id = ?1 AND removed = 0",
        )?;
        let row = first(query.query([int(id.0)])?, workload)?;
        row.map(|row| self.with_placements(row)).transpose()
    }

    /// One workload by its queue and name.
    pub fn workload_by_name(
        &self,
        queue: &QueueName,
        name: &str,
    ) -> Result<Option<WorkloadRow>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT * FROM workloads JOIN specs ON workload = id
             WHERE queue = ?1 AND name = ?2 AND removed = 0",
        )?;
        let row = first(query.query([queue.as_str(), name])?, workload)?;
        row.map(|row| self.with_placements(row)).transpose()
    }

    /// Workloads of that name in any queue, with an id below `before` (none: from the newest),
    /// newest first, at most [`crate::PAGE_MAX`]; only what is needed to choose among them.
    pub fn namesakes(
        &self,
        name: &str,
        whose: &Whose,
        before: Option<WorkloadId>,
    ) -> Result<Vec<Namesake>, StoreError> {
        let (user, team) = match whose {
            Whose::Anybodys => (None, None),
            Whose::Users(user) => (Some(user), None),
            Whose::Teams(queue, user) => (Some(user), Some(queue)),
        };
        let mut query = self.conn.prepare_cached(
            "SELECT id, user, queue FROM workloads INDEXED BY workloads_namesakes
             WHERE name = ?1 AND removed = 0 AND (?2 IS NULL OR id < ?2)
             AND (?3 IS NULL OR user = ?3 OR queue = ?4 OR queue GLOB ?4 || '/*')
             ORDER BY id DESC LIMIT ?5",
        )?;
        let found = query.query(params![
            name,
            before.map(|id| int(id.0)),
            user.map(UserName::as_str),
            team.map(QueueName::as_str),
            PAGE_MAX,
        ])?;
        rows(found, |row| {
            Ok(Namesake {
                id: WorkloadId(uint(row, "id")?),
                user: parsed(row, "user")?,
                queue: parsed(row, "queue")?,
            })
        })
    }

    /// Workloads of a user that have not ended.
    pub fn live_of_user(&self, user: &UserName) -> Result<u64, StoreError> {
        self.live(
            "SELECT count(*) FROM workloads INDEXED BY workloads_live_user WHERE user = ?1
             AND state IN ('queued', 'starting', 'running', 'stopping')",
            user.as_str(),
        )
    }

    /// Workloads of a queue, without those below it, that have not ended.
    pub fn live_of_queue(&self, queue: &QueueName) -> Result<u64, StoreError> {
        self.live(
            "SELECT count(*) FROM workloads INDEXED BY workloads_live_queue WHERE queue = ?1
             AND state IN ('queued', 'starting', 'running', 'stopping')",
            queue.as_str(),
        )
    }

    fn live(&self, sql: &str, of: &str) -> Result<u64, StoreError> {
        let count: i64 = self.conn.prepare_cached(sql)?.query_row([of], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }

    /// Workloads with an id below `before` (none: from the newest), newest first, at most
    /// `limit` (≤ [`crate::PAGE_MAX`]).
    pub fn workloads(
        &self,
        filter: &WorkloadFilter,
        before: Option<WorkloadId>,
        limit: u32,
    ) -> Result<Vec<WorkloadRow>, StoreError> {
        let states: Vec<&str> = filter.states.iter().map(|state| state.as_str()).collect();
        let ended = |state: &State| state.is_final();
        let live = !filter.states.is_empty() && !filter.states.iter().any(ended);
        let mut query = self.conn.prepare_cached(if live { LISTED_LIVE } else { LISTED })?;
        let found = rows(
            query.query(params![
                before.map(|id| int(id.0)),
                to_json(&states)?,
                filter.queue.as_ref().map(QueueName::as_str),
                filter.user.as_ref().map(UserName::as_str),
                limit.min(PAGE_MAX),
                filter.team.as_ref().map(|(queue, _)| queue.as_str()),
                filter.team.as_ref().map(|(_, user)| user.as_str()),
            ])?,
            workload,
        )?;
        found.into_iter().map(|row| self.with_placements(row)).collect()
    }

    /// `base`, or `base-2`, `base-3`, … : one that no workload of the queue has, after one that
    /// is taken. Looked for by doubling and halving: the one writer must not walk through the
    /// ten thousand namesakes somebody has submitted.
    pub fn free_name(&self, queue: &QueueName, base: &str) -> Result<String, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT 1 FROM workloads WHERE queue = ?1 AND name = ?2 AND removed = 0",
        )?;
        let name = |number: u64| match number {
            1 => base.to_owned(),
            number => format!("{base}-{number}"),
        };
        let mut taken = |number| query.exists([queue.as_str(), &name(number)]);
        let (mut below, mut free) = (0, 1);
        while taken(free)? {
            (below, free) = (free, free * 2);
        }
        while free - below > 1 {
            let middle = below + (free - below) / 2;
            match taken(middle)? {
                true => below = middle,
                false => free = middle,
            }
        }
        Ok(name(free))
    }

    fn with_placements(&self, mut row: WorkloadRow) -> Result<WorkloadRow, StoreError> {
        if row.record.state.holds_capacity() {
            row.placements = self.placements(row.id)?;
        }
        Ok(row)
    }
}

impl Write<'_> {
    /// Adds a workload, queued.
    pub fn submit_workload(&mut self, new: NewWorkload) -> Result<WorkloadRow, StoreError> {
        if new.spec_json.len() > SPEC_MAX {
            return Err(StoreError::TooLarge {
                what: "the spec",
                value: new.spec_json.len() as u64,
                limit: SPEC_MAX as u64,
            });
        }
        if self.queue(&new.queue)?.is_none() {
            return Err(StoreError::NotFound { what: "queue", id: new.queue.to_string() });
        }
        if self.workload_by_name(&new.queue, &new.name)?.is_some() {
            return Err(StoreError::Exists { what: "workload", id: new.name });
        }
        let row = WorkloadRow {
            id: WorkloadId(0),
            name: new.name,
            queue: new.queue,
            user: new.user,
            kind: new.kind,
            phase: new.phase,
            priority: new.priority,
            submitted_at: new.submitted_at,
            spec_json: new.spec_json,
            request: new.request,
            gang: new.gang.max(1),
            gang_most: new.gang_most.max(new.gang).max(1),
            members: new.gang.max(1),
            reclaim: new.reclaim,
            max_duration: new.max_duration,
            expected: new.expected,
            learned_from: new.learned_from,
            program: new.program,
            suspend: new.suspend,
            served: Millis::ZERO,
            record: Record::new(new.retry),
            placements: Vec::new(),
            placed_at: None,
            started_at: None,
            ended_at: None,
            released_at: None,
            owed: None,
            version: 1,
        };
        let id = self.insert_workload(&row)?;
        self.planner_saw = true;
        Ok(WorkloadRow { id, ..row })
    }

    /// Stores what became of a workload and gives its new version. Only `record`, the four
    /// times, `served`, `priority`, `expected` and `placements` may have changed. `row.version`
    /// must be the stored one. Capacity is held exactly while the record says so: when it no longer
    /// does, `placements` is not looked at and what was held is free. The history says `now`.
    pub fn save_workload(&mut self, row: &WorkloadRow, now: Timestamp) -> Result<u64, StoreError> {
        let old = self.workload(row.id)?.ok_or_else(|| not_found(row.id))?;
        if old.version != row.version {
            return Err(StoreError::Conflict {
                what: "workload",
                id: row.id.to_string(),
                expected: row.version,
                found: old.version,
            });
        }
        self.hold(&old, row, now)?;
        self.update_workload(row)?;
        if row.record.state.is_final() && !old.record.state.is_final() {
            self.publications_due(row.id)?;
        }
        self.planner_saw |= row.planner_view() != old.planner_view();
        Ok(row.version + 1)
    }

    /// Makes what a workload holds what its record and placements say.
    fn hold(
        &mut self,
        old: &WorkloadRow,
        row: &WorkloadRow,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if !row.record.state.holds_capacity() {
            return match old.placements.is_empty() {
                true => Ok(()),
                false => self.release(row.id, now),
            };
        }
        let found = row.placements.len();
        if !(row.gang as usize..=row.gang_most as usize).contains(&found) {
            let (id, gang, most) = (row.id, row.gang, row.gang_most);
            return Err(StoreError::Gang { id, found, gang, most });
        }
        let attempt = row.record.attempt;
        if old.placements != row.placements || old.record.attempt != attempt {
            self.release(row.id, now)?;
            self.place(row.id, attempt, &row.placements, now)?;
        }
        Ok(())
    }

    /// Removes a workload that has ended; the ledger keeps what it used.
    pub fn remove_workload(&mut self, id: WorkloadId) -> Result<(), StoreError> {
        let row = self.workload(id)?.ok_or_else(|| not_found(id))?;
        if !row.record.state.is_final() {
            return Err(StoreError::InUse {
                what: "workload",
                id: id.to_string(),
                by: format!("it is {}", row.record.state.as_str()),
            });
        }
        self.conn.execute(
            "UPDATE workloads SET removed = 1, version = version + 1 WHERE id = ?1",
            [int(id.0)],
        )?;
        self.conn.execute("DELETE FROM specs WHERE workload = ?1", [int(id.0)])?;
        Ok(())
    }

    fn insert_workload(&mut self, row: &WorkloadRow) -> Result<WorkloadId, StoreError> {
        let mut insert = self.conn.prepare_cached(
            "INSERT INTO workloads (name, queue, user, kind, phase, priority, submitted_at,
             cpu, memory, disk, gpu, gang, preemptible, reclaimable, min_run, max_duration,
             expected, state, attempt, not_before, record, version, learned_from, program, suspend,
             gang_most, members, isolation)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,
             ?18, 0, 0, ?19, 1, ?20, ?21, ?22, ?23, ?24, ?25)",
        )?;
        let id = insert.insert(params![
            row.name,
            row.queue.as_str(),
            row.user.as_str(),
            row.kind.as_str(),
            row.phase.as_str(),
            row.priority,
            int(row.submitted_at.0),
            int(row.request.cpu.0),
            int(row.request.memory.0),
            int(row.request.disk.0),
            to_json(&row.request.gpu)?,
            row.gang,
            row.reclaim.preemptible,
            row.reclaim.reclaimable,
            int(row.reclaim.min_run_ms.0),
            row.max_duration.map(|d| int(d.0)),
            row.expected.map(|d| int(d.0)),
            row.record.state.as_str(),
            to_json(&row.record)?,
            row.learned_from,
            row.program,
            row.suspend.map(|cost| int(cost.0)),
            row.gang_most,
            row.members,
            row.request.isolation.as_str(),
        ])?;
        self.conn
            .prepare_cached("INSERT INTO specs VALUES (?1, ?2)")?
            .execute(params![id, row.spec_json])?;
        Ok(WorkloadId(id.unsigned_abs()))
    }

    fn update_workload(&mut self, row: &WorkloadRow) -> Result<(), StoreError> {
        let record = &row.record;
        let mut update = self.conn.prepare_cached(
            "UPDATE workloads SET priority = ?2, expected = ?3, state = ?4, attempt = ?5,
             not_before = ?6, handover = ?7, record = ?8, placed_at = ?9, started_at = ?10,
             ended_at = ?11, released_at = ?12, served = ?13, owed = ?14, members = ?15,
             version = version + 1 WHERE id = ?1",
        )?;
        update.execute(params![
            int(row.id.0),
            row.priority,
            row.expected.map(|d| int(d.0)),
            record.state.as_str(),
            record.attempt.0,
            int(record.not_before.0),
            handover(record).map(|id| int(id.0)),
            to_json(record)?,
            row.placed_at.map(|at| int(at.0)),
            row.started_at.map(|at| int(at.0)),
            row.ended_at.map(|at| int(at.0)),
            row.released_at.map(|at| int(at.0)),
            int(row.served.0),
            row.owed.map(|at| int(at.0)),
            row.members_now(),
        ])?;
        Ok(())
    }
}

fn not_found(id: WorkloadId) -> StoreError {
    StoreError::NotFound { what: "workload", id: id.to_string() }
}

/// For whom a workload is being stopped, where its stop was planned for another.
pub(crate) fn handover(record: &Record) -> Option<WorkloadId> {
    match record.stop {
        Some(StopReason::Preempted(id) | StopReason::Reclaimed(id) | StopReason::Suspended(id))
            if record.state == State::Stopping =>
        {
            Some(id)
        }
        _ => None,
    }
}

fn workload(row: &Row<'_>) -> Result<WorkloadRow, StoreError> {
    Ok(WorkloadRow {
        id: WorkloadId(uint(row, "id")?),
        name: row.get("name")?,
        queue: parsed(row, "queue")?,
        user: parsed(row, "user")?,
        kind: word(row, "kind")?,
        phase: word(row, "phase")?,
        priority: row.get("priority")?,
        submitted_at: Timestamp(uint(row, "submitted_at")?),
        spec_json: row.get("spec")?,
        request: Request {
            cpu: MilliCpu(uint(row, "cpu")?),
            memory: Bytes(uint(row, "memory")?),
            disk: Bytes(uint(row, "disk")?),
            gpu: json(row, "gpu")?,
            isolation: word(row, "isolation")?,
        },
        gang: small(row, "gang")?,
        gang_most: small(row, "gang_most")?,
        members: small(row, "members")?,
        reclaim: ReclaimPolicy {
            preemptible: row.get("preemptible")?,
            reclaimable: row.get("reclaimable")?,
            min_run_ms: Millis(uint(row, "min_run")?),
        },
        max_duration: uint_opt(row, "max_duration")?.map(Millis),
        expected: uint_opt(row, "expected")?.map(Millis),
        learned_from: small(row, "learned_from")?,
        program: row.get("program")?,
        suspend: uint_opt(row, "suspend")?.map(Millis),
        served: Millis(uint(row, "served")?),
        record: json(row, "record")?,
        placements: Vec::new(),
        placed_at: uint_opt(row, "placed_at")?.map(Timestamp),
        started_at: uint_opt(row, "started_at")?.map(Timestamp),
        ended_at: uint_opt(row, "ended_at")?.map(Timestamp),
        released_at: uint_opt(row, "released_at")?.map(Timestamp),
        owed: uint_opt(row, "owed")?.map(Timestamp),
        version: uint(row, "version")?,
    })
}
