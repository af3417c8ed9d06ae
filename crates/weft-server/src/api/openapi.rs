//! The OpenAPI 3.1 description, made from the table of routes and the wire types.
//!
//! Served at `/api/v1/openapi.json` and kept in `docs/openapi.json`, where a test compares it:
//! a change of the API shows in a review.

use super::call::Call;
use super::fault::Fault;
use super::route::{Access, Described, Gives, Key, Route, Takes};
use super::table::routes;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use std::sync::LazyLock;
use weft_api::problem::{Code, MEDIA_TYPE, Problem};

static TEXT: LazyLock<String> = LazyLock::new(|| format!("{:#}\n", describe()));

/// The description as it is served.
pub fn text() -> &'static str {
    &TEXT
}

/// `GET /api/v1/openapi.json`.
pub(crate) async fn serve(_: Call) -> Result<Response, Fault> {
    Ok(([(header::CONTENT_TYPE, "application/json")], text()).into_response())
}

fn describe() -> Value {
    let mut schemas = Schemas::default();
    let problem = schemas.reference(Described::of::<Problem>());
    let mut paths: Map<String, Value> = Map::new();
    for route in routes() {
        // OpenAPI has no word for the rest of a path: it is a parameter that may hold slashes.
        let path = route.path.replace("{*", "{");
        let method = route.method.as_str().to_ascii_lowercase();
        let item = paths.entry(path).or_insert_with(|| json!({}));
        item[method] = operation(&route, &mut schemas);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Weft",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "One pool of accelerators and the workloads on it. Times are \
                milliseconds since 1970, sizes are bytes. Errors are problems (RFC 9457) with a \
                stable code; each has a page under docs/errors.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "responses": problems(&problem),
            "schemas": schemas.all,
        },
    })
}

fn operation(route: &Route, schemas: &mut Schemas) -> Value {
    let mut out = json!({
        "operationId": id(route),
        "summary": route.says,
        "tags": [tag(route)],
        "responses": responses(route, schemas),
    });
    let parameters = parameters(route);
    if !parameters.is_empty() {
        out["parameters"] = Value::Array(parameters);
    }
    if matches!(route.access, Access::Open) {
        out["security"] = json!([]);
    }
    let (content, required) = match route.takes {
        Takes::Nothing => return out,
        Takes::Json(of) => {
            (json!({ "application/json": { "schema": schemas.reference(of) } }), true)
        }
        Takes::MaybeJson(of) => {
            (json!({ "application/json": { "schema": schemas.reference(of) } }), false)
        }
        Takes::Bytes(_) => (json!({ "application/octet-stream": {} }), true),
    };
    out["requestBody"] = json!({ "required": required, "content": content });
    out
}

fn responses(route: &Route, schemas: &mut Schemas) -> Value {
    let content = match route.gives {
        Gives::Nothing => None,
        Gives::Json(of) => Some(json!({ "application/json": { "schema": schemas.reference(of) } })),
        Gives::List(of) => {
            let items = schemas.reference(of);
            Some(json!({ "application/json": { "schema": { "type": "array", "items": items } } }))
        }
        Gives::Page(of) => Some(json!({
            "application/json": { "schema": {
                "type": "object",
                "required": ["items"],
                "properties": {
                    "items": { "type": "array", "items": schemas.reference(of) },
                    "next": {
                        "type": ["string", "null"],
                        "description": "Pass as `cursor` for the next page; absent on the last.",
                    },
                },
            } },
            "text/event-stream": {},
        })),
        Gives::Bytes(media) => Some(json!({ media: {} })),
        Gives::Events(of) => {
            Some(json!({ "text/event-stream": { "itemSchema": schemas.reference(of) } }))
        }
    };
    let mut done = json!({ "description": "Done" });
    if let Some(content) = content {
        done["content"] = content;
    }
    let mut out = Map::new();
    for status in successes(route) {
        out.insert(status.to_string(), done.clone());
    }
    for status in failures(route) {
        out.insert(
            status.to_string(),
            json!({ "$ref": format!("#/components/responses/{status}") }),
        );
    }
    Value::Object(out)
}

