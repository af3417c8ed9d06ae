//! Workloads: submit, list, show, stop, remove, and why one waits.

use super::call::Call;
use super::data::{declared, published};
use super::fault::{Fault, at, fault};
use super::guard::of_workload;
use super::reply::{Reply, json};
use super::spec::{self, Legal};
use super::view::{self, Aside};
use super::{outputs, page, pool};
use crate::Limits;
use crate::control::history::happened;
use crate::publish;
use axum::response::Response;
use serde::Deserialize;
use std::str::FromStr;
use utoipa::IntoParams;
use weft_api::problem::{Code, Problem};
use weft_api::spec::WorkloadSpec;
use weft_api::wire::{DryRun, Page, Stop, Submit, Workload};
use weft_lifecycle::{Event, State};
use weft_policy::{Resource, Role, Verb};
use weft_sched::{May, Snapshot};
use weft_store::{
    EventFilter, NewEvent, PublicationRow, Published, Read, StoreError, WorkloadFilter, WorkloadRow,
};
use weft_types::{QueueName, Tier, Timestamp, UserName, WorkloadId};

/// The queue of those who belong to no team: all of a machine nobody has divided yet.
pub(crate) const DEFAULT_QUEUE: &str = "default";

/// Reads for one page at most: see `events.rs`.
const READS_MAX: usize = 20;

/// Which workloads.
#[derive(Debug, Default, Deserialize, IntoParams)]
pub(crate) struct ListQuery {
    /// In this state only.
    state: Option<String>,
    /// Of this queue only.
    queue: Option<String>,
    /// `true`: those that have ended too.
    all: Option<bool>,
    /// At most this many, 1 to 1000.
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// What a submission is of, to the policy: a workload of the caller's in the queue named.
pub(crate) fn to_be(call: &Call) -> Result<Resource, Fault> {
    let submit: Submit = call.json()?;
    let owner = call.who.principal.user.clone();
    // Which tiers it declares is looked up later, and no rule about submitting asks for it.
    Ok(Resource::Workload { owner, queue: queue(call, &submit.spec)?, carries: Tier::Public })
}

fn queue(call: &Call, spec: &WorkloadSpec) -> Result<QueueName, Fault> {
    let refused = |e: weft_types::IdError| at(Code::InvalidSpec, "spec.queue", e.to_string());
    match (&spec.queue, &call.who.principal.queue) {
        (Some(named), _) => QueueName::new(super::fault::quoted(named)).map_err(refused),
        (None, Some(team)) => Ok(team.clone()),
        (None, None) => QueueName::new(DEFAULT_QUEUE).map_err(refused),
    }
}

/// `POST /workloads`.
pub(crate) async fn submit(call: Call) -> Result<Response, Fault> {
    let submit: Submit = call.json()?;
    let queue = queue(&call, &submit.spec)?;
    let mut legal = spec::check(submit.spec, queue)?;
    declared::pin(&call, &mut legal).await?;
    published::check(&call, &legal).await?;
    check_possible(&call, &legal).await?;
    if call.dry_run {
        return dry_run(&call, legal).await;
    }
    let (app, who) = (call.app.clone(), call.who.principal.clone());
    call.change_and_wake(move |w, doing| {
        // Here, where the stop of all that live comes before it or after it.
        if app.control.ends_workloads() {
            let problem =
                Problem::new(Code::Busy, "the server is shutting down, with all its work");
            return Err(problem.hint("submit it again once the server is back: `weft up`").into());
        }
        check_room(w, &app.about.limits, &who.user, &legal.queue)?;
        let name = match &legal.spec.name {
            Some(name) => name.clone(),
            None => w.free_name(&legal.queue, &legal.base_name())?,
        };
        let learned = legal.learned(w, &who.user)?;
        let published = legal.published()?;
        let row = w.submit_workload(legal.row(name, who.user.clone(), doing.now, learned)?)?;
        w.declare_publications(row.id, &published)?;
        w.append_event(event(&row, &doing.actor, doing.now, "submitted", &row.name))?;
        doing.resource = Some(row.id.to_string());
        doing.detail = serde_json::json!({ "queue": row.queue, "name": row.name });
        let aside = Aside::read(w, &row, doing.now)?;
        Reply::json(201, &view::workload(&app, &who, &row, &aside)?)
    })
    .await
}

/// Refuses one more than a user or a queue may have: the planner walks through all that have not
/// ended, and the store keeps them.
fn check_room(
    r: &Read<'_>,
    limits: &Limits,
    user: &UserName,
    queue: &QueueName,
) -> Result<(), Fault> {
    let (his, its) = (r.live_of_user(user)?, r.live_of_queue(queue)?);
    let (of, count, most) = match (his >= limits.live_per_user, its >= limits.live_per_queue) {
        (true, _) => (format!("the user `{user}`"), his, limits.live_per_user),
        (_, true) => (format!("the queue `{queue}`"), its, limits.live_per_queue),
        (false, false) => return Ok(()),
    };
    let detail = format!("{of} has {count} workloads that have not ended, at most {most} may be");
    let hint = "wait until some have ended, stop some with `weft stop`, or put many small steps \
                into one workload; the operator sets the limit with `weft up --limit`";
    Err(Problem::new(Code::LimitReached, detail).hint(hint).into())
}

/// Refuses what could never run: files that were not sent, more than any machine has.
async fn check_possible(call: &Call, legal: &Legal) -> Result<(), Fault> {
    if let Some(bundle) = &legal.spec.bundle
        && !super::bundles::held(&call.app, &call.who.principal.user, bundle).await?
    {
        let detail = format!("bundle: {bundle} is not here, or was not sent by you");
        let problem = Problem::new(Code::InvalidSpec, detail);
        let hint = format!("send the files first, with PUT /api/v1/bundles/{bundle}");
        return Err(problem.hint(hint).field("spec.bundle").into());
    }
    if let Some(python) = &legal.spec.runtime.python {
        check_python(call, python).await?;
    }
    let (queue, own) = (legal.queue.clone(), legal.request.isolation);
    let read = move |r: &Read<'_>| -> Result<_, StoreError> {
        let queues = r.queues()?.into_iter().map(|row| (row.name, row.queue)).collect();
        let queues = weft_sched::Snapshot { queues, ..weft_sched::Snapshot::default() };
        Ok((pool::machines(r)?, queues.demanded(&queue, own)))
    };
    let (machines, isolation) = call.app.store.read(read).await?;
    let request = weft_sched::Request { isolation, ..legal.request.clone() };
    let Some(reason) = weft_sched::impossible(&machines, &request, legal.spec.replicas) else {
        return Ok(());
    };
    let (detail, hint) = weft_sched::describe(&reason);
    let mut problem = Problem::new(Code::Impossible, detail).field("spec.resources");
    let changes = weft_sched::possible_with(&machines, &request, legal.spec.replicas);
    problem.hint = match changes.as_slice() {
        [] => hint,
        some => Some(format!("it could run {}", view::changed(some))),
    };
    Err(problem.into())
}

