//! What takes two people: access to a dataset, and what ends data before its days are over.
//!
//! | asked | who says yes | then |
//! |--|--|--|
//! | access | the owner, the team's lead | at once, until a day |
//! | to keep what ended fewer days | the lead, an administrator | after as many days as before |
//! | to end what was removed early | the lead, an administrator | a day later |
//! | that a view is less sensitive | its owner and one more: the lead, an administrator | at once |
//!
//! Nobody says yes to what they asked for, nor an owner to an end of what is theirs; the policy has
//! that, and the table of requests once more. Who asks for access is answered in the same words
//! whether there is such a dataset or not.

use super::super::call::{Call, Subject};
use super::super::clock::now;
use super::super::fault::{Fault, at, fault};
use super::super::guard::of_dataset;
use super::super::reply::{Reply, json};
use super::super::state::App;
use super::super::write::Doing;
use super::sets::{again, check_text};
use axum::response::Response;
use weft_api::problem::{Code, Problem};
use weft_api::wire::{
    ApproveRequest, AskAccess, AskEnd, AskLower, DataGrant, DataKept, DataRequest, KeepDays,
};
use weft_policy::{Principal, Resource, Source, Verb};
use weft_store::{
    Asks, DatasetRow, Decided, GrantRow, NewRequest, Read, RequestRow, StoreError, Write,
};
use weft_types::{DatasetName, Tier, Timestamp, UserName};

/// Milliseconds of a day.
const DAY: u64 = 24 * 3_600_000;
/// How long a request may be decided on: who decides may be on leave.
const OPEN_DAYS: u64 = 14;
/// Between a yes to an early end and the end: whoever sees the request in that time can deny it.
const EARLY_DELAY: u64 = DAY;
/// Access that nobody gave a length: a project's month.
const ACCESS_DAYS: u32 = 30;
/// Longest access: a year, after which somebody looks at it again.
const ACCESS_DAYS_MAX: u32 = 365;
/// Longest that what ended is kept: ten years, as the longest duties to keep records.
const KEEP_DAYS_MAX: u32 = 3_650;
/// People that have access to one dataset at most: more are a team.
const GRANTS_MAX: usize = 100;

/// A request to the policy; none where it may not be told: its dataset is not there, and another
/// asked.
pub(crate) fn to_policy(
    r: &Read<'_>,
    who: &Principal,
    row: &RequestRow,
) -> Result<Option<Resource>, StoreError> {
    let asker = row.new.asker.clone();
    let ends = matches!(row.new.asks, Asks::Keep(_) | Asks::End(_));
    let lowers = matches!(row.new.asks, Asks::Lower(_));
    let dataset = row.new.dataset.map(|id| r.dataset_by_id(id)).transpose()?.flatten();
    let (owner, queue) = match (dataset, &who.queue) {
        (Some(dataset), _) => (dataset.is.owner, dataset.is.queue),
        (None, Some(queue)) if asker == who.user => (asker.clone(), queue.clone()),
        _ => return Ok(None),
    };
    Ok(Some(Resource::Request { owner, queue, asker, ends, lowers }))
}

/// Access to a dataset: all of it to whom may give it, else the caller's own.
pub(super) fn grants(
    r: &Read<'_>,
    app: &App,
    who: &Principal,
    row: &DatasetRow,
) -> Result<Vec<DataGrant>, StoreError> {
    let all = app.decide(who, Verb::DataUpdate, of_dataset(row)).allow;
    let given = r.data_grants(row.id, now())?.into_iter();
    let told = given.filter(|grant| all || grant.user == who.user);
    Ok(told
        .map(|grant| DataGrant {
            user: grant.user.to_string(),
            by: grant.by.to_string(),
            at_ms: grant.at.0,
            until_ms: grant.until.0,
        })
        .collect())
}

/// `GET /data/requests`: what the caller asked, and what is asked of the caller.
pub(crate) async fn list(call: Call) -> Result<Response, Fault> {
    let (app, who, now) = (call.app.clone(), call.who.principal.clone(), call.now);
    let read = move |r: &Read<'_>| -> Result<Vec<DataRequest>, StoreError> {
        let mut seen = Vec::new();
        for row in r.data_requests()? {
            let Some(resource) = to_policy(r, &who, &row)? else { continue };
            let may = |verb| app.decide(&who, verb, resource.clone()).allow;
            if may(Verb::RequestRead) {
                let yours = may(Verb::RequestApprove);
                seen.push(view(&row, yours, now));
            }
        }
        Ok(seen)
    };
    json(&call.app.store.read(read).await?)
}

