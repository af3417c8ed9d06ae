//! Every change through the API: effect, event, audit row and kept answer in one transaction.
//!
//! ```text
//! key seen before? ─ same request: its answer, byte for byte ─ another: 422
//!        │ no
//! effect ─► audit row ─► answer kept ─► commit      a dry run is taken back instead
//! ```
//!
//! A crash leaves all of it or nothing; an audit row that cannot be written takes the effect
//! with it. Handlers change state through [`Call::change`] and in no other way.

use super::call::{Call, Grant};
use super::fault::{Fault, fault};
use super::reply::Reply;
use super::route::Key;
use axum::http::{HeaderValue, header::HeaderName};
use axum::response::{IntoResponse, Response};
use weft_api::problem::{Code, Problem};
use weft_gateway::Also;
use weft_store::{
    Decision, NewAudit, Read, RequestKey, Seen, Store, StoreError, StoredResponse, Write,
};
use weft_types::Timestamp;

/// Tells that an answer is a kept one.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Tells that nothing was changed.
const DRY_RUN: HeaderName = HeaderName::from_static("weft-dry-run");

/// What a transaction is told about who does it.
pub(crate) struct Doing {
    /// Who.
    pub(crate) actor: String,
    /// When.
    pub(crate) now: Timestamp,
    /// More for the audit row, as JSON. Never a secret.
    pub(crate) detail: serde_json::Value,
    /// The resource, where it is known better than before: the id of what was made.
    pub(crate) resource: Option<String>,
}

/// What a change came to.
pub(crate) struct Changed {
    /// The answer.
    pub(crate) response: Response,
    /// Whether the effect was made now: not repeated, not taken back.
    pub(crate) fresh: bool,
}

impl Call {
    /// Makes a change, once per `Idempotency-Key`.
    pub(crate) async fn change<F>(&self, effect: F) -> Result<Changed, Fault>
    where
        F: FnOnce(&mut Write<'_>, &mut Doing) -> Result<Reply, Fault> + Send + 'static,
    {
        let detail = super::guard::what_of_it(self);
        let doing = Doing { actor: self.user().to_owned(), now: self.now, detail, resource: None };
        let (key, grant, dry_run) = (self.key.clone(), self.grant.clone(), self.dry_run);
        let once = self.route.key == Key::Once;
        let done = self
            .app
            .store
            .write(move |w| transaction(w, doing, key.as_ref(), &grant, once, dry_run, effect));
        match done.await {
            Ok((reply, false)) => Ok(Changed { response: reply.into_response(), fresh: true }),
            Ok((reply, true)) => {
                Ok(Changed { response: replayed(reply.into_response()), fresh: false })
            }
            Err(Fault::TakenBack(reply)) => {
                Ok(Changed { response: self.would(*reply), fresh: false })
            }
            Err(fault) => Err(fault),
        }
    }

    /// The kept answer, where this was done before: for effects outside the store, which are
    /// looked up before they are made.
    pub(crate) async fn kept(&self) -> Result<Option<Response>, Fault> {
        let Some(key) = self.key.clone() else { return Ok(None) };
        let (now, once) = (self.now, self.route.key == Key::Once);
        let kept = self.app.store.read(move |r| seen(r, &key, now, once)).await?;
        Ok(kept.map(|reply| replayed(reply.into_response())))
    }

    /// Notes something of this call in the audit log, on its own.
    pub(crate) async fn note(&self, detail: serde_json::Value) -> Result<(), Fault> {
        let doing = Doing { actor: self.user().to_owned(), now: self.now, detail, resource: None };
        note(&self.app.store, row(&self.grant, &doing)).await
    }

    /// The audit row of an effect that has its transaction elsewhere.
    pub(crate) fn audited<T: 'static>(
        &self,
        detail: impl FnOnce(&T) -> serde_json::Value + Send + 'static,
    ) -> Also<T> {
        let (actor, now, grant) = (self.user().to_owned(), self.now, self.grant.clone());
        let mut all = super::guard::what_of_it(self);
        Box::new(move |w, done| {
            if let (Some(all), Some(more)) = (all.as_object_mut(), detail(done).as_object()) {
                all.extend(more.clone());
            }
            let doing = Doing { actor, now, detail: all, resource: None };
            w.append_audit(row(&grant, &doing)).map(drop)
        })
    }

