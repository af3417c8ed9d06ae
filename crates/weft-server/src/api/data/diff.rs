//! How a dataset differs between two moments, by path.

use super::super::call::Call;
use super::super::fault::Fault;
use super::super::page;
use super::super::reply::json;
use super::moment::resolve;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;
use weft_api::wire::{DataChange, Page};
use weft_store::{Difference, ObjectEntry, Read};

/// Between which moments.
#[derive(Debug, Default, Deserialize, IntoParams)]
pub(crate) struct DiffQuery {
    /// Before: `v3`, a version's name, a day; absent: as it is.
    from: Option<String>,
    /// After, likewise.
    to: Option<String>,
    /// At most this many, 1 to 1000.
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// `GET /datasets/{dataset}/diff`.
pub(crate) async fn diff(call: Call) -> Result<Response, Fault> {
    let query: DiffQuery = call.query()?;
    let row = call.dataset()?.clone();
    let limit = page::limit(query.limit)?;
    let after = page::after::<String>(query.cursor.as_deref())?.unwrap_or_default();
    let read = move |r: &Read<'_>| -> Result<Page<DataChange>, Fault> {
        let (from, _) = resolve(r, &row, "from", query.from.as_deref())?;
        let (to, _) = resolve(r, &row, "to", query.to.as_deref())?;
        let found = r.differences(row.id, (from, to), &after, limit)?;
        let full = found.len() >= limit as usize;
        let next = found.last().filter(|_| full).map(|last| page::cursor(last.path()));
        Ok(Page { items: found.into_iter().map(view).collect(), next })
    };
    json(&call.app.store.read(read).await?)
}

fn view(difference: Difference) -> DataChange {
    let path = difference.path().to_owned();
    let bytes = |entry: Option<ObjectEntry>| entry.map(|entry| entry.bytes.0);
    DataChange { path, before: bytes(difference.before), after: bytes(difference.after) }
}
