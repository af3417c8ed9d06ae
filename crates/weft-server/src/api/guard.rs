//! The one place of authorisation: finds the resource of a request, asks the policy, and writes
//! what must be known of the answer.
//!
//! What a caller may not even see is *not found*, with the same words, the same audit row and so
//! the same time as what does not exist.

use super::call::{Call, Grant, Subject};
use super::clock::now;
use super::data::requests;
use super::fault::{Fault, quoted};
use super::route::{Access, Guard};
use super::state::App;
use super::write::note;
use crate::auth;
use crate::control::spec;
use crate::publish::carries_now;
use crate::views;
use axum::http::header;
use serde::Deserialize;
use serde_json::json;
use weft_api::problem::{Code, Problem};
use weft_api::spec::DataSpec;
use weft_policy::{Decision, Effect, Kind, Principal, Request, Resource, Role, Verb};
use weft_store::{
    DatasetRow, Namesake, NewAudit, NewDataset, Read, StoreError, TokenRow, Whose, WorkloadRow,
};
use weft_types::{DatasetName, Tier, WorkloadId};

/// Lets a call in, with what the guard found, or refuses it.
pub(crate) async fn authorise(mut call: Call) -> Result<Call, Fault> {
    let (verb, resource) = match call.route.access {
        Access::Open => return Ok(call),
        Access::Needs(verb, guard) => (verb, find(&mut call, verb, guard).await?),
        Access::Chooses(verbs, choose) => {
            let (verb, resource) = choose(&call)?;
            debug_assert!(verbs.contains(&verb), "{verb} is not of this route");
            (verb, Some(resource))
        }
    };
    let Some(resource) = resource else {
        refuse(&call, verb, &[], "not visible").await?;
        return Err(unseen(&call, verb));
    };
    if !declared(&call, verb) {
        refuse(&call, verb, &[], "the workload did not declare it").await?;
        return Err(unseen(&call, verb));
    }
    let decision = call.app.decide(&call.who.principal, verb, resource.clone());
    if !decision.allow {
        refuse(&call, verb, &decision.policies, &decision.rule).await?;
        if !sees(&call, verb, &resource) {
            return Err(unseen(&call, verb));
        }
        return Err(denied(&call, verb, &decision).into());
    }
    call.grant =
        Grant { verb: verb.as_str(), resource: named(&call), policies: decision.policies.to_vec() };
    if audited_read(&call.who.principal, verb, &resource) {
        let detail = what_of_it(&call);
        note(&call.app.store, row(&call, verb, true, &decision.policies, detail)).await?;
    }
    Ok(call)
}

/// Looks again once a long body is here, at a new moment: whether who sent it is still good,
/// and may still do it.
pub(crate) async fn again(mut call: Call) -> Result<Call, Fault> {
    call.now = now();
    if let (Some(token), None) = (&call.who.token, &call.who.run) {
        let still = auth::still(&call.app.store, token, call.now).await?;
        let ended = || {
            Problem::new(Code::Unauthenticated, "the token has ended meanwhile")
                .hint("make one with `weft admin token create`, then send it again")
        };
        call.who.principal = still.ok_or_else(ended)?;
    }
    authorise(call).await
}

