//! STS: short keys in place of long ones, for clients outside of runs.
//!
//! ```text
//! AWS_WEB_IDENTITY_TOKEN_FILE ─► AssumeRoleWithWebIdentity ─► session key, minutes long
//! ```
//!
//! `POST /` with a form, on the server's one port. The web identity is a token of the platform; a
//! session ends with it, or with the S3 key that it was made with, and is stored nowhere
//! (`keys.rs`). What a request wishes for and is not done is refused: a session with a policy that
//! nobody looks at would be taken for less than it is. Within a run nobody assumes anything: its
//! way to its data is its connection.

use super::fault::internal;
use super::keys::Session;
use super::tags::percent_decoded;
use crate::api::App;
use crate::auth::{self, Caller, Peer, Unknown};
use axum::body::Body as Answer;
use axum::http::{Extensions, HeaderMap, Method, StatusCode, Uri, header};
use axum::response::Response;
use http_body_util::BodyExt as _;
use s3s::route::S3Route;
use s3s::{Body, S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use weft_policy::{Principal, Resource, Scope, Verb};
use weft_store::{Decision, NewAudit};
use weft_types::{Millis, Timestamp};

/// Most bytes of a form: a token, names, and a policy that will be refused.
const FORM_BYTES_MAX: usize = 8 << 10;
/// Shortest and longest life of a session in seconds, S3's least and our most, and what it is
/// without a word: boto3 asks for the next one from a quarter of an hour before the end on.
const LIFE: std::ops::RangeInclusive<u64> = 900..=3_600;
const LIFE_USUAL: u64 = 1_800;
/// Longest name of a session: AWS's limit.
const NAME_MAX: usize = 64;
const SPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// Whether a request is STS's.
pub(super) fn is_for(method: &Method, uri: &Uri, headers: &HeaderMap) -> bool {
    let media = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_form = media.is_some_and(|media| {
        let media = media.split(';').next().unwrap_or("").trim();
        media.eq_ignore_ascii_case("application/x-www-form-urlencoded")
    });
    *method == Method::POST && uri.path() == "/" && uri.query().is_none() && is_form
}

/// An error in STS's XML in place of S3's.
pub(super) async fn in_its_words(response: Response) -> Response {
    if response.status().is_success() {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let limited = http_body_util::Limited::new(body, FORM_BYTES_MAX).collect().await;
    let bytes = limited.map(|all| all.to_bytes()).unwrap_or_default();
    let begin = format!("<ErrorResponse xmlns=\"{SPACE}\"><Error><Type>Sender</Type>");
    let text = String::from_utf8_lossy(&bytes).replacen("<Error>", &begin, 1);
    let text = text.replacen("</Error>", "</Error></ErrorResponse>", 1);
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Answer::from(text))
}

/// The operations.
pub(super) struct Sts {
    app: App,
}

/// What was sent: each name once.
struct Form(BTreeMap<String, String>);

impl Form {
    fn read(bytes: &[u8]) -> Option<Self> {
        let mut all = BTreeMap::new();
        for pair in std::str::from_utf8(bytes).ok()?.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let decoded = |text: &str| percent_decoded(&text.replace('+', " "));
            if all.insert(decoded(name)?, decoded(value)?).is_some() {
                return None;
            }
        }
        Some(Self(all))
    }

    fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// Nothing is wished for beside these.
    fn only(&self, names: &[&str]) -> S3Result<()> {
        let known = |name: &str| names.contains(&name) || matches!(name, "Action" | "Version");
        match self.0.iter().find(|(name, value)| !known(name) && !value.is_empty()) {
            Some((name, _)) => Err(invalid(&format!(
                "{name} is not heeded, so it is refused: a session may what its role says, read or \
                 write, and what the policy of the platform lets its user"
            ))),
            None => Ok(()),
        }
    }

    fn until(&self, now: Timestamp) -> S3Result<Timestamp> {
        let seconds = match self.get("DurationSeconds") {
            "" => Some(LIFE_USUAL),
            text => text.parse().ok().filter(|seconds| LIFE.contains(seconds)),
        };
        let (least, most) = (LIFE.start(), LIFE.end());
        let odd = || invalid(&format!("DurationSeconds is a number from {least} to {most}"));
        seconds.map(|seconds| now.after(Millis::from_secs(seconds))).ok_or_else(odd)
    }
}

fn invalid(text: &str) -> S3Error {
    of_code("ValidationError", StatusCode::BAD_REQUEST, text)
}

fn of_code(code: &str, status: StatusCode, text: &str) -> S3Error {
    let mut error = S3Error::with_message(S3ErrorCode::Custom(code.into()), text.to_owned());
    error.set_status_code(status);
    error
}

