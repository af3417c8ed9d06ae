//! Who may do what over S3: each operation's verb, decided before its input is read.
//!
//! The one place of authorisation of this front, as `api/guard.rs` is of the API, with the same
//! policy, the same words and the same audit rows. A dataset that the caller may not see is
//! answered as one that does not exist.

use super::fault::{denied, internal};
use super::inside::is_of_other_versions;
use crate::api::{App, of_dataset, quoted};
use crate::auth::run::Declared;
use crate::auth::{self, Caller, Peer};
use s3s::access::{S3Access, S3AccessContext};
use s3s::path::S3Path;
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use weft_policy::{Principal, Resource, Verb};
use weft_store::{At, DatasetRow, Decision, NewAudit, StoreError, VersionName};
use weft_types::{DatasetName, QueueName, Tier, Timestamp};

/// What the door has to know of a request that was kept out: whether the audit log has been told,
/// and who it was, where that is known.
#[derive(Debug, Clone, Default)]
pub(super) struct Trail {
    told: Arc<AtomicBool>,
    entered: Arc<OnceLock<Arc<Entered>>>,
    /// Which run it came from, if from one.
    run: Option<Peer>,
}

impl Trail {
    /// Of a request that came from there.
    pub(super) fn from(peer: Peer) -> Self {
        let run = Some(peer).filter(|peer| matches!(peer, Peer::Run { .. }));
        Self { run, ..Self::default() }
    }

    /// Whether one more refusal is to be told. A run's programs are anybody's code, and could fill
    /// the disk with rows.
    fn may_be_refused(&self, app: &App) -> bool {
        self.run.is_none_or(|run| auth::may_fail(&app.throttle, run))
    }

    pub(super) fn is_told(&self) -> bool {
        self.told.load(Ordering::Relaxed)
    }

    pub(super) fn entered(&self) -> Option<&Entered> {
        self.entered.get().map(|entered| &**entered)
    }

    pub(super) fn of<T>(request: &s3s::S3Request<T>) -> Self {
        request.extensions.get::<Self>().cloned().unwrap_or_default()
    }

    fn tell(&self) {
        self.told.store(true, Ordering::Relaxed);
    }
}

/// A request that was let in.
#[derive(Debug, Clone)]
pub(super) struct Entered {
    pub(super) who: Principal,
    /// Public part of the key that it was signed with, or which run it is.
    pub(super) key: String,
    /// Of a run: what its workload declared.
    pub(super) run: Option<Arc<Declared>>,
    pub(super) verb: Verb,
    pub(super) policies: Vec<String>,
    /// The dataset that its bucket is, and as of when.
    pub(super) dataset: Option<(DatasetRow, At)>,
    pub(super) now: Timestamp,
}

impl Entered {
    /// The dataset, and as of when.
    pub(super) fn dataset(&self) -> S3Result<&(DatasetRow, At)> {
        self.dataset.as_ref().ok_or_else(|| s3_error!(NoSuchBucket))
    }

    /// The dataset, to be changed.
    pub(super) fn head(&self) -> S3Result<&DatasetRow> {
        match self.dataset()? {
            (dataset, At::Now) => Ok(dataset),
            _ => Err(s3_error!(AccessDenied, "a version never changes: write to the dataset")),
        }
    }

    /// The same, decided again now: rights may have ended while a body came, and what is put is of
    /// the moment it is put, not of the one its sender began.
    pub(super) async fn again(&self, app: &App) -> S3Result<Entered> {
        let (now, head) = (weft_agent::now(), self.head()?);
        let who = app
            .person(&self.key, now)
            .await?
            .ok_or_else(|| s3_error!(InvalidAccessKeyId, "the key has ended"))?;
        let (asks, bucket) = (Asks::Dataset(self.verb), head.is.name.as_str());
        let asked = (asks, Some(bucket), "");
        let again = app.enter(who, self.key.clone(), asked, now, &Trail::default()).await?;
        match again.head()?.id == head.id {
            true => Ok(again),
            false => Err(s3_error!(NoSuchBucket, "the dataset was removed meanwhile")),
        }
    }

    /// Notes that it was let in and then refused.
    pub(super) async fn refused(&self, app: &App, path: &str) -> Result<(), StoreError> {
        let detail = serde_json::json!({ "why": "what was put is kept", "by": "s3" });
        let row = NewAudit { decision: Decision::Denied, ..self.row(path, detail) };
        app.keep_out(row, &self.run).await
    }

