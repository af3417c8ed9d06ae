//! One import, from its first byte to the version that comes of it.
//!
//! Who asked may have lost the right meanwhile, to the dataset or to the source: it is asked again
//! every minute, and each file is put by who may put it at that moment.
//! The version, the row of the import and the audit row are one transaction: either all of it came,
//! or no version has any.

use super::room::{Going, Place};
use super::source::Settings;
use super::{files, tables};
use crate::api::data::content::Content;
use crate::api::data::refused;
use crate::api::guard::of_dataset;
use crate::api::{App, Fault, internal};
use crate::auth;
use futures_util::FutureExt as _;
use serde::{Deserialize, Serialize};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, DuplexStream, ReadBuf};
use weft_agent::now;
use weft_api::wire::ORIGIN;
use weft_gateway::Notes;
use weft_policy::{Principal, Resource, Verb};
use weft_source::SourceError;
use weft_store::{
    At, Came, DatasetRow, Decision, Expected, ImportState, NewAudit, NewOrigin, OriginKind,
    PATH_MAX, Read, SourceKind, SourceRow, StoreError,
};

/// Bytes on their way from a source to the disk.
const PIPE: usize = 1 << 20;
/// How long one import may take: what takes longer is begun again in parts.
const LONGEST: Duration = Duration::from_secs(12 * 3_600);
/// How often is asked whether who asked for it still may: a table can come for hours.
const ASKED: Duration = Duration::from_secs(60);
/// Longest text of why it failed.
const WHY_MAX: usize = 2_000;

/// An import to be.
pub(crate) struct Job {
    /// Its number.
    pub(crate) id: u64,
    pub(crate) app: App,
    /// Into this.
    pub(crate) row: DatasetRow,
    /// Who asked.
    pub(crate) who: Principal,
    pub(crate) token: Option<String>,
    /// The source, unless it is an address that nobody declared.
    pub(crate) source: Option<Declared>,
    /// What it is called, for notes: as it was asked for.
    pub(crate) from: String,
    /// What of the source.
    pub(crate) what: String,
    pub(crate) query: Option<String>,
    pub(crate) to: String,
    pub(crate) since: Option<String>,
    pub(crate) note: String,
}

/// A source as it was when the import began.
pub(crate) struct Declared {
    /// What it is called.
    pub(crate) name: String,
    /// What was declared of it.
    pub(crate) row: SourceRow,
    /// The same with its secret, to be used.
    pub(crate) settings: Settings,
}

/// Where an object came from, as its note says: what the next import asks by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Origin {
    /// The source and what of it.
    pub(super) from: String,
    /// Of the web and of stores: what the source calls this state of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) etag: Option<String>,
    /// When it was last changed, as the source says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) modified: Option<String>,
    /// Of a table: the column that rows are told by, and the greatest that came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) since: Option<(String, String)>,
    /// The moment that the database says it is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) snapshot: Option<String>,
}

/// Why it failed, for who asked.
pub(super) struct Failed(pub(super) String);

impl From<SourceError> for Failed {
    fn from(error: SourceError) -> Self {
        Self(error.to_string())
    }
}

impl From<Fault> for Failed {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Problem(problem) => Self(problem.detail.clone()),
            Fault::TakenBack(_) => Self("it was taken back".to_owned()),
        }
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Fault::from(error).into()
    }
}

/// Starts it, in a place of its own.
pub(crate) fn start(job: Job, place: Place) {
    let (id, imports) = (job.id, job.app.imports.clone());
    imports.run(id, place, move |going| job.run(going));
}

/// Does it; a panic is a failure, so that no row says for ever that it runs.
async fn caught(work: impl Future<Output = Result<(), Failed>>) -> Result<(), Failed> {
    let panicked = |_| Err(Failed("the server failed at it: see server.log".to_owned()));
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(panicked)
}

impl Job {
    async fn run(self, going: Arc<Going>) {
        let bring = async {
            let came = match &self.source {
                None => files::web(&self, &going).await,
                Some(source) => match source.row.kind {
                    SourceKind::Http => files::web(&self, &going).await,
                    SourceKind::S3 => files::store(&self, &source.settings, &going).await,
                    _ => tables::database(&self, &source.settings, &going).await,
                },
            };
            self.done(came?).await
        };
        let late = || Err(Failed(format!("it took longer than {} h", LONGEST.as_secs() / 3_600)));
        let bring = async { tokio::time::timeout(LONGEST, bring).await.unwrap_or_else(|_| late()) };
        let brought = tokio::select! {
            brought = caught(bring) => brought,
            ended = self.ended() => Err(ended),
        };
        if let Err(Failed(why)) = brought {
            self.failed(why, &going).await;
        }
    }