/// The resource, or none where it does not exist.
async fn find(call: &mut Call, verb: Verb, guard: Guard) -> Result<Option<Resource>, Fault> {
    match guard {
        Guard::Pool => Ok(Some(Resource::Pool)),
        Guard::Asked(ask) => ask(call).map(Some),
        Guard::Workload => {
            let Some(row) = workload(call).await? else { return Ok(None) };
            debug_assert_eq!(verb.kind(), Kind::Workload);
            let resource = match verb {
                Verb::WorkloadOutputs | Verb::WorkloadLogs | Verb::WorkloadExec => {
                    as_of_now(call, &row).await?
                }
                _ => of_workload(&row),
            };
            call.subject = Subject::Workload(Box::new(row));
            Ok(Some(resource))
        }
        Guard::Token => {
            let id = call.param("id").to_owned();
            let found = call.app.store.read(move |r| r.token(&id)).await?;
            let Some(row) = found else { return Ok(None) };
            let resource = of_token(&row);
            call.subject = Subject::Token(Box::new(row));
            Ok(Some(resource))
        }
        Guard::Source => {
            let name = call.param("source").to_owned();
            let found = call.app.store.read(move |r| r.source(&name)).await?;
            Ok(found.map(|row| Resource::Queue(row.queue)))
        }
        Guard::Dataset => {
            let Ok(name) = call.param("dataset").parse::<DatasetName>() else { return Ok(None) };
            let found = call.app.store.read(move |r| r.dataset(&name)).await?;
            let Some(row) = found else { return Ok(None) };
            let resource = of_dataset(&row);
            let sample = sample(call, &row).await?;
            call.samples = sample.is_some();
            call.subject = Subject::Dataset(Box::new(sample.unwrap_or(row)));
            Ok(Some(resource))
        }
        Guard::Request => {
            let Ok(id) = call.param("id").parse::<u64>() else { return Ok(None) };
            let who = call.who.principal.clone();
            let read = move |r: &Read<'_>| -> Result<_, StoreError> {
                let Some(row) = r.data_request(id)? else { return Ok(None) };
                Ok(requests::to_policy(r, &who, &row)?.map(|resource| (row, resource)))
            };
            let Some((row, resource)) = call.app.store.read(read).await? else { return Ok(None) };
            call.subject = Subject::Request(Box::new(row));
            Ok(Some(resource))
        }
        Guard::Removed => {
            let Ok(name) = call.param("dataset").parse::<DatasetName>() else { return Ok(None) };
            let (app, who) = (call.app.clone(), call.who.principal.clone());
            let sees =
                move |row: &DatasetRow| app.decide(&who, Verb::DataInfo, of_dataset(row)).allow;
            let ended = call.app.store.read(|r| r.ended_datasets()).await?;
            let ended = ended.into_iter().rev().filter(|row| row.is.name == name).find(sees);
            let Some(row) = ended else { return Ok(None) };
            let resource = of_dataset(&row);
            call.subject = Subject::Dataset(Box::new(row));
            Ok(Some(resource))
        }
    }
}

/// A workload to the policy.
pub(crate) fn of_workload(row: &WorkloadRow) -> Resource {
    #[derive(Deserialize)]
    struct Spec {
        #[serde(default)]
        data: Vec<DataSpec>,
    }
    // A spec that cannot be read may declare anything.
    let spec = serde_json::from_str::<Spec>(&row.spec_json);
    let carries = spec.map_or(Tier::Restricted, |spec| auth::run::carries(&spec.data));
    Resource::Workload { owner: row.user.clone(), queue: row.queue.clone(), carries }
}

/// The same for what it wrote: what it read may be of a higher tier by now.
async fn as_of_now(call: &Call, row: &WorkloadRow) -> Result<Resource, Fault> {
    let resource = of_workload(row);
    let (Resource::Workload { owner, queue, .. }, Ok(spec)) = (&resource, spec(row)) else {
        return Ok(resource);
    };
    if spec.data.is_empty() {
        return Ok(resource);
    }
    let of = row.clone();
    let carries = call.app.store.read(move |r| carries_now(r, &of, &spec)).await?;
    Ok(Resource::Workload { owner: owner.clone(), queue: queue.clone(), carries })
}

fn of_token(row: &TokenRow) -> Resource {
    Resource::Token(row.user.clone())
}

/// A dataset to the policy.
pub(crate) fn of_dataset(row: &DatasetRow) -> Resource {
    let (NewDataset { owner, queue, tier, .. }, now) = (&row.is, now());
    let good = row.granted.iter().filter(|(_, until)| now < *until);
    let granted = good.map(|(user, _)| user.clone()).collect();
    let (owner, queue, view) = (owner.clone(), queue.clone(), row.view_of.is_some());
    Resource::Dataset { owner, queue, tier: *tier, granted, view }
}

