//! Objects of a dataset: a page of them, one of them, put, deleted.

use super::super::call::Call;
use super::super::fault::{Fault, at, internal, quoted};
use super::super::guard::{again, of_dataset, unseen};
use super::super::page;
use super::super::reply::{Reply, json};
use super::super::state::App;
use super::body::{Incoming, range};
use super::moment::moment;
use super::outgoing::outgoing;
use super::refused;
use crate::reads::Read;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;
use weft_api::problem::{Code, Problem};
use weft_api::wire::{
    ColumnProfile, DataObject, MODIFIED, ORIGIN, ObjectPage, ObjectPut, PROFILE, TableProfile,
};
use weft_gateway::{Listed, Object, Put};
use weft_policy::{Principal, Verb};
use weft_store::{DatasetRow, Expected, Listing, ObjectEntry, PATH_MAX};
use weft_types::Tier;

/// Largest object: S3's.
pub(crate) const OBJECT_BYTES_MAX: u64 = 5 << 40;

/// Which objects.
#[derive(Debug, Default, Deserialize, IntoParams)]
pub(crate) struct ListQuery {
    /// As it was at this version: `v3`, a version's name, a day; absent: as it is.
    at: Option<String>,
    /// Whose path begins so.
    prefix: Option<String>,
    /// What stands behind the prefix up to the first of this is one entry: `/` for folders.
    delimiter: Option<String>,
    /// `true`: with what was said of each when it was put.
    notes: Option<bool>,
    /// At most this many, 1 to 1000.
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// Of which moment.
#[derive(Debug, Default, Deserialize, IntoParams)]
pub(crate) struct AtQuery {
    /// As it was at this version: `v3`, a version's name, a day; absent: as it is.
    pub(super) at: Option<String>,
}

/// `GET /datasets/{dataset}/objects`.
pub(crate) async fn list(call: Call) -> Result<Response, Fault> {
    let query: ListQuery = call.query()?;
    let row = call.dataset()?.clone();
    let (at, _) = moment(&call, query.at).await?;
    let listing = Listing {
        prefix: query.prefix.unwrap_or_default(),
        delimiter: query.delimiter,
        after: page::after::<String>(query.cursor.as_deref())?.unwrap_or_default(),
        limit: page::limit(query.limit)?,
    };
    let with_notes = query.notes.unwrap_or(false);
    let told = is_told(&call.app, &call.who.principal, &row);
    let page = call.app.data.list(&row, at, listing, with_notes).await.map_err(refused)?;
    json(&ObjectPage {
        items: page.entries.into_iter().map(|listed| view(listed, row.is.tier, told)).collect(),
        prefixes: page.prefixes,
        next: page.next.map(page::cursor),
    })
}

/// `GET /datasets/{dataset}/objects/{*path}`: its bytes, or a range of them.
pub(crate) async fn read(call: Call) -> Result<Response, Fault> {
    let query: AtQuery = call.query()?;
    let (row, path) = (call.dataset()?.clone(), path(&call)?);
    let (at, _) = moment(&call, query.at).await?;
    let object = call.app.data.object(&row, &path, at).await.map_err(refused)?;
    let Some(object) = object else { return Err(none(&row, &path)) };
    let tag = format!("\"{}\"", tag(&object.entry));
    if let Some(wanted) = call.headers.get(header::IF_MATCH)
        && wanted != "*"
        && wanted != tag.as_str()
    {
        let detail = format!("{} is another one by now", quoted(&path));
        let hint = "list it again, then begin anew";
        return Err(Problem::new(Code::PreconditionFailed, detail).hint(hint).into());
    }
    let length = object.entry.bytes.0;
    let asked = match range(&call.headers, length) {
        Ok(asked) => asked,
        Err(()) => return Ok(unsatisfiable(length)),
    };
    let sent = asked.clone().unwrap_or(0..length);
    call.app.reads.note(noted(&call, &row, &object, sent.end - sent.start)).await?;
    let mut headers = as_bytes(&tag, sent.end - sent.start)?;
    if let Some(modified) = object.notes.get(MODIFIED).and_then(|text| text.parse().ok()) {
        headers.insert(HeaderName::from_static(MODIFIED), modified);
    }
    let status = match &asked {
        None => StatusCode::OK,
        Some(range) => {
            let text = format!("bytes {}-{}/{length}", range.start, range.end - 1);
            headers.insert(header::CONTENT_RANGE, text.parse().map_err(internal)?);
            StatusCode::PARTIAL_CONTENT
        }
    };
    let sent = outgoing(object, sent, None).await.map_err(refused)?;
    Ok((status, headers, Body::from_stream(sent.stream())).into_response())
}

/// A read as it stands on the audit log.
pub(super) fn noted(call: &Call, row: &DatasetRow, object: &Object, bytes: u64) -> Read {
    Read {
        actor: call.user().to_owned(),
        token: call.who.token.clone(),
        dataset: row.is.name.to_string(),
        queue: row.is.queue.to_string(),
        by_run: call.who.principal.by == weft_policy::Source::Run,
        tier: row.is.tier,
        path: object.entry.path.clone(),
        change: object.entry.since,
        bytes,
        policies: call.grant.policies.clone(),
        at: call.now,
    }
}

/// Bytes, never something that a browser renders.
fn as_bytes(tag: &str, length: u64) -> Result<HeaderMap, Fault> {
    let mut headers = HeaderMap::new();
    let mut put = |name, value: &str| -> Result<(), Fault> {
        headers.insert(name, HeaderValue::from_str(value).map_err(internal)?);
        Ok(())
    };
    put(header::CONTENT_TYPE, "application/octet-stream")?;
    put(header::CONTENT_LENGTH, &length.to_string())?;
    put(header::CONTENT_DISPOSITION, "attachment")?;
    put(header::CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'")?;
    put(header::ACCEPT_RANGES, "bytes")?;
    put(header::ETAG, tag)?;
    Ok(headers)
}

fn unsatisfiable(length: u64) -> Response {
    let range = [(header::CONTENT_RANGE, format!("bytes */{length}"))];
    (StatusCode::RANGE_NOT_SATISFIABLE, range).into_response()
}

/// `PUT /datasets/{dataset}/objects/{*path}`: 201, with `If-Match` and `If-None-Match: *`.
pub(crate) async fn put(call: Call) -> Result<Response, Fault> {
    let (row, path, expected) = (call.dataset()?.clone(), path(&call)?, expected(&call)?);
    let modified = modified(&call)?;
    let (incoming, body) = Incoming::of(&call, OBJECT_BYTES_MAX, &path)?;
    let staged = call.app.data.stage(&row, body).await;
    let staged = staged.map_err(|error| incoming.fault().unwrap_or_else(|| refused(error)))?;
    let notes = incoming.content().notes(&call.app.data, &staged, row.is.tier).await;
    let mut notes = notes.map_err(internal)?;
    notes.extend(modified.map(|modified| (MODIFIED.to_owned(), modified)));
    // The body took its time: what let it begin may have ended, and history is told as it was made.
    let call = again(call).await?;
    if call.dataset()?.id != row.id {
        return Err(unseen(&call, Verb::DataWrite));
    }
    let also = call.audited(|put: &Put| serde_json::json!({ "bytes": put.bytes }));
    let put = call.app.data.commit(&row, &path, staged, notes, expected, also, call.now);
    let put = put.await.map_err(refused)?.ok_or_else(|| changed(&path))?;
    let tag = hex::encode(&put.tag);
    let put = ObjectPut { path, bytes: put.bytes.0, new_bytes: put.new.0, tag };
    Ok(Reply::json(201, &put)?.into_response())
}

/// `DELETE /datasets/{dataset}/objects/{*path}`: what is not there is gone as well.
pub(crate) async fn delete(call: Call) -> Result<Response, Fault> {
    let (id, path, expected) = (call.dataset()?.id, path(&call)?, expected(&call)?);
    let deleted = call.change(move |w, doing| {
        let deleted = w.delete_object(id, &path, &expected, doing.now)?;
        let change = deleted.ok_or_else(|| changed(&path))?;
        doing.detail["change"] = serde_json::json!(change);
        Ok(Reply::nothing())
    });
    Ok(deleted.await?.response)
}

/// The path of an object: any text that S3 takes for one.
fn path(call: &Call) -> Result<String, Fault> {
    let path = call.param("path");
    legal(path).map(|()| path.to_owned())
}

/// Whether an object may be there.
pub(super) fn legal(path: &str) -> Result<(), Fault> {
    match path.len() {
        1..=PATH_MAX if !path.contains('\0') => Ok(()),
        length => {
            let rule = format!("is {length} bytes, at most {PATH_MAX}, and none of them NUL");
            Err(at(Code::BadRequest, "path", rule))
        }
    }
}

/// What must be so, by `If-Match: "<tag>"` and `If-None-Match: *`.
fn expected(call: &Call) -> Result<Expected, Fault> {
    let text = |name| call.headers.get(&name).map(|value| value.to_str().unwrap_or("").trim());
    match (text(header::IF_MATCH), text(header::IF_NONE_MATCH)) {
        (None, None) => Ok(Expected::Anything),
        (Some("*"), None) => Ok(Expected::Present),
        (None, Some("*")) => Ok(Expected::Absent),
        (Some(tag), None) => {
            let tag = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
            // Behind it, of one that was put in parts, stands how many.
            let hex = tag.map(|tag| tag.split_once('-').map_or(tag, |(tag, _)| tag));
            let bytes = hex.and_then(|hex| hex::decode(hex).ok());
            let rule = "must be one ETag as it was given, or `*`";
            bytes.map(Expected::Tag).ok_or_else(|| at(Code::BadRequest, "If-Match", rule))
        }
        _ => {
            let rule = "must be `*`, without If-Match";
            Err(at(Code::BadRequest, "If-None-Match", rule))
        }
    }
}

/// When the file was last changed, as the sender says: a number, since it comes back as one.
fn modified(call: &Call) -> Result<Option<String>, Fault> {
    let Some(value) = call.headers.get(MODIFIED) else { return Ok(None) };
    let number = value.to_str().ok().and_then(|text| text.parse::<i128>().ok());
    let rule = "must be nanoseconds since 1970";
    number.map(|ns| Some(ns.to_string())).ok_or_else(|| at(Code::BadRequest, MODIFIED, rule))
}

/// Whether somebody is told what is said of objects, their columns and their content's hash: that
/// is data, so it takes what it takes to read them.
pub(super) fn is_told(app: &App, who: &Principal, row: &DatasetRow) -> bool {
    app.decide(who, Verb::DataRead, of_dataset(row)).allow
}

/// An object as lists show it; to whom is not told what is said of it, only when its file was last
/// changed, by which `weft data put` knows what is there.
pub(super) fn view(listed: Listed, tier: Tier, told: bool) -> DataObject {
    let mut notes = listed.notes.unwrap_or_default();
    // Where it came from is told apart, to whom may know the source (`imports.rs`).
    notes.retain(|name, _| told && name != ORIGIN || name == MODIFIED);
    let profile = notes.remove(PROFILE).and_then(|json| serde_json::from_str(&json).ok());
    // The tier may have been raised since: ranges are data.
    let hidden = |mut profile: TableProfile| {
        profile.columns.iter_mut().for_each(ColumnProfile::forget_values);
        profile
    };
    let profile = if tier >= Tier::Confidential { profile.map(hidden) } else { profile };
    DataObject {
        tag: tag(&listed.entry),
        path: listed.entry.path,
        bytes: listed.entry.bytes.0,
        at_ms: listed.entry.at.0,
        notes,
        profile,
    }
}

/// An object's tag in words; of one that was put in parts, how many stands behind it.
fn tag(entry: &ObjectEntry) -> String {
    let parts = entry.parts.map(|parts| format!("-{parts}"));
    hex::encode(&entry.tag) + &parts.unwrap_or_default()
}

pub(super) fn none(row: &DatasetRow, path: &str) -> Fault {
    let detail = format!("there is no object `{}` in {}", quoted(path), row.is.name);
    let hint = format!("`weft data ls {}` shows what is there", row.is.name);
    Problem::new(Code::NotFound, detail).hint(hint).field("path").into()
}

fn changed(path: &str) -> Fault {
    let detail = format!("{} is not as If-Match or If-None-Match say", quoted(path));
    Problem::new(Code::PreconditionFailed, detail).hint("list it again, then decide anew").into()
}
