//! Tokens: only the SHA-256 of a secret is kept, never the secret.

use crate::column::{first, int, parsed, rows, uint, uint_opt, word};
use crate::{Read, StoreError, Write};
use rusqlite::{Row, params};
use serde::{Deserialize, Serialize};
use weft_types::{Timestamp, UserName};

/// What a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Reading.
    Read,
    /// Everything its user may do.
    Write,
}

/// A token without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// Public part.
    pub id: String,
    /// Whose.
    pub user: UserName,
    /// What it is good for.
    pub scope: Scope,
    /// SHA-256 of the secret; compare in constant time.
    pub hash: [u8; 32],
    /// Since when.
    pub created_at: Timestamp,
    /// Until when.
    pub expires_at: Timestamp,
    /// Last use, to the minute.
    pub used_at: Option<Timestamp>,
    /// Whether it was revoked.
    pub revoked: bool,
    /// Public part of the token it was made with; none: made at the machine itself.
    pub parent: Option<String>,
}

impl Scope {
    /// The word stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Scope::Read => "read",
            Scope::Write => "write",
        }
    }
}

impl Read<'_> {
    /// One token by its public part, whether or not it is still good: the caller judges.
    pub fn token(&self, id: &str) -> Result<Option<TokenRow>, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT * FROM tokens WHERE id = ?1")?;
        first(query.query([id])?, token)
    }

    /// Tokens of one user, or of all.
    pub fn tokens(&self, user: Option<&UserName>) -> Result<Vec<TokenRow>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT * FROM tokens WHERE ?1 IS NULL OR user = ?1 ORDER BY created_at, id",
        )?;
        rows(query.query([user.map(UserName::as_str)])?, token)
    }
}

impl Read<'_> {
    /// Tokens of a user that are good at this moment.
    pub fn good_tokens(&self, user: &UserName, now: Timestamp) -> Result<u64, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT count(*) FROM tokens WHERE user = ?1 AND revoked = 0 AND expires_at > ?2",
        )?;
        let count: i64 = query.query_row(params![user.as_str(), int(now.0)], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }
}

impl Write<'_> {
    /// Adds a token. Its user must exist; its parent, where it has one, must be good, and neither
    /// end before it nor be of a smaller scope: what was made with a token is never more than it.
    pub fn create_token(&mut self, new: &TokenRow) -> Result<(), StoreError> {
        if self.token(&new.id)?.is_some() {
            return Err(StoreError::Exists { what: "token", id: new.id.clone() });
        }
        if self.user(&new.user)?.is_none() {
            return Err(StoreError::NotFound { what: "user", id: new.user.to_string() });
        }
        if let Some(id) = &new.parent {
            let parent = self.token(id)?.filter(|parent| !parent.revoked);
            let parent =
                parent.ok_or_else(|| StoreError::NotFound { what: "token", id: id.clone() })?;
            if new.expires_at > parent.expires_at || new.scope > parent.scope {
                let what = "the life or scope of a token beyond its parent's";
                let (value, limit) = (new.expires_at.0, parent.expires_at.0);
                return Err(StoreError::TooLarge { what, value, limit });
            }
        }
        self.conn
            .prepare_cached("INSERT INTO tokens VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?
            .execute(params![
                new.id,
                new.user.as_str(),
                new.scope.as_str(),
                new.hash,
                int(new.created_at.0),
                int(new.expires_at.0),
                new.used_at.map(|at| int(at.0)),
                new.revoked,
                new.parent,
            ])?;
        Ok(())
    }

    /// Revokes a token for good, and all that were made with it; doing it again is no error.
    /// Gives those that were good until now and are its descendants.
    pub fn revoke_token(&mut self, id: &str) -> Result<Vec<TokenRow>, StoreError> {
        if self.conn.execute("UPDATE tokens SET revoked = 1 WHERE id = ?1", [id])? == 0 {
            return Err(StoreError::NotFound { what: "token", id: id.to_owned() });
        }
        let mut query = self.conn.prepare_cached(
            "WITH RECURSIVE below (id) AS (
                 SELECT id FROM tokens WHERE parent = ?1
                 UNION SELECT t.id FROM tokens t JOIN below b ON t.parent = b.id)
             SELECT * FROM tokens WHERE id IN below AND revoked = 0 ORDER BY created_at, id",
        )?;
        let made = rows(query.query([id])?, token)?;
        for row in &made {
            self.conn
                .prepare_cached("UPDATE tokens SET revoked = 1 WHERE id = ?1")?
                .execute([&row.id])?;
        }
        Ok(made)
    }

    /// Notes a use. Callers do it at most once a minute, so that reading does not mean writing.
    pub fn token_used(&mut self, id: &str, at: Timestamp) -> Result<(), StoreError> {
        self.conn
            .prepare_cached(
                "UPDATE tokens SET used_at = max(coalesce(used_at, 0), ?2) WHERE id = ?1",
            )?
            .execute(params![id, int(at.0)])?;
        Ok(())
    }
}

fn token(row: &Row<'_>) -> Result<TokenRow, StoreError> {
    Ok(TokenRow {
        id: row.get("id")?,
        user: parsed(row, "user")?,
        scope: word(row, "scope")?,
        hash: row.get("hash")?,
        created_at: Timestamp(uint(row, "created_at")?),
        expires_at: Timestamp(uint(row, "expires_at")?),
        used_at: uint_opt(row, "used_at")?.map(Timestamp),
        revoked: row.get("revoked")?,
        parent: row.get("parent")?,
    })
}