/// `POST /data/access`.
pub(crate) async fn ask(call: Call) -> Result<Response, Fault> {
    let sent: AskAccess = call.json()?;
    let name = DatasetName::new(sent.dataset.clone());
    let name = name.map_err(|e| at(Code::BadRequest, "dataset", format!("`dataset`: {e}")))?;
    check_why(&sent.why)?;
    let days = within("days", sent.days.unwrap_or(ACCESS_DAYS), ACCESS_DAYS_MAX)?;
    let (app, who) = (call.app.clone(), call.who.principal.clone());
    let asked = call.change(move |w, doing| {
        doing.resource = Some(format!("dataset {name}"));
        doing.detail = serde_json::json!({ "asks": "access", "days": days, "why": sent.why });
        let row = w.dataset(&name)?;
        if let Some(row) = &row {
            let sees = app.decide(&who, Verb::DataInfo, of_dataset(row)).allow;
            let inside = Principal { by: Source::Run, carries: row.is.tier, ..who.clone() };
            let reads = app.decide(&inside, Verb::DataRead, of_dataset(row)).allow;
            if sees && reads {
                let detail = format!("{} may read {name} already", who.user);
                return Err(fault(Code::Conflict, detail));
            }
        }
        let asks = Asks::Access(days);
        let dataset = row.map(|row| row.id);
        let new = NewRequest { dataset, ..new_request(&who, &name, asks, sent.why, doing.now) };
        let request = put(w, &new, doing.now)?;
        Reply::json(202, &view(&request, false, doing.now))
    });
    Ok(asked.await?.response)
}

/// `PUT /datasets/{dataset}/keep`: longer is so at once; shorter is asked for.
pub(crate) async fn keep(call: Call) -> Result<Response, Fault> {
    let sent: KeepDays = call.json()?;
    let days = within("days", sent.days, KEEP_DAYS_MAX)?;
    let (row, who) = (call.dataset()?.clone(), call.who.principal.clone());
    let kept = call.change(move |w, doing| {
        let row = again(w, row.id)?;
        let was = row.keeps.days(doing.now);
        doing.detail["keep_days"] = serde_json::json!(days);
        doing.detail["was"] = serde_json::json!(was);
        if days >= was {
            w.set_keep_days(row.id, days, doing.now)?;
            return Reply::json(200, &DataKept { days, request: None });
        }
        check_why(&sent.why)?;
        doing.detail["why"] = serde_json::json!(sent.why);
        let asks = Asks::Keep(days);
        let new = new_request(&who, &row.is.name, asks, sent.why, doing.now);
        let request = put(w, &NewRequest { dataset: Some(row.id), ..new }, doing.now)?;
        let request = Some(view(&request, false, doing.now));
        Reply::json(202, &DataKept { days: was, request })
    });
    Ok(kept.await?.response)
}

/// `POST /datasets/{dataset}/end`: of one that was removed.
pub(crate) async fn end(call: Call) -> Result<Response, Fault> {
    let row = call.dataset()?.clone();
    ask_end(call, row, None).await
}

/// `POST /datasets/{dataset}/versions/{at}/end`: of one that was removed.
pub(crate) async fn end_version(call: Call) -> Result<Response, Fault> {
    let (row, text) = (call.dataset()?.clone(), call.param("at").to_owned());
    let number = text.strip_prefix('v').unwrap_or(&text).parse::<u32>().ok();
    let id = row.id;
    let removed = call.app.store.read(move |r| r.removed_versions(id)).await?;
    let found = removed.into_iter().map(|(version, _)| version.number).find(|n| Some(*n) == number);
    if found.is_none() {
        let detail = format!("`{}` is no version of {} that was removed", text, row.is.name);
        let hint = "remove it first, by its number, as in `weft data rm claims@v2`";
        return Err(Problem::new(Code::NotFound, detail).hint(hint).field("at").into());
    }
    ask_end(call, row, found).await
}

