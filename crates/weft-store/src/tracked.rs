//! Tracked runs: what a program says of itself while it works, and what is kept of that.
//!
//! Not to be confused with workloads: a workload may track many runs, or none, and a run may be
//! tracked from a laptop. Metrics are in `points.rs`. Absent on purpose: who may, what is legal.

use crate::column::{first, int, json, parsed, rows, to_json, uint, uint_opt};
use crate::{ExperimentId, Read, StoreError, Write};
use rusqlite::{Row, params};
use serde::{Deserialize, Serialize};
use weft_tracking::Status;
use weft_tracking::check::Kept;
use weft_types::{Attempt, QueueName, Tier, Timestamp, UserName, WorkloadId};

/// The number of a tracked run. Clients know it by another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrackedId(pub u64);

/// A run to be tracked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTracked {
    /// As clients call it.
    pub uuid: String,
    /// Where.
    pub experiment: ExperimentId,
    /// For people.
    pub name: String,
    /// Whose it is.
    pub owner: UserName,
    /// When it began, in milliseconds since 1970, as the client says.
    pub started_at: i64,
    /// The highest tier of what it read.
    pub tier: Tier,
    /// Which start of which workload makes it, if one does.
    pub workload: Option<(WorkloadId, Attempt)>,
}

/// A tracked run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrackedRow {
    /// Its number.
    pub id: TrackedId,
    /// What it was made as; its name is that of now.
    pub is: NewTracked,
    /// How it stands.
    pub status: Status,
    /// When it ended, in milliseconds since 1970.
    pub ended_at: Option<i64>,
    /// When it was deleted, if it was and may come back.
    pub deleted_at: Option<Timestamp>,
}

/// What changes of a run; what is none stays.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrackedChange {
    /// How it stands.
    pub status: Option<Status>,
    /// When it ended.
    pub ended_at: Option<i64>,
    /// Its name.
    pub name: Option<String>,
}

/// A dataset that a run said it read, in the client's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackedInput {
    /// Its name.
    pub name: String,
    /// What it was, by its content.
    pub digest: String,
    /// What kind of source it is from.
    pub source_type: String,
    /// From where.
    pub source: String,
    /// Its columns.
    pub schema: Option<String>,
    /// Figures of it.
    pub profile: Option<String>,
    /// What was said of this use.
    pub tags: Vec<(String, String)>,
}

/// The columns of a run, in the order in which they are read.
const COLUMNS: &str = "id, uuid, experiment, name, owner, status, started_at, ended_at, deleted_at,
    tier, workload, attempt";