    /// The audit row of what was allowed.
    pub(super) fn row(&self, path: &str, detail: serde_json::Value) -> NewAudit {
        let dataset = self.dataset.as_ref().map(|(dataset, _)| &dataset.is.name);
        let resource = match dataset {
            Some(name) => format!("dataset {name}/{}", quoted(path)),
            None => quoted(path),
        };
        row(&self.who, &self.key, self.verb, resource, (&self.policies, true), detail, self.now)
    }
}

/// Decides about each request, for the protocol's library.
pub(super) struct Enter {
    app: App,
}

impl Enter {
    pub(super) fn new(app: App) -> Self {
        Self { app }
    }
}

#[async_trait::async_trait]
impl S3Access for Enter {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let Some(key) = cx.credentials().map(|c| c.access_key.clone()) else {
            return Err(s3_error!(AccessDenied, "requests must be signed"));
        };
        let (now, peer) = (weft_agent::now(), cx.extensions_mut().get::<Peer>().copied());
        let said = (cx.headers(), cx.uri().query().unwrap_or_default());
        super::keys::has_its_token(&self.app.data, &key, said)?;
        let caller = self.app.signer(peer, &key, now).await?;
        let (bucket, path) = match cx.s3_path() {
            S3Path::Root => (None, String::new()),
            S3Path::Bucket { bucket } => (Some(bucket.to_string()), String::new()),
            S3Path::Object { bucket, key } => (Some(bucket.to_string()), key.to_string()),
        };
        let trail = cx.extensions_mut().get::<Trail>().cloned().unwrap_or_default();
        let (operation, query) = (cx.s3_op().name(), cx.uri().query().unwrap_or_default());
        let asks = match caller.run.is_some() && is_of_other_versions(operation, query) {
            true => Asks::History,
            false => asks(operation),
        };
        let asked = (asks, bucket.as_deref(), path.as_str());
        let entered = self.app.enter_as(caller, asked, now, &trail).await?;
        let entered = Arc::new(entered);
        let _ = trail.entered.set(entered.clone());
        let is_view = entered.dataset.as_ref().is_some_and(|(row, _)| row.view_of.is_some());
        if is_view && is_of_other_versions(operation, query) {
            return Err(no_history());
        }
        super::wishes::check(&entered, cx.method(), cx.headers())?;
        cx.extensions_mut().insert(entered);
        Ok(())
    }
}

/// What somebody asks who names a state of an object in a view.
pub(super) fn no_history() -> S3Error {
    let rule = "a view has no history but its versions: name one as a bucket, `claims-adults.v2`";
    S3Error::with_message(S3ErrorCode::AccessDenied, rule)
}

/// What an operation asks of the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asks {
    /// This of what belongs to nobody.
    Pool(Verb),
    /// This of the dataset that its bucket names.
    Dataset(Verb),
    /// To make it.
    Make,
    /// What else there was than the version that its bucket is: nobody's who asks so.
    History,
    /// Nothing that there is: it will be answered as not implemented, to everybody.
    Nothing,
}

/// What an operation asks for, by S3's name of it. What is not here does not exist.
fn asks(operation: &str) -> Asks {
    match operation {
        "ListBuckets" => Asks::Pool(Verb::DataList),
        "CreateBucket" => Asks::Make,
        "DeleteBucket" => Asks::Dataset(Verb::DataRemove),
        "HeadBucket"
        | "GetBucketLocation"
        | "GetBucketVersioning"
        | "GetBucketEncryption"
        | "GetBucketAcl"
        | "GetBucketOwnershipControls"
        | "GetBucketPolicyStatus"
        | "GetPublicAccessBlock"
        | "ListObjects"
        | "ListObjectsV2"
        | "ListObjectVersions" => Asks::Dataset(Verb::DataInfo),
        // What people say of an object is data, too.
        "GetObject"
        | "HeadObject"
        | "GetObjectAttributes"
        | "GetObjectTagging"
        | "GetObjectAcl" => Asks::Dataset(Verb::DataRead),
        "PutObject"
        | "CopyObject"
        | "DeleteObject"
        | "DeleteObjects"
        | "PutObjectTagging"
        | "DeleteObjectTagging"
        | "CreateMultipartUpload"
        | "UploadPart"
        | "UploadPartCopy"
        | "CompleteMultipartUpload"
        | "AbortMultipartUpload"
        | "ListMultipartUploads"
        | "ListParts"
        | "PutBucketVersioning"
        | "PutBucketEncryption"
        | "DeleteBucketEncryption"
        | "PutBucketAcl"
        | "PutObjectAcl"
        | "PutBucketOwnershipControls"
        | "PutPublicAccessBlock" => Asks::Dataset(Verb::DataWrite),
        _ => Asks::Nothing,
    }
}

