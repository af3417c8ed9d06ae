//! Sources of data, and imports from them. Absent on purpose: what a secret is, and what opens it.

use crate::column::{first, int, parsed, rows, uint, uint_opt, word};
use crate::{DatasetId, Read, StoreError, Write};
use rusqlite::{Row, params};
use serde::{Deserialize, Serialize};
use weft_types::{QueueName, Timestamp};

/// Imports into a dataset that are kept, the newest ones.
pub const IMPORTS_KEPT: u32 = 1_000;

/// What kind of source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// Addresses of the web.
    Http,
    /// A bucket.
    S3,
    /// A PostgreSQL database.
    Postgres,
    /// A MySQL or MariaDB database.
    Mysql,
}

impl SourceKind {
    /// The word stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            SourceKind::Http => "http",
            SourceKind::S3 => "s3",
            SourceKind::Postgres => "postgres",
            SourceKind::Mysql => "mysql",
        }
    }
}

/// A source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRow {
    /// What it is called.
    pub name: String,
    /// The team that may use it.
    pub queue: QueueName,
    /// What it is.
    pub kind: SourceKind,
    /// Where it is and how far it may reach, as JSON.
    pub settings: String,
    /// Who declared it.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// The key of its secret, wrapped by the team's.
    pub key: Vec<u8>,
    /// Its secret, under seal.
    pub secret: Vec<u8>,
}

/// What became of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImportState {
    /// It goes on.
    Running,
    /// All of it came.
    Done,
    /// It made no version.
    Failed,
    /// Somebody ended it.
    Cancelled,
}

impl ImportState {
    /// The word stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            ImportState::Running => "running",
            ImportState::Done => "done",
            ImportState::Failed => "failed",
            ImportState::Cancelled => "cancelled",
        }
    }
}

/// An import to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewImport {
    /// Into this.
    pub dataset: DatasetId,
    /// From this source; none: an address of the web that nobody declared.
    pub source: Option<String>,
    /// What of it.
    pub what: String,
    /// Which of that; empty: all.
    pub query: String,
    /// Who wants it.
    pub by: String,
    /// When it began.
    pub at: Timestamp,
}

/// An import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportRow {
    /// Never given again.
    pub id: u64,
    /// What was wanted.
    pub is: NewImport,
    /// What became of it.
    pub state: ImportState,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// What came.
    pub came: Came,
    /// The version that came of it.
    pub version: Option<u32>,
    /// Why it failed.
    pub why: String,
}

/// What an import brought.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Came {
    /// Files that were put.
    pub files: u64,
    /// What they are together.
    pub bytes: u64,
    /// The moment that the source says it is of.
    pub snapshot: String,
}

impl Read<'_> {
    /// A source.
    pub fn source(&self, name: &str) -> Result<Option<SourceRow>, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT * FROM sources WHERE name = ?1")?;
        first(query.query([name])?, source)
    }

    /// All sources, by name.
    pub fn sources(&self) -> Result<Vec<SourceRow>, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT * FROM sources ORDER BY name")?;
        rows(query.query([])?, source)
    }

    /// An import.
    pub fn import(&self, id: u64) -> Result<Option<ImportRow>, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT * FROM imports WHERE id = ?1")?;
        first(query.query([int(id)])?, import)
    }

    /// How many imports there are in each state.
    pub fn imports_by_state(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let mut query = self
            .conn
            .prepare_cached("SELECT state, count(*) FROM imports GROUP BY state ORDER BY state")?;
        rows(query.query([])?, |row| Ok((row.get(0)?, uint(row, 1)?)))
    }

    /// The last imports of a dataset, the newest first; at most so many.
    pub fn imports(&self, id: DatasetId, most: u32) -> Result<Vec<ImportRow>, StoreError> {
        let mut query = self
            .conn
            .prepare_cached("SELECT * FROM imports WHERE dataset = ?1 ORDER BY id DESC LIMIT ?2")?;
        rows(query.query(params![int(id.0), most])?, import)
    }
}