#[async_trait::async_trait]
impl S3Route for Sts {
    fn is_match(&self, method: &Method, uri: &Uri, head: &HeaderMap, _: &mut Extensions) -> bool {
        is_for(method, uri, head)
    }

    /// Each operation looks at who asks: one is there for who has no signature yet.
    async fn check_access(&self, _: &mut S3Request<Body>) -> S3Result<()> {
        Ok(())
    }

    async fn call(&self, mut request: S3Request<Body>) -> S3Result<S3Response<Body>> {
        let bytes = request.input.store_all_limited(FORM_BYTES_MAX).await;
        let odd = || invalid("the body is no form, names something twice, or is too long");
        let form = Form::read(&bytes.map_err(|_| odd())?).ok_or_else(odd)?;
        let now = weft_agent::now();
        let text = match form.get("Action") {
            "AssumeRoleWithWebIdentity" => self.assume(&request, &form, now).await?,
            "GetSessionToken" => self.session(&request, &form, now).await?,
            "GetCallerIdentity" => self.identity(&request, now).await?,
            other => {
                let text = format!("`{other}` is not offered");
                return Err(of_code("InvalidAction", StatusCode::BAD_REQUEST, &text));
            }
        };
        let mut response = S3Response::new(Body::from(text));
        let xml = axum::http::HeaderValue::from_static("text/xml");
        response.headers.insert(header::CONTENT_TYPE, xml);
        let never = axum::http::HeaderValue::from_static("no-store");
        response.headers.insert(header::CACHE_CONTROL, never);
        Ok(response)
    }
}

impl Sts {
    pub(super) fn new(app: App) -> Self {
        Self { app }
    }

    /// `AssumeRoleWithWebIdentity`: for a token of the platform, a session that reads, or writes.
    async fn assume(
        &self,
        request: &S3Request<Body>,
        form: &Form,
        now: Timestamp,
    ) -> S3Result<String> {
        if let Some(Peer::Run { .. }) = request.extensions.get::<Peer>() {
            return Err(s3_error!(AccessDenied, "within a run its own key is good, and no other"));
        }
        form.only(&["RoleArn", "RoleSessionName", "WebIdentityToken", "DurationSeconds"])?;
        let scope = match form.get("RoleArn").split_once(":role/") {
            Some((arn, "read")) if arn.starts_with("arn:") => Scope::Read,
            Some((arn, "write")) if arn.starts_with("arn:") => Scope::Write,
            _ => {
                return Err(invalid(
                    "RoleArn is arn:aws:iam::000000000000:role/read, or role/write",
                ));
            }
        };
        let (name, until) = (form.get("RoleSessionName"), form.until(now)?);
        let is_of_name = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
        if !(2..=NAME_MAX).contains(&name.len()) || !name.chars().all(is_of_name) {
            return Err(invalid("RoleSessionName has 2 to 64 letters, digits and _+=,.@-"));
        }
        // Clients send the token's file as it is, the end of its line with it.
        let token = form.get("WebIdentityToken").trim_end();
        let caller = auth::of_token(&self.app.store, token, now).await;
        let caller = caller.map_err(|unknown| match unknown {
            Unknown::Store(error) => internal(&error),
            Unknown::Refused { .. } => of_code(
                "InvalidIdentityToken",
                StatusCode::BAD_REQUEST,
                "the web identity is a token of `weft admin token create` that is not revoked and \
                 has not ended",
            ),
        })?;
        let session = self.begin(&caller, (scope, until), name, now).await?;
        let user = &caller.principal.user;
        let role = scope.as_str();
        Ok(answer(
            "AssumeRoleWithWebIdentity",
            &format!(
                "<SubjectFromWebIdentityToken>{user}</SubjectFromWebIdentityToken>\
                 <Audience>weft</Audience><Provider>weft</Provider><AssumedRoleUser>\
                 <Arn>arn:aws:sts::000000000000:assumed-role/{role}/{name}</Arn>\
                 <AssumedRoleId>{user}:{name}</AssumedRoleId></AssumedRoleUser>{}",
                self.credentials(&session)
            ),
        ))
    }

    /// `GetSessionToken`: for an S3 key, a session that may what it may.
    async fn session(
        &self,
        request: &S3Request<Body>,
        form: &Form,
        now: Timestamp,
    ) -> S3Result<String> {
        form.only(&["DurationSeconds"])?;
        let caller = self.signer(request, now).await?;
        let key = caller.token.as_deref().unwrap_or_default();
        if caller.run.is_some() || Session::read(key).is_some() {
            return Err(s3_error!(AccessDenied, "a session is made with a key that is none"));
        }
        let wanted = (caller.principal.scope, form.until(now)?);
        let session = self.begin(&caller, wanted, "", now).await?;
        Ok(answer("GetSessionToken", &self.credentials(&session)))
    }