impl Read<'_> {
    /// The run that clients call so, also one that was deleted.
    pub fn tracked(&self, uuid: &str) -> Result<Option<TrackedRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM tracked_runs WHERE uuid = ?1");
        first(self.conn.prepare_cached(&sql)?.query([uuid])?, tracked)
    }

    /// All of an experiment, also those that were deleted.
    pub fn tracked_in(&self, experiment: ExperimentId) -> Result<Vec<TrackedRow>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM tracked_runs WHERE experiment = ?1");
        rows(self.conn.prepare_cached(&sql)?.query([int(experiment.0)])?, tracked)
    }

    /// A run's parameters, by key.
    pub fn tracked_params(&self, run: TrackedId) -> Result<Vec<Kept>, StoreError> {
        self.pairs("SELECT key, value FROM run_params WHERE run = ?1 ORDER BY key", run)
    }

    /// A run's tags, by key.
    pub fn tracked_tags(&self, run: TrackedId) -> Result<Vec<Kept>, StoreError> {
        self.pairs("SELECT key, value FROM run_tags WHERE run = ?1 ORDER BY key", run)
    }

    fn pairs(&self, sql: &str, run: TrackedId) -> Result<Vec<Kept>, StoreError> {
        let mut query = self.conn.prepare_cached(sql)?;
        rows(query.query([int(run.0)])?, |row| Ok(Kept { key: row.get(0)?, value: row.get(1)? }))
    }

    /// One parameter of a run.
    pub fn tracked_param(&self, run: TrackedId, key: &str) -> Result<Option<String>, StoreError> {
        self.value("SELECT value FROM run_params WHERE run = ?1 AND key = ?2", run, key)
    }

    /// One tag of a run.
    pub fn tracked_tag(&self, run: TrackedId, key: &str) -> Result<Option<String>, StoreError> {
        self.value("SELECT value FROM run_tags WHERE run = ?1 AND key = ?2", run, key)
    }

    fn value(&self, sql: &str, run: TrackedId, key: &str) -> Result<Option<String>, StoreError> {
        let mut query = self.conn.prepare_cached(sql)?;
        first(query.query(params![int(run.0), key])?, |row| Ok(row.get(0)?))
    }

    /// The datasets that a run said it read.
    pub fn tracked_inputs(&self, run: TrackedId) -> Result<Vec<TrackedInput>, StoreError> {
        let mut query = self
            .conn
            .prepare_cached("SELECT * FROM run_inputs WHERE run = ?1 ORDER BY name, digest")?;
        rows(query.query([int(run.0)])?, |row| {
            Ok(TrackedInput {
                name: row.get("name")?,
                digest: row.get("digest")?,
                source_type: row.get("source_type")?,
                source: row.get("source")?,
                schema: row.get("schema")?,
                profile: row.get("profile")?,
                tags: json(row, "tags")?,
            })
        })
    }

    /// The run that was deleted first, before a moment.
    pub fn tracked_forgettable(&self, before: Timestamp) -> Result<Option<TrackedRow>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM tracked_runs WHERE deleted_at < ?1 ORDER BY deleted_at LIMIT 1"
        );
        first(self.conn.prepare_cached(&sql)?.query([int(before.0)])?, tracked)
    }

    /// Runs that have not ended, and that a workload tracked; by workload.
    pub fn tracked_open(&self) -> Result<Vec<TrackedRow>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM tracked_runs INDEXED BY tracked_runs_open
             WHERE workload IS NOT NULL AND ended_at IS NULL"
        );
        rows(self.conn.prepare_cached(&sql)?.query([])?, tracked)
    }

    /// The bytes that a team's experiments hold.
    pub fn tracking_held(&self, queue: &QueueName) -> Result<u64, StoreError> {
        let mut query =
            self.conn.prepare_cached("SELECT bytes FROM tracking_held WHERE queue = ?1")?;
        let held = first(query.query([queue.as_str()])?, |row| uint(row, 0))?;
        Ok(held.unwrap_or_default())
    }
}

