//! `weft admin backup` and `restore`: the state, copied while it runs and brought back.

use crate::exit::Code;
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::show::{self, err_line};
use clap::Args;
use rustix::fs::{FlockOperation, flock};
use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use weft_client::Intent;
use weft_types::Bytes;

/// Copy the state into a new file, while the server runs
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  weft admin backup /backup/weft.db")]
pub(super) struct Backup {
    /// New file, on the server's machine
    path: PathBuf,
}

/// Bring a backup back, while no server runs
///
/// The state that is replaced is kept beside it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  weft down\n  weft admin restore /backup/weft.db")]
pub(super) struct Restore {
    /// Backup
    path: PathBuf,
}

impl Backup {
    pub(super) async fn run(self, session: &Session) -> Outcome {
        let path = std::path::absolute(&self.path)
            .map_err(|e| Failure::usage(format!("{}: {e}", self.path.display())))?;
        let made = session.client()?.backup(&path, &Intent::new()).await?;
        if session.json {
            show::json(&made);
        } else {
            let bytes = made.get("bytes").and_then(serde_json::Value::as_u64).unwrap_or(0);
            err_line(&format!("backup of {} in {}", Bytes(bytes), path.display()));
        }
        Ok(Code::Done.number())
    }
}

impl Restore {
    pub(super) fn run(self, session: &Session) -> Outcome {
        let dir = session.state_dir()?;
        let _owned = own(&dir)?;
        let report =
            weft_store::restore(&dir, &self.path).map_err(|e| Failure::local("restore", e))?;
        if session.json {
            show::json(&serde_json::json!({
                "bytes": report.bytes, "audit_rows": report.audit_rows, "before": report.path,
            }));
        } else {
            err_line(&format!("restored {} from {}", Bytes(report.bytes), self.path.display()));
            if report.path != Path::new("") {
                err_line(&format!("the state before is kept as {}", report.path.display()));
            }
        }
        Ok(Code::Done.number())
    }
}

/// Takes the state as a server does, so that none can start meanwhile.
fn own(dir: &Path) -> Result<File, Failure> {
    let failed = |e: std::io::Error| Failure::local(dir.display(), e);
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).mode(0o600);
    let lock = options.open(dir.join("server.lock")).map_err(failed)?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
        Failure::new(Code::Conflict, "a server has the state").hint("end it with `weft down`")
    })?;
    Ok(lock)
}