    /// `GetCallerIdentity`: whose the signature is.
    async fn identity(&self, request: &S3Request<Body>, now: Timestamp) -> S3Result<String> {
        let caller = self.signer(request, now).await?;
        let (user, scope) = (&caller.principal.user, caller.principal.scope.as_str());
        let key = caller.token.as_deref().unwrap_or_default();
        let arn = match (&caller.run, Session::read(key)) {
            (Some(_), _) => {
                format!("sts::000000000000:assumed-role/{}/{user}", key.replace(' ', "-"))
            }
            (None, Some(_)) => format!("sts::000000000000:assumed-role/{scope}/{user}"),
            (None, None) => format!("iam::000000000000:user/{user}"),
        };
        Ok(answer(
            "GetCallerIdentity",
            &format!(
                "<Arn>arn:aws:{arn}</Arn><UserId>{user}</UserId><Account>000000000000</Account>"
            ),
        ))
    }

    /// Who signed, of this service.
    async fn signer(&self, request: &S3Request<Body>, now: Timestamp) -> S3Result<Caller> {
        let Some(signed) =
            request.credentials.as_ref().filter(|_| request.service.as_deref() == Some("sts"))
        else {
            return Err(s3_error!(AccessDenied, "requests must be signed, for the service `sts`"));
        };
        let peer = request.extensions.get::<Peer>().copied();
        let asked = (&request.headers, "");
        super::keys::has_its_token(&self.app.data, &signed.access_key, asked)?;
        self.app.signer(peer, &signed.access_key, now).await
    }

    /// A session of who asks, on the audit log.
    async fn begin(
        &self,
        caller: &Caller,
        (scope, until): (Scope, Timestamp),
        name: &str,
        now: Timestamp,
    ) -> S3Result<Session> {
        let who = &caller.principal;
        if scope > who.scope {
            let text = "a token of scope read makes no session that writes: assume role/read";
            return Err(s3_error!(AccessDenied, "{text}"));
        }
        let may = self.app.decide(who, Verb::DataList, Resource::Pool);
        if !may.allow {
            return Err(super::fault::denied(who, Verb::DataList, &may));
        }
        let parent = caller.token.clone().unwrap_or_default();
        let session = Session::new(parent.clone(), scope, until).map_err(|e| internal(&e))?;
        let row = NewAudit {
            at: now,
            actor: who.user.to_string(),
            verb: Verb::TokenCreate.to_string(),
            resource: format!("session {session}"),
            decision: Decision::Allowed,
            policies: may.policies.to_vec(),
            detail: serde_json::json!({
                "user": who.user, "token": parent, "scope": scope.as_str(), "name": name,
                "expires_at_ms": session.until.0, "for": "s3", "by": "sts",
            })
            .to_string(),
        };
        let noted = self.app.store.write(move |w| w.append_audit(row).map(drop)).await;
        noted.map_err(|e| super::fault::of_store(&e))?;
        Ok(session)
    }

    fn credentials(&self, session: &Session) -> String {
        let mut out = format!("<Credentials><AccessKeyId>{session}</AccessKeyId>");
        // Writing to a string cannot fail.
        let _ = write!(
            out,
            "<SecretAccessKey>{}</SecretAccessKey><SessionToken>{}</SessionToken>\
             <Expiration>{}</Expiration></Credentials>",
            *session.secret(&self.app.data),
            *session.token(&self.app.data),
            super::inside::end(session.until)
        );
        out
    }
}

fn answer(action: &str, result: &str) -> String {
    format!(
        "<{action}Response xmlns=\"{SPACE}\"><{action}Result>{result}</{action}Result>\
         <ResponseMetadata/></{action}Response>"
    )
}

impl App {
    /// Whose a key is that is none of a run's: a session's or one that was made for days.
    pub(super) async fn person(&self, key: &str, now: Timestamp) -> S3Result<Option<Principal>> {
        let session = Session::read(key);
        if session.as_ref().is_some_and(|session| session.until <= now) {
            return Err(s3_error!(ExpiredToken, "the session has ended: fetch the next one"));
        }
        let by = session.as_ref().map_or(key, |session| &session.parent);
        let who = auth::still(&self.store, by, now).await.map_err(|e| internal(&e))?;
        Ok(who.map(|who| match &session {
            Some(session) => Principal { scope: who.scope.min(session.scope), ..who },
            None => who,
        }))
    }
}