impl Write<'_> {
    /// Tracks a run from now on.
    ///
    /// # Errors
    /// [`StoreError::Exists`]: there is one that is called so.
    pub fn track(&mut self, new: &NewTracked) -> Result<TrackedRow, StoreError> {
        if self.tracked(&new.uuid)?.is_some() {
            return Err(StoreError::Exists { what: "run", id: new.uuid.clone() });
        }
        let mut insert = self.conn.prepare_cached(
            "INSERT INTO tracked_runs
               (uuid, experiment, name, owner, status, started_at, tier, workload, attempt)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?;
        insert.execute(params![
            new.uuid,
            int(new.experiment.0),
            new.name,
            new.owner.as_str(),
            Status::Running.as_str(),
            new.started_at,
            new.tier.as_str(),
            new.workload.map(|(workload, _)| int(workload.0)),
            new.workload.map(|(_, attempt)| attempt.0),
        ])?;
        Ok(TrackedRow {
            id: TrackedId(self.conn.last_insert_rowid().unsigned_abs()),
            is: new.clone(),
            status: Status::Running,
            ended_at: None,
            deleted_at: None,
        })
    }

    /// Changes what is told of a run.
    pub fn change_tracked(
        &mut self,
        run: TrackedId,
        change: &TrackedChange,
    ) -> Result<(), StoreError> {
        let mut update = self.conn.prepare_cached(
            "UPDATE tracked_runs SET status = ifnull(?2, status), ended_at = ifnull(?3, ended_at),
               name = ifnull(?4, name)
             WHERE id = ?1",
        )?;
        let status = change.status.map(Status::as_str);
        update.execute(params![int(run.0), status, change.ended_at, change.name])?;
        Ok(())
    }

    /// Deletes a run, or brings it back.
    pub fn delete_tracked(
        &mut self,
        run: TrackedId,
        deleted_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let mut delete =
            self.conn.prepare_cached("UPDATE tracked_runs SET deleted_at = ?2 WHERE id = ?1")?;
        delete.execute(params![int(run.0), deleted_at.map(|at| int(at.0))])?;
        Ok(())
    }

    /// What is in a run may be of this tier from now on.
    pub fn raise_tracked(&mut self, run: TrackedId, tier: Tier) -> Result<(), StoreError> {
        let mut raise =
            self.conn.prepare_cached("UPDATE tracked_runs SET tier = ?2 WHERE id = ?1")?;
        raise.execute(params![int(run.0), tier.as_str()])?;
        Ok(())
    }

    /// Keeps a parameter, in the place of what it was; by how many bytes the run grew.
    pub fn keep_param(&mut self, run: TrackedId, kept: &Kept) -> Result<i64, StoreError> {
        let before = self.tracked_param(run, &kept.key)?;
        self.conn
            .prepare_cached("INSERT OR REPLACE INTO run_params VALUES (?1, ?2, ?3)")?
            .execute(params![int(run.0), kept.key, kept.value])?;
        Ok(growth(kept, before))
    }

    /// Keeps a tag, in the place of what it was; by how many bytes the run grew.
    pub fn keep_tag(&mut self, run: TrackedId, kept: &Kept) -> Result<i64, StoreError> {
        let before = self.tracked_tag(run, &kept.key)?;
        self.conn
            .prepare_cached("INSERT OR REPLACE INTO run_tags VALUES (?1, ?2, ?3)")?
            .execute(params![int(run.0), kept.key, kept.value])?;
        Ok(growth(kept, before))
    }

    /// Takes a tag away; by how many bytes the run grew, if there was such a tag.
    pub fn take_tag(&mut self, run: TrackedId, key: &str) -> Result<Option<i64>, StoreError> {
        let Some(value) = self.tracked_tag(run, key)? else { return Ok(None) };
        self.conn
            .prepare_cached("DELETE FROM run_tags WHERE run = ?1 AND key = ?2")?
            .execute(params![int(run.0), key])?;
        let kept = Kept { key: key.to_owned(), value };
        Ok(Some(-growth(&kept, None)))
    }

    /// Keeps that a run read a dataset, once; by how many bytes the run grew.
    pub fn keep_input(&mut self, run: TrackedId, input: &TrackedInput) -> Result<i64, StoreError> {
        let mut insert = self.conn.prepare_cached(
            "INSERT OR IGNORE INTO run_inputs VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?;
        let tags = to_json(&input.tags)?;
        let kept = insert.execute(params![
            int(run.0),
            input.name,
            input.digest,
            input.source_type,
            input.source,
            input.schema,
            input.profile,
            tags
        ])?;
        let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let bytes = [&input.name, &input.digest, &input.source_type, &input.source, &tags];
        let bytes: usize = bytes.into_iter().map(String::len).sum();
        let bytes = bytes + length(&input.schema) + length(&input.profile);
        Ok(if kept == 0 { 0 } else { ROW_BYTES + signed(bytes) })
    }

    /// A run grew by so many bytes, and with it what its team holds.
    ///
    /// # Errors
    /// [`StoreError::OverQuota`]: more than the team may hold.
    pub fn tracked_grew(
        &mut self,
        (run, queue): (TrackedId, &QueueName),
        bytes: i64,
        may: u64,
    ) -> Result<(), StoreError> {
        if bytes == 0 {
            return Ok(());
        }
        self.conn
            .prepare_cached("UPDATE tracked_runs SET held = max(0, held + ?2) WHERE id = ?1")?
            .execute([int(run.0), bytes])?;
        self.team_grew(queue, bytes, may)
    }

    /// What a team tracked grew by so many bytes.
    ///
    /// # Errors
    /// [`StoreError::OverQuota`]: more than it may hold.
    pub(crate) fn team_grew(
        &mut self,
        queue: &QueueName,
        bytes: i64,
        may: u64,
    ) -> Result<(), StoreError> {
        self.conn
            .prepare_cached(
                "INSERT INTO tracking_held VALUES (?1, max(0, ?2))
                 ON CONFLICT DO UPDATE SET bytes = max(0, bytes + ?2)",
            )?
            .execute(params![queue.as_str(), bytes])?;
        let held = self.tracking_held(queue)?;
        match bytes > 0 && held > may {
            true => Err(StoreError::OverQuota { queue: queue.clone(), what: "bytes", held, may }),
            false => Ok(()),
        }
    }

    /// Forgets a run that was deleted before a moment, and experiments of which nothing is left;
    /// whether there was one.
    pub fn forget_tracked(&mut self, before: Timestamp) -> Result<bool, StoreError> {
        let mut oldest = self.conn.prepare_cached(
            "SELECT r.id, r.held, e.queue FROM tracked_runs r JOIN experiments e
             ON e.id = r.experiment WHERE r.deleted_at < ?1 ORDER BY r.deleted_at LIMIT 1",
        )?;
        let read = |row: &Row<'_>| -> Result<(i64, i64, QueueName), StoreError> {
            Ok((row.get(0)?, row.get(1)?, parsed(row, 2)?))
        };
        let Some((run, held, queue)) = first(oldest.query([int(before.0)])?, read)? else {
            return self.forget_experiment(before);
        };
        for sql in [
            "DELETE FROM metric_points WHERE metric IN (SELECT id FROM run_metrics WHERE run = ?1)",
            "DELETE FROM run_metrics WHERE run = ?1",
            "DELETE FROM run_params WHERE run = ?1",
            "DELETE FROM run_tags WHERE run = ?1",
            "DELETE FROM run_inputs WHERE run = ?1",
            "DELETE FROM run_models WHERE run = ?1",
            "DELETE FROM tracked_runs WHERE id = ?1",
        ] {
            self.conn.prepare_cached(sql)?.execute([run])?;
        }
        self.team_grew(&queue, -held, 0)?;
        Ok(true)
    }

    fn forget_experiment(&mut self, before: Timestamp) -> Result<bool, StoreError> {
        let mut oldest = self.conn.prepare_cached(
            "SELECT id FROM experiments WHERE deleted_at < ?1
             AND id NOT IN (SELECT experiment FROM tracked_runs)
             AND id NOT IN (SELECT experiment FROM logged_models) LIMIT 1",
        )?;
        let found = first(oldest.query([int(before.0)])?, |row| Ok(row.get::<_, i64>(0)?))?;
        let Some(id) = found else { return Ok(false) };
        for sql in [
            "DELETE FROM experiment_tags WHERE experiment = ?1",
            "DELETE FROM artifact_places WHERE experiment = ?1",
            "DELETE FROM experiments WHERE id = ?1",
        ] {
            self.conn.prepare_cached(sql)?.execute([id])?;
        }
        Ok(true)
    }
}

/// What a row costs beside its texts.
pub(crate) const ROW_BYTES: i64 = 40;

fn growth(kept: &Kept, before: Option<String>) -> i64 {
    match before {
        None => ROW_BYTES + signed(kept.key.len()) + signed(kept.value.len()),
        Some(before) => signed(kept.value.len()) - signed(before.len()),
    }
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn tracked(row: &Row<'_>) -> Result<TrackedRow, StoreError> {
    let workload = uint_opt(row, 10)?.map(WorkloadId);
    let attempt: Option<u32> = row.get(11)?;
    Ok(TrackedRow {
        id: TrackedId(uint(row, 0)?),
        is: NewTracked {
            uuid: row.get(1)?,
            experiment: ExperimentId(uint(row, 2)?),
            name: row.get(3)?,
            owner: parsed(row, 4)?,
            started_at: row.get(6)?,
            tier: parsed(row, 9)?,
            workload: workload.zip(attempt.map(Attempt)),
        },
        status: parsed(row, 5)?,
        ended_at: row.get(7)?,
        deleted_at: uint_opt(row, 8)?.map(Timestamp),
    })
}
