//! Sources of data: declared, listed, removed. A secret comes in here and never goes out.

use super::call::Call;
use super::data::refused;
use super::fault::{Fault, at, quoted};
use super::reply::{Reply, json};
use super::state::App;
use super::workloads::DEFAULT_QUEUE;
use crate::imports::{Settings, check};
use axum::response::Response;
use std::str::FromStr as _;
use weft_api::problem::{Code, Problem};
use weft_api::wire::{PutSource, Source, SourceAt};
use weft_policy::{Principal, Resource, Verb};
use weft_store::{Decision, NewAudit, Read, SourceRow, StoreError};
use weft_types::{DatasetName, QueueName};

/// The team whose it is to be, to the policy.
pub(crate) fn to_be(call: &Call) -> Result<Resource, Fault> {
    queue(call, &call.json()?).map(Resource::Queue)
}

fn queue(call: &Call, put: &PutSource) -> Result<QueueName, Fault> {
    let wrong = |e| at(Code::BadRequest, "queue", format!("{e}"));
    match (&put.queue, &call.who.principal.queue) {
        (Some(named), _) => QueueName::new(named.clone()).map_err(wrong),
        (None, Some(team)) => Ok(team.clone()),
        (None, None) => QueueName::new(DEFAULT_QUEUE).map_err(wrong),
    }
}

/// Whether somebody may see it is there.
fn sees(app: &App, who: &Principal, row: &SourceRow) -> bool {
    app.decide(who, Verb::SourceInfo, Resource::Queue(row.queue.clone())).allow
}

/// Whether somebody may know what a source is called: one that nobody declared is an address of the
/// web, and of one that is removed nobody can say any more whose it was.
pub(super) fn is_known(
    app: &App,
    who: &Principal,
    name: Option<&str>,
    sources: &[SourceRow],
) -> bool {
    let Some(name) = name else { return true };
    sources.iter().any(|row| row.name == name && sees(app, who, row))
}

/// `GET /sources`.
pub(crate) async fn list(call: Call) -> Result<Response, Fault> {
    let rows = call.app.store.read(|r| r.sources()).await?;
    let seen = rows.iter().filter(|row| sees(&call.app, &call.who.principal, row));
    json(&seen.map(view).collect::<Result<Vec<_>, _>>()?)
}

/// `PUT /sources/{source}`: it is declared, or changed: where it is, or its password.
pub(crate) async fn put(call: Call) -> Result<Response, Fault> {
    let put: PutSource = call.json()?;
    let (name, queue) = (name(&call)?, queue(&call, &put)?);
    let wrong = |(field, rule): (&str, String)| at(Code::BadRequest, field, rule);
    let kind = check(&put.at, &put.secret).map_err(wrong)?;
    if !put.at.allow.is_empty() {
        reaches(&call).await?;
    }
    let settings = serde_json::to_string(&put.at).map_err(super::fault::internal)?;
    let (data, by, queue_of) = (call.app.data.clone(), call.user().to_owned(), queue.clone());
    let changed = call.change(move |w, doing| {
        w.queue(&queue)?.map(drop).ok_or_else(|| super::queues::none(&queue))?;
        if let Some(there) = w.source(&name)?
            && there.queue != queue_of
        {
            return Err(StoreError::Exists { what: "source", id: name }.into());
        }
        let (key, secret) = data.seal_secret(w, (&queue, &name), &put.secret).map_err(refused)?;
        let row = SourceRow { name, queue, kind, settings, by, at: doing.now, key, secret };
        w.put_source(&row)?;
        let SourceAt { kind, address, allow, .. } = &put.at;
        doing.detail = serde_json::json!({
            "queue": row.queue, "kind": kind, "address": address, "allow": allow,
        });
        Reply::json(200, &view(&row)?)
    });
    Ok(changed.await?.response)
}