    /// The same, and the answer that is kept.
    pub(crate) fn beside<T: 'static>(
        &self,
        detail: impl FnOnce(&T) -> serde_json::Value + Send + 'static,
        reply: impl FnOnce(&T) -> Result<Reply, Fault> + Send + 'static,
    ) -> Also<T> {
        let (audited, key, now) = (self.audited(detail), self.key.clone(), self.now);
        Box::new(move |w, done| {
            audited(w, done)?;
            let Some(key) = key else { return Ok(()) };
            let reply = reply(done).map_err(|fault| StoreError::Damaged(format!("{fault:?}")))?;
            w.remember_response(&key, &reply.stored(), now)
        })
    }

    /// The answer of a dry run, for effects that are not made to be taken back.
    pub(crate) fn would(&self, reply: Reply) -> Response {
        let mut response = reply.into_response();
        response.headers_mut().insert(DRY_RUN, HeaderValue::from_static("true"));
        response
    }

    /// As [`Call::change`], for effects the planner wants to know of.
    pub(crate) async fn change_and_wake<F>(&self, effect: F) -> Result<Response, Fault>
    where
        F: FnOnce(&mut Write<'_>, &mut Doing) -> Result<Reply, Fault> + Send + 'static,
    {
        let changed = self.change(effect).await?;
        if changed.fresh {
            self.app.control.wake();
        }
        Ok(changed.response)
    }
}

fn replayed(mut response: Response) -> Response {
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

/// The reply, and whether it is a kept one.
fn transaction<F>(
    w: &mut Write<'_>,
    mut doing: Doing,
    key: Option<&RequestKey>,
    grant: &Grant,
    once: bool,
    dry_run: bool,
    effect: F,
) -> Result<(Reply, bool), Fault>
where
    F: FnOnce(&mut Write<'_>, &mut Doing) -> Result<Reply, Fault>,
{
    if let Some(key) = key
        && let Some(reply) = seen(w, key, doing.now, once)?
    {
        return Ok((reply, true));
    }
    let reply = effect(w, &mut doing)?;
    if dry_run {
        return Err(Fault::TakenBack(Box::new(reply)));
    }
    w.append_audit(row(grant, &doing))?;
    if let Some(key) = key {
        let kept = if once {
            StoredResponse { status: reply.status, body: Vec::new() }
        } else {
            reply.stored()
        };
        w.remember_response(key, &kept, doing.now)?;
    }
    Ok((reply, false))
}

fn seen(
    r: &Read<'_>,
    key: &RequestKey,
    now: Timestamp,
    once: bool,
) -> Result<Option<Reply>, Fault> {
    match r.idempotent(key, now)? {
        Seen::Never => Ok(None),
        Seen::Same(_) if once => {
            let detail = "that was done before, and its answer held a secret that is kept nowhere";
            let hint = "if the answer did not arrive, revoke what was made and make another";
            Err(Problem::new(Code::Conflict, detail).hint(hint).into())
        }
        Seen::Same(stored) => Ok(Some(stored.into())),
        Seen::Other => {
            let detail = "this Idempotency-Key came before with another request";
            Err(fault(Code::IdempotencyMismatch, detail))
        }
    }
}

fn row(grant: &Grant, doing: &Doing) -> NewAudit {
    NewAudit {
        at: doing.now,
        actor: doing.actor.clone(),
        verb: grant.verb.to_owned(),
        resource: doing.resource.clone().unwrap_or_else(|| grant.resource.clone()),
        decision: Decision::Allowed,
        policies: grant.policies.clone(),
        detail: doing.detail.to_string(),
    }
}

/// Notes what has no transaction of its own: a denial, a read that is audited, a stream.
pub(crate) async fn note(store: &Store, entry: NewAudit) -> Result<(), Fault> {
    store.write(move |w| -> Result<(), StoreError> { w.append_audit(entry).map(|_| ()) }).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use weft_store::{Role, Store, UserRow};
    use weft_types::UserName;

    fn doing(detail: serde_json::Value) -> Doing {
        Doing { actor: "admin".to_owned(), now: Timestamp(1), detail, resource: None }
    }

    fn make(w: &mut Write<'_>) -> Result<Reply, Fault> {
        let name = UserName::new("ana").map_err(super::super::fault::internal)?;
        let user = UserRow {
            name,
            role: Role::Operator,
            queue: None,
            created_at: Timestamp(1),
            disabled: false,
        };
        w.create_user(&user)?;
        Ok(Reply::nothing())
    }

    /// What cannot be audited does not happen, and its key stays unused.
    #[tokio::test]
    async fn it_fails_closed() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let grant =
            || Grant { verb: "user-create", resource: "x".to_owned(), policies: Vec::new() };
        let key = RequestKey {
            actor: "admin".to_owned(),
            key: "k".to_owned(),
            route: "r".to_owned(),
            fingerprint: [0; 32],
        };
        let too_long = "x".repeat(weft_store::AUDIT_DETAIL_MAX);
        for (detail, works) in [(too_long.as_str(), false), ("", true)] {
            let (detail, key) = (serde_json::json!(detail), key.clone());
            let done = store.write(move |w| {
                let effect = |w: &mut Write<'_>, _: &mut Doing| make(w);
                transaction(w, doing(detail), Some(&key), &grant(), false, false, effect)
            });
            assert_eq!(done.await.is_ok(), works);
            let users = store.read(|r| r.users()).await.unwrap().len();
            let rows = store.read(|r| r.audit(0, 10)).await.unwrap().len();
            assert_eq!((users, rows), if works { (1, 1) } else { (0, 0) });
        }
    }
}
