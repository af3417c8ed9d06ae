//! Repeated requests: the first response is kept with its effect and given again.
//!
//! After the IETF draft "The Idempotency-Key HTTP Header Field" (-07). A response that shows a
//! secret must be kept without it: what is stored here is readable in a backup.

use crate::column::{int, small};
use crate::limits::{IDEMPOTENCY_BODY_MAX, KEEP_RESPONSES};
use crate::{Read, StoreError, Write};
use rusqlite::params;
use weft_types::Timestamp;

/// A request that may come again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestKey {
    /// Who asked.
    pub actor: String,
    /// The key the client gave.
    pub key: String,
    /// Method and path.
    pub route: String,
    /// SHA-256 of the body.
    pub fingerprint: [u8; 32],
}

/// A response as it was first given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredResponse {
    /// HTTP status.
    pub status: u16,
    /// Body, byte for byte; at most [`crate::IDEMPOTENCY_BODY_MAX`].
    pub body: Vec<u8>,
}

/// Whether a key was seen before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// No: do the work and [`Write::remember_response`].
    Never,
    /// Yes, for the same request: answer this.
    Same(StoredResponse),
    /// Yes, for another request: refuse.
    Other,
}

impl Read<'_> {
    /// Whether this request was answered before. Ask in the transaction that does the work.
    pub fn idempotent(&self, key: &RequestKey, now: Timestamp) -> Result<Seen, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT * FROM idempotency WHERE actor = ?1 AND key = ?2 AND created_at > ?3",
        )?;
        let oldest = now.0.saturating_sub(KEEP_RESPONSES.0);
        let mut found = query.query(params![key.actor, key.key, int(oldest)])?;
        let Some(row) = found.next()? else {
            return Ok(Seen::Never);
        };
        let (route, fingerprint): (String, [u8; 32]) = (row.get("route")?, row.get("fingerprint")?);
        if route != key.route || fingerprint != key.fingerprint {
            return Ok(Seen::Other);
        }
        Ok(Seen::Same(StoredResponse { status: small(row, "status")?, body: row.get("body")? }))
    }
}

impl Write<'_> {
    /// Keeps the response for [`crate::KEEP_RESPONSES`], with the effect it tells of.
    pub fn remember_response(
        &mut self,
        key: &RequestKey,
        response: &StoredResponse,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if response.body.len() > IDEMPOTENCY_BODY_MAX {
            return Err(StoreError::TooLarge {
                what: "the response to keep",
                value: response.body.len() as u64,
                limit: IDEMPOTENCY_BODY_MAX as u64,
            });
        }
        // What is replaced has outlived its day: `idempotent` would have found it otherwise.
        let mut insert = self.conn.prepare_cached(
            "INSERT OR REPLACE INTO idempotency VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?;
        insert.execute(params![
            key.actor,
            key.key,
            key.route,
            key.fingerprint,
            response.status,
            response.body,
            int(now.0),
        ])?;
        Ok(())
    }

    /// Forgets responses that have outlived their day.
    pub(crate) fn forget_responses(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let oldest = now.0.saturating_sub(KEEP_RESPONSES.0);
        self.conn.execute("DELETE FROM idempotency WHERE created_at <= ?1", [int(oldest)])?;
        Ok(())
    }
}