    /// What is said of an object that came from here before.
    pub(super) async fn before(&self, path: &str) -> Result<Option<Origin>, Failed> {
        let head = self.app.data.head(&self.row, path, At::Now).await.map_err(refused)?;
        let notes = head.and_then(|listed| listed.notes);
        Ok(notes.and_then(|notes| origin(&notes)).filter(|origin| origin.from == self.from))
    }

    /// Puts a file, as it comes.
    pub(super) async fn put<T, F>(
        &self,
        path: &str,
        going: &Arc<Going>,
        send: impl FnOnce(DuplexStream) -> F,
    ) -> Result<(T, Arriving), Failed>
    where
        F: Future<Output = Result<T, SourceError>>,
    {
        if !(1..=PATH_MAX).contains(&path.len()) || path.contains('\0') {
            return Err(Failed(format!("a path has 1 to {PATH_MAX} bytes, not {}", path.len())));
        }
        let (body, pipe) = tokio::io::duplex(PIPE);
        let mut body = Taken { body, going: going.clone(), content: Content::of(path) };
        let (sent, staged) = tokio::join!(send(pipe), self.app.data.stage(&self.row, &mut body));
        // First why it was not staged: its sender saw no more than that nobody reads on. But a body
        // that ends early is staged as if it were whole: its sender says so.
        let staged = staged.map_err(refused)?;
        let sent = sent?;
        let notes = body.content.notes(&self.app.data, &staged, self.row.is.tier).await;
        let notes = notes.map_err(|e| Fault::from(internal(e)))?;
        Ok((sent, Arriving { path: path.to_owned(), staged, notes }))
    }

    /// Keeps what arrived, if who asked for it still may.
    pub(super) async fn keep(
        &self,
        arrived: Arriving,
        origin: &Origin,
        going: &Going,
    ) -> Result<(), Failed> {
        let Arriving { path, staged, mut notes } = arrived;
        let said = serde_json::to_string(origin).map_err(|e| Fault::from(internal(e)))?;
        notes.insert(ORIGIN.to_owned(), said);
        self.still().await?;
        let (bytes, id) = (staged.bytes().0, self.id);
        let detail = serde_json::json!({ "path": path, "bytes": bytes, "import": id });
        let audit = self.audit(detail);
        // A file of new rows is one more: it never takes another's place, whenever that came.
        let expected = if origin.since.is_some() { Expected::Absent } else { Expected::Anything };
        let put = self.app.data.commit(
            &self.row,
            &path,
            staged,
            notes,
            expected,
            Box::new(move |w, _| w.append_audit(audit).map(drop)),
            now(),
        );
        if put.await.map_err(refused)?.is_none() {
            let why = format!("`{path}` was put by somebody meanwhile: import it again");
            return Err(Failed(why));
        }
        going.files.fetch_add(1, Relaxed);
        Ok(())
    }

    /// Waits until who asked for it may not have it any more.
    async fn ended(&self) -> Failed {
        loop {
            tokio::time::sleep(ASKED).await;
            if let Err(ended) = self.still().await {
                return ended;
            }
        }
    }