async fn ask_end(call: Call, row: DatasetRow, version: Option<u32>) -> Result<Response, Fault> {
    let sent: AskEnd = call.json()?;
    check_why(&sent.why)?;
    let who = call.who.principal.clone();
    let asked = call.change(move |w, doing| {
        doing.detail["asks"] = serde_json::json!("end");
        doing.detail["version"] = serde_json::json!(version);
        doing.detail["why"] = serde_json::json!(sent.why);
        let asks = Asks::End(version);
        let new = new_request(&who, &row.is.name, asks, sent.why, doing.now);
        let request = put(w, &NewRequest { dataset: Some(row.id), ..new }, doing.now)?;
        Reply::json(202, &view(&request, false, doing.now))
    });
    Ok(asked.await?.response)
}

/// `POST /datasets/{dataset}/lower`: of a view. It is so once another has agreed, one of both being
/// its owner.
pub(crate) async fn lower(call: Call) -> Result<Response, Fault> {
    let sent: AskLower = call.json()?;
    check_why(&sent.why)?;
    let tier = super::sets::tier(&sent.tier)?;
    let (row, who) = (call.dataset()?.clone(), call.who.principal.clone());
    let asked = call.change(move |w, doing| {
        let row = again(w, row.id)?;
        lowers(&row, tier)?;
        doing.detail["asks"] = serde_json::json!("lower");
        doing.detail["tier"] = serde_json::json!(tier);
        doing.detail["why"] = serde_json::json!(sent.why);
        let asks = Asks::Lower(tier);
        let new = new_request(&who, &row.is.name, asks, sent.why, doing.now);
        let request = put(w, &NewRequest { dataset: Some(row.id), ..new }, doing.now)?;
        Reply::json(202, &view(&request, false, doing.now))
    });
    Ok(asked.await?.response)
}

/// Whether a tier can be asked for.
fn lowers(row: &DatasetRow, tier: Tier) -> Result<(), Fault> {
    let name = &row.is.name;
    let refused = |detail: String, hint: &str| {
        Err(Problem::new(Code::Conflict, detail).hint(hint).field("tier").into())
    };
    if row.view_of.is_none() {
        let hint = "make a view of it: `weft data view NAME --of DATASET`; a view's is lowered";
        return refused(format!("{name} is no view, and no other tier is lowered"), hint);
    }
    if tier >= row.is.tier {
        let hint = "name one below it; one above is set without a request";
        return refused(format!("{name} is {}, and {tier} is not less", row.is.tier), hint);
    }
    Ok(())
}

/// `POST /data/requests/{id}/approve`.
pub(crate) async fn approve(call: Call) -> Result<Response, Fault> {
    let sent: ApproveRequest = match call.body.is_empty() {
        true => ApproveRequest::default(),
        false => call.json()?,
    };
    let days = sent.days.map(|days| within("days", days, ACCESS_DAYS_MAX)).transpose()?;
    let (id, by) = (request(&call)?.id, call.who.principal.user.clone());
    let approved = call.change(move |w, doing| {
        let row = open(w, id, doing.now)?;
        if !matches!(row.new.asks, Asks::Access(_)) && days.is_some() {
            let rule = "days are of access alone: approve what was asked, or deny it";
            return Err(at(Code::BadRequest, "days", rule));
        }
        let due_at = take_effect(w, &row, &by, days, doing.now)?;
        doing.detail = told(&row);
        doing.detail["due_ms"] = serde_json::json!(due_at.0);
        let decided = Decided { approved: true, by, at: doing.now, due_at: Some(due_at) };
        w.decide_request(id, &decided)?;
        if !matches!(row.new.asks, Asks::End(_)) {
            w.request_done(id, doing.now)?;
        }
        Reply::json(200, &view(&open_or_not(w, id)?, false, doing.now))
    });
    Ok(approved.await?.response)
}

