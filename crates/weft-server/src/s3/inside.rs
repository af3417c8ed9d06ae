//! The front within a run: what its programs say in S3's words, or in MLflow's (`tracking/`), over
//! its supervisor's connections.
//!
//! ```text
//! program ─► port of the sandbox ─► supervisor ─► socket for runs ─► here ─► enter.rs
//! ```
//!
//! Nothing but these is behind that socket: no route of the API, and no key or token of a person.
//! Programs fetch a key, as they would of Amazon's machines, and sign with it. The key is no
//! credential by itself (the connection is): it keeps what can merely be talked into fetching an
//! address from reading with the run's rights, and it is what stock clients know how to do.

use super::door::{Front, kept_out, peer, refused};
use super::fault::internal;
use super::keys::RunKey;
use super::tags::percent_decoded;
use crate::api::App;
use crate::auth::run::Declared;
use crate::auth::{self, Caller, Peer, Unknown};
use crate::tracking;
use crate::views::sample;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{Method, header};
use axum::response::{IntoResponse, Response};
use s3s::{S3ErrorCode, S3Result, s3_error};
use serde_json::json;
use weft_runtime::{KEYS_PATH, MemberKey};
use weft_store::{At, DatasetRow};
use weft_types::Timestamp;

/// Everything that runs' programs are answered: what they track, and the rest as S3.
pub(crate) fn inside(app: App) -> Router {
    let tracked = tracking::routes(app.clone());
    Router::new().fallback(serve).with_state(Front::new(app)).merge(tracked)
}

async fn serve(State(front): State<Front>, request: Request) -> Response {
    let request = match front.clone().answer(request).await {
        Ok(response) => return response,
        Err(unsigned) => unsigned,
    };
    let is_for_a_key = request.method() == Method::GET && request.uri().path() == KEYS_PATH;
    let (parts, _) = request.into_parts();
    match peer(&front.app, &parts) {
        Err(response) => *response,
        Ok(Peer::Run { key, pid }) if is_for_a_key => a_key(&front.app, (key, pid)).await,
        Ok(peer) => {
            let response = refused(S3ErrorCode::AccessDenied, "requests must be signed");
            kept_out(&front, (Some(peer), parts.uri.path()), response).await
        }
    }
}

/// A key, in the form in which containers of Amazon's get theirs.
async fn a_key(app: &App, run: (MemberKey, i32)) -> Response {
    match auth::run::of(&app.store, &app.runtime, run).await {
        Ok(_) => {}
        Err(Unknown::Refused { .. }) => {
            return refused(S3ErrorCode::AccessDenied, "the run is over");
        }
        Err(Unknown::Store(error)) => {
            tracing::error!(%error, "a run got no key");
            return refused(S3ErrorCode::InternalError, "the server failed");
        }
    }
    let key = RunKey::of(run.0, weft_agent::now());
    let body = json!({
        "AccessKeyId": key.to_string(),
        "SecretAccessKey": *key.secret(&app.data),
        // Clients want one. Which run it is for, the key itself says.
        "Token": run.0.to_string(),
        "Expiration": end(key.until),
    });
    ([(header::CACHE_CONTROL, "no-store")], axum::Json(body)).into_response()
}

/// As clients read it: `2026-11-23T20:15:11Z`.
pub(super) fn end(of: Timestamp) -> String {
    let seconds = i64::try_from(of.0 / 1_000).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX).to_string()
}

/// Whether a request is for another version of an object than the one that its bucket is, or for
/// what versions there are. A run reads the version that it declared, and knows of no other.
pub(super) fn is_of_other_versions(operation: &str, query: &str) -> bool {
    let mut names =
        query.split('&').map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name));
    let is_version = |name: &str| percent_decoded(name).is_some_and(|name| name == "versionId");
    operation == "ListObjectVersions" || names.any(is_version)
}

impl App {
    /// Who signed a request with this key, and on which way it came. A person's key is good on the
    /// port, a run's on that run's connections.
    pub(super) async fn signer(
        &self,
        peer: Option<Peer>,
        key: &str,
        now: Timestamp,
    ) -> S3Result<Caller> {
        match (peer, RunKey::read(key)) {
            (Some(Peer::Run { key: run, pid }), Some(own)) if own.run == run => {
                if own.until <= now {
                    return Err(s3_error!(ExpiredToken, "the key has ended: fetch the next one"));
                }
                let caller = auth::run::of(&self.store, &self.runtime, (run, pid)).await;
                caller.map_err(|unknown| match unknown {
                    Unknown::Store(error) => internal(&error),
                    Unknown::Refused { .. } => s3_error!(AccessDenied, "the run is over"),
                })
            }
            (Some(Peer::Run { .. }), _) => Err(s3_error!(
                AccessDenied,
                "within a run its own key is good, and no other: take away what sets one"
            )),
            (_, Some(_)) => {
                Err(s3_error!(AccessDenied, "the key of a run is good within that run alone"))
            }
            (_, None) => {
                let principal = self.person(key, now).await?.ok_or_else(|| {
                    s3_error!(InvalidAccessKeyId, "there is no such key, or it has ended")
                })?;
                Ok(Caller { principal, token: Some(key.to_owned()), run: None })
            }
        }
    }

    /// The version that a bucket is to a run: of those that it declared, by number, by another
    /// name of the same one, or by the dataset's name alone where one is declared.
    pub(super) async fn declared(
        &self,
        run: &Declared,
        bucket: &str,
    ) -> S3Result<Option<(DatasetRow, At)>> {
        let name = bucket.split_once('.').map_or(bucket, |(name, _)| name);
        let mut all = Vec::new();
        for (dataset, version) in run.versions().filter(|(dataset, _)| *dataset == name) {
            let Some((row, at)) = self.bucket(&format!("{dataset}.{version}")).await? else {
                continue;
            };
            all.push((at, self.part(run, row, at, version).await?));
        }
        if name == bucket {
            return Ok(all.pop().filter(|_| all.is_empty()).and_then(|(_, found)| found));
        }
        let Some((_, at)) = self.bucket(bucket).await? else { return Ok(None) };
        Ok(all.into_iter().find(|(declared, _)| *declared == at).and_then(|(_, found)| found))
    }

    /// What a run reads of a version that it declared: all of it, or its sample.
    async fn part(
        &self,
        run: &Declared,
        row: DatasetRow,
        at: At,
        version: &str,
    ) -> S3Result<Option<(DatasetRow, At)>> {
        let part = run.part(row.is.name.as_str(), version).map_err(|e| internal(&e))?;
        let Some(part) = part else { return Ok(Some((row, at))) };
        let number = version.strip_prefix('v').and_then(|text| text.parse().ok()).unwrap_or(0);
        let read = move |r: &weft_store::Read<'_>| sample::instead(r, &row, number, part);
        self.store.glance(read).await.map_err(|e| internal(&e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_is_told_however_it_is_asked_for() {
        for (operation, query) in [
            ("ListObjectVersions", "versions"),
            ("GetObject", "versionId=3"),
            ("GetObject", "x=1&versionId=3"),
            ("HeadObject", "version%49d=3"),
            ("GetObjectTagging", "tagging&versionId"),
        ] {
            assert!(is_of_other_versions(operation, query), "{operation} {query}");
        }
        for query in ["", "list-type=2&prefix=versionId%3D", "x-id=GetObject"] {
            assert!(!is_of_other_versions("GetObject", query), "{query}");
        }
    }

    #[test]
    fn the_end_of_a_key_is_a_moment_that_clients_read() {
        assert_eq!(end(Timestamp(1_795_465_911_000)), "2026-11-23T20:31:51Z");
    }
}
