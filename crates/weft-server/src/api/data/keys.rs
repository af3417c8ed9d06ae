//! Keys for S3 clients: tokens of another form, whose secret is shown once and kept nowhere.

use super::super::call::Call;
use super::super::fault::{Fault, internal};
use super::super::reply::Reply;
use super::super::tokens;
use crate::s3;
use axum::response::Response;
use weft_api::wire::{CreateDataKey, DataKey};
use weft_policy::Resource;
use weft_store::TokenRow;

/// What clients are told of where they are: signatures name it, and nothing else depends on it.
/// None of Amazon's: boto3 presigns addresses in some of those in the way of version 2.
pub(crate) const REGION: &str = weft_runtime::S3_REGION;

/// The key to be, to the policy: its maker's.
pub(crate) fn to_be(call: &Call) -> Result<Resource, Fault> {
    Ok(Resource::Token(call.who.principal.user.clone()))
}

/// `POST /data/keys`.
pub(crate) async fn create(call: Call) -> Result<Response, Fault> {
    let create: CreateDataKey = call.json()?;
    let (scope, life) = (tokens::scope(&create.scope)?, tokens::life(create.expires_in_ms)?);
    let user = call.who.principal.user.clone();
    let mut random = [0; s3::ACCESS_KEY_BYTES];
    getrandom::fill(&mut random).map_err(internal)?;
    // It is no bearer token: nothing has this digest.
    let mut hash = [0; 32];
    getrandom::fill(&mut hash).map_err(internal)?;
    let (id, parent) = (s3::access_key(random), call.who.token.clone());
    let secret = s3::secret_of(&call.app.data, &id);
    let (most, endpoint) = (call.app.about.limits.tokens_per_user, call.app.about.address.clone());
    call.change(move |w, doing| {
        tokens::check_room(w, &user, doing.now, most)?;
        let until = doing.now.after(life);
        let (scope, expires_at) = tokens::within(w, parent.as_deref(), scope, until)?;
        let created_at = doing.now;
        let row = TokenRow {
            id,
            user,
            scope,
            hash,
            created_at,
            expires_at,
            used_at: None,
            revoked: false,
            parent,
        };
        w.create_token(&row)?;
        w.append_event(tokens::event(&row, &doing.actor, doing.now, "made"))?;
        doing.resource = Some(format!("token {}", row.id));
        doing.detail = serde_json::json!({
            "user": row.user, "scope": scope.as_str(), "expires_at_ms": expires_at.0, "for": "s3",
        });
        Reply::json(
            201,
            &DataKey {
                access_key_id: row.id,
                secret_access_key: secret.to_string(),
                scope: scope.as_str().to_owned(),
                expires_at_ms: expires_at.0,
                endpoint,
                region: REGION.to_owned(),
            },
        )
    })
    .await
    .map(|changed| changed.response)
}
