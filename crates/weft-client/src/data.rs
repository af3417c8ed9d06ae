//! Calls about datasets: make, describe, list, put, fetch, compare, remove.

use crate::request::{Call, Client, Content, escape, query};
use crate::{ClientError, Intent};
use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::{Method, Response, header};
use serde_json::Value;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use weft_api::wire::{
    ApproveRequest, AskAccess, AskEnd, AskLower, BeginUpload, BranchMerged, DataChange,
    DataChecked, DataCollected, DataKept, DataObject, DataRequest, DataUpload, Dataset,
    DatasetRestored, DatasetVersion, FinishUpload, KeepDays, Lineage, MODIFIED, MakeBranch,
    MakeDataset, MakeVersion, MakeView, MergeBranch, ObjectPage, ObjectPut, RemovedData,
    RestoreDataset, ReviveDataset, TagVersion, UpdateDataset, UploadedPart, VersionMade,
};
use weft_api::wire::{DataRotated, RotateData, TableRows};

/// Which objects of a dataset.
#[derive(Debug, Clone, Default)]
pub struct ObjectQuery {
    /// As it was at this version; none: as it is.
    pub at: Option<String>,
    /// Whose path begins so.
    pub prefix: String,
    /// Folders as one entry each.
    pub folders: bool,
    /// With what was said of each.
    pub notes: bool,
}

/// A file to be put: open already, so that it is the one that was looked at.
#[derive(Clone)]
pub struct Upload {
    /// The file.
    pub file: Arc<File>,
    /// Read from this byte on.
    pub from: u64,
    /// As many bytes of it.
    pub bytes: u64,
    /// When it was last changed, in nanoseconds since 1970.
    pub modified_ns: Option<i128>,
    /// Told how many bytes have gone out, each time some have.
    pub sent: Arc<dyn Fn(u64) + Send + Sync>,
}

/// Bytes that are read of a file at a time: a few of these keep a connection busy.
const READ: usize = 256 << 10;

impl Upload {
    /// What is read of it, at its own positions: the file's is nobody's.
    pub(crate) fn body(&self) -> impl Body<Data = Bytes, Error = io::Error> + Send + 'static {
        let (file, bytes, sent) = (self.file.clone(), self.bytes, self.sent.clone());
        let from = self.from;
        let pieces = stream::try_unfold(0, move |at| {
            let (file, sent) = (file.clone(), sent.clone());
            async move {
                let wanted = usize::try_from(bytes - at).unwrap_or(READ).min(READ);
                if wanted == 0 {
                    return Ok(None);
                }
                let read = move || {
                    let mut piece = vec![0; wanted];
                    let read = file.read_at(&mut piece, from + at)?;
                    piece.truncate(read);
                    Ok::<_, io::Error>(piece)
                };
                let piece = tokio::task::spawn_blocking(read).await.map_err(io::Error::other)??;
                if piece.is_empty() {
                    return Err(io::Error::other("the file became shorter while it was sent"));
                }
                sent(piece.len() as u64);
                let next = at + piece.len() as u64;
                Ok(Some((Frame::data(Bytes::from(piece)), next)))
            }
        });
        StreamBody::new(pieces)
    }
}

/// An object on its way here.
pub struct Download {
    /// Says whether two are equal.
    pub tag: String,
    client: Client,
    response: Response<Incoming>,
}

impl Download {
    /// The next bytes; none at the end.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        while let Some(frame) = self.response.body_mut().frame().await {
            let frame = frame.map_err(|e| self.client.broken(e))?;
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }
}

impl Client {
    /// The datasets that the caller may know of.
    pub async fn datasets(&self) -> Result<Vec<Dataset>, ClientError> {
        self.all("datasets").await
    }

    /// Those of them in which each of the words stands: in what is said of it, or in the names
    /// of its tables' columns.
    pub async fn search_datasets(&self, words: &str) -> Result<Vec<Dataset>, ClientError> {
        let query = query(&[("words", Some(words.to_owned()))]);
        self.all(&format!("datasets{query}")).await
    }

    /// One of them.
    pub async fn dataset(&self, name: &str) -> Result<Dataset, ClientError> {
        self.get(&dataset_path(name, "")).await
    }

    /// Makes one.
    pub async fn make_dataset(
        &self,
        make: &MakeDataset,
        intent: &Intent,
    ) -> Result<Dataset, ClientError> {
        self.put(Method::POST, "datasets", make, intent).await
    }

    /// Makes a branch of a version of a dataset.
    pub async fn make_branch(
        &self,
        of: &str,
        make: &MakeBranch,
        intent: &Intent,
    ) -> Result<Dataset, ClientError> {
        self.put(Method::POST, &dataset_path(of, "/branches"), make, intent).await
    }

