//! Whether all of a dataset can be read, and the space of what nobody needs.

use super::super::call::Call;
use super::super::fault::{Fault, internal};
use super::super::page;
use super::super::reply::{Reply, json};
use super::moment::moment;
use super::refused;
use crate::data::{certificate, shred};
use axum::response::Response;
use serde::Deserialize;
use std::time::{Duration, Instant};
use utoipa::IntoParams;
use weft_api::wire::{DamagedObject, DataChecked, DataCollected};
use weft_store::{DatasetRow, Listing, PAGE_MAX};

/// How long one stretch of a check reads on: who asks sees it go on, and can stop it.
const STRETCH: Duration = Duration::from_secs(2);

/// What of it.
#[derive(Debug, Default, Deserialize, IntoParams)]
pub(crate) struct CheckQuery {
    /// As it was at this version; absent: as it is.
    at: Option<String>,
    /// `next` of the stretch before.
    cursor: Option<String>,
}

/// `GET /datasets/{dataset}/verify`: reads a stretch of it wholly.
pub(crate) async fn verify(call: Call) -> Result<Response, Fault> {
    let query: CheckQuery = call.query()?;
    let row = call.dataset()?.clone();
    let (at, _) = moment(&call, query.at).await?;
    let after = page::after::<String>(query.cursor.as_deref())?.unwrap_or_default();
    let listing = Listing { after, limit: PAGE_MAX, ..Listing::default() };
    let page = call.app.data.list(&row, at, listing, false).await.map_err(refused)?;
    let (begun, mut checked) = (Instant::now(), DataChecked::default());
    let mut left = page.entries.into_iter().map(|listed| listed.entry).peekable();
    while let Some(entry) = left.next() {
        checked.objects += 1;
        checked.bytes += entry.bytes.0;
        let looked = match call.app.data.object(&row, &entry.path, at).await {
            Ok(Some(object)) => object.verify().await,
            // It was deleted meanwhile.
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = looked {
            tracing::error!(dataset = %row.is.name, path = entry.path, %error, "data is damaged");
            let why = error.to_string();
            checked.damaged.push(DamagedObject { path: entry.path.clone(), why });
        }
        if begun.elapsed() >= STRETCH && left.peek().is_some() {
            checked.next = Some(page::cursor(entry.path));
            return json(&checked);
        }
    }
    checked.next = page.next.map(page::cursor);
    json(&checked)
}

/// `POST /data/collect`: what ended long enough ago and is in no version, then its space.
pub(crate) async fn collect(call: Call) -> Result<Response, Fault> {
    if let Some(kept) = call.kept().await? {
        return Ok(kept);
    }
    let mut all = DataCollected::default();
    if call.dry_run {
        return Ok(call.would(Reply::json(200, &all)?));
    }
    let (data, now) = (&call.app.data, call.now);
    let also = |_: &DatasetRow| call.audited(certificate);
    all.datasets = shred(&call.app.store, data, now, also).await.map_err(refused)?;
    all.objects = data.forget(now).await.map_err(refused)?.objects;
    let collected = data.collect(now).await.map_err(refused)?;
    all.chunks = collected.chunks;
    all.packs = collected.packs;
    all.freed_bytes = collected.freed.0;
    let told = call.change(move |_, doing| {
        doing.detail = serde_json::to_value(all).map_err(internal)?;
        Reply::json(200, &all)
    });
    Ok(told.await?.response)
}