/// The workload that `{id}` names: `w42`, or a name; of several, the first the caller sees, own
/// ones and the newest first.
async fn workload(call: &Call) -> Result<Option<WorkloadRow>, Fault> {
    let text = call.param("id").to_owned();
    if let Ok(id) = text.parse::<WorkloadId>()
        && id.to_string() == text
        && let Some(row) = call.app.store.read(move |r| r.workload(id)).await?
    {
        return Ok(Some(row));
    }
    let (app, who) = (call.app.clone(), call.who.principal.clone());
    let named = move |r: &Read<'_>| -> Result<Option<WorkloadRow>, StoreError> {
        for whose in [Whose::Users(who.user.clone()), in_sight(&who)] {
            if let Some(id) = seen(r, &app, &who, &text, &whose)? {
                return r.workload(id);
            }
        }
        Ok(None)
    };
    call.app.store.read(named).await.map_err(Fault::from)
}

/// The newest of that name that the policy lets the caller see, among however many.
fn seen(
    r: &Read<'_>,
    app: &App,
    who: &Principal,
    name: &str,
    whose: &Whose,
) -> Result<Option<WorkloadId>, StoreError> {
    let mut before = None;
    loop {
        let page = r.namesakes(name, whose, before)?;
        let Some(last) = page.last().map(|namesake| namesake.id) else { return Ok(None) };
        before = Some(last);
        let may = |namesake: &&Namesake| {
            let (owner, queue) = (namesake.user.clone(), namesake.queue.clone());
            // Whether it is seen does not depend on what it reads.
            let namesake = Resource::Workload { owner, queue, carries: Tier::Public };
            app.decide(who, Verb::WorkloadRead, namesake).allow
        };
        if let Some(found) = page.iter().find(may) {
            return Ok(Some(found.id));
        }
    }
}

/// The policy decides on each; this spares a team from a walk through everybody else's.
fn in_sight(who: &Principal) -> Whose {
    match (who.role, &who.queue) {
        (Role::Lead | Role::Member, Some(team)) => Whose::Teams(team.clone(), who.user.clone()),
        _ => Whose::Anybodys,
    }
}

impl App {
    /// What the policy says.
    pub(crate) fn decide(&self, who: &Principal, verb: Verb, resource: Resource) -> Decision {
        self.policy.decide(&Request { principal: who.clone(), verb, resource })
    }
}

/// Whether the caller may know that it exists.
fn sees(call: &Call, verb: Verb, resource: &Resource) -> bool {
    let who = &call.who.principal;
    match verb.kind() {
        _ if verb == Verb::WorkloadSubmit => true,
        Kind::Workload => call.app.decide(who, Verb::WorkloadRead, resource.clone()).allow,
        Kind::Dataset if verb != Verb::DataMake => {
            call.app.decide(who, Verb::DataInfo, resource.clone()).allow
        }
        Kind::Queue if verb == Verb::SourceWrite => {
            call.app.decide(who, Verb::SourceInfo, resource.clone()).allow
        }
        Kind::Request => call.app.decide(who, Verb::RequestRead, resource.clone()).allow,
        Kind::Token if verb == Verb::TokenRevoke => {
            let owner = resource.owner().cloned();
            let list = |user| call.app.decide(who, Verb::TokenList, Resource::User(user)).allow;
            owner.is_some_and(list)
        }
        _ => true,
    }
}

/// The version that the query names.
fn version(call: &Call) -> Option<&str> {
    let query = call.uri.query().unwrap_or_default();
    query.split('&').find_map(|pair| pair.strip_prefix("at="))
}

/// What a run reads in the place of a version of which it declared a part.
async fn sample(call: &Call, row: &DatasetRow) -> Result<Option<DatasetRow>, Fault> {
    let (Some(run), Some(version)) = (&call.who.run, version(call)) else { return Ok(None) };
    let Some(part) = run.part(row.is.name.as_str(), version)? else { return Ok(None) };
    let (name, source) = (format!("{part} of {}@{version}", row.is.name), row.clone());
    let number = version.strip_prefix('v').and_then(|text| text.parse().ok()).unwrap_or(0);
    let read = move |r: &Read<'_>| views::sample::instead(r, &source, number, part);
    let gone = || Problem::new(Code::NotFound, format!("{name} is not there"));
    let (row, _) = call.app.store.read(read).await?.ok_or_else(gone)?;
    Ok(Some(row))
}

