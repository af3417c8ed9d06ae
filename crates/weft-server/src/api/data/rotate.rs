//! Other keys in the place of those that are: of a dataset, of a team, and the one above all.
//!
//! No data is touched, and all goes on meanwhile. What was cut off goes on when it is asked again.

use super::super::call::Call;
use super::super::fault::{Fault, at, quoted};
use super::super::reply::{Reply, json};
use super::refused;
use axum::response::Response;
use serde_json::json;
use std::time::Duration;
use weft_api::problem::Code;
use weft_api::wire::{DataRotated, RotateData};
use weft_store::StoreError;
use weft_types::{DatasetName, QueueName};

/// How long one stretch goes on: who asks sees it go on, and can stop it.
const STRETCH: Duration = Duration::from_secs(2);

/// `POST /data/rotate`.
pub(crate) async fn rotate(call: Call) -> Result<Response, Fault> {
    if let Some(kept) = call.kept().await? {
        return Ok(kept);
    }
    let sent: RotateData = call.json()?;
    let wrong = |field: &str, e: weft_types::IdError| {
        at(Code::BadRequest, field, format!("{}: {e}", quoted(field)))
    };
    let all = DataRotated { keys: 1, done: true };
    match (sent.dataset, sent.team) {
        (Some(name), None) => {
            let name = DatasetName::new(name).map_err(|e| wrong("dataset", e))?;
            let told = json!({ "dataset": name });
            let missing = StoreError::NotFound { what: "dataset", id: name.to_string() };
            let row = call.app.store.read(move |r| r.dataset(&name)).await?.ok_or(missing)?;
            if call.dry_run {
                return Ok(call.would(Reply::json(200, &all)?));
            }
            let also = call.audited(move |_: &_| told);
            let done = call.app.data.rotate_some(&row, also, STRETCH).await.map_err(refused)?;
            json(&DataRotated { keys: done.0, done: done.1 })
        }
        (None, Some(team)) => {
            let team = QueueName::new(team).map_err(|e| wrong("team", e))?;
            if call.dry_run {
                return Ok(call.would(Reply::json(200, &all)?));
            }
            let also = call.audited(|team: &QueueName| json!({ "team": team }));
            call.app.data.rotate_team(&team, also).await.map_err(refused)?;
            json(&all)
        }
        _ => Err(at(Code::BadRequest, "dataset", "name a dataset or a team, one of them")),
    }
}

/// `POST /admin/master-key`: what follows from the old one, as the secrets of S3 keys, ends.
pub(crate) async fn rotate_master(call: Call) -> Result<Response, Fault> {
    if let Some(kept) = call.kept().await? {
        return Ok(kept);
    }
    let all = DataRotated { keys: 1, done: true };
    if call.dry_run {
        return Ok(call.would(Reply::json(200, &all)?));
    }
    let also = call.audited(|(): &()| json!({ "rotated": "master" }));
    call.app.data.rotate_master(also).await.map_err(refused)?;
    json(&all)
}