    /// Gives a branch's changes to what it is a branch of.
    pub async fn merge_branch(
        &self,
        branch: &str,
        merge: &MergeBranch,
        intent: &Intent,
    ) -> Result<BranchMerged, ClientError> {
        self.put(Method::POST, &dataset_path(branch, "/merge"), merge, intent).await
    }

    /// Makes a view of a dataset.
    pub async fn make_view(
        &self,
        of: &str,
        make: &MakeView,
        intent: &Intent,
    ) -> Result<Dataset, ClientError> {
        self.put(Method::POST, &dataset_path(of, "/views"), make, intent).await
    }

    /// Asks that a view is less sensitive than it is.
    pub async fn lower(
        &self,
        name: &str,
        ask: &AskLower,
        intent: &Intent,
    ) -> Result<DataRequest, ClientError> {
        self.put(Method::POST, &dataset_path(name, "/lower"), ask, intent).await
    }

    /// Says what it is about, or raises its tier.
    pub async fn update_dataset(
        &self,
        name: &str,
        update: &UpdateDataset,
        intent: &Intent,
    ) -> Result<Dataset, ClientError> {
        self.put(Method::PATCH, &dataset_path(name, ""), update, intent).await
    }

    /// Removes a dataset; its keys are forgotten days later.
    pub async fn remove_dataset(&self, name: &str, intent: &Intent) -> Result<(), ClientError> {
        let _: Value = self.act(Method::DELETE, &dataset_path(name, ""), intent).await?;
        Ok(())
    }

    /// Puts another key in the place of a dataset's or a team's, for some seconds.
    pub async fn rotate_data(
        &self,
        rotate: &RotateData,
        intent: &Intent,
    ) -> Result<DataRotated, ClientError> {
        self.put(Method::POST, "data/rotate", rotate, intent).await
    }

    /// Puts another key in the place of the one above all keys.
    pub async fn rotate_master(&self, intent: &Intent) -> Result<DataRotated, ClientError> {
        self.act(Method::POST, "admin/master-key", intent).await
    }

    /// Asks for access to a dataset; the answer is the same whether there is one or not.
    pub async fn ask_access(
        &self,
        ask: &AskAccess,
        intent: &Intent,
    ) -> Result<DataRequest, ClientError> {
        self.put(Method::POST, "data/access", ask, intent).await
    }

    /// Asks to forget what was removed, a dataset or one version of it, before its days are over.
    pub async fn ask_end(
        &self,
        name: &str,
        version: Option<u32>,
        why: &str,
        intent: &Intent,
    ) -> Result<DataRequest, ClientError> {
        let rest = version.map_or("/end".to_owned(), |number| format!("/versions/v{number}/end"));
        let ask = AskEnd { why: why.to_owned() };
        self.put(Method::POST, &dataset_path(name, &rest), &ask, intent).await
    }

    /// Keeps what ended so many days; asks for it, where they are fewer than now.
    pub async fn keep_days(
        &self,
        name: &str,
        keep: &KeepDays,
        intent: &Intent,
    ) -> Result<DataKept, ClientError> {
        self.put(Method::PUT, &dataset_path(name, "/keep"), keep, intent).await
    }

    /// What the caller asked about datasets, and what is asked of the caller, the newest first.
    pub async fn data_requests(&self) -> Result<Vec<DataRequest>, ClientError> {
        self.all("data/requests").await
    }

    /// Says yes to a request; to one for access for so many days.
    pub async fn approve_request(
        &self,
        id: u64,
        days: Option<u32>,
        intent: &Intent,
    ) -> Result<DataRequest, ClientError> {
        let path = format!("data/requests/{id}/approve");
        self.put(Method::POST, &path, &ApproveRequest { days }, intent).await
    }

    /// Says no to a request, or takes it back.
    pub async fn deny_request(&self, id: u64, intent: &Intent) -> Result<DataRequest, ClientError> {
        self.act(Method::POST, &format!("data/requests/{id}/deny"), intent).await
    }

    /// Takes back access that somebody was given.
    pub async fn revoke_grant(
        &self,
        name: &str,
        user: &str,
        intent: &Intent,
    ) -> Result<(), ClientError> {
        let path = dataset_path(name, &format!("/grants/{}", escape(user)));
        let _: Value = self.act(Method::DELETE, &path, intent).await?;
        Ok(())
    }

    /// What was removed and can be brought back, the newest first.
    pub async fn removed_data(&self) -> Result<Vec<RemovedData>, ClientError> {
        self.all("data/removed").await
    }

    /// Brings back a dataset that was removed, under another name where one is given.
    pub async fn revive_dataset(
        &self,
        name: &str,
        to: Option<&str>,
        intent: &Intent,
    ) -> Result<Dataset, ClientError> {
        let revive = ReviveDataset { name: to.map(str::to_owned) };
        self.put(Method::POST, &dataset_path(name, "/revive"), &revive, intent).await
    }