impl App {
    /// Lets a person's request in, as `enter_as` does.
    pub(super) async fn enter(
        &self,
        who: Principal,
        key: String,
        asked: (Asks, Option<&str>, &str),
        now: Timestamp,
        trail: &Trail,
    ) -> S3Result<Entered> {
        let caller = Caller { principal: who, token: Some(key), run: None };
        self.enter_as(caller, asked, now, trail).await
    }

    /// Lets a request in, or says why not; what is kept out is on the audit log first.
    async fn enter_as(
        &self,
        caller: Caller,
        (asks, bucket, path): (Asks, Option<&str>, &str),
        now: Timestamp,
        trail: &Trail,
    ) -> S3Result<Entered> {
        let (verb, dataset, resource) = self.find(&caller, asks, bucket).await?;
        let Caller { principal: who, token, run } = caller;
        let key = token.unwrap_or_default();
        let named = quoted(&format!("{}/{path}", bucket.unwrap_or_default()));
        let refuse = |policies: Vec<String>, why: String| {
            trail.tell();
            let detail = serde_json::json!({ "why": why, "by": "s3" });
            self.keep_out(
                row(&who, &key, verb, named.clone(), (&policies, false), detail, now),
                &run,
            )
        };
        let too_many = || {
            trail.tell();
            s3_error!(SlowDown, "too many requests of this run were refused: wait a minute")
        };
        let Some(resource) = resource else {
            if !trail.may_be_refused(self) {
                return Err(too_many());
            }
            let told: Result<(), StoreError> = refuse(Vec::new(), "not visible".to_owned()).await;
            told.map_err(|e| internal(&e))?;
            return Err(unseen(asks));
        };
        let decision = self.decide(&who, verb, resource.clone());
        if decision.allow {
            let policies = decision.policies.to_vec();
            return Ok(Entered { who, key, run, verb, policies, dataset, now });
        }
        if !trail.may_be_refused(self) {
            return Err(too_many());
        }
        refuse(decision.policies.to_vec(), decision.rule.to_string())
            .await
            .map_err(|e| internal(&e))?;
        let sees = verb == Verb::DataMake
            || self.decide(&who, Verb::DataInfo, resource).allow && asks != Asks::Nothing;
        Err(match sees {
            true if run.is_some() && verb.effect().mutates() => reads_only(),
            true => denied(&who, verb, &decision),
            false => unseen(asks),
        })
    }

    /// Notes a refusal. Those of runs are bounded by run, those of people by person.
    async fn keep_out(&self, row: NewAudit, run: &Option<Arc<Declared>>) -> Result<(), StoreError> {
        match run {
            Some(_) => self.store.write(move |w| w.append_audit(row).map(drop)).await,
            None => self.refusals.note(row).await,
        }
    }

    /// What is asked for, as verb, dataset and resource; no resource where there is none, or none
    /// that may be known of.
    async fn find(
        &self,
        caller: &Caller,
        asks: Asks,
        bucket: Option<&str>,
    ) -> S3Result<(Verb, Option<(DatasetRow, At)>, Option<Resource>)> {
        let bucket = bucket.unwrap_or_default();
        let (verb, found) = match (asks, &caller.run) {
            (Asks::Nothing, _) => return Ok((Verb::DataList, None, Some(Resource::Pool))),
            (Asks::History, _) => return Ok((Verb::DataRead, None, None)),
            (Asks::Pool(verb), _) => return Ok((verb, None, Some(Resource::Pool))),
            (Asks::Make, _) => return Ok((Verb::DataMake, None, self.to_be(&caller.principal))),
            (Asks::Dataset(verb), Some(run)) => (verb, self.declared(run, bucket).await?),
            (Asks::Dataset(verb), None) => (verb, self.bucket(bucket).await?),
        };
        let resource = found.as_ref().map(|(dataset, _)| of_dataset(dataset));
        Ok((verb, found, resource))
    }

