//! Queues: the teams' shares.

use crate::column::{first, int, json, parsed, rows, to_json, uint};
use crate::{Read, StoreError, Write};
use rusqlite::{Row, params};
use weft_types::QueueName;

/// A team's share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueRow {
    /// Its path.
    pub name: QueueName,
    /// What it has, borrows and lends.
    pub queue: weft_sched::Queue,
    /// Grows with each change.
    pub version: u64,
}

impl Read<'_> {
    /// Every queue, by name. A pool has tens of them.
    pub fn queues(&self) -> Result<Vec<QueueRow>, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT * FROM queues ORDER BY name")?;
        rows(query.query([])?, queue)
    }

    /// One queue.
    pub fn queue(&self, name: &QueueName) -> Result<Option<QueueRow>, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT * FROM queues WHERE name = ?1")?;
        first(query.query([name.as_str()])?, queue)
    }

    /// How many workloads wait in it and how many hold capacity, itself alone.
    pub fn queue_load(&self, name: &QueueName) -> Result<(u32, u32), StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT coalesce(sum(state = 'queued'), 0), coalesce(sum(state <> 'queued'), 0)
             FROM workloads WHERE queue = ?1
             AND state IN ('queued', 'starting', 'running', 'stopping')",
        )?;
        Ok(query.query_row([name.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?)
    }
}

impl Write<'_> {
    /// Makes or changes a queue and gives its new version. `expected` is the version the
    /// caller read; none overwrites. The queue above must exist.
    pub fn put_queue(
        &mut self,
        name: &QueueName,
        queue: &weft_sched::Queue,
        expected: Option<u64>,
    ) -> Result<u64, StoreError> {
        if let Some(parent) = name.parent() {
            self.queue(&parent)?.ok_or_else(|| not_found(&parent))?;
        }
        let old = self.queue(name)?;
        let found = old.as_ref().map_or(0, |row| row.version);
        if let Some(expected) = expected.filter(|expected| *expected != found) {
            let id = name.to_string();
            return Err(StoreError::Conflict { what: "queue", id, expected, found });
        }
        self.conn
            .prepare_cached("INSERT OR REPLACE INTO queues VALUES (?1, ?2, ?3)")?
            .execute(params![name.as_str(), to_json(queue)?, int(found + 1)])?;
        self.planner_saw |= old.is_none_or(|row| row.queue != *queue);
        Ok(found + 1)
    }

    /// Removes a queue that nothing uses: no queue below it, no user, nothing unfinished.
    pub fn delete_queue(&mut self, name: &QueueName) -> Result<(), StoreError> {
        let in_use =
            |by: &str| StoreError::InUse { what: "queue", id: name.to_string(), by: by.to_owned() };
        if self.queues()?.iter().any(|row| row.name.parent().as_ref() == Some(name)) {
            return Err(in_use("it has queues below it"));
        }
        if self.queue_load(name)? != (0, 0) {
            return Err(in_use("it has unfinished workloads"));
        }
        if self.users()?.iter().any(|user| user.queue.as_ref() == Some(name)) {
            return Err(in_use("it has users"));
        }
        let gone = self.conn.execute("DELETE FROM queues WHERE name = ?1", [name.as_str()])?;
        if gone == 0 {
            return Err(not_found(name));
        }
        self.conn.execute("DELETE FROM recents WHERE queue = ?1", [name.as_str()])?;
        self.conn.execute("DELETE FROM data_quotas WHERE queue = ?1", [name.as_str()])?;
        self.planner_saw = true;
        Ok(())
    }
}

fn not_found(name: &QueueName) -> StoreError {
    StoreError::NotFound { what: "queue", id: name.to_string() }
}

fn queue(row: &Row<'_>) -> Result<QueueRow, StoreError> {
    Ok(QueueRow {
        name: parsed(row, "name")?,
        queue: json(row, "queue")?,
        version: uint(row, "version")?,
    })
}