    /// Brings back a version that was removed.
    pub async fn revive_version(
        &self,
        name: &str,
        number: u32,
        intent: &Intent,
    ) -> Result<DatasetVersion, ClientError> {
        let path = dataset_path(name, &format!("/versions/v{number}/revive"));
        self.act(Method::POST, &path, intent).await
    }

    /// Makes it what it was at a version or a moment, by new changes.
    pub async fn restore_dataset(
        &self,
        name: &str,
        at: &str,
        intent: &Intent,
    ) -> Result<DatasetRestored, ClientError> {
        let restore = RestoreDataset { at: at.to_owned() };
        self.put(Method::POST, &dataset_path(name, "/restore"), &restore, intent).await
    }

    /// Its versions, the newest first.
    pub async fn dataset_versions(&self, name: &str) -> Result<Vec<DatasetVersion>, ClientError> {
        self.all(&dataset_path(name, "/versions")).await
    }

    /// The version that `at` names: `v3`, a tag, a day.
    pub async fn dataset_version(
        &self,
        name: &str,
        at: &str,
    ) -> Result<DatasetVersion, ClientError> {
        self.get(&dataset_path(name, &format!("/versions/{}", escape(at)))).await
    }

    /// Keeps it as it is as a version.
    pub async fn make_version(
        &self,
        name: &str,
        note: &str,
        intent: &Intent,
    ) -> Result<VersionMade, ClientError> {
        let make = MakeVersion { note: note.to_owned() };
        self.put(Method::POST, &dataset_path(name, "/versions"), &make, intent).await
    }

    /// Removes a version that has no name.
    pub async fn remove_version(
        &self,
        name: &str,
        at: &str,
        intent: &Intent,
    ) -> Result<(), ClientError> {
        let path = dataset_path(name, &format!("/versions/{}", escape(at)));
        let _: Value = self.act(Method::DELETE, &path, intent).await?;
        Ok(())
    }

    /// Names a version; another one that had the name has it no more.
    pub async fn tag_version(
        &self,
        name: &str,
        tag: &str,
        number: u32,
        intent: &Intent,
    ) -> Result<DatasetVersion, ClientError> {
        let path = dataset_path(name, &format!("/tags/{}", escape(tag)));
        self.put(Method::PUT, &path, &TagVersion { number }, intent).await
    }

    /// Takes a name away.
    pub async fn untag_version(
        &self,
        name: &str,
        tag: &str,
        intent: &Intent,
    ) -> Result<(), ClientError> {
        let path = dataset_path(name, &format!("/tags/{}", escape(tag)));
        let _: Value = self.act(Method::DELETE, &path, intent).await?;
        Ok(())
    }

    /// A page of objects.
    pub async fn objects(
        &self,
        name: &str,
        which: &ObjectQuery,
        cursor: Option<&str>,
    ) -> Result<ObjectPage, ClientError> {
        let query = query(&[
            ("at", which.at.clone()),
            ("prefix", Some(which.prefix.clone()).filter(|prefix| !prefix.is_empty())),
            ("delimiter", which.folders.then(|| "/".to_owned())),
            ("notes", which.notes.then(|| "true".to_owned())),
            ("limit", Some("1000".to_owned())),
            ("cursor", cursor.map(str::to_owned)),
        ]);
        self.get(&dataset_path(name, &format!("/objects{query}"))).await
    }

    /// All objects.
    pub async fn all_objects(
        &self,
        name: &str,
        which: &ObjectQuery,
    ) -> Result<(Vec<DataObject>, Vec<String>), ClientError> {
        let (mut objects, mut folders, mut next) = (Vec::new(), Vec::new(), None::<String>);
        loop {
            let page = self.objects(name, which, next.as_deref()).await?;
            objects.extend(page.items);
            folders.extend(page.prefixes);
            next = page.next;
            if next.is_none() {
                return Ok((objects, folders));
            }
        }
    }

    /// Puts an object in the place of the one that is there.
    pub async fn put_object(
        &self,
        name: &str,
        path: &str,
        upload: &Upload,
        intent: &Intent,
    ) -> Result<ObjectPut, ClientError> {
        let mut headers = Vec::new();
        if let Some(modified) = upload.modified_ns {
            headers.push((header::HeaderName::from_static(MODIFIED), modified.to_string()));
        }
        let call = Call {
            content: Content::Open(upload.clone()),
            intent: Some(intent),
            headers,
            ..Call::new(Method::PUT, &object_path(name, path, ""))
        };
        self.read(self.send(&call).await?).await
    }

