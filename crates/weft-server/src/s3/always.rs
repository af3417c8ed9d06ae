//! What holds of every bucket and cannot be set otherwise: everything is sealed, what was put is
//! kept, access lists are off, nothing is public. Asking for what is so is answered as done.

use super::buckets::owner;
use super::enter::Entered;
use super::service::Service;
use axum::http::StatusCode;
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};

/// `GetBucketVersioning`: what was put is kept, always.
pub(super) async fn versioning(
    _: &Service,
    request: S3Request<GetBucketVersioningInput>,
) -> S3Result<S3Response<GetBucketVersioningOutput>> {
    Entered::of(&request)?.dataset()?;
    let status = Some(BucketVersioningStatus::from_static(BucketVersioningStatus::ENABLED));
    Ok(S3Response::new(GetBucketVersioningOutput { status, mfa_delete: None }))
}

/// `PutBucketVersioning`: it is on, and cannot be turned off.
pub(super) async fn set_versioning(
    _: &Service,
    request: S3Request<PutBucketVersioningInput>,
) -> S3Result<S3Response<PutBucketVersioningOutput>> {
    Entered::of(&request)?.head()?;
    let wanted = request.input.versioning_configuration.status;
    match wanted.as_ref().map(BucketVersioningStatus::as_str) {
        Some(BucketVersioningStatus::ENABLED) | None => {
            Ok(S3Response::new(PutBucketVersioningOutput::default()))
        }
        _ => Err(s3_error!(AccessDenied, "versioning cannot be turned off: what was put is kept")),
    }
}

/// What everything is sealed with, as S3 calls it: AES-256 under keys of the platform.
pub(super) fn sealed() -> Option<ServerSideEncryption> {
    Some(ServerSideEncryption::from_static(ServerSideEncryption::AES256))
}

/// `GetBucketEncryption`: everything is under seal, by keys of the platform.
pub(super) async fn encryption(
    _: &Service,
    request: S3Request<GetBucketEncryptionInput>,
) -> S3Result<S3Response<GetBucketEncryptionOutput>> {
    Entered::of(&request)?.dataset()?;
    let by_default = ServerSideEncryptionByDefault {
        kms_master_key_id: None,
        sse_algorithm: ServerSideEncryption::from_static(ServerSideEncryption::AES256),
    };
    let rule = ServerSideEncryptionRule {
        apply_server_side_encryption_by_default: Some(by_default),
        ..ServerSideEncryptionRule::default()
    };
    let rules = ServerSideEncryptionConfiguration { rules: vec![rule] };
    let output = GetBucketEncryptionOutput { server_side_encryption_configuration: Some(rules) };
    Ok(S3Response::new(output))
}

/// `PutBucketEncryption`: what is so is taken; keys of a key service are not there.
pub(super) async fn set_encryption(
    _: &Service,
    request: S3Request<PutBucketEncryptionInput>,
) -> S3Result<S3Response<PutBucketEncryptionOutput>> {
    Entered::of(&request)?.head()?;
    let rules = request.input.server_side_encryption_configuration.rules;
    let wanted = rules.into_iter().filter_map(|r| r.apply_server_side_encryption_by_default);
    for wanted in wanted {
        if wanted.sse_algorithm.as_str() != ServerSideEncryption::AES256 {
            return Err(s3_error!(
                NotImplemented,
                "`{}`: everything is sealed by keys of the platform, AES256",
                wanted.sse_algorithm.as_str()
            ));
        }
    }
    Ok(S3Response::new(PutBucketEncryptionOutput::default()))
}

/// `DeleteBucketEncryption`: as it is without a word about it, which is as it is.
pub(super) async fn reset_encryption(
    _: &Service,
    request: S3Request<DeleteBucketEncryptionInput>,
) -> S3Result<S3Response<DeleteBucketEncryptionOutput>> {
    Entered::of(&request)?.head()?;
    let mut response = S3Response::new(DeleteBucketEncryptionOutput::default());
    response.status = Some(StatusCode::NO_CONTENT);
    Ok(response)
}

/// The one entry of every access list: with lists turned off, S3 shows the owner's full control.
fn grants(entered: &Entered) -> (Option<Grants>, Option<Owner>) {
    let owner = owner(entered);
    let grantee = Grantee {
        display_name: owner.display_name.clone(),
        email_address: None,
        id: owner.id.clone(),
        type_: Type::from_static(Type::CANONICAL_USER),
        uri: None,
    };
    let permission = Some(Permission::from_static(Permission::FULL_CONTROL));
    (Some(vec![Grant { grantee: Some(grantee), permission }]), Some(owner))
}

/// `GetBucketAcl`.
pub(super) async fn bucket_acl(
    _: &Service,
    request: S3Request<GetBucketAclInput>,
) -> S3Result<S3Response<GetBucketAclOutput>> {
    let entered = Entered::of(&request)?;
    entered.dataset()?;
    let (grants, owner) = grants(&entered);
    Ok(S3Response::new(GetBucketAclOutput { grants, owner }))
}

