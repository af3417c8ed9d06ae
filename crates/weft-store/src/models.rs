//! Logged models: what a run made, as a thing of its own. Absent on purpose: their files
//! (`artifacts.rs`), and who may.

use crate::column::{first, int, parsed, rows, uint, uint_opt};
use crate::points::{float, turned};
use crate::tracked::{ROW_BYTES, TrackedId};
use crate::{ExperimentId, Read, StoreError, Write};
use rusqlite::{Row, params};
use weft_tracking::ModelStatus;
use weft_tracking::check::{Kept, Point};
use weft_types::{QueueName, Tier, Timestamp, UserName};

/// The number of a logged model. Clients know it by another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelId(pub u64);

/// A model to be logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewModel {
    /// As clients call it.
    pub uuid: String,
    /// Where.
    pub experiment: ExperimentId,
    /// For people.
    pub name: String,
    /// Whose it is.
    pub owner: UserName,
    /// The highest tier of what was read by who wrote it.
    pub tier: Tier,
    /// What kind of model, as the client says; empty: nobody said.
    pub model_type: String,
    /// Which run made it, as clients call that; empty: none.
    pub run: String,
    /// When.
    pub at: Timestamp,
}

/// A logged model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelRow {
    /// Its number.
    pub id: ModelId,
    /// What it was made as.
    pub is: NewModel,
    /// How it stands.
    pub status: ModelStatus,
    /// When it was changed last.
    pub updated_at: Timestamp,
    /// When it was deleted, if it was.
    pub deleted_at: Option<Timestamp>,
}

/// Whether a run read a model or made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelUse {
    /// It read it.
    Input,
    /// It made it.
    Output,
}

impl ModelUse {
    const fn as_str(self) -> &'static str {
        match self {
            ModelUse::Input => "input",
            ModelUse::Output => "output",
        }
    }
}

impl Read<'_> {
    /// The model that clients call so, also one that was deleted.
    pub fn logged_model(&self, uuid: &str) -> Result<Option<ModelRow>, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT * FROM logged_models WHERE uuid = ?1")?;
        first(query.query([uuid])?, model)
    }

    /// All of an experiment, but those that were deleted.
    pub fn logged_models(&self, experiment: ExperimentId) -> Result<Vec<ModelRow>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT * FROM logged_models WHERE experiment = ?1 AND deleted_at IS NULL",
        )?;
        rows(query.query([int(experiment.0)])?, model)
    }

    /// A model's parameters, by key.
    pub fn model_params(&self, model: ModelId) -> Result<Vec<Kept>, StoreError> {
        self.model_pairs("SELECT key, value FROM model_params WHERE model = ?1", model)
    }

    /// A model's tags, by key.
    pub fn model_tags(&self, model: ModelId) -> Result<Vec<Kept>, StoreError> {
        self.model_pairs("SELECT key, value FROM model_tags WHERE model = ?1", model)
    }

    fn model_pairs(&self, sql: &str, model: ModelId) -> Result<Vec<Kept>, StoreError> {
        let mut query = self.conn.prepare_cached(sql)?;
        rows(query.query([int(model.0)])?, |row| Ok(Kept { key: row.get(0)?, value: row.get(1)? }))
    }

    /// The latest point of each metric of a model, and the run in which it was measured, as clients
    /// call it.
    pub fn model_metrics(&self, model: ModelId) -> Result<Vec<(Point, String)>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT m.key, m.at, m.step, m.value, ifnull(r.uuid, '') FROM model_metrics m
             LEFT JOIN tracked_runs r ON r.id = m.run WHERE m.model = ?1 ORDER BY m.key",
        )?;
        rows(query.query([int(model.0)])?, |row| {
            let (key, value) = (row.get(0)?, float(row.get(3)?));
            Ok((Point { key, timestamp: row.get(1)?, step: row.get(2)?, value }, row.get(4)?))
        })
    }

    /// The models that a run read or made, as clients call them, each with its step.
    pub fn models_of_run(
        &self,
        run: TrackedId,
        kind: ModelUse,
    ) -> Result<Vec<(String, i64)>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT model, step FROM run_models WHERE run = ?1 AND kind = ?2 ORDER BY model",
        )?;
        let found = query.query(params![int(run.0), kind.as_str()])?;
        rows(found, |row| Ok((row.get(0)?, row.get(1)?)))
    }

    /// The model that was deleted first, before a moment.
    pub fn model_forgettable(&self, before: Timestamp) -> Result<Option<ModelRow>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT * FROM logged_models WHERE deleted_at < ?1 ORDER BY deleted_at LIMIT 1",
        )?;
        first(query.query([int(before.0)])?, model)
    }
}