/// Refuses a Python the machine does not have: a wait and a start would only find out later.
async fn check_python(call: &Call, python: &str) -> Result<(), Fault> {
    let Err(error) = call.app.runtime.environments().check_python(python).await else {
        return Ok(());
    };
    let said = error.to_string();
    let (detail, hint) = said.split_once("\nhint: ").unwrap_or((&said, ""));
    let problem = Problem::new(Code::InvalidSpec, detail).field("spec.runtime.python");
    Err(problem.hint(hint).into())
}

/// What the plan would do with it now. Nothing is stored.
async fn dry_run(call: &Call, legal: Legal) -> Result<Response, Fault> {
    let spec = legal.spec.clone();
    let name = spec.name.clone().unwrap_or_else(|| legal.base_name());
    let user = call.who.principal.user.clone();
    let (legal, learned) = call
        .app
        .store
        .read(move |r| {
            let learned = legal.learned(r, &user)?;
            Ok::<_, StoreError>((legal, learned))
        })
        .await?;
    let new = legal.row(name, call.who.principal.user.clone(), call.now, learned)?;
    let queue = new.queue.clone();
    let read = move |r: &Read<'_>| -> Result<_, StoreError> {
        Ok((r.queue(&queue)?.is_some(), r.devices()?))
    };
    let (known, devices) = call.app.store.read(read).await?;
    if !known {
        return Err(super::queues::none(&new.queue));
    }
    let what = call.app.control.what_if(pool::pending(new), may(call)).await?;
    let wait = what.verdict.map(|verdict| view::wait_with(&verdict, &what.relaxations));
    let placements = what.placements.iter().map(|p| view::placed(p, None, &devices)).collect();
    json(&DryRun { spec, placements, wait })
}

