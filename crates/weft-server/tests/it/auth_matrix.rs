//! Every route, tried as everybody: the answers are a table that is committed and reviewed.
//!
//! `UPDATE=1 cargo test -p weft-server --test it auth_matrix` writes `auth_matrix.txt` anew; what
//! the assertions below say can never be written into it.

use crate::api_world::{Api, Ask, job};
use serde_json::{Value, json};
use std::fmt::Write as _;
use weft_policy::Verb;
use weft_server::api::{Listed, listed};

/// Who tries: a column each.
struct Column {
    name: &'static str,
    /// Nobody at all must not get in, whatever the route.
    stranger: bool,
    token: Option<String>,
}

/// Datasets that the routes about one are tried on.
const DATASETS: [(&str, &str); 2] = [("claims", "internal"), ("secrets", "restricted")];

#[derive(Clone)]
struct Things {
    dataset: &'static str,
    workload: String,
    token: String,
    node: String,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_as_everybody() {
    let api = Api::start().await;
    let (columns, things) = people(&api).await;
    let mut table = String::new();
    write!(table, "{:<44}", "").unwrap();
    columns.iter().for_each(|column| write!(table, " {:>9}", column.name).unwrap());
    for route in listed() {
        let tried = if route.path.contains("{dataset}") { &DATASETS[..] } else { &[("", "")] };
        for (dataset, tier) in tried {
            let path = route.path.replace("/api/v1", "").replace("dataset}", &format!("{tier}}}"));
            let label = format!("{} {path}", route.method);
            let things = Things { dataset, ..things.clone() };
            write!(table, "\n{label:<44}").unwrap();
            for column in &columns {
                let cell = try_it(&api, &route, column, &things).await;
                write!(table, " {cell:>9}").unwrap();
            }
        }
    }
    table.push('\n');
    api.end().await;
    compare(&table);
}

async fn try_it(api: &Api, route: &Listed, column: &Column, things: &Things) -> String {
    let mut ask = ask(route, things);
    if let Some(token) = &column.token {
        ask = ask.by(token);
    }
    let answer = api.send(ask).await;
    let told = format!("{} {} as {}", route.method, route.path, column.name);
    let open = route.verbs.is_empty();
    assert!(answer.status < 500, "{told}: {} {:?}", answer.status, answer.body);
    if column.stranger && !open {
        assert_eq!(answer.status, 401, "{told}");
        assert!(answer.headers.contains_key("www-authenticate"), "{told}");
    }
    if column.name == "reader" && route.verbs.iter().any(|verb| verb.effect().mutates()) {
        let asks = route.method == "HEAD";
        assert!(asks || matches!(answer.status, 403 | 404), "{told}: {}", answer.status);
    }
    if column.name == "auditor" && !open && !route.path.contains("/audit") {
        let known = matches!(route.path, "/api/v1/info" | "/api/v1/whoami");
        assert!(known || matches!(answer.status, 403 | 404), "{told}: {}", answer.status);
    }
    let data = route.verbs.iter().any(|verb| verb.effect().reads_data());
    if data && matches!(column.name, "admin" | "operator") {
        assert_eq!(answer.status, 403, "{told} reads what others' workloads wrote");
    }
    let secret = things.dataset == "secrets" && route.path.contains("{dataset}");
    if route.verbs == [Verb::DataRead] && secret {
        assert!(answer.status >= 400, "{told}: what is restricted leaves for nobody");
    }
    if secret && matches!(column.name, "stranger" | "teammate") {
        assert_eq!(answer.code(), "not-found", "{told}: another's restricted data is not seen");
    }
    if column.name == "stranger" && route.path.contains("/workloads/{id}") {
        assert_eq!(answer.code(), "not-found", "{told}: another team's is not seen");
    }
    let word = if route.method == "HEAD" { String::new() } else { answer.code() };
    match word.as_str() {
        "" => answer.status.to_string(),
        "forbidden" => "-".to_owned(),
        "unauthenticated" => "401".to_owned(),
        "not-found" => "?".to_owned(),
        _ => format!("{}!", answer.status),
    }
}

/// A request that would do, made as a dry run where it changes something.
fn ask(route: &Listed, things: &Things) -> Ask {
    let id = match route.path {
        path if path.contains("/tokens/") => things.token.as_str(),
        path if path.contains("/imports/") => "1",
        _ => things.workload.as_str(),
    };
    let mut path = route
        .path
        .replace("{id}", id)
        .replace("{node}", &things.node)
        .replace("{index}", "0")
        .replace("{name}", if route.path.contains("/nodes/") { &things.node } else { "victim" })
        .replace("{sha256}", &"0".repeat(64))
        .replace("{dataset}", things.dataset)
        .replace("objects/{*path}", "objects/a.csv")
        .replace("{upload}", "1")
        .replace("{number}", "1")
        .replace("{at}", "v1")
        .replace("{source}", "crm")
        .replace("{tag}", "gold")
        .replace("{user}", "bo")
        .replace("outputs/{*path}", "outputs/model.bin")
        .replace("{*path}", "lab/vision");
    if route.key {
        path.push_str("?dry_run=true");
    }
    let ask = Ask::new(route.method, &path);
    let ask = if route.key { ask.once() } else { ask };
    match body(route) {
        Some(body) => ask.json(body),
        None => ask,
    }
}

fn body(route: &Listed) -> Option<Value> {
    let none = json!({});
    Some(match (route.method, route.path) {
        ("POST", "/api/v1/workloads") => {
            let mut spec = job("another");
            spec["queue"] = json!("lab/vision");
            json!({ "spec": spec })
        }
        ("POST", "/api/v1/workloads/{id}/exec") => json!({ "argv": ["true"] }),
        ("POST", "/api/v1/admin/backup") => json!({ "path": "/tmp/weft-never-made" }),
        ("PATCH", "/api/v1/nodes/{name}") => json!({ "drained": true }),
        ("PATCH", "/api/v1/devices/{node}/{index}") => json!({ "takes_work": true }),
        ("PUT", "/api/v1/queues/{*path}") => json!({
            "name": "lab/vision", "gpu_milli": none, "cpu_milli": none, "memory_bytes": none,
        }),
        ("POST", "/api/v1/users") => json!({ "name": "new", "role": "operator" }),
        ("POST", "/api/v1/datasets") => json!({ "name": "another", "queue": "lab/vision" }),
        ("PATCH", "/api/v1/datasets/{dataset}") => json!({ "about": "rows" }),
        ("POST", "/api/v1/datasets/{dataset}/versions") => json!({ "note": "again" }),
        ("POST", "/api/v1/datasets/{dataset}/uploads") => {
            json!({ "path": "b.csv", "bytes": 9, "modified_ns": "1" })
        }
        ("POST", "/api/v1/datasets/{dataset}/uploads/{upload}/finish") => {
            json!({ "sha256_parts": "00" })
        }
        ("PUT", "/api/v1/datasets/{dataset}/keep") => json!({ "days": 9 }),
        ("POST", "/api/v1/datasets/{dataset}/branches") => json!({ "name": "a-branch" }),
        ("POST", "/api/v1/datasets/{dataset}/merge") => json!({}),
        ("POST", "/api/v1/datasets/{dataset}/views") => json!({ "name": "a-view" }),
        ("POST", "/api/v1/datasets/{dataset}/lower") => {
            json!({ "tier": "public", "why": "a study" })
        }
        ("POST", "/api/v1/datasets/{dataset}/end")
        | ("POST", "/api/v1/datasets/{dataset}/versions/{at}/end") => json!({ "why": "consent" }),
        ("POST", "/api/v1/data/rotate") => json!({ "team": "lab" }),
        ("POST", "/api/v1/data/access") => json!({ "dataset": "secrets", "why": "a study" }),
        ("POST", "/api/v1/datasets/{dataset}/revive") => json!({ "name": "another" }),
        ("POST", "/api/v1/datasets/{dataset}/restore") => json!({ "at": "v1" }),
        ("PUT", "/api/v1/datasets/{dataset}/tags/{tag}") => json!({ "number": 1 }),
        ("PUT", "/api/v1/sources/{source}") => json!({
            "queue": "lab/vision", "secret": "s",
            "at": { "kind": "postgres", "address": "db.example", "database": "d", "user": "u" },
        }),
        ("POST", "/api/v1/datasets/{dataset}/imports") => json!({
            "from": "crm:public.customers",
        }),
        ("POST", "/api/v1/tokens") => {
            json!({ "user": "ana", "scope": "write", "expires_in_ms": 1_000 })
        }
        ("POST", "/api/v1/data/keys") => json!({ "scope": "read", "expires_in_ms": 1_000 }),
        _ => return None,
    })
}

async fn people(api: &Api) -> (Vec<Column>, Things) {
    for queue in ["lab", "lab/vision", "other"] {
        api.queue(queue).await;
    }
    let ana = api.user("ana", "member", Some("lab/vision")).await;
    let bo = api.user("bo", "member", Some("lab/vision")).await;
    let eve = api.user("eve", "member", Some("other")).await;
    let lead = api.user("lea", "lead", Some("lab")).await;
    let operator = api.user("oscar", "operator", None).await;
    let auditor = api.user("audrey", "auditor", None).await;
    let gone = api.user("gone", "admin", None).await;
    api.user("victim", "auditor", None).await;
    api.must(Ask::new("DELETE", "/api/v1/users/gone").once()).await;
    let (_, reader) = api.token("ana", "read", 3_600_000).await;
    let (_, expired) = api.token("ana", "write", 1).await;
    let (id, revoked) = api.token("ana", "write", 3_600_000).await;
    api.must(Ask::new("DELETE", &format!("/api/v1/tokens/{id}")).once()).await;
    let (token, _) = api.token("ana", "write", 3_600_000).await;
    let nodes = api.must(Ask::new("GET", "/api/v1/nodes")).await.json();
    for (name, tier) in DATASETS {
        api.dataset(&ana, name, tier).await;
    }
    let source = json!({
        "queue": "lab/vision", "secret": "s",
        "at": { "kind": "postgres", "address": "db.example", "database": "d", "user": "u" },
    });
    api.must(Ask::new("PUT", "/api/v1/sources/crm").json(source)).await;
    let things = Things {
        dataset: "",
        workload: api.submit(&ana, job("train")).await,
        token,
        node: nodes[0]["name"].as_str().unwrap().to_owned(),
    };
    // Well-formed, and nobody's: the administrator's with two letters of its secret exchanged
    // fails the checksum, so one of another server is made.
    let other = Api::start().await;
    let foreign = other.admin().to_owned();
    other.end().await;
    let column =
        |name, token: &str| Column { name, stranger: false, token: Some(token.to_owned()) };
    let stranger = |name, token: Option<&str>| Column {
        name,
        stranger: true,
        token: token.map(str::to_owned),
    };
    let columns = vec![
        stranger("anonymous", None),
        stranger("garbage", Some("weft_pat_0_0")),
        stranger("foreign", Some(&foreign)),
        stranger("expired", Some(&expired)),
        stranger("revoked", Some(&revoked)),
        stranger("disabled", Some(&gone)),
        column("admin", api.admin()),
        column("operator", &operator),
        column("auditor", &auditor),
        column("lead", &lead),
        column("owner", &ana),
        column("reader", &reader),
        column("teammate", &bo),
        column("stranger", &eve),
    ];
    (columns, things)
}

fn compare(table: &str) {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/auth_matrix.txt");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, table).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        committed == table,
        "who may do what has changed; run with UPDATE=1 and review the diff of auth_matrix.txt:\n\
         {table}"
    );
}
