//! Users: people and service accounts.

use super::call::Call;
use super::fault::{Fault, at, fault, quoted};
use super::reply::{Reply, json};
use crate::auth::ADMIN;
use axum::response::Response;
use weft_api::problem::Code;
use weft_api::wire::{CreateUser, Role, User, WhoAmI};
use weft_policy::Resource;
use weft_store::{NewEvent, UserRow, Write};
use weft_types::{QueueName, Timestamp, UserName};

/// Names no person may have: whom the platform writes as, and who could be taken for it.
const RESERVED: [&str; 4] = ["weft", "root", "system", "anonymous"];

/// The user to be made, to the policy.
pub(crate) fn to_be(call: &Call) -> Result<Resource, Fault> {
    let create: CreateUser = call.json()?;
    Ok(Resource::User(name(&create.name)?))
}

/// The user of the path, to the policy.
pub(crate) fn of_path(call: &Call) -> Result<Resource, Fault> {
    Ok(Resource::User(call.parsed("name")?))
}

/// `GET /whoami`.
pub(crate) async fn whoami(call: Call) -> Result<Response, Fault> {
    let who = &call.who.principal;
    json(&WhoAmI {
        user: who.user.to_string(),
        role: role(who.role),
        queue: who.queue.as_ref().map(ToString::to_string),
        by: who.by.to_string(),
    })
}

/// `GET /users`.
pub(crate) async fn list(call: Call) -> Result<Response, Fault> {
    let rows = call.app.store.read(|r| r.users()).await?;
    json(&rows.into_iter().map(view).collect::<Vec<_>>())
}

/// `POST /users`.
pub(crate) async fn create(call: Call) -> Result<Response, Fault> {
    let create: CreateUser = call.json()?;
    let name = name(&create.name)?;
    if RESERVED.contains(&name.as_str()) {
        return Err(at(Code::BadRequest, "name", format!("`{name}` is the platform's own")));
    }
    let queue = team(&create)?;
    call.change(move |w, doing| {
        let row = UserRow {
            name: name.clone(),
            role: stored(create.role),
            queue,
            created_at: doing.now,
            disabled: false,
        };
        w.create_user(&row)?;
        w.append_event(event(&name, &doing.actor, doing.now, "made"))?;
        doing.resource = Some(format!("user {name}"));
        doing.detail = serde_json::json!({ "role": row.role.as_str(), "queue": row.queue });
        Reply::json(201, &view(row))
    })
    .await
    .map(|changed| changed.response)
}

/// `DELETE /users/{name}`: shut out for good, with every token. The name stays taken, so that
/// nobody can come to own another's workloads by taking it.
pub(crate) async fn remove(call: Call) -> Result<Response, Fault> {
    let name: UserName = call.parsed("name")?;
    if name.as_str() == ADMIN {
        let detail = "`admin` is built in: it is the server's own user on the socket";
        return Err(fault(Code::Conflict, detail));
    }
    call.change(move |w, doing| {
        let tokens = shut_out(w, &name, &doing.actor, doing.now)?;
        doing.detail = serde_json::json!({ "tokens": tokens });
        w.append_event(event(&name, &doing.actor, doing.now, "disabled"))?;
        Ok(Reply::nothing())
    })
    .await
    .map(|changed| changed.response)
}

/// Says how many tokens went with the user: its own, and those made with them.
fn shut_out(
    w: &mut Write<'_>,
    name: &UserName,
    actor: &str,
    now: Timestamp,
) -> Result<usize, Fault> {
    let row = w.user(name)?;
    let row = row.ok_or_else(|| fault(Code::NotFound, format!("there is no user `{name}`")))?;
    let mut revoked = 0;
    for token in w.tokens(Some(name))?.iter().filter(|token| !token.revoked) {
        revoked += 1 + super::tokens::revoke_tree(w, token, actor, now)?;
    }
    w.put_user(&UserRow { disabled: true, ..row })?;
    Ok(revoked)
}

fn name(text: &str) -> Result<UserName, Fault> {
    UserName::new(text).map_err(|e| at(Code::BadRequest, "name", quoted(&e.to_string())))
}

/// The team's queue: leads and members have one, the others none.
fn team(create: &CreateUser) -> Result<Option<QueueName>, Fault> {
    let needed = matches!(create.role, Role::Lead | Role::Member);
    match (&create.queue, needed) {
        (None, true) => Err(at(Code::BadRequest, "queue", "leads and members belong to a queue")),
        (Some(_), false) => {
            Err(at(Code::BadRequest, "queue", "only leads and members belong to a queue"))
        }
        (None, false) => Ok(None),
        (Some(queue), true) => QueueName::new(queue)
            .map(Some)
            .map_err(|e| at(Code::BadRequest, "queue", quoted(&e.to_string()))),
    }
}

fn view(row: UserRow) -> User {
    User {
        name: row.name.to_string(),
        role: shown(row.role),
        queue: row.queue.map(|queue| queue.to_string()),
        created_at_ms: row.created_at.0,
        disabled: row.disabled,
    }
}

const fn role(role: weft_policy::Role) -> Role {
    match role {
        weft_policy::Role::Admin => Role::Admin,
        weft_policy::Role::Operator => Role::Operator,
        weft_policy::Role::Lead => Role::Lead,
        weft_policy::Role::Member => Role::Member,
        weft_policy::Role::Auditor => Role::Auditor,
    }
}

const fn shown(role: weft_store::Role) -> Role {
    match role {
        weft_store::Role::Admin => Role::Admin,
        weft_store::Role::Operator => Role::Operator,
        weft_store::Role::Lead => Role::Lead,
        weft_store::Role::Member => Role::Member,
        weft_store::Role::Auditor => Role::Auditor,
    }
}

const fn stored(role: Role) -> weft_store::Role {
    match role {
        Role::Admin => weft_store::Role::Admin,
        Role::Operator => weft_store::Role::Operator,
        Role::Lead => weft_store::Role::Lead,
        Role::Member => weft_store::Role::Member,
        Role::Auditor => weft_store::Role::Auditor,
    }
}

fn event(name: &UserName, actor: &str, at: Timestamp, what: &str) -> NewEvent {
    NewEvent {
        at,
        actor: actor.to_owned(),
        kind: "user".to_owned(),
        subject: name.to_string(),
        queue: None,
        what: what.to_owned(),
        detail: String::new(),
    }
}