    /// The dataset of a bucket, and as of when: `claims` is as it is, `claims.v7`, `claims.gold`
    /// and `claims.2026-11-01` are versions, by number, name and day.
    pub(super) async fn bucket(&self, bucket: &str) -> S3Result<Option<(DatasetRow, At)>> {
        let (name, version) = match bucket.split_once('.') {
            Some((name, version)) => (name, Some(version.to_owned())),
            None => (bucket, None),
        };
        let Ok(name) = DatasetName::new(name) else { return Ok(None) };
        let read = move |r: &weft_store::Read<'_>| -> Result<_, StoreError> {
            let Some(dataset) = r.dataset(&name)? else { return Ok(None) };
            let Some(version) = version else {
                let at = crate::api::now_of(r, &dataset)?;
                return Ok(Some((dataset, at)));
            };
            let found = match (version.as_str(), version.parse::<VersionName>()) {
                ("latest", _) => r.newest_version(dataset.id)?,
                (_, Ok(named)) => r.version_named(dataset.id, &named)?,
                (_, Err(_)) => None,
            };
            Ok(found.map(|version| (dataset, At::Changes(version.changes))))
        };
        self.store.glance(read).await.map_err(|e| internal(&e))
    }

    /// The queue whose datasets a caller makes: the team's, or what workloads of nobody's use.
    pub(super) fn queue_of(&self, who: &Principal) -> Option<QueueName> {
        who.queue.clone().or_else(|| QueueName::new(crate::api::DEFAULT_QUEUE).ok())
    }

    /// A dataset that this caller would make: of the team's queue, and as usual tiers go.
    fn to_be(&self, who: &Principal) -> Option<Resource> {
        let queue = self.queue_of(who)?;
        let (owner, granted) = (who.user.clone(), [].into());
        Some(Resource::Dataset { owner, queue, tier: made_as(who), granted, view: false })
    }
}

/// The tier of a dataset that is made without a word about it.
pub(super) fn made_as(who: &Principal) -> Tier {
    who.carries.max(Tier::Internal)
}

fn unseen(asks: Asks) -> S3Error {
    match asks {
        Asks::Dataset(_) => {
            s3_error!(NoSuchBucket, "there is no such dataset, or it is not yours to see")
        }
        Asks::History => s3_error!(
            AccessDenied,
            "a run reads the version that it declared: name no version of an object"
        ),
        _ => s3_error!(AccessDenied, "this key is for none of it"),
    }
}

fn reads_only() -> S3Error {
    s3_error!(
        AccessDenied,
        "a run reads its datasets and changes none over S3: write files, and keep them by `outputs`"
    )
}

fn row(
    who: &Principal,
    key: &str,
    verb: Verb,
    resource: String,
    (policies, allowed): (&[String], bool),
    mut detail: serde_json::Value,
    at: Timestamp,
) -> NewAudit {
    detail["token"] = serde_json::json!(key);
    NewAudit {
        at,
        actor: who.user.to_string(),
        verb: verb.to_string(),
        resource,
        decision: if allowed { Decision::Allowed } else { Decision::Denied },
        policies: policies.to_vec(),
        detail: detail.to_string(),
    }
}

/// Notes a request whose signature was not good, or whose key is not.
pub(super) async fn note_unknown(
    app: &App,
    peer: Peer,
    path: &str,
    why: &str,
) -> Result<(), StoreError> {
    let detail = serde_json::json!({ "why": why, "by": "s3", "peer": format!("{peer:?}") });
    let row = NewAudit {
        at: weft_agent::now(),
        actor: String::new(),
        verb: Verb::DataRead.to_string(),
        resource: quoted(path),
        decision: Decision::Denied,
        policies: Vec::new(),
        detail: detail.to_string(),
    };
    app.store.write(move |w| w.append_audit(row).map(drop)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shows_bytes_or_what_is_said_of_them_is_a_read() {
        for name in ["GetObject", "HeadObject", "GetObjectAttributes", "GetObjectTagging"] {
            assert_eq!(asks(name), Asks::Dataset(Verb::DataRead), "{name}");
        }
        for name in ["PutBucketPolicy", "GetObjectTorrent", "SelectObjectContent", ""] {
            assert_eq!(asks(name), Asks::Nothing, "{name}");
        }
    }
}
