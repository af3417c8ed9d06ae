//! The router, made from the table: each row once, and an answer for what is in no row.

use super::dispatch::{dispatch, params, peer};
use super::fault::{answer, quoted};
use super::route::Route;
use super::state::App;
use super::table::routes;
use crate::{s3, tracking};
use axum::Router;
use axum::extract::{RawPathParams, Request};
use axum::http::{HeaderName, HeaderValue, Method};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;
use weft_api::problem::{Code, Problem};

/// Everything the server answers.
pub fn router(app: App) -> Router {
    let mut paths: BTreeMap<&'static str, MethodRouter> = BTreeMap::new();
    for route in routes() {
        let route = Arc::new(route);
        let path = route.path;
        let methods = paths.remove(path).unwrap_or_default();
        paths.insert(path, serve(methods, app.clone(), route));
    }
    let unknown = app.clone();
    let mut router = Router::new().fallback(move |request: Request| {
        let app = unknown.clone();
        async move { nowhere(&app, request) }
    });
    for (path, methods) in paths {
        router = router.route(path, methods.fallback(no_method));
    }
    let router = router.merge(tracking::routes(app.clone()));
    // Before anything looks at the path: a bucket may be called as a route is.
    let front = s3::Front::new(app);
    router.layer(from_fn(guard_headers)).layer(from_fn_with_state(front, s3::divert))
}

fn serve(methods: MethodRouter, app: App, route: Arc<Route>) -> MethodRouter {
    let filter = match route.method {
        // It answers HEAD, too.
        Method::GET => MethodFilter::GET,
        Method::HEAD => MethodFilter::HEAD,
        Method::POST => MethodFilter::POST,
        Method::PUT => MethodFilter::PUT,
        Method::PATCH => MethodFilter::PATCH,
        _ => MethodFilter::DELETE,
    };
    let handler =
        move |raw: Result<RawPathParams, axum::extract::rejection::RawPathParamsRejection>,
              request: Request| {
            let (app, route) = (app.clone(), route.clone());
            async move {
                let Ok(raw) = raw else {
                    return answer(Problem::new(Code::BadRequest, "the path is not UTF-8"));
                };
                counted(app, route, params(raw), request).await
            }
        };
    let own = on(filter, handler);
    methods.merge(own)
}

/// Serves a request if there is room, and counts it.
async fn counted(
    app: App,
    route: Arc<Route>,
    params: Vec<(String, String)>,
    request: Request,
) -> Response {
    let begun = Instant::now();
    let (http, path) = (app.http.clone(), route.path);
    let method = route.method_name();
    let most = app.about.limits.requests;
    let response = match app.requests.clone().try_acquire_owned() {
        Ok(_room) => dispatch(app, route, params, request).await,
        Err(_) => {
            let detail = format!("{most} requests are being worked on");
            answer(Problem::new(Code::Busy, detail).hint("try again in a second"))
        }
    };
    http.note(method, path, response.status().as_u16(), begun.elapsed());
    response
}

/// A path that is in no row.
fn nowhere(app: &App, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    if let Err(fault) = peer(app, &parts) {
        return fault.into_response();
    }
    let path = quoted(parts.uri.path());
    let problem = Problem::new(Code::NotFound, format!("there is no route `{path}`"));
    answer(problem.hint("GET /api/v1/openapi.json lists them"))
}

/// A path that does not know the method; axum adds the `Allow` header.
async fn no_method(method: Method) -> Response {
    let detail = format!("this path does not know {}", quoted(method.as_str()));
    answer(Problem::new(Code::MethodNotAllowed, detail))
}

/// Headers of every answer: nothing here is to be framed, sniffed or kept by a cache.
async fn guard_headers(request: Request, next: Next) -> Response {
    const ALWAYS: [(&str, &str); 3] = [
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
    ];
    let mut response = next.run(request).await;
    for (name, value) in ALWAYS {
        let (name, value) = (HeaderName::from_static(name), HeaderValue::from_static(value));
        response.headers_mut().insert(name, value);
    }
    response
}
