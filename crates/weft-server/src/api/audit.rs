//! The audit log: read and verify.

use super::call::Call;
use super::fault::Fault;
use super::page;
use super::reply::json;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;
use weft_api::wire::{AuditCheck, AuditEntry, Page};
use weft_store::AuditRow;

/// Which rows.
#[derive(Debug, Default, Deserialize, IntoParams)]
pub(crate) struct ListQuery {
    /// At most this many, 1 to 1000.
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// `GET /audit`.
pub(crate) async fn list(call: Call) -> Result<Response, Fault> {
    let query: ListQuery = call.query()?;
    let limit = page::limit(query.limit)?;
    let after = page::after(query.cursor.as_deref())?.unwrap_or(0);
    // What is summed belongs to what there is up to now.
    call.app.refusals.write().await?;
    let rows = call.app.store.read(move |r| r.audit(after, limit)).await?;
    let full = rows.len() == limit as usize;
    let next = rows.last().filter(|_| full).map(|row| page::cursor(row.seq));
    json(&Page { items: rows.into_iter().map(view).collect(), next })
}

/// `GET /audit/verify`.
pub(crate) async fn verify(call: Call) -> Result<Response, Fault> {
    let check = call.app.store.read(|r| r.verify_audit()).await?;
    json(&AuditCheck {
        intact: check.broken_at.is_none(),
        rows: check.rows,
        broken_at: check.broken_at,
        head: hex::encode(check.head),
    })
}

fn view(row: AuditRow) -> AuditEntry {
    AuditEntry {
        seq: row.seq,
        at_ms: row.entry.at.0,
        actor: row.entry.actor,
        verb: row.entry.verb,
        resource: row.entry.resource,
        decision: row.entry.decision.as_str().to_owned(),
        policies: row.entry.policies,
        detail: row.entry.detail,
        hash: hex::encode(row.hash),
    }
}