impl Write<'_> {
    /// Logs a model.
    ///
    /// # Errors
    /// [`StoreError::Exists`]: there is one that is called so.
    pub fn log_model(&mut self, new: &NewModel) -> Result<ModelRow, StoreError> {
        if self.logged_model(&new.uuid)?.is_some() {
            return Err(StoreError::Exists { what: "model", id: new.uuid.clone() });
        }
        let mut insert = self.conn.prepare_cached(
            "INSERT INTO logged_models
               (uuid, experiment, name, owner, tier, model_type, status, run, made_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9)",
        )?;
        insert.execute(params![
            new.uuid,
            int(new.experiment.0),
            new.name,
            new.owner.as_str(),
            new.tier.as_str(),
            new.model_type,
            ModelStatus::Pending.as_str(),
            new.run,
            int(new.at.0),
        ])?;
        Ok(ModelRow {
            id: ModelId(self.conn.last_insert_rowid().unsigned_abs()),
            is: new.clone(),
            status: ModelStatus::Pending,
            updated_at: new.at,
            deleted_at: None,
        })
    }

    /// Changes how a model stands, or deletes it; what is none stays.
    pub fn change_model(
        &mut self,
        model: ModelId,
        status: Option<ModelStatus>,
        deleted: bool,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let mut change = self.conn.prepare_cached(
            "UPDATE logged_models SET status = ifnull(?2, status), updated_at = ?4,
               deleted_at = iif(?3, ?4, deleted_at)
             WHERE id = ?1",
        )?;
        let status = status.map(ModelStatus::as_str);
        change.execute(params![int(model.0), status, deleted, int(at.0)])?;
        Ok(())
    }

    /// What is in a model may be of this tier from now on.
    pub fn raise_model(&mut self, model: ModelId, tier: Tier) -> Result<(), StoreError> {
        let mut raise =
            self.conn.prepare_cached("UPDATE logged_models SET tier = ?2 WHERE id = ?1")?;
        raise.execute(params![int(model.0), tier.as_str()])?;
        Ok(())
    }

    /// Keeps a parameter of a model; by how many bytes more.
    pub fn keep_model_param(&mut self, model: ModelId, kept: &Kept) -> Result<i64, StoreError> {
        self.keep_model_pair("INSERT OR REPLACE INTO model_params VALUES (?1, ?2, ?3)", model, kept)
    }

    /// Keeps a tag of a model; by how many bytes more.
    pub fn keep_model_tag(&mut self, model: ModelId, kept: &Kept) -> Result<i64, StoreError> {
        self.keep_model_pair("INSERT OR REPLACE INTO model_tags VALUES (?1, ?2, ?3)", model, kept)
    }

    fn keep_model_pair(
        &mut self,
        sql: &str,
        model: ModelId,
        kept: &Kept,
    ) -> Result<i64, StoreError> {
        let Kept { key, value } = kept;
        self.conn.prepare_cached(sql)?.execute(params![int(model.0), key, value])?;
        let bytes = i64::try_from(key.len() + value.len()).unwrap_or(i64::MAX);
        Ok(bytes.saturating_add(ROW_BYTES))
    }

    /// Takes a tag of a model; whether there was one.
    pub fn take_model_tag(&mut self, model: ModelId, key: &str) -> Result<bool, StoreError> {
        let mut take =
            self.conn.prepare_cached("DELETE FROM model_tags WHERE model = ?1 AND key = ?2")?;
        Ok(take.execute(params![int(model.0), key])? == 1)
    }

    /// Keeps a point of a model's metric where it is its latest: by moment, step and value.
    pub fn keep_model_point(
        &mut self,
        (model, run): (ModelId, TrackedId),
        point: &Point,
    ) -> Result<(), StoreError> {
        let mut keep = self.conn.prepare_cached(
            "INSERT INTO model_metrics VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT DO UPDATE SET step = ?3, at = ?4, value = ?5, run = ?6
             WHERE (?4, ?3, ?5) >= (at, step, value)",
        )?;
        let (model, run, value) = (int(model.0), int(run.0), turned(point.value));
        keep.execute(params![model, point.key, point.step, point.timestamp, value, run])?;
        Ok(())
    }

    /// A run read a model, or made it.
    pub fn run_uses_model(
        &mut self,
        (run, kind): (TrackedId, ModelUse),
        (model, step): (&str, i64),
    ) -> Result<i64, StoreError> {
        let mut keep =
            self.conn.prepare_cached("INSERT OR IGNORE INTO run_models VALUES (?1, ?2, ?3, ?4)")?;
        let kept = keep.execute(params![int(run.0), kind.as_str(), model, step])?;
        Ok(if kept == 1 { ROW_BYTES * 2 } else { 0 })
    }

    /// A model grew by so many bytes, and with it what its team holds.
    ///
    /// # Errors
    /// [`StoreError::OverQuota`]: more than the team may hold.
    pub fn model_grew(
        &mut self,
        (model, queue): (ModelId, &QueueName),
        bytes: i64,
        may: u64,
    ) -> Result<(), StoreError> {
        if bytes == 0 {
            return Ok(());
        }
        self.conn
            .prepare_cached("UPDATE logged_models SET held = max(0, held + ?2) WHERE id = ?1")?
            .execute(params![int(model.0), bytes])?;
        self.team_grew(queue, bytes, may)
    }

    /// Forgets a model.
    pub fn forget_model(&mut self, model: ModelId) -> Result<(), StoreError> {
        let mut held = self.conn.prepare_cached(
            "SELECT m.held, e.queue FROM logged_models m JOIN experiments e ON e.id = m.experiment
             WHERE m.id = ?1",
        )?;
        let held = first(held.query([int(model.0)])?, |row| {
            Ok((row.get::<_, i64>(0)?, parsed::<QueueName>(row, 1)?))
        })?;
        if let Some((held, queue)) = held {
            self.team_grew(&queue, -held, 0)?;
        }
        for sql in [
            "DELETE FROM model_metrics WHERE model = ?1",
            "DELETE FROM model_params WHERE model = ?1",
            "DELETE FROM model_tags WHERE model = ?1",
            "DELETE FROM logged_models WHERE id = ?1",
        ] {
            self.conn.prepare_cached(sql)?.execute([int(model.0)])?;
        }
        Ok(())
    }
}

fn model(row: &Row<'_>) -> Result<ModelRow, StoreError> {
    Ok(ModelRow {
        id: ModelId(uint(row, "id")?),
        is: NewModel {
            uuid: row.get("uuid")?,
            experiment: ExperimentId(uint(row, "experiment")?),
            name: row.get("name")?,
            owner: parsed(row, "owner")?,
            tier: parsed(row, "tier")?,
            model_type: row.get("model_type")?,
            run: row.get("run")?,
            at: Timestamp(uint(row, "made_at")?),
        },
        status: parsed(row, "status")?,
        updated_at: Timestamp(uint(row, "updated_at")?),
        deleted_at: uint_opt(row, "deleted_at")?.map(Timestamp),
    })
}
