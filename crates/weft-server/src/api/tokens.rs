//! Tokens: made, listed without their secrets, revoked.

use super::call::Call;
use super::fault::{Fault, at, fault, internal, quoted};
use super::reply::{Reply, json};
use crate::auth::TOKEN_LIFE_MAX;
use crate::auth::token;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;
use weft_api::problem::{Code, Problem};
use weft_api::wire::{CreateToken, NewToken, Token};
use weft_policy::{Resource, Role, Verb};
use weft_store::{Decision, NewAudit, NewEvent, Read, Scope, StoreError, TokenRow, Write};
use weft_types::{Millis, Timestamp, UserName};

/// Whose tokens.
#[derive(Debug, Default, Deserialize, IntoParams)]
pub(crate) struct ListQuery {
    /// This user's; absent: one's own, for administrators everybody's.
    user: Option<String>,
}

/// Whose tokens are asked for.
pub(crate) fn asked(call: &Call) -> Result<(Verb, Resource), Fault> {
    let query: ListQuery = call.query()?;
    let who = &call.who.principal;
    Ok(match query.user {
        Some(name) => (Verb::TokenList, Resource::User(user("user", &name)?)),
        None if who.role == Role::Admin => (Verb::TokenListAll, Resource::Pool),
        None => (Verb::TokenList, Resource::User(who.user.clone())),
    })
}

/// The token to be, to the policy.
pub(crate) fn to_be(call: &Call) -> Result<Resource, Fault> {
    let create: CreateToken = call.json()?;
    Ok(Resource::Token(whose(call, &create)?))
}

/// `GET /tokens`.
pub(crate) async fn list(call: Call) -> Result<Response, Fault> {
    let whose = match asked(&call)? {
        (_, Resource::User(user)) => Some(user),
        _ => None,
    };
    let rows = call.app.store.read(move |r| r.tokens(whose.as_ref())).await?;
    json(&rows.iter().map(view).collect::<Vec<_>>())
}

/// `POST /tokens`.
pub(crate) async fn create(call: Call) -> Result<Response, Fault> {
    let create: CreateToken = call.json()?;
    let (user, life) = (whose(&call, &create)?, life(create.expires_in_ms)?);
    let scope = scope(&create.scope)?;
    let minted = token::mint().map_err(internal)?;
    let parent = call.who.token.clone();
    let most = call.app.about.limits.tokens_per_user;
    call.change(move |w, doing| {
        check_room(w, &user, doing.now, most)?;
        if w.user(&user)?.is_some_and(|user| user.disabled) {
            return Err(fault(Code::Conflict, format!("the user `{user}` is disabled")));
        }
        let (scope, expires_at) = within(w, parent.as_deref(), scope, doing.now.after(life))?;
        let row = TokenRow {
            id: minted.id,
            user,
            scope,
            hash: minted.digest,
            created_at: doing.now,
            expires_at,
            used_at: None,
            revoked: false,
            parent,
        };
        w.create_token(&row)?;
        w.append_event(event(&row, &doing.actor, doing.now, "made"))?;
        doing.resource = Some(format!("token {}", row.id));
        doing.detail = serde_json::json!({
            "user": row.user, "scope": scope.as_str(), "expires_at_ms": row.expires_at.0,
            "parent": row.parent,
        });
        Reply::json(201, &NewToken { token: view(&row), secret: minted.text })
    })
    .await
    .map(|changed| changed.response)
}

/// What a token is to be good for.
pub(super) fn scope(word: &str) -> Result<Scope, Fault> {
    match word {
        "read" => Ok(Scope::Read),
        "write" => Ok(Scope::Write),
        _ => Err(at(Code::BadRequest, "scope", "must be `read` or `write`")),
    }
}

/// How long it is to be good.
pub(super) fn life(expires_in_ms: u64) -> Result<Millis, Fault> {
    match Millis(expires_in_ms) {
        life if life == Millis::ZERO || life > TOKEN_LIFE_MAX => {
            let rule = format!("must be 1 to {} (90 days)", TOKEN_LIFE_MAX.0);
            Err(at(Code::BadRequest, "expires_in_ms", rule))
        }
        life => Ok(life),
    }
}

