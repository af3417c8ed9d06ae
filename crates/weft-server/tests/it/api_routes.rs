//! The table of routes against its description, and what stands open.

use serde_json::Value;
use std::collections::BTreeSet;
use weft_server::api::{listed, openapi};

#[test]
fn the_routes_that_need_nobody_are_these() {
    let open: Vec<_> = listed().into_iter().filter(|route| route.verbs.is_empty()).collect();
    let open: Vec<_> = open.iter().map(|route| (route.method, route.path)).collect();
    let wanted = [("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/api/v1/openapi.json")];
    assert_eq!(open, wanted);
}

#[test]
fn mutations_without_an_idempotency_key_are_these() {
    let keyless = listed().into_iter().filter(|route| {
        let reads = matches!(route.method, "GET" | "HEAD");
        assert!(!reads || !route.key, "{} {} reads and needs a key", route.method, route.path);
        !reads && !route.key
    });
    let keyless: Vec<_> = keyless.map(|route| (route.method, route.path)).collect();
    // A source: by what is kept to know a request again its password could be guessed.
    // A stream that cannot be repeated; two whose content names what they make; and an object or
    // a part of one, which is the same however often it is put.
    let wanted = [
        ("POST", "/api/v1/workloads/{id}/exec"),
        ("PUT", "/api/v1/bundles/{sha256}"),
        ("PUT", "/api/v1/datasets/{dataset}/objects/{*path}"),
        ("PUT", "/api/v1/datasets/{dataset}/uploads/{upload}/parts/{number}"),
        ("PUT", "/api/v1/sources/{source}"),
        ("POST", "/api/v1/images"),
    ];
    assert_eq!(keyless, wanted);
}

#[test]
fn a_mutation_needs_a_verb_that_mutates() {
    for route in listed() {
        let reads = matches!(route.method, "GET" | "HEAD");
        for verb in route.verbs {
            // Whoever may send a bundle may ask whether it is there.
            let asks = (route.method, route.path) == ("HEAD", "/api/v1/bundles/{sha256}");
            let mutates = verb.effect().mutates();
            assert!(asks || reads != mutates, "{} {} is {verb}", route.method, route.path);
        }
    }
}

#[test]
fn every_verb_has_a_route() {
    let used: BTreeSet<_> = listed().into_iter().flat_map(|route| route.verbs).collect();
    let unused: Vec<_> =
        weft_policy::Verb::ALL.iter().filter(|verb| !used.contains(verb)).collect();
    // Those of tracking clients have routes of their own (`tracking/door.rs`).
    let is_tracked = |verb: &str| verb.starts_with("experiment-") || verb.starts_with("run-");
    let unused: Vec<_> = unused.into_iter().filter(|verb| !is_tracked(verb.as_str())).collect();
    // Asked inside a listing or an import, for each item of it.
    use weft_policy::Verb::{
        DataFetch, PoolEvents, RequestRead, SourceInfo, SourceReach, SourceUse,
    };
    assert_eq!(
        unused,
        [&PoolEvents, &RequestRead, &SourceInfo, &SourceReach, &SourceUse, &DataFetch]
    );
}

#[test]
fn the_description_has_every_route_and_no_other() {
    let described: Value = serde_json::from_str(openapi()).unwrap();
    let paths = described["paths"].as_object().unwrap();
    let described: BTreeSet<(String, String)> = paths
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().keys();
            methods.map(|method| (method.to_ascii_uppercase(), path.clone()))
        })
        .collect();
    let table = listed().into_iter();
    let table: BTreeSet<(String, String)> =
        table.map(|route| (route.method.to_owned(), route.path.replace("{*", "{"))).collect();
    assert_eq!(described, table);
}

#[test]
fn references_of_the_description_lead_somewhere() {
    let described: Value = serde_json::from_str(openapi()).unwrap();
    let text = openapi();
    for (at, _) in text.match_indices("#/components/schemas/") {
        let name = text[at..].trim_start_matches("#/components/schemas/");
        let name = name.split('"').next().unwrap();
        assert!(described["components"]["schemas"].get(name).is_some(), "{name} is not there");
    }
}

/// `UPDATE=1 cargo test -p weft-server` writes it anew.
#[test]
fn the_committed_description_is_the_served_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, openapi()).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    let hint = "run `UPDATE=1 cargo test -p weft-server --test it api_routes` and review the diff";
    assert!(committed == openapi(), "docs/openapi.json is not what is served; {hint}");
}
