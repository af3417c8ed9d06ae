//! One row of the table of routes: what a route is, said in one place.
//!
//! `table.rs` lists them, `dispatch.rs` serves them, `openapi.rs` describes them. A handler can
//! only be reached through a row, and a row cannot be made without saying what it needs.

use super::call::Call;
use super::fault::Fault;
use axum::http::Method;
use axum::response::Response;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, ToSchema};
use weft_policy::{Resource, Verb};

/// Largest JSON body: a spec of the largest legal size, and its frame.
pub(crate) const JSON_MAX: usize = 512 * 1024;
/// How long a route may take unless it says otherwise: a full disk or a stuck mount shows as an
/// error, not as a client that hangs.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// What a handler answers.
pub(crate) type Answer = Result<Response, Fault>;

/// What a route does with a request that was let in.
pub(crate) type Handler =
    Box<dyn Fn(Call) -> Pin<Box<dyn Future<Output = Answer> + Send>> + Send + Sync>;

/// What a route needs.
#[derive(Clone, Copy)]
pub(crate) enum Access {
    /// Nothing: anyone may ask. The list of these is committed in a test.
    Open,
    /// A recognised caller whom the policy lets do this verb to what the guard finds.
    Needs(Verb, Guard),
    /// As above, where the verb depends on what is asked; it is one of these.
    Chooses(&'static [Verb], fn(&Call) -> Result<(Verb, Resource), Fault>),
}

/// How the resource of a request is found.
#[derive(Clone, Copy)]
pub(crate) enum Guard {
    /// What belongs to nobody.
    Pool,
    /// The workload that `{id}` names; one the caller may not see is not found.
    Workload,
    /// The token that `{id}` names.
    Token,
    /// The dataset that `{dataset}` names; one the caller may not see is not found.
    Dataset,
    /// The team of the source that `{source}` names; one the caller may not see is not found.
    Source,
    /// The dataset of that name that was removed last and can be brought back.
    Removed,
    /// The request that `{id}` names; one the caller may not see is not found.
    Request,
    /// What path, query and body say, without the store.
    Asked(fn(&Call) -> Result<Resource, Fault>),
}

/// Whether a mutation carries an `Idempotency-Key`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    /// It changes nothing, or is the same however often it is done; or a stream, which cannot
    /// be repeated.
    None,
    /// It must; the stored answer is repeated byte for byte.
    Needed,
    /// It must; the answer holds a secret, so it is not kept, and a repetition is refused.
    Once,
}

/// What the body is.
#[derive(Clone, Copy)]
pub(crate) enum Takes {
    /// There is none.
    Nothing,
    /// JSON, read wholly before the decision.
    Json(Described),
    /// JSON, or nothing at all for the defaults.
    MaybeJson(Described),
    /// Bytes, streamed by the handler, at most this many.
    Bytes(u64),
}

/// What a success answers with.
#[derive(Clone, Copy)]
pub(crate) enum Gives {
    /// An empty body.
    Nothing,
    /// JSON.
    Json(Described),
    /// A page of these.
    Page(Described),
    /// A list of these.
    List(Described),
    /// Bytes of this media type.
    Bytes(&'static str),
    /// Server-sent events, each with one of these as data.
    Events(Described),
}

/// A type's description.
#[derive(Clone, Copy)]
pub(crate) struct Described {
    pub(crate) name: fn() -> std::borrow::Cow<'static, str>,
    pub(crate) schema: fn() -> RefOr<Schema>,
    pub(crate) others: fn(&mut Vec<(String, RefOr<Schema>)>),
}

impl Described {
    pub(crate) const fn of<T: ToSchema>() -> Self {
        Self { name: T::name, schema: T::schema, others: T::schemas }
    }
}

/// One route.
pub(crate) struct Route {
    /// Method.
    pub(crate) method: Method,
    /// Path with its parameters, `/api/v1/workloads/{id}`.
    pub(crate) path: &'static str,
    /// One line for the description.
    pub(crate) says: &'static str,
    /// What it needs.
    pub(crate) access: Access,
    /// Whether it carries an `Idempotency-Key`.
    pub(crate) key: Key,
    /// Its body.
    pub(crate) takes: Takes,
    /// Its answer.
    pub(crate) gives: Gives,
    /// Status of a success.
    pub(crate) status: u16,
    /// Its query parameters.
    pub(crate) query: fn() -> Vec<Parameter>,
    /// Their names.
    names: Vec<String>,
    /// Whether it honours `If-Match`.
    pub(crate) matches: bool,
    /// How long it may take until its answer begins; none: as long as it likes.
    pub(crate) timeout: Option<Duration>,
    /// What it does.
    pub(crate) handler: Handler,
}

impl Route {
    /// A route and its handler; a mutation needs an `Idempotency-Key` unless said otherwise.
    pub(crate) fn new<F, Fut>(
        method: Method,
        path: &'static str,
        says: &'static str,
        access: Access,
        handler: F,
    ) -> Self
    where
        F: Fn(Call) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Answer> + Send + 'static,
    {
        let reads = matches!(method, Method::GET | Method::HEAD);
        Self {
            key: if reads { Key::None } else { Key::Needed },
            method,
            path,
            says,
            access,
            takes: Takes::Nothing,
            gives: Gives::Nothing,
            status: 200,
            query: Vec::new,
            names: Vec::new(),
            matches: false,
            timeout: Some(TIMEOUT),
            handler: Box::new(move |call| Box::pin(handler(call))),
        }
    }