/// What the caller may change of a workload beside what it asks for: the queues it may submit to.
fn may(call: &Call) -> impl FnOnce(&Snapshot) -> May + Send + 'static {
    let (app, who) = (call.app.clone(), call.who.principal.clone());
    move |snapshot| {
        let submits = |queue: &&QueueName| {
            let to_be = Resource::Workload {
                owner: who.user.clone(),
                queue: (*queue).clone(),
                carries: Tier::Public,
            };
            app.decide(&who, Verb::WorkloadSubmit, to_be).allow
        };
        let queues = snapshot.queues.keys().filter(submits).cloned().collect();
        let priority = i32::try_from(spec::PRIORITY_MAX).unwrap_or(i32::MAX);
        May { queues, priority }
    }
}

/// `GET /workloads`.
pub(crate) async fn list(call: Call) -> Result<Response, Fault> {
    let query: ListQuery = call.query()?;
    let limit = page::limit(query.limit)?;
    let mut before = page::after::<u64>(query.cursor.as_deref())?.map(WorkloadId);
    let filter = filter(&call, &query)?;
    let (app, who, now) = (call.app.clone(), call.who.principal.clone(), call.now);
    let read = move |r: &Read<'_>| -> Result<Page<Workload>, Fault> {
        let mut items = Vec::new();
        for _ in 0..READS_MAX {
            let rows = r.workloads(&filter, before, weft_store::PAGE_MAX)?;
            let more = rows.len() == weft_store::PAGE_MAX as usize;
            before = rows.last().map(|row| row.id).or(before);
            for row in rows {
                if !app.decide(&who, Verb::WorkloadRead, of_workload(&row)).allow {
                    continue;
                }
                if items.len() == limit as usize {
                    let next = items.last().map(|item: &Workload| item.id.clone());
                    let next = next.and_then(|id| WorkloadId::from_str(&id).ok());
                    return Ok(Page { items, next: next.map(|id| page::cursor(id.0)) });
                }
                let aside = Aside::read(r, &row, now)?;
                items.push(view::workload(&app, &who, &row, &aside)?);
            }
            if !more {
                return Ok(Page { items, next: None });
            }
        }
        Ok(Page { items, next: before.map(|id| page::cursor(id.0)) })
    };
    json(&call.app.store.read(read).await?)
}

fn filter(call: &Call, query: &ListQuery) -> Result<WorkloadFilter, Fault> {
    const LIVE: [State; 4] = [State::Queued, State::Starting, State::Running, State::Stopping];
    const ENDED: [State; 3] = [State::Succeeded, State::Failed, State::Stopped];
    let all = query.all.unwrap_or(false);
    let states = match query.state.as_deref() {
        None if all => Vec::new(),
        None => LIVE.to_vec(),
        Some(word) => {
            let state = LIVE.into_iter().chain(ENDED).find(|state| state.as_str() == word);
            let rule = "must be queued, starting, running, stopping, succeeded, failed or stopped";
            vec![state.ok_or_else(|| at(Code::BadRequest, "state", rule))?]
        }
    };
    let queue = query.queue.as_deref().map(QueueName::new).transpose();
    let queue =
        queue.map_err(|e| at(Code::BadRequest, "queue", super::fault::quoted(&e.to_string())))?;
    // The policy decides on each; this spares a team from walking through everybody else's.
    let who = &call.who.principal;
    let sees = |queue: &QueueName| (queue.clone(), who.user.clone());
    let team = match who.role {
        Role::Lead | Role::Member => who.queue.as_ref().map(sees),
        Role::Admin | Role::Operator | Role::Auditor => None,
    };
    Ok(WorkloadFilter { states, queue, team, ..WorkloadFilter::default() })
}

