//! Changes: once for each key, audited with their effect, refused on an older version.

use crate::api_world::{Answer, Api, Ask, job};
use serde_json::{Value, json};
use std::collections::BTreeSet;

async fn get(api: &Api, path: &str) -> Value {
    api.must(Ask::new("GET", path)).await.json()
}

async fn audit(api: &Api) -> Vec<Value> {
    get(api, "/api/v1/audit?limit=1000").await["items"].as_array().unwrap().clone()
}

fn told<'a>(rows: &'a [Value], verb: &str) -> Vec<&'a Value> {
    rows.iter().filter(|row| row["verb"] == verb).collect()
}

async fn submit(api: &Api, key: &str, name: &str) -> Answer {
    let ask = Ask::new("POST", "/api/v1/workloads").by(api.admin()).key(key);
    let mut spec = job(name);
    spec["queue"] = json!("lab");
    api.send(ask.json(json!({ "spec": spec }))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_good_for_one_effect() {
    let api = Api::start().await;
    api.queue("lab").await;
    let first = submit(&api, "k1", "train").await;
    assert_eq!(first.status, 201, "{:?}", first.body);
    let again = submit(&api, "k1", "train").await;
    assert_eq!((again.status, &again.body), (201, &first.body), "byte for byte");
    assert_eq!(again.headers["idempotency-replayed"], "true");
    assert!(!first.headers.contains_key("idempotency-replayed"));

    let other = submit(&api, "k1", "another").await;
    assert_eq!((other.status, other.code().as_str()), (422, "idempotency-mismatch"));
    let without = Ask::new("POST", "/api/v1/workloads").by(api.admin()).json(json!({}));
    assert_eq!(api.send(without).await.code(), "idempotency-key-missing");
    let long = submit(&api, &"k".repeat(200), "long").await;
    assert_eq!(long.code(), "bad-request");

    // Another user's same key is another key.
    let ana = api.user("ana", "member", Some("lab")).await;
    let ask = Ask::new("POST", "/api/v1/workloads").by(&ana).key("k1");
    let hers = api.send(ask.json(json!({ "spec": job("hers") }))).await;
    assert_eq!(hers.status, 201, "{:?}", hers.body);

    let rows = audit(&api).await;
    assert_eq!(told(&rows, "workload-submit").len(), 2, "one row for each effect");
    api.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeated_at_once_it_is_done_once() {
    let api = Api::start().await;
    api.queue("lab").await;
    let asks = (0..12).map(|_| submit(&api, "same", "race"));
    let answers = futures_util::future::join_all(asks).await;
    let bodies: BTreeSet<_> = answers.iter().map(|answer| answer.body.to_vec()).collect();
    assert_eq!(bodies.len(), 1, "every caller has the same answer");
    assert!(answers.iter().all(|answer| answer.status == 201));
    let fresh = answers.iter().filter(|a| !a.headers.contains_key("idempotency-replayed"));
    assert_eq!(fresh.count(), 1);
    let all = get(&api, "/api/v1/workloads?queue=lab").await;
    assert_eq!(all["items"].as_array().unwrap().len(), 1);
    api.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_is_shown_once_and_kept_nowhere() {
    let api = Api::start().await;
    let body = json!({ "scope": "read", "expires_in_ms": 60_000 });
    let ask = || Ask::new("POST", "/api/v1/tokens").by(api.admin()).key("t1").json(body.clone());
    let first = api.send(ask()).await;
    assert_eq!(first.status, 201);
    let secret = first.json()["secret"].as_str().unwrap().to_owned();
    let again = api.send(ask()).await;
    assert_eq!((again.status, again.code().as_str()), (409, "conflict"));

    let whoami = Ask::new("GET", "/api/v1/whoami").by(&secret);
    assert_eq!(api.send(whoami).await.json()["user"], "admin");
    let raw = secret.rsplit('_').next().unwrap().to_owned();
    let admin = api.admin().rsplit('_').next().unwrap().to_owned();
    let dir = api.dir().to_owned();
    let files = std::fs::read_dir(&dir).unwrap().flatten().filter(|e| e.path().is_file());
    for file in files {
        let bytes = std::fs::read(file.path()).unwrap();
        for secret in [&raw, &admin] {
            let found = bytes.windows(64).any(|window| window == &secret.as_bytes()[..64]);
            assert!(!found, "{} holds the secret of a token", file.path().display());
        }
    }
    api.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_version_is_not_overwritten() {
    let api = Api::start().await;
    let none = json!({});
    let queue = json!({
        "name": "lab", "gpu_milli": { "nominal": 4000, "lending": 1000 }, "cpu_milli": none,
        "memory_bytes": none,
    });
    let put = |tag: Option<&str>| {
        let ask = Ask::new("PUT", "/api/v1/queues/lab").by(api.admin()).once().json(queue.clone());
        match tag {
            Some(tag) => ask.header("if-match", tag),
            None => ask,
        }
    };
    let made = api.send(put(None)).await;
    assert_eq!((made.status, made.headers["etag"].to_str().unwrap()), (201, "\"1\""));
    let changed = api.send(put(Some("\"1\""))).await;
    assert_eq!((changed.status, changed.headers["etag"].to_str().unwrap()), (200, "\"2\""));
    let late = api.send(put(Some("\"1\""))).await;
    assert_eq!((late.status, late.code().as_str()), (412, "precondition-failed"));
    assert_eq!(api.send(put(Some("2"))).await.code(), "bad-request");
    let remove = Ask::new("DELETE", "/api/v1/queues/lab").by(api.admin()).once();
    assert_eq!(api.send(remove.header("if-match", "\"1\"")).await.status, 412);
    let remove = Ask::new("DELETE", "/api/v1/queues/lab").by(api.admin()).once();
    assert_eq!(api.send(remove.header("if-match", "\"2\"")).await.status, 204);
    api.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_leaves_nothing() {
    let api = Api::start().await;
    api.queue("lab").await;
    let before = audit(&api).await.len();
    let ask = Ask::new("POST", "/api/v1/users?dry_run=true").by(api.admin()).key("d1");
    let user = json!({ "name": "ana", "role": "member", "queue": "lab" });
    let dry = api.send(ask.json(user.clone())).await;
    assert_eq!((dry.status, dry.headers["weft-dry-run"].to_str().unwrap()), (201, "true"));
    let users = get(&api, "/api/v1/users").await;
    assert!(!users.as_array().unwrap().iter().any(|user| user["name"] == "ana"));
    let rows = audit(&api).await;
    assert!(rows[before..].iter().all(|row| row["verb"] != "user-create"), "{rows:?}");
    // Its key was not used up.
    let ask = Ask::new("POST", "/api/v1/users").by(api.admin()).key("d1");
    assert_eq!(api.send(ask.json(user)).await.status, 201);

    let spec = json!({ "spec": job("train") });
    let ask = Ask::new("POST", "/api/v1/workloads?dry_run=true").by(api.admin()).once();
    let planned = api.send(ask.json(spec)).await.json();
    assert_eq!(planned["spec"]["phase"], "training", "{planned}");
    assert_eq!(planned["placements"][0]["member"], 0, "the pool is free: {planned}");
    let mut waits = job("train");
    waits["queue"] = json!("lab");
    let ask = Ask::new("POST", "/api/v1/workloads?dry_run=true").by(api.admin()).once();
    let planned = api.send(ask.json(json!({ "spec": waits }))).await.json();
    assert_eq!(planned["wait"]["kind"], "quota", "the queue has no share: {planned}");
    assert!(get(&api, "/api/v1/workloads?all=true").await["items"].as_array().unwrap().is_empty());
    api.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_is_refused_with_what_could() {
    let api = Api::start().await;
    let submit = |change: Value| {
        let mut spec = job("big");
        spec.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let ask = Ask::new("POST", "/api/v1/workloads").by(api.admin()).once();
        api.send(ask.json(json!({ "spec": spec })))
    };
    let gpu = submit(json!({ "resources": {
        "cpu_milli": 10, "memory_bytes": 16_000_000, "disk_bytes": 16_000_000, "gpu": "H100:8",
    } }));
    let gpu = gpu.await;
    assert_eq!((gpu.status, gpu.code().as_str()), (422, "impossible-request"), "{:?}", gpu.body);
    let bundle = submit(json!({ "bundle": "0".repeat(64) })).await;
    assert_eq!(bundle.code(), "invalid-spec");
    assert!(bundle.json()["hint"].as_str().unwrap().contains("/api/v1/bundles/"));
    let queue = submit(json!({ "queue": "nowhere" })).await;
    assert_eq!((queue.status, queue.code().as_str()), (404, "not-found"));
    let unknown = submit(json!({ "replica": 3 })).await;
    assert_eq!(unknown.code(), "bad-request");
    assert!(unknown.json()["detail"].as_str().unwrap().contains("replica"));
    api.end().await;
}

/// Reading what a queue could have is asked, decided and written down as that, and no submission.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_queue_could_have_is_its_own_question() {
    let api = Api::start().await;
    for queue in ["lab", "other"] {
        api.queue(queue).await;
    }
    api.user("ana", "member", Some("lab")).await;
    let operator = api.user("oscar", "operator", None).await;
    let (_, reader) = api.token("ana", "read", 3_600_000).await;
    let ask = |queue: &str, token: &str| {
        api.send(Ask::new("GET", &format!("/api/v1/offers?queue={queue}")).by(token))
    };
    assert_eq!(ask("lab", &reader).await.status, 200, "a token that reads may read it");
    assert_eq!(ask("other", &operator).await.status, 200, "who keeps the queues sees them");
    assert_eq!(ask("none", &operator).await.status, 404);
    let refused = ask("other", &reader).await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "forbidden"));
    let detail = refused.json()["detail"].clone();
    assert_eq!(detail, "ana (member) may not queue-offers");
    let rows = audit(&api).await;
    let asked = told(&rows, "queue-offers");
    assert_eq!(asked.len(), 1, "what one may see leaves no row: {asked:?}");
    assert_eq!((&asked[0]["actor"], &asked[0]["decision"]), (&json!("ana"), &json!("denied")));
    assert!(told(&rows, "workload-submit").is_empty());
    api.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_matters_is_in_the_audit_log() {
    let api = Api::start().await;
    for queue in ["lab", "other"] {
        api.queue(queue).await;
    }
    let ana = api.user("ana", "member", Some("lab")).await;
    let lead = api.user("lea", "lead", Some("lab")).await;
    let eve = api.user("eve", "member", Some("other")).await;
    let id = api.submit(&ana, job("train")).await;
    let read = |path: &str, token: &str| api.send(Ask::new("GET", path).by(token));
    let log = format!("/api/v1/workloads/{id}/logs");
    assert_eq!(read(&log, &ana).await.status, 200);
    assert_eq!(read(&log, &lead).await.status, 200);
    let hers = read(&log, &eve).await;
    let nobodys = read("/api/v1/workloads/w999999/logs", &eve).await;
    assert_eq!(read("/api/v1/users", &eve).await.status, 403);
    assert_eq!(api.send(Ask::new("GET", "/api/v1/users")).await.status, 401);

    // Another team's and no workload at all are the same, but for the name that was asked for.
    let same = |answer: &Answer, id: &str| {
        (answer.status, String::from_utf8_lossy(&answer.body).replace(id, "w?"))
    };
    assert_eq!(same(&hers, &id), same(&nobodys, "w999999"));

    let rows = audit(&api).await;
    let logs = told(&rows, "workload-logs");
    let seen = logs.iter().map(|row| (row["actor"].as_str(), row["decision"].as_str()));
    let (lea, eve) = (Some("lea"), Some("eve"));
    let wanted = [(lea, Some("allowed")), (eve, Some("denied")), (eve, Some("denied"))];
    assert_eq!(seen.collect::<Vec<_>>(), wanted, "reading one's own log leaves no row");
    assert_eq!(logs[0]["policies"], json!(["lead-acts-for-the-team"]));
    let users = told(&rows, "user-list");
    assert_eq!(users.iter().map(|row| &row["actor"]).collect::<Vec<_>>(), ["eve", ""]);
    assert!(!told(&rows, "audit-read").is_empty() || audit(&api).await.len() > rows.len());
    let check = get(&api, "/api/v1/audit/verify").await;
    assert_eq!(check["intact"], true, "{check}");
    assert!(check["rows"].as_u64().unwrap() > rows.len() as u64);
    api.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_a_users_own_is_hidden_from_those_who_only_see() {
    let api = Api::start().await;
    api.queue("lab").await;
    let ana = api.user("ana", "member", Some("lab")).await;
    let bo = api.user("bo", "member", Some("lab")).await;
    let id = api.submit(&ana, job("train")).await;
    let path = format!("/api/v1/workloads/{id}");
    let seen = |token: String| {
        let ask = Ask::new("GET", &path).by(&token);
        async { api.send(ask).await.json()["spec"]["env"]["SECRET"].clone() }
    };
    assert_eq!(seen(ana.clone()).await, "hunter2");
    assert_eq!(seen(bo).await, "(hidden)");
    assert_eq!(seen(api.admin().to_owned()).await, "(hidden)");
    // By its name, too; and no other team's of that name is found.
    let named = api.send(Ask::new("GET", "/api/v1/workloads/train").by(&ana)).await;
    assert_eq!(named.json()["id"], id.as_str());
    api.end().await;
}

/// Who knows a bundle's name can submit something that reads it: so who only sees a workload
/// does not learn it, nor does the audit log's reader.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bundles_name_is_for_those_who_may_read_the_bundle() {
    let api = Api::start().await;
    api.queue("lab").await;
    let ana = api.user("ana", "member", Some("lab")).await;
    let bo = api.user("bo", "member", Some("lab")).await;
    let lead = api.user("lea", "lead", Some("lab")).await;
    let tar = vec![0u8; 1024];
    let name = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&tar));
    let put = Ask::new("PUT", &format!("/api/v1/bundles/{name}")).by(&ana).bytes(&tar);
    assert_eq!(api.send(put).await.status, 201);
    let mut spec = job("train");
    spec["bundle"] = json!(name);
    let id = api.submit(&ana, spec).await;
    let path = format!("/api/v1/workloads/{id}");
    for (token, knows) in [(&ana, true), (&lead, true), (&bo, false)] {
        let shown = api.send(Ask::new("GET", &path).by(token)).await;
        assert_eq!(shown.status, 200);
        assert_eq!(shown.json()["spec"]["bundle"] == name.as_str(), knows);
    }
    for path in [path.as_str(), "/api/v1/workloads?all=true", "/api/v1/audit", "/api/v1/events"] {
        let shown = api.must(Ask::new("GET", path)).await;
        assert!(!String::from_utf8_lossy(&shown.body).contains(&name), "{path}");
    }
    api.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_go_on_where_they_ended() {
    let api = Api::start().await;
    api.queue("lab").await;
    let ana = api.user("ana", "member", Some("lab")).await;
    let mut ids = Vec::new();
    for n in 0..7 {
        ids.push(api.submit(&ana, job(&format!("j{n}"))).await);
    }
    let (mut seen, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let more = cursor.map(|c| format!("&cursor={c}")).unwrap_or_default();
        let ask = Ask::new("GET", &format!("/api/v1/workloads?limit=3{more}")).by(&ana);
        let page = api.send(ask).await.json();
        let items = page["items"].as_array().unwrap();
        assert!(items.len() <= 3);
        seen.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        cursor = page["next"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    ids.reverse();
    assert_eq!(seen, ids, "newest first, each once");
    api.end().await;
}
