//! The audit log: a hash chain, appended in the transaction of the effect it tells of.
//!
//! Each row's hash is SHA-256 over the hash before and the row in canonical JSON (fixed key
//! order, no spaces), as in hash-chained logs since Haber and Stornetta (1991). A rewritten row
//! breaks the chain; a rewritten whole does not: keep [`AuditCheck::head`] elsewhere.

use crate::column::{int, json, rows, to_json, uint};
use crate::limits::{AUDIT_DETAIL_MAX, PAGE_MAX};
use crate::{Read, StoreError, Write};
use rusqlite::{Row, params};
use serde::Serialize;
use sha2::{Digest, Sha256};
use weft_types::Timestamp;

/// What was decided on a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Decision {
    /// It was done.
    Allowed,
    /// It was refused.
    Denied,
}

/// A row to be appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAudit {
    /// When.
    pub at: Timestamp,
    /// Who; empty where nobody was recognised.
    pub actor: String,
    /// What was asked: a verb of the policy.
    pub verb: String,
    /// Of what.
    pub resource: String,
    /// What was decided.
    pub decision: Decision,
    /// Which policies decided.
    pub policies: Vec<String>,
    /// Details, as JSON; at most [`crate::AUDIT_DETAIL_MAX`] bytes. Never a secret.
    pub detail: String,
}

/// A row of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// From 1 without a gap.
    pub seq: u64,
    /// What it tells.
    pub entry: NewAudit,
    /// Over the row before and this one.
    pub hash: [u8; 32],
}

/// What a walk over the whole chain found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditCheck {
    /// Rows checked.
    pub rows: u64,
    /// The first row that does not follow from the one before.
    pub broken_at: Option<u64>,
    /// Hash of the last row; zeroes for an empty log.
    pub head: [u8; 32],
}

impl Decision {
    /// The word stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Decision::Allowed => "allowed",
            Decision::Denied => "denied",
        }
    }
}

impl Read<'_> {
    /// Rows after number `after`, oldest first, at most `limit` (≤ [`crate::PAGE_MAX`]).
    pub fn audit(&self, after: u64, limit: u32) -> Result<Vec<AuditRow>, StoreError> {
        let mut query =
            self.conn.prepare_cached("SELECT * FROM audit WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
        rows(query.query(params![int(after), limit.min(PAGE_MAX)])?, entry)
    }

    /// Walks the whole chain. Reads every row: seconds for millions.
    pub fn verify_audit(&self) -> Result<AuditCheck, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT * FROM audit ORDER BY seq")?;
        let mut found = query.query([])?;
        let mut check = AuditCheck { rows: 0, broken_at: None, head: [0; 32] };
        while let Some(row) = found.next()? {
            let seq = uint(row, "seq")?;
            // A row that does not read back was tampered with as much as one with a wrong hash.
            let sound = entry(row).is_ok_and(|r| {
                r.seq == check.rows + 1
                    && link(&check.head, r.seq, &r.entry).is_ok_and(|hash| hash == r.hash)
            });
            if !sound {
                check.broken_at = Some(seq);
                return Ok(check);
            }
            check.rows = seq;
            check.head = row.get("hash")?;
        }
        Ok(check)
    }
}

impl Write<'_> {
    /// Appends a row and gives its number.
    pub fn append_audit(&mut self, entry: NewAudit) -> Result<u64, StoreError> {
        if entry.detail.len() > AUDIT_DETAIL_MAX {
            return Err(StoreError::TooLarge {
                what: "the audit detail",
                value: entry.detail.len() as u64,
                limit: AUDIT_DETAIL_MAX as u64,
            });
        }
        let (last, head) = self.audit_head()?;
        let hash = link(&head, last + 1, &entry)?;
        let mut insert = self.conn.prepare_cached(
            "INSERT INTO audit (seq, at, actor, verb, resource, decision, policies, detail, hash)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?;
        insert.execute(params![
            int(last + 1),
            int(entry.at.0),
            entry.actor,
            entry.verb,
            entry.resource,
            entry.decision.as_str(),
            to_json(&entry.policies)?,
            entry.detail,
            hash,
        ])?;
        Ok(last + 1)
    }

    fn audit_head(&self) -> Result<(u64, [u8; 32]), StoreError> {
        let mut query =
            self.conn.prepare_cached("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")?;
        let mut found = query.query([])?;
        match found.next()? {
            Some(row) => Ok((uint(row, "seq")?, row.get("hash")?)),
            None => Ok((0, [0; 32])),
        }
    }
}

/// The canonical form that is hashed: this struct's fields in this order.
#[derive(Serialize)]
struct Canonical<'a> {
    seq: u64,
    at: u64,
    actor: &'a str,
    verb: &'a str,
    resource: &'a str,
    decision: &'a str,
    policies: &'a [String],
    detail: &'a str,
}

fn link(before: &[u8; 32], seq: u64, entry: &NewAudit) -> Result<[u8; 32], StoreError> {
    let canonical = to_json(&Canonical {
        seq,
        at: entry.at.0,
        actor: &entry.actor,
        verb: &entry.verb,
        resource: &entry.resource,
        decision: entry.decision.as_str(),
        policies: &entry.policies,
        detail: &entry.detail,
    })?;
    Ok(Sha256::new().chain_update(before).chain_update(canonical).finalize().into())
}

fn entry(row: &Row<'_>) -> Result<AuditRow, StoreError> {
    let decision: String = row.get("decision")?;
    Ok(AuditRow {
        seq: uint(row, "seq")?,
        entry: NewAudit {
            at: Timestamp(uint(row, "at")?),
            actor: row.get("actor")?,
            verb: row.get("verb")?,
            resource: row.get("resource")?,
            decision: match decision.as_str() {
                "allowed" => Decision::Allowed,
                "denied" => Decision::Denied,
                other => return Err(StoreError::Damaged(format!("audit decision `{other}`"))),
            },
            policies: json(row, "policies")?,
            detail: row.get("detail")?,
        },
        hash: row.get("hash")?,
    })
}
