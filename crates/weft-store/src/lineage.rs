//! How versions of datasets came to be, and what came of them.

use crate::column::{int, parsed, rows, uint, word};
use crate::datasets::DatasetId;
use crate::{Read, StoreError, Write};
use rusqlite::{Row, params};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use weft_types::{QueueName, Timestamp, UserName};

/// Origins of one version that are read: equal bytes may be left a thousand times.
pub(crate) const ORIGINS_MAX: u32 = 20;

/// What made a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OriginKind {
    /// A workload left it.
    Run,
    /// It was brought from a source.
    Import,
    /// The server made it of another dataset's version.
    View,
    /// It is a branch's first.
    Branch,
    /// A branch was merged.
    Merge,
}

impl OriginKind {
    /// The word that is stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Import => "import",
            Self::View => "view",
            Self::Branch => "branch",
            Self::Merge => "merge",
        }
    }
}

/// How a version came to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOrigin {
    /// What made it.
    pub kind: OriginKind,
    /// The workload, `w12`, or the source.
    pub what: String,
    /// For whom.
    pub actor: UserName,
    /// Of this team.
    pub queue: QueueName,
    /// The files that a run was given: kept as long as this.
    pub bundle: Option<String>,
    /// All that it takes to do it again, as JSON. Never a secret.
    pub detail: String,
    /// What was read for it.
    pub inputs: Vec<OriginInput>,
    /// When.
    pub at: Timestamp,
}

/// A version that was read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OriginInput {
    /// The dataset.
    pub dataset: DatasetId,
    /// Its version.
    pub number: u32,
    /// What the dataset was called.
    pub name: String,
}

/// How this version came to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginRow {
    /// Its number.
    pub id: u64,
    /// Of this dataset.
    pub dataset: DatasetId,
    /// Its version.
    pub number: u32,
    /// What is known.
    pub is: NewOrigin,
}

impl Read<'_> {
    /// How a version came to be: of those that made it the last twenty, the oldest first.
    pub fn origins(&self, dataset: DatasetId, number: u32) -> Result<Vec<OriginRow>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT * FROM (SELECT * FROM origins WHERE dataset = ?1 AND number = ?2
               ORDER BY id DESC LIMIT ?3) ORDER BY id",
        )?;
        let found = rows(query.query(params![int(dataset.0), number, ORIGINS_MAX])?, origin)?;
        found.into_iter().map(|row| self.with_inputs(row)).collect()
    }

    /// What came of a version, the oldest first; so many at most.
    pub fn derived(
        &self,
        dataset: DatasetId,
        number: u32,
        limit: u32,
    ) -> Result<Vec<OriginRow>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT o.* FROM origin_inputs i JOIN origins o ON o.id = i.origin
             WHERE i.dataset = ?1 AND i.number = ?2 ORDER BY o.id LIMIT ?3",
        )?;
        let found = rows(query.query(params![int(dataset.0), number, limit])?, origin)?;
        found.into_iter().map(|row| self.with_inputs(row)).collect()
    }

    /// The files that runs were given whose versions are still there.
    pub fn origin_bundles(&self) -> Result<BTreeSet<String>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT DISTINCT bundle FROM origins o JOIN dataset_versions v
             ON v.dataset = o.dataset AND v.number = o.number WHERE bundle IS NOT NULL",
        )?;
        let bundles = rows(query.query([])?, |row| Ok(row.get("bundle")?))?;
        Ok(bundles.into_iter().collect())
    }

    fn with_inputs(&self, mut row: OriginRow) -> Result<OriginRow, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT * FROM origin_inputs WHERE origin = ?1 ORDER BY name, number",
        )?;
        row.is.inputs = rows(query.query([int(row.id)])?, |row| {
            Ok(OriginInput {
                dataset: DatasetId(uint(row, "dataset")?),
                number: row.get("number")?,
                name: row.get("name")?,
            })
        })?;
        Ok(row)
    }
}

impl Write<'_> {
    /// Keeps how a version came to be.
    pub fn put_origin(
        &mut self,
        dataset: DatasetId,
        number: u32,
        new: &NewOrigin,
    ) -> Result<u64, StoreError> {
        let mut insert = self.conn.prepare_cached(
            "INSERT INTO origins (dataset, number, at, kind, what, actor, queue, bundle, detail)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?;
        let id = insert.insert(params![
            int(dataset.0),
            number,
            int(new.at.0),
            new.kind.as_str(),
            new.what,
            new.actor.as_str(),
            new.queue.as_str(),
            new.bundle,
            new.detail,
        ])?;
        let mut insert = self
            .conn
            .prepare_cached("INSERT OR IGNORE INTO origin_inputs VALUES (?1, ?2, ?3, ?4)")?;
        for input in &new.inputs {
            insert.execute(params![id, int(input.dataset.0), input.number, input.name])?;
        }
        u64::try_from(id).map_err(|e| StoreError::Damaged(e.to_string()))
    }
}

fn origin(row: &Row<'_>) -> Result<OriginRow, StoreError> {
    Ok(OriginRow {
        id: uint(row, "id")?,
        dataset: DatasetId(uint(row, "dataset")?),
        number: row.get("number")?,
        is: NewOrigin {
            kind: word(row, "kind")?,
            what: row.get("what")?,
            actor: parsed(row, "actor")?,
            queue: parsed(row, "queue")?,
            bundle: row.get("bundle")?,
            detail: row.get("detail")?,
            inputs: Vec::new(),
            at: Timestamp(uint(row, "at")?),
        },
    })
}