    pub(crate) fn key(self, key: Key) -> Self {
        Self { key, ..self }
    }

    pub(crate) fn json<T: ToSchema>(self) -> Self {
        Self { takes: Takes::Json(Described::of::<T>()), ..self }
    }

    pub(crate) fn maybe_json<T: ToSchema>(self) -> Self {
        Self { takes: Takes::MaybeJson(Described::of::<T>()), ..self }
    }

    /// A streamed body: it takes as long as it takes, so there is no time limit either.
    pub(crate) fn bytes(self, max: u64) -> Self {
        Self { takes: Takes::Bytes(max), timeout: None, ..self }
    }

    pub(crate) fn gives<T: ToSchema>(self) -> Self {
        Self { gives: Gives::Json(Described::of::<T>()), ..self }
    }

    pub(crate) fn page<T: ToSchema>(self) -> Self {
        Self { gives: Gives::Page(Described::of::<T>()), ..self }
    }

    pub(crate) fn list<T: ToSchema>(self) -> Self {
        Self { gives: Gives::List(Described::of::<T>()), ..self }
    }

    pub(crate) fn gives_bytes(self, media: &'static str) -> Self {
        Self { gives: Gives::Bytes(media), ..self }
    }

    pub(crate) fn events<T: ToSchema>(self) -> Self {
        Self { gives: Gives::Events(Described::of::<T>()), ..self }
    }

    pub(crate) fn status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    pub(crate) fn query<Q: IntoParams>(self) -> Self {
        let query = || Q::into_params(|| Some(ParameterIn::Query));
        let names = query().into_iter().map(|parameter| parameter.name).collect();
        Self { query, names, ..self }
    }

    pub(crate) fn if_match(self) -> Self {
        Self { matches: true, ..self }
    }

    pub(crate) fn unbounded(self) -> Self {
        Self { timeout: None, ..self }
    }

    /// The verb it is audited under before it is known which of its verbs is meant.
    pub(crate) fn first_verb(&self) -> &'static str {
        match self.access {
            Access::Open => "",
            Access::Needs(verb, _) => verb.as_str(),
            Access::Chooses(verbs, _) => verbs.first().map_or("", |verb| verb.as_str()),
        }
    }

    /// Whether a query parameter of that name is understood.
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.names.iter().any(|known| known == name) || (name == "dry_run" && self.can_dry_run())
    }

    /// The query parameters that are understood.
    pub(crate) fn parameters(&self) -> Vec<&str> {
        let dry_run = self.can_dry_run().then_some("dry_run");
        self.names.iter().map(String::as_str).chain(dry_run).collect()
    }

    /// Whether `?dry_run=true` is understood: by every change that goes through the store.
    pub(crate) fn can_dry_run(&self) -> bool {
        self.key != Key::None
    }

    /// Its method, for a label.
    pub(crate) fn method_name(&self) -> &'static str {
        match self.method {
            Method::GET => "GET",
            Method::HEAD => "HEAD",
            Method::POST => "POST",
            Method::PUT => "PUT",
            Method::PATCH => "PATCH",
            _ => "DELETE",
        }
    }
}