impl Write<'_> {
    /// Keeps a source, in the place of one of that name.
    pub fn put_source(&mut self, row: &SourceRow) -> Result<(), StoreError> {
        let mut put = self.conn.prepare_cached(
            "INSERT OR REPLACE INTO sources VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?;
        put.execute(params![
            row.name,
            row.queue.as_str(),
            row.kind.as_str(),
            row.settings,
            row.by,
            int(row.at.0),
            row.key,
            row.secret,
        ])?;
        Ok(())
    }

    /// Forgets a source and its secret; whether there was one.
    pub fn remove_source(&mut self, name: &str) -> Result<bool, StoreError> {
        Ok(self.conn.execute("DELETE FROM sources WHERE name = ?1", [name])? == 1)
    }

    /// An import begins. Of those of the dataset that have ended, the last [`IMPORTS_KEPT`] are
    /// kept; where a version comes from stands with its origin.
    pub fn begin_import(&mut self, new: &NewImport) -> Result<u64, StoreError> {
        let mut insert = self.conn.prepare_cached(
            "INSERT INTO imports (dataset, source, what, query, made_by, began_at, state)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'running')",
        )?;
        insert.execute(params![
            int(new.dataset.0),
            new.source,
            new.what,
            new.query,
            new.by,
            int(new.at.0),
        ])?;
        let id = self.conn.last_insert_rowid().unsigned_abs();
        let mut forget = self.conn.prepare_cached(
            "DELETE FROM imports WHERE dataset = ?1 AND state <> 'running' AND id < (
               SELECT id FROM imports WHERE dataset = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        )?;
        forget.execute(params![int(new.dataset.0), IMPORTS_KEPT])?;
        Ok(id)
    }

    /// An import has ended; whether it was running: what has ended stays as it is.
    pub fn end_import(
        &mut self,
        id: u64,
        state: ImportState,
        came: &Came,
        (version, why): (Option<u32>, &str),
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut end = self.conn.prepare_cached(
            "UPDATE imports SET state = ?2, files = ?3, bytes = ?4, snapshot = ?5, version = ?6,
                 why = ?7, ended_at = ?8
             WHERE id = ?1 AND state = 'running'",
        )?;
        let (files, bytes) = (int(came.files), int(came.bytes));
        let state = state.as_str();
        let ended = end.execute(params![
            int(id),
            state,
            files,
            bytes,
            came.snapshot,
            version,
            why,
            int(at.0)
        ])?;
        Ok(ended == 1)
    }

    /// What a server before left running has failed; how many.
    pub fn fail_imports(&mut self, why: &str, at: Timestamp) -> Result<usize, StoreError> {
        let mut fail = self.conn.prepare_cached(
            "UPDATE imports SET state = 'failed', why = ?1, ended_at = ?2
             WHERE state = 'running'",
        )?;
        Ok(fail.execute(params![why, int(at.0)])?)
    }
}

fn source(row: &Row<'_>) -> Result<SourceRow, StoreError> {
    Ok(SourceRow {
        name: row.get("name")?,
        queue: parsed(row, "queue")?,
        kind: word(row, "kind")?,
        settings: row.get("settings")?,
        by: row.get("made_by")?,
        at: Timestamp(uint(row, "made_at")?),
        key: row.get("key")?,
        secret: row.get("secret")?,
    })
}

fn import(row: &Row<'_>) -> Result<ImportRow, StoreError> {
    let came = Came {
        files: uint(row, "files")?,
        bytes: uint(row, "bytes")?,
        snapshot: row.get("snapshot")?,
    };
    let is = NewImport {
        dataset: DatasetId(uint(row, "dataset")?),
        source: row.get("source")?,
        what: row.get("what")?,
        query: row.get("query")?,
        by: row.get("made_by")?,
        at: Timestamp(uint(row, "began_at")?),
    };
    Ok(ImportRow {
        id: uint(row, "id")?,
        is,
        state: word(row, "state")?,
        ended_at: uint_opt(row, "ended_at")?.map(Timestamp),
        came,
        version: row.get("version")?,
        why: row.get("why")?,
    })
}