/// `POST /data/requests/{id}/deny`: also by who asked, and of a yes that is not done yet.
pub(crate) async fn deny(call: Call) -> Result<Response, Fault> {
    let (id, by) = (request(&call)?.id, call.who.principal.user.clone());
    let denied = call.change(move |w, doing| {
        let row = open_or_not(w, id)?;
        if !matches!(state(&row, doing.now), "asked" | "approved") {
            return Err(not_open(&row, doing.now));
        }
        doing.detail = told(&row);
        let decided = Decided { approved: false, by, at: doing.now, due_at: None };
        w.decide_request(id, &decided)?;
        Reply::json(200, &view(&open_or_not(w, id)?, false, doing.now))
    });
    Ok(denied.await?.response)
}

/// `DELETE /datasets/{dataset}/grants/{user}`: runs that read it read no more of it.
pub(crate) async fn revoke(call: Call) -> Result<Response, Fault> {
    let (row, user) = (call.dataset()?.clone(), call.parsed::<UserName>("user")?);
    let revoked = call.change(move |w, doing| {
        doing.detail["revoked"] = serde_json::json!(user);
        if !w.revoke_grant(row.id, &user)? {
            let detail = format!("{user} was given no access to {}", row.is.name);
            return Err(fault(Code::NotFound, detail));
        }
        Ok(Reply::nothing())
    });
    Ok(revoked.await?.response)
}

/// Says no to every end that was asked of what has just been brought back.
pub(super) fn take_back(
    w: &mut Write<'_>,
    row: &DatasetRow,
    version: Option<u32>,
    doing: &Doing,
) -> Result<(), Fault> {
    let Ok(by) = doing.actor.parse::<UserName>() else { return Ok(()) };
    for asked in w.data_requests_of(row.id)? {
        let its = asked.new.asks == Asks::End(version);
        if its && matches!(state(&asked, doing.now), "asked" | "approved") {
            let (by, at) = (by.clone(), doing.now);
            w.decide_request(asked.id, &Decided { approved: false, by, at, due_at: None })?;
        }
    }
    Ok(())
}

/// What a yes does now; from when on the rest is done.
fn take_effect(
    w: &mut Write<'_>,
    row: &RequestRow,
    by: &UserName,
    days: Option<u32>,
    now: Timestamp,
) -> Result<Timestamp, Fault> {
    let gone = || fault(Code::Conflict, format!("the dataset of request {} is gone", row.id));
    let id = row.new.dataset.ok_or_else(gone)?;
    let dataset = w.dataset_by_id(id)?.ok_or_else(gone)?;
    let after = |days: u32| Timestamp(now.0 + u64::from(days) * DAY);
    match row.new.asks {
        Asks::Access(asked) => {
            let user = row.new.asker.clone();
            let given = w.data_grants(id, now)?;
            if given.len() >= GRANTS_MAX && given.iter().all(|grant| grant.user != user) {
                let detail = format!("{GRANTS_MAX} people have access to {}", row.new.name);
                let hint = "revoke what is not needed, or give the dataset to a team";
                return Err(Problem::new(Code::LimitReached, detail).hint(hint).into());
            }
            let until = after(days.unwrap_or(asked));
            w.grant(id, &GrantRow { user, by: by.clone(), at: now, until })?;
            Ok(now)
        }
        Asks::Keep(days) => {
            older_than(w, by, row)?;
            let was = dataset.keeps.days(now);
            w.set_keep_days(id, days, now)?;
            Ok(after(was))
        }
        Asks::End(_) => {
            older_than(w, by, row)?;
            Ok(Timestamp(now.0 + EARLY_DELAY))
        }
        Asks::Lower(tier) => {
            older_than(w, by, row)?;
            lowers(&dataset, tier)?;
            w.describe_dataset(id, &dataset.is.about, tier)?;
            Ok(now)
        }
    }
}

/// Who was made after it was asked may have been made for it.
fn older_than(w: &Write<'_>, by: &UserName, row: &RequestRow) -> Result<(), Fault> {
    let made = w.user(by)?.map(|user| user.created_at);
    if made.is_none_or(|made| made < row.new.at) {
        return Ok(());
    }
    let detail = format!("{by} was made after request {} was asked", row.id);
    let hint = "somebody confirms it who was there before";
    Err(Problem::new(Code::Forbidden, detail).hint(hint).into())
}

fn new_request(
    who: &Principal,
    name: &DatasetName,
    asks: Asks,
    why: String,
    now: Timestamp,
) -> NewRequest {
    NewRequest {
        dataset: None,
        name: name.clone(),
        asks,
        asker: who.user.clone(),
        why,
        at: now,
        expires_at: Timestamp(now.0 + OPEN_DAYS * DAY),
    }
}

