//! Buckets: datasets, made, listed and ended.

use super::enter::{Entered, made_as};
use super::fault::{of_data, of_store};
use super::lists::moment;
use super::service::Service;
use crate::api::of_dataset;
use crate::auth::run::Declared;
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};
use weft_policy::Verb;
use weft_store::{At, Listing, NewDataset, StoreError, Write};
use weft_types::DatasetName;

/// `ListBuckets`: those that the caller may see, by name.
pub(super) async fn list(
    service: &Service,
    request: S3Request<ListBucketsInput>,
) -> S3Result<S3Response<ListBucketsOutput>> {
    let entered = Entered::of(&request)?;
    if let Some(run) = &entered.run {
        return of_run(service, &entered, run).await;
    }
    let input = request.input;
    let all = service.app.store.read(|r| r.datasets()).await.map_err(|e| of_store(&e))?;
    let (prefix, after) = (input.prefix.unwrap_or_default(), input.continuation_token);
    let most = usize::try_from(input.max_buckets.unwrap_or(i32::MAX)).unwrap_or(0);
    let mut seen = all.iter().filter(|dataset| {
        let name = dataset.is.name.as_str();
        name.starts_with(&prefix)
            && after.as_deref().is_none_or(|after| name > after)
            && service.app.decide(&entered.who, Verb::DataInfo, of_dataset(dataset)).allow
    });
    let buckets: Vec<Bucket> = seen
        .by_ref()
        .take(most)
        .map(|dataset| Bucket {
            bucket_region: None,
            creation_date: Some(moment(dataset.is.at)),
            name: Some(dataset.is.name.to_string()),
        })
        .collect();
    let more = seen.next().is_some();
    let next = buckets.last().and_then(|last| last.name.clone()).filter(|_| more);
    let owner = Some(owner(&entered));
    let prefix = Some(prefix).filter(|prefix| !prefix.is_empty());
    let output =
        ListBucketsOutput { buckets: Some(buckets), continuation_token: next, owner, prefix };
    Ok(S3Response::new(output))
}

/// What a run declared, each by its version.
async fn of_run(
    service: &Service,
    entered: &Entered,
    run: &Declared,
) -> S3Result<S3Response<ListBucketsOutput>> {
    let mut buckets = Vec::new();
    for (name, version) in run.versions() {
        let name = format!("{name}.{version}");
        if let Some((dataset, _)) = service.app.bucket(&name).await? {
            let creation_date = Some(moment(dataset.is.at));
            buckets.push(Bucket { bucket_region: None, creation_date, name: Some(name) });
        }
    }
    let owner = Some(owner(entered));
    let output =
        ListBucketsOutput { buckets: Some(buckets), continuation_token: None, owner, prefix: None };
    Ok(S3Response::new(output))
}

/// Whose the dataset is that was entered, else who asks, as S3 shows owners.
pub(super) fn owner(entered: &Entered) -> Owner {
    let of_dataset = entered.dataset.as_ref().map(|(dataset, _)| &dataset.is.owner);
    let name = of_dataset.unwrap_or(&entered.who.user).to_string();
    Owner { display_name: Some(name.clone()), id: Some(name) }
}

/// `CreateBucket`: a dataset of the caller's team; once.
pub(super) async fn make(
    service: &Service,
    request: S3Request<CreateBucketInput>,
) -> S3Result<S3Response<CreateBucketOutput>> {
    let (entered, input) = (Entered::of(&request)?, request.input);
    let name = DatasetName::new(&input.bucket).map_err(|_| {
        s3_error!(
            InvalidBucketName,
            "a dataset's name has 3 to 63 lower-case letters, digits and inner `-`"
        )
    })?;
    input.object_ownership.as_ref().map_or(Ok(()), super::always::enforced)?;
    if input.object_lock_enabled_for_bucket == Some(true) {
        return Err(s3_error!(NotImplemented, "object lock: versions of datasets never change"));
    }
    let location = Some(format!("/{name}"));
    let made = CreateBucketOutput { location };
    if let Some((dataset, _)) = service.app.bucket(name.as_str()).await? {
        return match dataset.is.owner == entered.who.user {
            // As it is made once, whoever asks again for want of an answer has it.
            true => Ok(S3Response::new(made)),
            false => Err(s3_error!(BucketAlreadyExists, "there is a dataset of that name")),
        };
    }
    let queue = service.app.queue_of(&entered.who);
    let queue = queue.ok_or_else(|| s3_error!(AccessDenied, "you are in no team"))?;
    let (store, named) = (&service.app.store, queue.clone());
    if store.read(move |r| r.queue(&named)).await.map_err(|e| of_store(&e))?.is_none() {
        return Err(s3_error!(
            InvalidRequest,
            "a dataset belongs to a team's queue, and there is none called `{queue}`: \
             an operator makes it with `weft admin queue set {queue}`"
        ));
    }
    let new = NewDataset {
        name: name.clone(),
        queue,
        owner: entered.who.user.clone(),
        tier: made_as(&entered.who),
        about: String::new(),
        at: entered.now,
    };
    let row = entered.row(name.as_str(), serde_json::json!({ "what": "made", "by": "s3" }));
    let also = Box::new(move |w: &mut Write<'_>, _: &_| w.append_audit(row).map(drop));
    service.app.data.make(new, also).await.map_err(of_data)?;
    Ok(S3Response::new(made))
}

/// `DeleteBucket`: only where nothing is in it. It is kept as what was deleted is, and can be
/// brought back until then.
pub(super) async fn remove(
    service: &Service,
    request: S3Request<DeleteBucketInput>,
) -> S3Result<S3Response<DeleteBucketOutput>> {
    let entered = Entered::of(&request)?;
    let (id, now) = (entered.head()?.id, entered.now);
    let row = entered.row("", serde_json::json!({ "what": "ended", "by": "s3" }));
    let end = move |w: &mut Write<'_>| -> Result<bool, StoreError> {
        let one = Listing { limit: 1, ..Listing::default() };
        // Its versions are what a stolen key must not end.
        let has_versions = w.newest_version(id)?.is_some();
        if has_versions || !w.list_objects(id, At::Now, &one, false)?.entries.is_empty() {
            return Ok(false);
        }
        w.end_dataset(id, now)?;
        w.append_audit(row).map(|_| true)
    };
    match service.app.store.write(end).await.map_err(|e| of_store(&e))? {
        true => {
            let mut response = S3Response::new(DeleteBucketOutput::default());
            response.status = Some(axum::http::StatusCode::NO_CONTENT);
            Ok(response)
        }
        false => Err(s3_error!(
            BucketNotEmpty,
            "there are objects in it, or versions, which only `weft data rm` ends"
        )),
    }
}

/// `HeadBucket`.
pub(super) async fn head(
    _: &Service,
    request: S3Request<HeadBucketInput>,
) -> S3Result<S3Response<HeadBucketOutput>> {
    Entered::of(&request)?.dataset()?;
    Ok(S3Response::new(HeadBucketOutput::default()))
}

/// `GetBucketLocation`: there is one place.
pub(super) async fn location(
    _: &Service,
    request: S3Request<GetBucketLocationInput>,
) -> S3Result<S3Response<GetBucketLocationOutput>> {
    Entered::of(&request)?.dataset()?;
    let region = Some(BucketLocationConstraint::from_static(crate::api::S3_REGION));
    Ok(S3Response::new(GetBucketLocationOutput { location_constraint: region }))
}