/// Whether the caller may let a source reach what is not public; a refusal is on the audit log.
async fn reaches(call: &Call) -> Result<(), Fault> {
    let decision = call.app.decide(&call.who.principal, Verb::SourceReach, Resource::Pool);
    if decision.allow {
        return Ok(());
    }
    let entry = denied(call, Verb::SourceReach, format!("source {}", call.param("source")));
    call.app.refusals.note(entry).await?;
    let detail = "only an operator lets a source reach networks that are not public";
    let hint = "ask an operator to declare it, or leave `allow` out";
    Err(Problem::new(Code::Forbidden, detail).hint(hint).field("at.allow").into())
}

/// A refusal that the guard did not see.
pub(super) fn denied(call: &Call, verb: Verb, resource: String) -> NewAudit {
    NewAudit {
        at: call.now,
        actor: call.user().to_owned(),
        verb: verb.to_string(),
        resource,
        decision: Decision::Denied,
        policies: Vec::new(),
        detail: "{}".to_owned(),
    }
}

/// `DELETE /sources/{source}`: its secret is forgotten; what came from it stays.
pub(crate) async fn remove(call: Call) -> Result<Response, Fault> {
    let name = name(&call)?;
    let removed = call.change(move |w, _| {
        w.remove_source(&name)?;
        Ok(Reply::nothing())
    });
    Ok(removed.await?.response)
}

/// The source that somebody may import from, with its secret opened.
pub(super) async fn usable(call: &Call, name: &str) -> Result<(SourceRow, Settings), Fault> {
    let found = name.to_owned();
    let row = call.app.store.read(move |r: &Read<'_>| r.source(&found)).await?;
    let row = row.filter(|row| sees(&call.app, &call.who.principal, row));
    let row = row.ok_or_else(|| none(name))?;
    let of = Resource::Queue(row.queue.clone());
    if !call.app.decide(&call.who.principal, Verb::SourceUse, of).allow {
        call.app.refusals.note(denied(call, Verb::SourceUse, format!("source {name}"))).await?;
        let detail = format!("{} may not import from {name}", call.user());
        let hint = format!("it is for the team {}", row.queue);
        return Err(Problem::new(Code::Forbidden, detail).hint(hint).into());
    }
    let (data, of) = (call.app.data.clone(), row.clone());
    let secret = call.app.store.read(move |r| data.open_secret(r, &of)).await.map_err(refused)?;
    let settings = Settings { kind: row.kind, at: settings(&row)?, secret };
    Ok((row, settings))
}

/// Sources of a bucket that the caller may see.
pub(super) async fn of_bucket(call: &Call, bucket: &str) -> Result<Vec<String>, Fault> {
    let rows = call.app.store.read(|r| r.sources()).await?;
    let mut found = Vec::new();
    for row in rows.iter().filter(|row| sees(&call.app, &call.who.principal, row)) {
        if settings(row)?.bucket.as_deref() == Some(bucket) {
            found.push(row.name.clone());
        }
    }
    Ok(found)
}

fn settings(row: &SourceRow) -> Result<SourceAt, Fault> {
    let damaged = |e: serde_json::Error| super::fault::internal(e);
    Ok(serde_json::from_str(&row.settings).map_err(damaged)?)
}

fn view(row: &SourceRow) -> Result<Source, Fault> {
    /// AES-GCM's tag stands behind what is sealed.
    const TAG: usize = 16;
    Ok(Source {
        name: row.name.clone(),
        queue: row.queue.to_string(),
        at: settings(row)?,
        by: row.by.clone(),
        at_ms: row.at.0,
        has_secret: row.secret.len() > TAG,
    })
}

/// Named as datasets are: so that `crm:public.customers` can be read in one way alone.
fn name(call: &Call) -> Result<String, Fault> {
    let wrong = |e| at(Code::BadRequest, "source", format!("{e}"));
    let name = DatasetName::from_str(call.param("source")).map_err(wrong)?;
    match ["http", "https", "s3"].contains(&name.as_str()) {
        true => {
            Err(at(Code::BadRequest, "source", "is how an address begins: choose another name"))
        }
        false => Ok(name.to_string()),
    }
}

fn none(name: &str) -> Fault {
    let detail = format!("there is no source `{}`, or it is not yours to see", quoted(name));
    let hint = "`weft source ls` shows yours; a lead or an operator declares one";
    Problem::new(Code::NotFound, detail).hint(hint).into()
}