/// Refuses one more than a user may have.
pub(super) fn check_room(
    r: &Read<'_>,
    user: &UserName,
    now: Timestamp,
    most: u64,
) -> Result<(), Fault> {
    if r.good_tokens(user, now)? < most {
        return Ok(());
    }
    let detail = format!("{user} has {most} tokens that are good, which is the most for one user");
    let hint = "revoke those nobody needs: `weft admin token list`, `weft admin token revoke`";
    Err(Problem::new(Code::LimitReached, detail).hint(hint).into())
}

/// Scope and end of a token made with `parent`: it ends with it at the latest, so that a stolen
/// one cannot make itself last, and of a wider scope it is refused.
pub(super) fn within(
    r: &Read<'_>,
    parent: Option<&str>,
    scope: Scope,
    until: Timestamp,
) -> Result<(Scope, Timestamp), Fault> {
    let Some(id) = parent else { return Ok((scope, until)) };
    let parent = r.token(id)?.filter(|parent| !parent.revoked);
    let parent = parent.ok_or_else(|| fault(Code::Unauthenticated, "the token was revoked"))?;
    if scope > parent.scope {
        let detail = "a token of scope read makes none of scope write";
        return Err(at(Code::Forbidden, "scope", detail));
    }
    Ok((scope, until.min(parent.expires_at)))
}

/// `DELETE /tokens/{id}`: revoked at once, for good, with all that were made with it.
pub(crate) async fn revoke(call: Call) -> Result<Response, Fault> {
    let row = call.token()?.clone();
    call.change(move |w, doing| {
        let made = revoke_tree(w, &row, &doing.actor, doing.now)?;
        doing.detail = serde_json::json!({ "user": row.user, "made_with_it": made });
        Ok(Reply::nothing())
    })
    .await
    .map(|changed| changed.response)
}

/// Revokes a token and all that were made with it, each with an event and those with an audit
/// row of their own; says how many those are.
pub(super) fn revoke_tree(
    w: &mut Write<'_>,
    row: &TokenRow,
    actor: &str,
    now: Timestamp,
) -> Result<usize, StoreError> {
    let made = w.revoke_token(&row.id)?;
    w.append_event(event(row, actor, now, "revoked"))?;
    for child in &made {
        w.append_event(event(child, actor, now, "revoked"))?;
        w.append_audit(NewAudit {
            at: now,
            actor: actor.to_owned(),
            verb: Verb::TokenRevoke.to_string(),
            resource: format!("token {}", child.id),
            decision: Decision::Allowed,
            policies: vec!["made-with-a-revoked-token".to_owned()],
            detail: serde_json::json!({ "user": child.user, "parent": child.parent }).to_string(),
        })?;
    }
    Ok(made.len())
}

fn whose(call: &Call, create: &CreateToken) -> Result<UserName, Fault> {
    match &create.user {
        Some(name) => user("user", name),
        None => Ok(call.who.principal.user.clone()),
    }
}

fn user(field: &str, name: &str) -> Result<UserName, Fault> {
    UserName::new(name).map_err(|e| at(Code::BadRequest, field, quoted(&e.to_string())))
}

fn view(row: &TokenRow) -> Token {
    Token {
        id: row.id.clone(),
        user: row.user.to_string(),
        scope: row.scope.as_str().to_owned(),
        created_at_ms: row.created_at.0,
        expires_at_ms: row.expires_at.0,
        used_at_ms: row.used_at.map(|at| at.0),
        revoked: row.revoked,
        parent: row.parent.clone(),
    }
}

pub(super) fn event(row: &TokenRow, actor: &str, at: Timestamp, what: &str) -> NewEvent {
    NewEvent {
        at,
        actor: actor.to_owned(),
        kind: "token".to_owned(),
        subject: row.id.clone(),
        queue: None,
        what: what.to_owned(),
        detail: format!("of {}, scope {}", row.user, row.scope.as_str()),
    }
}
