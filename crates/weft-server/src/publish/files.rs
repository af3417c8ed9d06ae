//! The files that a workload left for a dataset: which they are, where they go, and their end.

use crate::api::App;
use std::io;
use std::path::{Path, PathBuf};
use weft_api::spec::WorkloadSpec;
use weft_runtime::outputs::{self, OutputError};
use weft_store::{Published, WorkloadRow};

/// A file that a workload left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct File {
    /// Below its outputs.
    pub(super) path: PathBuf,
    /// The object that it becomes.
    pub(super) to: String,
}

/// Why files have no name in a dataset.
#[derive(Debug, thiserror::Error)]
pub(super) enum Nameless {
    /// A name that is no text. It is not told: names are data, too.
    #[error("the name of a file or folder is no UTF-8: rename it")]
    Path,
    /// They cannot be listed.
    #[error("{0}")]
    Io(String),
}

impl From<OutputError> for Nameless {
    fn from(error: OutputError) -> Self {
        Self::Io(reason(error))
    }
}

/// Why files cannot be read, without their names: more people see it than may read them.
pub(super) fn reason(error: OutputError) -> String {
    match error {
        OutputError::Io { source, .. } => source.to_string(),
        OutputError::TooMuch { limit, what, .. } => format!("they are more than {limit} {what}"),
        OutputError::Unknown(_) | OutputError::Pattern { .. } => "a file of it is gone".to_owned(),
    }
}

/// The files that a pattern names, of all members.
pub(super) async fn named(
    app: &App,
    workload: &WorkloadRow,
    pattern: &str,
) -> Result<Vec<File>, Nameless> {
    let (dir, gang, pattern) = (folder(app, workload), gang(workload), pattern.to_owned());
    let list = move || -> Result<Vec<File>, Nameless> {
        let all = outputs::list(&dir)?.into_iter();
        let named = all.filter_map(|file| Some((place(gang, &pattern, &file.path)?, file.path)));
        let text = |(to, path): (PathBuf, PathBuf)| match to.to_str() {
            Some(to) => Ok(File { to: to.to_owned(), path }),
            None => Err(Nameless::Path),
        };
        named.map(text).collect()
    };
    tokio::task::spawn_blocking(list).await.map_err(|e| Nameless::Io(e.to_string()))?
}

/// Opens one of them.
pub(super) async fn open(
    app: &App,
    workload: &WorkloadRow,
    file: &File,
) -> Result<tokio::fs::File, OutputError> {
    let (dir, path) = (folder(app, workload), file.path.clone());
    let opened = tokio::task::spawn_blocking(move || outputs::open(&dir, &path)).await;
    let panicked = |e: tokio::task::JoinError| OutputError::Io {
        path: file.path.clone(),
        source: io::Error::other(e.to_string()),
    };
    Ok(tokio::fs::File::from_std(opened.map_err(panicked)??))
}

/// Removes the files that are versions now, or must not stay as files, and are no plain outputs.
pub(super) async fn clear(
    app: &App,
    workload: &WorkloadRow,
    spec: &WorkloadSpec,
) -> Result<(), Nameless> {
    let id = workload.id;
    let rows = app.store.read(move |r| r.publications(id)).await;
    let rows = rows.map_err(|e| Nameless::Io(e.to_string()))?;
    let keeps = |state| matches!(state, Published::Waiting | Published::Refused);
    let kept = rows.iter().filter(|row| keeps(row.state)).map(|row| row.path.clone());
    let kept: Vec<String> = kept.chain(spec.outputs.iter().cloned()).collect();
    let (dir, gang) = (folder(app, workload), gang(workload));
    let clear = move || -> Result<(), Nameless> {
        let io = |e: io::Error| Nameless::Io(e.to_string());
        if kept.is_empty() {
            return match std::fs::remove_dir_all(&dir) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => Err(io(e)),
                _ => Ok(()),
            };
        }
        for file in outputs::list(&dir)? {
            if !kept.iter().any(|pattern| place(gang, pattern, &file.path).is_some()) {
                std::fs::remove_file(dir.join(&file.path)).map_err(io)?;
            }
        }
        Ok(())
    };
    tokio::task::spawn_blocking(clear).await.map_err(|e| Nameless::Io(e.to_string()))?
}

/// Where a file goes that a pattern names; of a gang each member has a folder of its own. None: it
/// is not named, or is of a member that the last start has not.
fn place(gang: Option<u32>, pattern: &str, path: &Path) -> Option<PathBuf> {
    let Some(members) = gang else { return outputs::place_below(pattern, path) };
    let mut parts = path.components();
    let member = parts.next()?.as_os_str().to_str()?;
    let within = member.parse::<u32>().is_ok_and(|member| member < members);
    let below = outputs::place_below(pattern, parts.as_path()).filter(|_| within)?;
    Some(Path::new(member).join(below))
}

/// Of a gang, how many it was.
fn gang(workload: &WorkloadRow) -> Option<u32> {
    (workload.gang_most.max(workload.gang) > 1).then_some(workload.members)
}

fn folder(app: &App, workload: &WorkloadRow) -> PathBuf {
    app.about.state_dir.join("outputs").join(workload.id.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_gang_each_member_s_files_are_below_its_number() {
        let place = |path| place(Some(2), "model/", Path::new(path));
        assert_eq!(place("0/model/weights"), Some("0/weights".into()));
        assert_eq!(place("1/model/a/b"), Some("1/a/b".into()));
        assert_eq!(place("2/model/weights"), None, "of an earlier, larger start");
        assert_eq!(place("model/weights"), None);
    }
}
