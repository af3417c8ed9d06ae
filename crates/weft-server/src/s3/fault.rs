//! What goes wrong, as S3's codes; causes that are ours go to the log, with a number for callers.

use s3s::{S3Error, S3ErrorCode};
use weft_gateway::{DataError, PackError};
use weft_policy::{Decision, Principal, Verb};
use weft_store::StoreError;

/// A fault of ours.
pub(super) fn internal(cause: &dyn std::fmt::Display) -> S3Error {
    let problem = crate::api::internal(cause);
    S3Error::with_message(S3ErrorCode::InternalError, problem.detail)
}

/// A refusal by policy, in the words of the rule.
pub(super) fn denied(who: &Principal, verb: Verb, decision: &Decision) -> S3Error {
    let rule = decision.policies.first().map(|id| format!(" (rule `{id}`)")).unwrap_or_default();
    let text = format!("{} may not {verb}: {}{rule}", who.user, decision.rule);
    S3Error::with_message(S3ErrorCode::AccessDenied, text)
}

/// What the gateway could not do.
pub(super) fn of_data(error: DataError) -> S3Error {
    match error {
        DataError::Store(error) => of_store(&error),
        DataError::Pack(PackError::Full(_)) => full(),
        DataError::Pack(PackError::Away { .. }) => {
            S3Error::with_message(S3ErrorCode::ServiceUnavailable, error.to_string())
        }
        DataError::Notes(_) => {
            S3Error::with_message(S3ErrorCode::MetadataTooLarge, error.to_string())
        }
        DataError::Path(_) => S3ErrorCode::KeyTooLongError.into(),
        // What is damaged is never served: its reader sees the connection end.
        other => internal(&other),
    }
}

/// What the store could not do.
pub(super) fn of_store(error: &StoreError) -> S3Error {
    match error {
        StoreError::DiskFull(_) => full(),
        StoreError::OverQuota { .. } => {
            // As Ceph says it; AWS has no quotas.
            let code = S3ErrorCode::Custom("QuotaExceeded".into());
            let mut error = S3Error::with_message(code, error.to_string());
            error.set_status_code(axum::http::StatusCode::FORBIDDEN);
            error
        }
        StoreError::Exists { .. } => S3ErrorCode::BucketAlreadyExists.into(),
        other => internal(other),
    }
}

fn full() -> S3Error {
    let code = S3ErrorCode::Custom("InsufficientStorage".into());
    let mut error = S3Error::with_message(code, "the server's disk is full; nothing was kept");
    error.set_status_code(axum::http::StatusCode::INSUFFICIENT_STORAGE);
    error
}