/// `GetObjectAcl`.
pub(super) async fn object_acl(
    service: &Service,
    request: S3Request<GetObjectAclInput>,
) -> S3Result<S3Response<GetObjectAclOutput>> {
    let (entered, input) = (Entered::of(&request)?, request.input);
    let (entry, _) = service.said(&entered, &input.key, input.version_id.as_deref()).await?;
    service.read(&entered, &entry, 0).await?;
    let (grants, owner) = grants(&entered);
    Ok(S3Response::new(GetObjectAclOutput { grants, owner, request_charged: None }))
}

/// Refuses an access list that is written out: those with a name have been looked at before
/// (`wishes.rs`), and of them what is private is so.
fn named(acl: bool, policy: Option<&AccessControlPolicy>) -> S3Result<()> {
    match (acl, policy) {
        (true, None) => Ok(()),
        _ => Err(s3_error!(
            AccessControlListNotSupported,
            "access lists are off: who may read is said by the dataset's tier"
        )),
    }
}

/// `PutBucketAcl`.
pub(super) async fn set_bucket_acl(
    _: &Service,
    request: S3Request<PutBucketAclInput>,
) -> S3Result<S3Response<PutBucketAclOutput>> {
    Entered::of(&request)?.head()?;
    let input = request.input;
    named(input.acl.is_some(), input.access_control_policy.as_ref())?;
    Ok(S3Response::new(PutBucketAclOutput::default()))
}

/// `PutObjectAcl`.
pub(super) async fn set_object_acl(
    service: &Service,
    request: S3Request<PutObjectAclInput>,
) -> S3Result<S3Response<PutObjectAclOutput>> {
    let (entered, input) = (Entered::of(&request)?, request.input);
    entered.head()?;
    service.said(&entered, &input.key, input.version_id.as_deref()).await?;
    named(input.acl.is_some(), input.access_control_policy.as_ref())?;
    Ok(S3Response::new(PutObjectAclOutput::default()))
}

/// `GetBucketOwnershipControls`: access lists are off.
pub(super) async fn ownership(
    _: &Service,
    request: S3Request<GetBucketOwnershipControlsInput>,
) -> S3Result<S3Response<GetBucketOwnershipControlsOutput>> {
    Entered::of(&request)?.dataset()?;
    let enforced = ObjectOwnership::from_static(ObjectOwnership::BUCKET_OWNER_ENFORCED);
    let rules = vec![OwnershipControlsRule { object_ownership: enforced }];
    let ownership_controls = Some(OwnershipControls { rules });
    Ok(S3Response::new(GetBucketOwnershipControlsOutput { ownership_controls }))
}

/// Refuses an ownership under which access lists would count.
pub(super) fn enforced(wanted: &ObjectOwnership) -> S3Result<()> {
    match wanted.as_str() {
        ObjectOwnership::BUCKET_OWNER_ENFORCED => Ok(()),
        other => Err(s3_error!(
            NotImplemented,
            "`{other}`: access lists are off; who may read is said by the dataset's tier"
        )),
    }
}

/// `PutBucketOwnershipControls`.
pub(super) async fn set_ownership(
    _: &Service,
    request: S3Request<PutBucketOwnershipControlsInput>,
) -> S3Result<S3Response<PutBucketOwnershipControlsOutput>> {
    Entered::of(&request)?.head()?;
    let rules = &request.input.ownership_controls.rules;
    rules.iter().try_for_each(|rule| enforced(&rule.object_ownership))?;
    Ok(S3Response::new(PutBucketOwnershipControlsOutput::default()))
}

/// `GetBucketPolicyStatus`: nothing is public, in the sense of who gives no name.
pub(super) async fn policy_status(
    _: &Service,
    request: S3Request<GetBucketPolicyStatusInput>,
) -> S3Result<S3Response<GetBucketPolicyStatusOutput>> {
    Entered::of(&request)?.dataset()?;
    let policy_status = Some(PolicyStatus { is_public: Some(false) });
    Ok(S3Response::new(GetBucketPolicyStatusOutput { policy_status }))
}

/// `GetPublicAccessBlock`: all of it is blocked.
pub(super) async fn public_access(
    _: &Service,
    request: S3Request<GetPublicAccessBlockInput>,
) -> S3Result<S3Response<GetPublicAccessBlockOutput>> {
    Entered::of(&request)?.dataset()?;
    let blocked = PublicAccessBlockConfiguration {
        block_public_acls: Some(true),
        block_public_policy: Some(true),
        ignore_public_acls: Some(true),
        restrict_public_buckets: Some(true),
    };
    let public_access_block_configuration = Some(blocked);
    Ok(S3Response::new(GetPublicAccessBlockOutput { public_access_block_configuration }))
}

/// `PutPublicAccessBlock`: blocked is what it is; nothing of it can be opened.
pub(super) async fn set_public_access(
    _: &Service,
    request: S3Request<PutPublicAccessBlockInput>,
) -> S3Result<S3Response<PutPublicAccessBlockOutput>> {
    Entered::of(&request)?.head()?;
    let wanted = request.input.public_access_block_configuration;
    let all = [
        wanted.block_public_acls,
        wanted.block_public_policy,
        wanted.ignore_public_acls,
        wanted.restrict_public_buckets,
    ];
    match all.iter().all(|one| *one == Some(true)) {
        true => Ok(S3Response::new(PutPublicAccessBlockOutput::default())),
        false => Err(s3_error!(
            AccessDenied,
            "nothing here is public, and that cannot be opened: all four are true"
        )),
    }
}
