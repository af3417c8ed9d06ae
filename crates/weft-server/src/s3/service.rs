//! S3's operations, each where it is done. Those that are not here are answered as not implemented.

use super::enter::Entered;
use super::fault::{internal, of_data, of_store};
use super::{always, attributes, buckets, lists, objects, parts, tags};
use crate::api::App;
use axum::http::{HeaderMap, HeaderValue};
use s3s::dto::*;
use s3s::{S3, S3Error, S3Request, S3Response, S3Result, s3_error};
use std::sync::Arc;
use weft_gateway::{Also, Object};
use weft_store::{At, DatasetRow, HistoryEntry, Listing, Read, StoreError};

/// The operations, over the datasets of a server.
pub(super) struct Service {
    pub(super) app: App,
}

impl Service {
    pub(super) fn new(app: App) -> Self {
        Self { app }
    }

    /// An object of the dataset that was entered, or of it the version that is named.
    pub(super) async fn object(
        &self,
        entered: &Entered,
        path: &str,
        version: Option<&str>,
    ) -> S3Result<Object> {
        let (dataset, at) = entered.dataset()?;
        let at = at_version(*at, version)?;
        match self.app.data.object(dataset, path, at).await.map_err(of_data)? {
            Some(found) => Ok(found),
            None => Err(self.missing(entered, path, version).await?),
        }
    }

    /// There is no such object; where one was deleted, by which change.
    pub(super) async fn missing(
        &self,
        entered: &Entered,
        path: &str,
        version: Option<&str>,
    ) -> S3Result<S3Error> {
        let mut error = none(version);
        if let (dataset, At::Now) = entered.dataset()?
            && version.is_none()
            && let [ended, ..] = &self.newest(dataset, path).await?[..]
            && ended.put.is_none()
        {
            let mut headers = HeaderMap::new();
            headers.insert("x-amz-delete-marker", HeaderValue::from_static("true"));
            headers.insert("x-amz-version-id", ended.change.into());
            error.set_headers(headers);
        }
        Ok(error)
    }

    /// The two newest moments in the life of a path.
    pub(super) async fn newest(
        &self,
        dataset: &DatasetRow,
        path: &str,
    ) -> S3Result<Vec<HistoryEntry>> {
        let (id, path) = (dataset.id, path.to_owned());
        let read = move |r: &Read<'_>| -> Result<_, StoreError> {
            let of = Listing { prefix: path.clone(), after: path, limit: 2, ..Listing::default() };
            let mut found = r.object_history(id, &of, u64::MAX >> 1)?.entries;
            found.retain(|entry| entry.path == of.prefix);
            Ok(found)
        };
        self.app.store.read(read).await.map_err(|e| of_store(&e))
    }

    /// What writes the audit row of an effect with it.
    pub(super) fn noting<T>(&self, entered: &Entered, path: &str, what: &str) -> Also<T> {
        let row = entered.row(path, serde_json::json!({ "what": what, "by": "s3" }));
        Box::new(move |w, _| w.append_audit(row).map(drop))
    }
}

/// The moment of a version of an object that is named, or the one that was entered.
pub(super) fn at_version(entered: At, version: Option<&str>) -> S3Result<At> {
    match version {
        None | Some("null") => Ok(entered),
        Some(text) => text.parse().map(At::Put).map_err(|_| none(version)),
    }
}

/// There is no such object, or no such version of it.
pub(super) fn none(version: Option<&str>) -> S3Error {
    match version {
        None => s3_error!(NoSuchKey, "there is no such object"),
        Some(_) => s3_error!(NoSuchVersion, "there is no such version of this object"),
    }
}

impl Entered {
    /// What was decided about a request.
    pub(super) fn of<T>(request: &S3Request<T>) -> S3Result<Arc<Entered>> {
        let entered = request.extensions.get::<Arc<Entered>>().cloned();
        entered.ok_or_else(|| internal(&"a request that nobody decided about"))
    }
}

/// Each operation with its input and output, and the function that does it.
macro_rules! operations {
    ($($name:ident($input:ident) -> $output:ident: $does:path;)*) => {
        #[async_trait::async_trait]
        impl S3 for Service {
            $(
                async fn $name(&self, request: S3Request<$input>) -> S3Result<S3Response<$output>> {
                    $does(self, request).await
                }
            )*
        }
    };
}