/// Keeps a request; the one that is open, where the same was asked before.
fn put(w: &mut Write<'_>, new: &NewRequest, now: Timestamp) -> Result<RequestRow, Fault> {
    if let Some(row) = w.same_request(new, now)? {
        if row.new.dataset != new.dataset {
            w.request_is_about(row.id, new.dataset)?;
        }
        return Ok(row);
    }
    let id = w.ask(new).map_err(|error| match error {
        StoreError::TooLarge { .. } => Problem::new(Code::LimitReached, error.to_string())
            .hint("wait for an answer, or take some back with `weft data deny`")
            .into(),
        other => Fault::from(other),
    })?;
    open_or_not(w, id)
}

fn open(r: &Read<'_>, id: u64, now: Timestamp) -> Result<RequestRow, Fault> {
    let row = open_or_not(r, id)?;
    match state(&row, now) {
        "asked" => Ok(row),
        _ => Err(not_open(&row, now)),
    }
}

fn open_or_not(r: &Read<'_>, id: u64) -> Result<RequestRow, Fault> {
    let missing = || StoreError::NotFound { what: "request", id: id.to_string() };
    Ok(r.data_request(id)?.ok_or_else(missing)?)
}

fn not_open(row: &RequestRow, now: Timestamp) -> Fault {
    let by = row.decided.as_ref().map(|decided| format!(" by {}", decided.by));
    let detail = format!("request {} is {}{}", row.id, state(row, now), by.unwrap_or_default());
    fault(Code::Conflict, detail)
}

fn request(call: &Call) -> Result<&RequestRow, Fault> {
    match &call.subject {
        Subject::Request(row) => Ok(row),
        _ => Err(super::super::fault::internal("a handler without its request").into()),
    }
}

fn told(row: &RequestRow) -> serde_json::Value {
    let (asks, asker) = (row.new.asks.as_str(), &row.new.asker);
    let mut told =
        serde_json::json!({ "request": row.id, "asks": asks, "asker": asker, "why": row.new.why });
    if let Asks::Lower(tier) = row.new.asks {
        told["tier"] = serde_json::json!(tier);
    }
    told
}

fn state(row: &RequestRow, now: Timestamp) -> &'static str {
    match &row.decided {
        Some(decided) if !decided.approved => "denied",
        Some(_) if row.done_at.is_some() => "done",
        Some(_) => "approved",
        None if row.new.expires_at <= now => "expired",
        None => "asked",
    }
}

fn view(row: &RequestRow, yours: bool, now: Timestamp) -> DataRequest {
    let (days, version) = match row.new.asks {
        Asks::Access(days) | Asks::Keep(days) => (Some(days), None),
        Asks::End(version) => (None, version),
        Asks::Lower(_) => (None, None),
    };
    let tier = match row.new.asks {
        Asks::Lower(tier) => Some(tier.to_string()),
        _ => None,
    };
    let decided = row.decided.as_ref();
    let state = state(row, now);
    DataRequest {
        id: row.id,
        dataset: row.new.name.to_string(),
        asks: row.new.asks.as_str().to_owned(),
        asker: row.new.asker.to_string(),
        why: row.new.why.clone(),
        days,
        version,
        tier,
        state: state.to_owned(),
        asked_at_ms: row.new.at.0,
        expires_at_ms: row.new.expires_at.0,
        decided_by: decided.map(|decided| decided.by.to_string()),
        decided_at_ms: decided.map(|decided| decided.at.0),
        due_at_ms: decided.and_then(|decided| decided.due_at).map(|at| at.0),
        yours: yours && state == "asked",
    }
}

fn check_why(why: &str) -> Result<(), Fault> {
    if why.trim().is_empty() {
        return Err(at(Code::BadRequest, "why", "`why` is empty: say why, for who decides"));
    }
    check_text("why", why)
}

fn within(field: &str, days: u32, most: u32) -> Result<u32, Fault> {
    match (1..=most).contains(&days) {
        true => Ok(days),
        false => Err(at(Code::BadRequest, field, format!("`{field}` is {days}, not 1 to {most}"))),
    }
}
