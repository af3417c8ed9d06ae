//! The server itself: what it is, a backup of its state, its end.

use super::call::Call;
use super::fault::{Fault, at, fault, internal};
use super::reply::{Reply, json};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::path::{Component, Path, PathBuf};
use utoipa::ToSchema;
use weft_api::problem::Code;
use weft_api::wire::{DataStore, ServerInfo};

/// Longest path of a backup: Linux's PATH_MAX.
const PATH_MAX: usize = 4_096;

/// `POST /admin/backup`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Backup {
    /// An absolute path on the server's machine, where no file is yet.
    path: String,
}

/// A backup that was made.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub(crate) struct BackupMade {
    /// Where it is.
    path: String,
    /// Its size.
    bytes: u64,
    /// Rows of the audit log in it.
    audit_rows: u64,
}

/// `POST /admin/shutdown`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Shutdown {
    /// Stop the workloads first; else they go on without a server.
    workloads: bool,
}

/// `GET /info`.
pub(crate) async fn info(call: Call) -> Result<Response, Fault> {
    let about = &call.app.about;
    json(&ServerInfo {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        address: about.address.clone(),
        state_dir: about.state_dir.to_string_lossy().into_owned(),
        simulated: about.simulated,
        now_ms: call.now.0,
        data_store: call.app.data.away().map(|state| DataStore {
            packs: state.there,
            bytes: state.there_bytes.0,
            owed: state.owed,
            owed_bytes: state.owed_bytes.0,
            here_bytes: state.here_bytes.0,
            failing: state.failing,
        }),
    })
}

/// `POST /admin/backup`.
pub(crate) async fn backup(call: Call) -> Result<Response, Fault> {
    let asked: Backup = call.json()?;
    if let Some(kept) = call.kept().await? {
        return Ok(kept);
    }
    let path = legal(&call, &asked.path)?;
    if call.dry_run {
        return Ok(Reply::nothing().into_response());
    }
    // Audited before it is made, too: a copy of everything must never be made unseen.
    call.note(serde_json::json!({ "path": asked.path, "begun": true })).await?;
    let report = call.app.store.backup(&path).await?;
    let made = BackupMade {
        path: report.path.to_string_lossy().into_owned(),
        bytes: report.bytes,
        audit_rows: report.audit_rows,
    };
    call.change(move |_, doing| {
        doing.detail = serde_json::json!({ "path": made.path, "bytes": made.bytes });
        Reply::json(201, &made)
    })
    .await
    .map(|changed| changed.response)
}

/// A path that may be written: absolute, plain, new, and not among the server's own files.
fn legal(call: &Call, text: &str) -> Result<PathBuf, Fault> {
    let broken = |rule: &str| Err(at(Code::BadRequest, "path", rule));
    let path = Path::new(text);
    if text.len() > PATH_MAX || text.contains('\0') {
        return broken("is too long, or has a NUL character");
    }
    let plain = |part| matches!(part, Component::RootDir | Component::Normal(_));
    if !path.is_absolute() || !path.components().all(plain) || path.file_name().is_none() {
        return broken("must be an absolute path of a file, without `..`");
    }
    let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
    let Some(folder) = folder.filter(|folder| folder.is_dir()) else {
        return broken("is in a folder that does not exist on the server's machine");
    };
    let state = call.app.about.state_dir.canonicalize().map_err(internal)?;
    if folder.starts_with(&state) {
        return broken("is among the server's own files; choose another folder");
    }
    let path = folder.join(path.file_name().unwrap_or_default());
    match path.symlink_metadata() {
        Ok(_) => Err(fault(Code::AlreadyExists, "path: a file of that name is there already")),
        Err(_) => Ok(path),
    }
}

/// `POST /admin/shutdown`.
pub(crate) async fn shutdown(call: Call) -> Result<Response, Fault> {
    let how: Shutdown = call.json()?;
    let changed = call
        .change(move |_, doing| {
            doing.detail = serde_json::json!({ "workloads": how.workloads });
            Ok(Reply { status: 202, body: Vec::new() })
        })
        .await?;
    if changed.fresh {
        call.app.control.shutdown(how.workloads);
    }
    Ok(changed.response)
}
