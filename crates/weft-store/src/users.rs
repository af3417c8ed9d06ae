//! Users: people and service accounts.

use crate::column::{first, int, parsed, rows, uint, word};
use crate::{Read, StoreError, Write};
use rusqlite::{Row, params};
use serde::{Deserialize, Serialize};
use weft_types::{QueueName, Timestamp, UserName};

/// What a person may do, by and large; the policies say it exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything but reading users' data.
    Admin,
    /// Machines and queues.
    Operator,
    /// A team's workloads.
    Lead,
    /// One's own workloads.
    Member,
    /// Reading the audit log.
    Auditor,
}

/// A person or service account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRow {
    /// Name.
    pub name: UserName,
    /// Role.
    pub role: Role,
    /// Team's queue.
    pub queue: Option<QueueName>,
    /// Since when.
    pub created_at: Timestamp,
    /// Whether the user is shut out.
    pub disabled: bool,
}

impl Role {
    /// The word stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Admin => "admin",
            Role::Operator => "operator",
            Role::Lead => "lead",
            Role::Member => "member",
            Role::Auditor => "auditor",
        }
    }
}

impl Read<'_> {
    /// Every user, by name.
    pub fn users(&self) -> Result<Vec<UserRow>, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT * FROM users ORDER BY name")?;
        rows(query.query([])?, user)
    }

    /// One user.
    pub fn user(&self, name: &UserName) -> Result<Option<UserRow>, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT * FROM users WHERE name = ?1")?;
        first(query.query([name.as_str()])?, user)
    }
}

impl Write<'_> {
    /// Adds a user. Its queue must exist.
    pub fn create_user(&mut self, new: &UserRow) -> Result<(), StoreError> {
        if self.user(&new.name)?.is_some() {
            return Err(StoreError::Exists { what: "user", id: new.name.to_string() });
        }
        self.put_user(new)
    }

    /// Adds or replaces a user. Its queue must exist.
    pub fn put_user(&mut self, new: &UserRow) -> Result<(), StoreError> {
        if let Some(queue) = &new.queue
            && self.queue(queue)?.is_none()
        {
            return Err(StoreError::NotFound { what: "queue", id: queue.to_string() });
        }
        let mut put = self.conn.prepare_cached(
            "INSERT INTO users VALUES (?1, ?2, ?3, ?4, ?5, 1)
             ON CONFLICT (name) DO UPDATE SET role = excluded.role, queue = excluded.queue,
             disabled = excluded.disabled, version = version + 1",
        )?;
        put.execute(params![
            new.name.as_str(),
            new.role.as_str(),
            new.queue.as_ref().map(QueueName::as_str),
            int(new.created_at.0),
            new.disabled,
        ])?;
        Ok(())
    }

    /// Removes a user, the user's tokens and what access to data the user was given, and denies
    /// what the user asked for and nobody has decided on: who gets the name next is somebody else.
    /// Refused while the user has unfinished workloads.
    pub fn delete_user(&mut self, name: &UserName) -> Result<(), StoreError> {
        let mut busy = self.conn.prepare_cached(
            "SELECT 1 FROM workloads WHERE user = ?1
             AND state IN ('queued', 'starting', 'running', 'stopping')",
        )?;
        if busy.exists([name.as_str()])? {
            return Err(StoreError::InUse {
                what: "user",
                id: name.to_string(),
                by: "unfinished workloads are the user's".to_owned(),
            });
        }
        match self.conn.execute("DELETE FROM users WHERE name = ?1", [name.as_str()])? {
            0 => Err(StoreError::NotFound { what: "user", id: name.to_string() }),
            _ => self.forget_access(name),
        }
    }
}

fn user(row: &Row<'_>) -> Result<UserRow, StoreError> {
    let queue: Option<String> = row.get("queue")?;
    Ok(UserRow {
        name: parsed(row, "name")?,
        role: word(row, "role")?,
        queue: queue
            .map(QueueName::new)
            .transpose()
            .map_err(|e| StoreError::Damaged(e.to_string()))?,
        created_at: Timestamp(uint(row, "created_at")?),
        disabled: row.get("disabled")?,
    })
}
