//! Outputs: the files a workload left, listed and served.
//!
//! The folder was written by a workload, so nothing in it is trusted: files are opened below it
//! without following any link, and served as attachments, never as something a browser renders.

use super::call::Call;
use super::fault::{Fault, fault, internal, quoted};
use super::reply::json;
use super::state::App;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use std::path::{Component, Path, PathBuf};
use tokio_util::io::ReaderStream;
use weft_api::problem::Code;
use weft_api::wire::OutputFile;
use weft_runtime::outputs::{self, OutputError};
use weft_store::WorkloadRow;
use weft_types::WorkloadId;

/// `GET /workloads/{id}/outputs`.
pub(crate) async fn list(call: Call) -> Result<Response, Fault> {
    let row = call.workload()?;
    let dir = folder(&call.app, row.id);
    let files = tokio::task::spawn_blocking(move || outputs::list(&dir)).await;
    let files = files.map_err(internal)?.map_err(refused)?;
    let shown = |file: outputs::OutputFile| OutputFile {
        path: file.path.to_string_lossy().into_owned(),
        bytes: file.bytes,
    };
    let files = files.into_iter().filter(|file| !is_of_earlier(row, &file.path));
    json(&files.map(shown).collect::<Vec<_>>())
}

/// `GET /workloads/{id}/outputs/{*path}`.
pub(crate) async fn read(call: Call) -> Result<Response, Fault> {
    let (dir, path) = (folder(&call.app, call.workload()?.id), PathBuf::from(call.param("path")));
    if call.param("path").contains('\0') || is_of_earlier(call.workload()?, &path) {
        return Err(fault(Code::NotFound, "there is no output of that path"));
    }
    let open = move || {
        let file = outputs::open(&dir, &path)?;
        let bytes = file.metadata().map(|meta| meta.len());
        Ok::<_, OutputError>((file, bytes))
    };
    let (file, bytes) =
        tokio::task::spawn_blocking(open).await.map_err(internal)?.map_err(refused)?;
    let bytes = bytes.map_err(internal)?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (header::CONTENT_LENGTH, HeaderValue::from(bytes)),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment")),
        (
            HeaderName::from_static("content-security-policy"),
            HeaderValue::from_static("sandbox; default-src 'none'"),
        ),
    ];
    // No more than was announced, should the file grow.
    let file = tokio::io::AsyncReadExt::take(tokio::fs::File::from_std(file), bytes);
    Ok((headers, Body::from_stream(ReaderStream::new(file))).into_response())
}

/// Removes what a removed workload left on this machine. What a crash leaves behind is
/// removed by housekeeping.
pub(crate) fn forget(app: &App, id: WorkloadId) {
    let (runtime, dir) = (app.runtime.clone(), folder(app, id));
    tokio::spawn(async move {
        crate::recover::forget(&runtime, id).await;
        if let Err(error) = tokio::fs::remove_dir_all(&dir).await
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%id, %error, "outputs of a removed workload could not be removed yet");
        }
    });
}

/// Whether a file is of a member that an earlier start had and the last one has not.
fn is_of_earlier(row: &WorkloadRow, path: &Path) -> bool {
    row.gang_most > 1 && member_of(path).is_some_and(|member| member >= row.members)
}

/// The member whose folder a path of a gang's outputs begins with.
fn member_of(path: &Path) -> Option<u32> {
    let mut names = path.components().filter(|part| matches!(part, Component::Normal(_)));
    names.next()?.as_os_str().to_str()?.parse().ok()
}

fn folder(app: &App, id: WorkloadId) -> PathBuf {
    app.about.state_dir.join("outputs").join(id.to_string())
}

fn refused(error: OutputError) -> Fault {
    match error {
        OutputError::Unknown(path) => {
            let path = quoted(&path.to_string_lossy());
            fault(Code::NotFound, format!("there is no output `{path}`"))
        }
        other => internal(other).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_says_whose_a_gang_s_file_is() {
        let member = |path: &str| member_of(Path::new(path));
        assert_eq!(member("7/model.pt"), Some(7));
        assert_eq!(member("./7/model.pt"), Some(7));
        assert_eq!(member(".7.new/model.pt"), None);
        assert_eq!(member("model.pt"), None);
    }
}