/// `GET /workloads/{id}`.
pub(crate) async fn show(call: Call) -> Result<Response, Fault> {
    let id = call.workload()?.id;
    match view::fresh(&call.app, &call.who.principal, id).await? {
        Some(workload) => json(&workload),
        None => Err(fault(Code::NotFound, format!("there is no workload `{id}` any more"))),
    }
}

/// `GET /workloads/{id}/why`.
pub(crate) async fn why(call: Call) -> Result<Response, Fault> {
    let row = call.workload()?;
    let why = match row.record.state {
        State::Queued if call.app.control.held(row.id).is_some() => None,
        State::Queued => call.app.control.why(row.id, may(&call)).await?,
        _ => None,
    };
    if let Some((verdict, relaxations)) = why {
        return json(&view::wait_with(&verdict, &relaxations));
    }
    match view::waiting(&call.app, row) {
        Some(wait) => json(&wait),
        None => {
            let detail = format!("{} does not wait, it is {}", row.id, row.record.state.as_str());
            Err(fault(Code::Conflict, detail))
        }
    }
}

/// `GET /workloads/{id}/events`.
pub(crate) async fn events(call: Call) -> Result<Response, Fault> {
    let query: super::events::PageQuery = call.query()?;
    let limit = page::limit(query.limit)?;
    let after = page::after(query.cursor.as_deref())?.or(query.after).unwrap_or(0);
    let subject = Some(call.workload()?.id.to_string());
    let filter = EventFilter { kind: Some("workload".to_owned()), subject, queue: None };
    let rows = call.app.store.read(move |r| r.events(&filter, after, limit)).await?;
    let full = rows.len() == limit as usize;
    let next = rows.last().filter(|_| full).map(|row| page::cursor(row.seq));
    json(&Page { items: rows.into_iter().map(view::event).collect(), next })
}

/// `POST /workloads/{id}/stop`.
pub(crate) async fn stop(call: Call) -> Result<Response, Fault> {
    let how: Stop = call.json()?;
    let id = call.workload()?.id;
    let (app, who) = (call.app.clone(), call.who.principal.clone());
    let changed = call
        .change(move |w, doing| {
            let row = w.workload(id)?.ok_or_else(|| gone(id))?;
            let was = row.record.state.as_str();
            let stopped = happened(w, row, Event::StopRequested, &doing.actor, doing.now)?;
            let row = stopped
                .map_err(|_| fault(Code::Conflict, format!("{id} has ended: it is {was}")))?;
            doing.detail = serde_json::json!({ "now": how.now, "was": was });
            let aside = Aside::read(w, &row, doing.now)?;
            Reply::json(200, &view::workload(&app, &who, &row, &aside)?)
        })
        .await?;
    if changed.fresh {
        call.app.control.wake();
        if how.now {
            call.app.control.kill(id);
        }
    }
    Ok(changed.response)
}

/// `DELETE /workloads/{id}`.
pub(crate) async fn remove(call: Call) -> Result<Response, Fault> {
    let row = call.workload()?.clone();
    let id = row.id;
    let changed = call
        .change(move |w, doing| {
            let under_way = |p: &PublicationRow| p.state == Published::Waiting && p.why.is_empty();
            let under_way = w.publications(id)?.into_iter().find(under_way);
            if let Some(output) = under_way.filter(|_| publish::leaves(row.kind, row.record.state))
            {
                let (id, by) = (
                    id.to_string(),
                    format!("{} is on its way into {}", output.path, output.dataset),
                );
                return Err(StoreError::InUse { what: "workload", id, by }.into());
            }
            w.remove_workload(id)?;
            w.append_event(event(&row, &doing.actor, doing.now, "removed", &row.name))?;
            Ok(Reply::nothing())
        })
        .await?;
    if changed.fresh {
        outputs::forget(&call.app, id);
    }
    Ok(changed.response)
}

fn gone(id: WorkloadId) -> Fault {
    fault(Code::NotFound, format!("there is no workload `{id}` any more"))
}

/// An event about a workload.
fn event(row: &WorkloadRow, actor: &str, at: Timestamp, what: &str, detail: &str) -> NewEvent {
    NewEvent {
        at,
        actor: actor.to_owned(),
        kind: "workload".to_owned(),
        subject: row.id.to_string(),
        queue: Some(row.queue.clone()),
        what: what.to_owned(),
        detail: detail.to_owned(),
    }
}