operations! {
    list_buckets(ListBucketsInput) -> ListBucketsOutput: buckets::list;
    create_bucket(CreateBucketInput) -> CreateBucketOutput: buckets::make;
    delete_bucket(DeleteBucketInput) -> DeleteBucketOutput: buckets::remove;
    head_bucket(HeadBucketInput) -> HeadBucketOutput: buckets::head;
    get_bucket_location(GetBucketLocationInput) -> GetBucketLocationOutput: buckets::location;
    get_bucket_versioning(GetBucketVersioningInput) -> GetBucketVersioningOutput:
        always::versioning;
    put_bucket_versioning(PutBucketVersioningInput) -> PutBucketVersioningOutput:
        always::set_versioning;
    get_bucket_encryption(GetBucketEncryptionInput) -> GetBucketEncryptionOutput:
        always::encryption;
    put_bucket_encryption(PutBucketEncryptionInput) -> PutBucketEncryptionOutput:
        always::set_encryption;
    delete_bucket_encryption(DeleteBucketEncryptionInput) -> DeleteBucketEncryptionOutput:
        always::reset_encryption;
    get_bucket_acl(GetBucketAclInput) -> GetBucketAclOutput: always::bucket_acl;
    put_bucket_acl(PutBucketAclInput) -> PutBucketAclOutput: always::set_bucket_acl;
    put_object_acl(PutObjectAclInput) -> PutObjectAclOutput: always::set_object_acl;
    get_object_acl(GetObjectAclInput) -> GetObjectAclOutput: always::object_acl;
    get_bucket_ownership_controls(GetBucketOwnershipControlsInput) ->
        GetBucketOwnershipControlsOutput: always::ownership;
    put_bucket_ownership_controls(PutBucketOwnershipControlsInput) ->
        PutBucketOwnershipControlsOutput: always::set_ownership;
    get_bucket_policy_status(GetBucketPolicyStatusInput) -> GetBucketPolicyStatusOutput:
        always::policy_status;
    get_public_access_block(GetPublicAccessBlockInput) -> GetPublicAccessBlockOutput:
        always::public_access;
    put_public_access_block(PutPublicAccessBlockInput) -> PutPublicAccessBlockOutput:
        always::set_public_access;

    list_objects(ListObjectsInput) -> ListObjectsOutput: lists::first;
    list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output: lists::second;
    list_object_versions(ListObjectVersionsInput) -> ListObjectVersionsOutput: lists::versions;

    get_object(GetObjectInput) -> GetObjectOutput: objects::get;
    head_object(HeadObjectInput) -> HeadObjectOutput: objects::head;
    get_object_attributes(GetObjectAttributesInput) -> GetObjectAttributesOutput:
        attributes::get;
    put_object(PutObjectInput) -> PutObjectOutput: objects::put;
    copy_object(CopyObjectInput) -> CopyObjectOutput: objects::copy;
    delete_object(DeleteObjectInput) -> DeleteObjectOutput: objects::delete;
    delete_objects(DeleteObjectsInput) -> DeleteObjectsOutput: objects::delete_many;

    get_object_tagging(GetObjectTaggingInput) -> GetObjectTaggingOutput: tags::get;
    put_object_tagging(PutObjectTaggingInput) -> PutObjectTaggingOutput: tags::put;
    delete_object_tagging(DeleteObjectTaggingInput) -> DeleteObjectTaggingOutput: tags::delete;

    create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput:
        parts::begin;
    upload_part(UploadPartInput) -> UploadPartOutput: parts::put;
    upload_part_copy(UploadPartCopyInput) -> UploadPartCopyOutput: parts::copy;
    complete_multipart_upload(CompleteMultipartUploadInput) -> CompleteMultipartUploadOutput:
        parts::finish;
    abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput:
        parts::give_up;
    list_multipart_uploads(ListMultipartUploadsInput) -> ListMultipartUploadsOutput:
        parts::uploads;
    list_parts(ListPartsInput) -> ListPartsOutput: parts::list;
}
