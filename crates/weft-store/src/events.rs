//! Events: what happened, append-only, numbered; what watchers follow.

use crate::column::{int, rows, uint};
use crate::limits::{EVENT_DETAIL_MAX, PAGE_MAX, cut};
use crate::{Heads, Read, StoreError, Write};
use rusqlite::{Row, params};
use weft_types::{QueueName, Timestamp};

/// Something that happened, to be written with its effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// When.
    pub at: Timestamp,
    /// Who did it: a user, or `weft`.
    pub actor: String,
    /// What it is about: `workload`, `queue`, `user`, `token`, `node`, `device`, `image`.
    pub kind: String,
    /// Id of what it is about.
    pub subject: String,
    /// The team whose business it is; none: the operator's.
    pub queue: Option<QueueName>,
    /// What happened, kebab-case.
    pub what: String,
    /// A sentence for people; cut at [`crate::EVENT_DETAIL_MAX`] bytes.
    pub detail: String,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRow {
    /// Grows by at least one per event.
    pub seq: u64,
    /// What.
    pub event: NewEvent,
}

/// Which events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Of this kind only.
    pub kind: Option<String>,
    /// About this subject only.
    pub subject: Option<String>,
    /// Of this team only.
    pub queue: Option<QueueName>,
}

impl Read<'_> {
    /// Events after number `after`, oldest first, at most `limit` (≤ [`crate::PAGE_MAX`]).
    pub fn events(
        &self,
        filter: &EventFilter,
        after: u64,
        limit: u32,
    ) -> Result<Vec<EventRow>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT * FROM events WHERE seq > ?1 AND (?2 IS NULL OR kind = ?2)
             AND (?3 IS NULL OR subject = ?3) AND (?4 IS NULL OR queue = ?4)
             ORDER BY seq LIMIT ?5",
        )?;
        let queue = filter.queue.as_ref().map(QueueName::as_str);
        let limit = limit.min(PAGE_MAX);
        rows(query.query(params![int(after), filter.kind, filter.subject, queue, limit])?, event)
    }

    /// How far the state has come.
    pub fn heads(&self) -> Result<Heads, StoreError> {
        let generation = self.meta()?.generation;
        let mut query = self.conn.prepare_cached("SELECT coalesce(max(seq), 0) FROM events")?;
        let seq: i64 = query.query_row([], |row| row.get(0))?;
        let mut query = self
            .conn
            .prepare_cached("SELECT count(*) FROM data_view_versions WHERE state = 'waiting'")?;
        let views: i64 = query.query_row([], |row| row.get(0))?;
        Ok(Heads { generation, event_seq: seq.unsigned_abs(), views: views.unsigned_abs() })
    }
}

impl Write<'_> {
    /// Appends an event and gives its number.
    pub fn append_event(&mut self, event: NewEvent) -> Result<u64, StoreError> {
        let mut insert = self.conn.prepare_cached(
            "INSERT INTO events (at, actor, kind, subject, queue, what, detail)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?;
        let seq = insert.insert(params![
            int(event.at.0),
            event.actor,
            event.kind,
            event.subject,
            event.queue.as_ref().map(QueueName::as_str),
            event.what,
            cut(&event.detail, EVENT_DETAIL_MAX),
        ])?;
        Ok(seq.unsigned_abs())
    }
}

fn event(row: &Row<'_>) -> Result<EventRow, StoreError> {
    let queue: Option<String> = row.get("queue")?;
    Ok(EventRow {
        seq: uint(row, "seq")?,
        event: NewEvent {
            at: Timestamp(uint(row, "at")?),
            actor: row.get("actor")?,
            kind: row.get("kind")?,
            subject: row.get("subject")?,
            queue: queue
                .map(QueueName::new)
                .transpose()
                .map_err(|e| StoreError::Damaged(e.to_string()))?,
            what: row.get("what")?,
            detail: row.get("detail")?,
        },
    })
}