    /// Whether who asked may still write there, and still use the source as it was declared. A
    /// caller on the socket has no token that could end: its rights to both are asked all the same.
    async fn still(&self) -> Result<(), Failed> {
        let ended = || Failed("who asked for it may not write there any more".to_owned());
        let who = match &self.token {
            Some(token) => auth::still(&self.app.store, token, now()).await?.ok_or_else(ended)?,
            None => self.who.clone(),
        };
        let (id, source) = (self.row.id, self.source.as_ref().map(|source| source.name.clone()));
        let read = move |r: &Read<'_>| -> Result<_, StoreError> {
            let source = source.map(|source| r.source(&source)).transpose()?.flatten();
            Ok((r.dataset_by_id(id)?, source))
        };
        let (row, source) = self.app.store.read(read).await?;
        let row = row.filter(|row| row.ended_at.is_none()).ok_or_else(ended)?;
        if !self.app.decide(&who, Verb::DataWrite, of_dataset(&row)).allow {
            return Err(ended());
        }
        let Some(declared) = &self.source else {
            let decision = self.app.decide(&who, Verb::DataFetch, Resource::Pool);
            let why = "who asked for it may not import from the web any more";
            return if decision.allow { Ok(()) } else { Err(Failed(why.to_owned())) };
        };
        let name = &declared.name;
        // Another password is no other place.
        let as_was = source.filter(|source| source.settings == declared.row.settings);
        let Some(source) = as_was else {
            let why = format!("the source {name} was removed or declared anew: import it again");
            return Err(Failed(why));
        };
        match self.app.decide(&who, Verb::SourceUse, Resource::Queue(source.queue)).allow {
            true => Ok(()),
            false => Err(Failed(format!("who asked for it may not use {name} any more"))),
        }
    }

    async fn done(&self, came: Came) -> Result<(), Failed> {
        self.still().await?;
        let (id, import, by) = (self.row.id, self.id, self.who.user.to_string());
        let note = match (self.note.is_empty(), came.snapshot.is_empty()) {
            (false, _) => self.note.clone(),
            // Where from is told apart, to whom may know (`api/data/imports.rs`): more see notes.
            (true, true) => "imported".to_owned(),
            (true, false) => format!("imported, as of {}", came.snapshot),
        };
        let mut audit = self.audit(serde_json::Value::Null);
        let origin = NewOrigin {
            kind: OriginKind::Import,
            what: self.from.clone(),
            actor: self.who.user.clone(),
            queue: self.row.is.queue.clone(),
            bundle: None,
            detail: serde_json::json!({
                "source": self.source.as_ref().map(|source| &source.name),
                "from": self.from, "query": self.query, "since": self.since, "to": self.to,
                "snapshot": came.snapshot,
            })
            .to_string(),
            inputs: Vec::new(),
            at: now(),
        };
        let summed = self.app.store.read(move |r| r.sum_objects(id).map(Some)).await?;
        let end = move |w: &mut weft_store::Write<'_>| -> Result<(), StoreError> {
            let made = w.make_version_of(id, summed, (&by, &note), now())?;
            let version = Some(made.number);
            if !w.end_import(import, ImportState::Done, &came, (version, ""), now())? {
                // Cancelled meanwhile: no version comes of it.
                return Err(StoreError::NotFound { what: "import", id: import.to_string() });
            }
            if came.files > 0 {
                w.put_origin(id, made.number, &origin)?;
            }
            audit.detail = serde_json::json!({
                "import": import, "files": came.files, "bytes": came.bytes, "version": version,
            })
            .to_string();
            w.append_audit(audit).map(drop)
        };
        Ok(self.app.store.write(end).await?)
    }

    async fn failed(&self, mut why: String, going: &Going) {
        why.truncate(why.floor_char_boundary(WHY_MAX));
        let (id, files, bytes) = (self.id, going.files.load(Relaxed), going.bytes.load(Relaxed));
        let audit = self.audit(serde_json::json!({ "import": id, "failed": why }));
        let end = move |w: &mut weft_store::Write<'_>| -> Result<(), StoreError> {
            let came = Came { files, bytes, snapshot: String::new() };
            match w.end_import(id, ImportState::Failed, &came, (None, &why), now())? {
                true => w.append_audit(audit).map(drop),
                false => Ok(()),
            }
        };
        if let Err(error) = self.app.store.write(end).await {
            tracing::warn!(%error, import = id, "how an import ended could not be kept");
        }
    }

    fn audit(&self, detail: serde_json::Value) -> NewAudit {
        NewAudit {
            at: now(),
            actor: self.who.user.to_string(),
            verb: Verb::DataWrite.to_string(),
            resource: format!("dataset {}", self.row.is.name),
            decision: Decision::Allowed,
            policies: Vec::new(),
            detail: detail.to_string(),
        }
    }
}

/// Where an object came from, where its notes say so.
pub(super) fn origin(notes: &Notes) -> Option<Origin> {
    notes.get(ORIGIN).and_then(|note| serde_json::from_str(note).ok())
}

/// A file that is on the disk and not in the dataset yet.
pub(super) struct Arriving {
    path: String,
    staged: weft_gateway::Staged,
    notes: Notes,
}

/// A body on its way: counted, hashed, and its first bytes kept for the profile.
struct Taken {
    body: DuplexStream,
    going: Arc<Going>,
    content: Content,
}

impl AsyncRead for Taken {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.body).poll_read(cx, buf);
        let came = &buf.filled()[before..];
        self.content.take(came);
        self.going.bytes.fetch_add(came.len() as u64, Relaxed);
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_panics_has_failed_and_its_text_is_not_told() {
        let done = caught(async { panic!("password hunter2") }).await;
        assert!(done.is_err_and(|Failed(why)| why.contains("server.log") && !why.contains("2")));
        assert!(caught(async { Ok(()) }).await.is_ok());
    }
}