/// The problems by their status: shared by all routes.
fn problems(problem: &Value) -> Value {
    let mut out = Map::new();
    for status in Code::ALL.iter().map(|code| code.status()) {
        let same = Code::ALL.iter().filter(|code| code.status() == status);
        let words: Vec<&str> = same.map(|code| code.as_str()).collect();
        let content = json!({ MEDIA_TYPE: { "schema": problem } });
        out.insert(
            status.to_string(),
            json!({ "description": words.join(", "), "content": content }),
        );
    }
    Value::Object(out)
}

/// Success statuses: what was there before is answered 200 where making it is 201.
fn successes(route: &Route) -> Vec<u16> {
    let mut all = vec![route.status];
    let again = route.method == axum::http::Method::PUT || route.can_dry_run();
    if again && route.status == 201 {
        all.insert(0, 200);
    }
    if route.method == axum::http::Method::PUT && route.status == 200 {
        all.push(201);
    }
    all
}

/// Statuses of the problems a route may answer with.
fn failures(route: &Route) -> Vec<u16> {
    let mut all: Vec<u16> = vec![400, 405, 500, 503];
    if !matches!(route.access, Access::Open) {
        all.extend([401, 403, 404, 429, 507]);
    }
    if route.key != Key::None || !matches!(route.takes, Takes::Nothing) {
        all.extend([409, 413, 422]);
    }
    if matches!(route.takes, Takes::Json(_) | Takes::MaybeJson(_)) {
        all.push(415);
    }
    if route.matches {
        all.push(412);
    }
    if route.path.ends_with("/why") {
        all.push(409);
    }
    all.sort_unstable();
    all.dedup();
    all
}

fn parameters(route: &Route) -> Vec<Value> {
    let mut out: Vec<Value> = path_parameters(route.path)
        .map(|name| {
            json!({
                "name": name, "in": "path", "required": true, "schema": { "type": "string" },
            })
        })
        .collect();
    for parameter in (route.query)() {
        out.push(serde_json::to_value(parameter).unwrap_or_default());
    }
    let header = |name: &str, required: bool, says: &str| {
        json!({
            "name": name, "in": "header", "required": required, "description": says,
            "schema": { "type": "string" },
        })
    };
    if route.can_dry_run() {
        out.push(json!({
            "name": "dry_run", "in": "query", "required": false,
            "description": "Say what would happen, and change nothing.",
            "schema": { "type": "boolean" },
        }));
    }
    if route.key != Key::None {
        let says = "A UUID for each intention; repeated with it, the first answer is given again.";
        let mut key = header("Idempotency-Key", true, says);
        key["schema"] = json!({
            "type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[!-~]+$",
        });
        out.push(key);
    }
    if route.matches {
        let mut tag = header("If-Match", false, "The ETag of the version that is changed.");
        tag["schema"] = json!({ "type": "string", "pattern": "^(\\*|\"[0-9]{1,19}\")$" });
        out.push(tag);
    }
    out
}

/// Names of a path's parameters.
pub(crate) fn path_parameters(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| {
        let name = part.strip_prefix('{')?.strip_suffix('}')?;
        Some(name.strip_prefix('*').unwrap_or(name))
    })
}

/// A stable name: method and path in words.
fn id(route: &Route) -> String {
    let path = route.path.trim_start_matches("/api/v1");
    let words: Vec<&str> =
        path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    format!("{}_{}", route.method.as_str().to_ascii_lowercase(), words.join("_"))
}

/// The noun a route is of.
fn tag(route: &Route) -> &'static str {
    let path = route.path.strip_prefix("/api/v1/").unwrap_or("server");
    path.split('/').next().unwrap_or("server")
}

/// The described types, each once.
#[derive(Default)]
struct Schemas {
    all: Map<String, Value>,
}

impl Schemas {
    fn reference(&mut self, of: Described) -> Value {
        let name = (of.name)();
        let mut others = Vec::new();
        (of.others)(&mut others);
        others.push((name.to_string(), (of.schema)()));
        for (name, schema) in others {
            self.all
                .entry(name)
                .or_insert_with(|| serde_json::to_value(schema).unwrap_or_default());
        }
        json!({ "$ref": format!("#/components/schemas/{name}") })
    }
}