/// Whether it is among what a run declared; of anybody else it is.
fn declared(call: &Call, verb: Verb) -> bool {
    let Some(run) = &call.who.run else { return true };
    let (Subject::Dataset(row), Some(version)) = (&call.subject, version(call)) else {
        return false;
    };
    matches!(verb, Verb::DataInfo | Verb::DataRead) && run.has(row.is.name.as_str(), version)
}

/// Reads that leave a row here: administration, and what somebody else's workload wrote. Those of
/// datasets are summed (`reads.rs`).
fn audited_read(who: &Principal, verb: Verb, resource: &Resource) -> bool {
    match verb.effect() {
        Effect::Guarded => true,
        Effect::Data => match resource {
            Resource::Dataset { .. } => false,
            other => other.owner() != Some(&who.user),
        },
        // Changes write theirs with their effect; what one may see anyway leaves none.
        Effect::Write | Effect::Enter | Effect::Read => false,
    }
}

/// What does not exist, or is not the caller's to know of: in the same words.
pub(crate) fn unseen(call: &Call, verb: Verb) -> Fault {
    let (what, field) = match verb.kind() {
        Kind::Token => ("token", "id"),
        Kind::Dataset => ("dataset", "dataset"),
        Kind::Queue => ("source", "source"),
        Kind::Request => ("request", "id"),
        _ => ("workload", "id"),
    };
    let id = quoted(call.param(field));
    Problem::new(Code::NotFound, format!("there is no {what} `{id}`, or it is not yours to see"))
        .field(field)
        .into()
}

fn denied(call: &Call, verb: Verb, decision: &Decision) -> Problem {
    let who = &call.who.principal;
    let detail = match decision.policies.first() {
        Some(policy) => format!("{} ({}) may not {verb}: rule `{policy}`", who.user, who.role),
        None => format!("{} ({}) may not {verb}", who.user, who.role),
    };
    Problem::new(Code::Forbidden, detail).hint(decision.rule.to_string())
}

async fn refuse(call: &Call, verb: Verb, policies: &[String], why: &str) -> Result<(), Fault> {
    let mut detail = what_of_it(call);
    detail["why"] = json!(why);
    Ok(call.app.refusals.note(row(call, verb, false, policies, detail)).await?)
}

/// Which part of a dataset a request is about, so that each read can be told from another.
pub(crate) fn what_of_it(call: &Call) -> serde_json::Value {
    let mut detail = json!({});
    let Subject::Dataset(_) = call.subject else { return detail };
    let range = call.headers.get(header::RANGE).and_then(|value| value.to_str().ok());
    let query = call.uri.query();
    let said = [("path", Some(call.param("path"))), ("query", query), ("range", range)];
    for (name, value) in said {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            // Longer than any path; more is no part of anything.
            let end = value.floor_char_boundary(weft_store::PATH_MAX);
            detail[name] = json!(value[..end]);
        }
    }
    detail
}

fn row(
    call: &Call,
    verb: Verb,
    allowed: bool,
    policies: &[String],
    mut detail: serde_json::Value,
) -> NewAudit {
    if let Some(token) = &call.who.token {
        detail["token"] = json!(token);
    }
    NewAudit {
        at: call.now,
        actor: call.user().to_owned(),
        verb: verb.to_string(),
        resource: named(call),
        decision: match allowed {
            true => weft_store::Decision::Allowed,
            false => weft_store::Decision::Denied,
        },
        policies: policies.to_vec(),
        detail: detail.to_string(),
    }
}

/// A decision about a dataset that the request names in its body.
pub(crate) fn row_of(
    call: &Call,
    verb: Verb,
    dataset: &DatasetRow,
    decision: &Decision,
) -> NewAudit {
    let why = json!({ "why": &*decision.rule });
    let resource = format!("dataset {}", dataset.is.name);
    NewAudit { resource, ..row(call, verb, decision.allow, &decision.policies, why) }
}

/// What it is about, for the audit log: the thing itself where it was found, else the path.
fn named(call: &Call) -> String {
    match &call.subject {
        Subject::Workload(row) => row.id.to_string(),
        Subject::Token(row) => format!("token {}", row.id),
        Subject::Dataset(row) => format!("dataset {}", row.is.name),
        Subject::Request(row) => format!("dataset {}", row.new.name),
        Subject::None => quoted(call.uri.path()),
    }
}