    /// Begins to put a file in parts, or goes on behind those that are there.
    pub async fn begin_upload(
        &self,
        name: &str,
        begin: &BeginUpload,
        intent: &Intent,
    ) -> Result<DataUpload, ClientError> {
        self.put(Method::POST, &dataset_path(name, "/uploads"), begin, intent).await
    }

    /// Puts one of its parts, in the place of the one of its number.
    pub async fn put_part(
        &self,
        name: &str,
        upload: u64,
        number: u32,
        part: &Upload,
    ) -> Result<UploadedPart, ClientError> {
        let path = dataset_path(name, &format!("/uploads/{upload}/parts/{number}"));
        let content = Content::Open(part.clone());
        let call = Call { content, ..Call::new(Method::PUT, &path) };
        self.read(self.send(&call).await?).await
    }

    /// Makes its parts an object.
    pub async fn finish_upload(
        &self,
        name: &str,
        upload: u64,
        finish: &FinishUpload,
        intent: &Intent,
    ) -> Result<ObjectPut, ClientError> {
        let path = dataset_path(name, &format!("/uploads/{upload}/finish"));
        self.put(Method::POST, &path, finish, intent).await
    }

    /// Fetches an object from a byte on; refused where its tag is another one by now.
    pub async fn get_object(
        &self,
        name: &str,
        path: &str,
        at: Option<&str>,
        from: u64,
        tag: &str,
    ) -> Result<Download, ClientError> {
        let query = query(&[("at", at.map(str::to_owned))]);
        let mut headers = vec![(header::IF_MATCH, format!("\"{tag}\""))];
        if from > 0 {
            headers.push((header::RANGE, format!("bytes={from}-")));
        }
        let call = Call { headers, ..Call::new(Method::GET, &object_path(name, path, &query)) };
        let response = self.send(&call).await?;
        let tag = response.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok());
        let tag = tag.unwrap_or_default().trim_matches('"').to_owned();
        Ok(Download { tag, client: self.clone(), response })
    }

    /// Ends an object; versions that have it keep it.
    pub async fn delete_object(
        &self,
        name: &str,
        path: &str,
        intent: &Intent,
    ) -> Result<(), ClientError> {
        let _: Value = self.act(Method::DELETE, &object_path(name, path, ""), intent).await?;
        Ok(())
    }

    /// Where a version comes from, and what came of it; without one, of the newest.
    pub async fn lineage(&self, name: &str, at: Option<&str>) -> Result<Lineage, ClientError> {
        let query = query(&[("at", at.map(str::to_owned))]);
        self.get(&dataset_path(name, &format!("/lineage{query}"))).await
    }

    /// How a dataset differs between two versions; without one, as it is now.
    pub async fn diff(
        &self,
        name: &str,
        from: Option<&str>,
        to: Option<&str>,
    ) -> Result<Vec<DataChange>, ClientError> {
        let own = |at: Option<&str>| at.map(str::to_owned);
        let query =
            query(&[("from", own(from)), ("to", own(to)), ("limit", Some("1000".to_owned()))]);
        self.all(&dataset_path(name, &format!("/diff{query}"))).await
    }

    /// The first rows of a table; without a path of the first one that is there.
    pub async fn sample(
        &self,
        name: &str,
        path: Option<&str>,
        at: Option<&str>,
        rows: u32,
    ) -> Result<TableRows, ClientError> {
        let own = |text: Option<&str>| text.map(str::to_owned);
        let rows = Some(rows.to_string());
        let query = query(&[("path", own(path)), ("at", own(at)), ("rows", rows)]);
        self.get(&dataset_path(name, &format!("/sample{query}"))).await
    }

    /// Has a stretch of a dataset read wholly, from where the one before ended.
    pub async fn verify(
        &self,
        name: &str,
        at: Option<&str>,
        cursor: Option<&str>,
    ) -> Result<DataChecked, ClientError> {
        let own = |text: Option<&str>| text.map(str::to_owned);
        let query = query(&[("at", own(at)), ("cursor", own(cursor))]);
        self.get(&dataset_path(name, &format!("/verify{query}"))).await
    }

    /// Frees the space of what nothing needs any more.
    pub async fn collect(&self, intent: &Intent) -> Result<DataCollected, ClientError> {
        self.act(Method::POST, "data/collect", intent).await
    }
}

fn dataset_path(name: &str, rest: &str) -> String {
    format!("datasets/{}{rest}", escape(name))
}

/// The `/` of a path separates its names, in the address too; `.` and `..` are names like others.
fn object_path(name: &str, path: &str, query: &str) -> String {
    let parts: Vec<_> = path.split('/').map(escape).collect();
    dataset_path(name, &format!("/objects/{}{query}", parts.join("/")))
}
