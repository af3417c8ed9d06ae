//! The tracking server as its clients and its attackers meet it; MLflow's own client is in the
//! clients' gate (`crates/weft/tests/it/clients.rs`).

use crate::api_world::{Answer, Api, Ask};
use serde_json::{Value, json};
use weft_server::Limits;
use weft_types::Bytes;

struct World {
    api: Api,
    ana: String,
    mia: String,
    lea: String,
    eve: String,
}

impl World {
    async fn new() -> Self {
        Self::limited(|_| {}).await
    }

    async fn limited(change: impl FnOnce(&mut Limits)) -> Self {
        let api = Api::start_with(|config| change(&mut config.limits)).await;
        for queue in ["lab", "rest"] {
            api.queue(queue).await;
        }
        let ana = api.user("ana", "member", Some("lab")).await;
        let mia = api.user("mia", "member", Some("lab")).await;
        let lea = api.user("lea", "lead", Some("lab")).await;
        let eve = api.user("eve", "member", Some("rest")).await;
        Self { api, ana, mia, lea, eve }
    }

    async fn post(&self, by: &str, what: &str, body: Value) -> Answer {
        self.api.send(Ask::new("POST", &format!("/api/2.0/mlflow/{what}")).by(by).json(body)).await
    }

    async fn get(&self, by: &str, what: &str) -> Answer {
        self.api.send(Ask::new("GET", &format!("/api/2.0/mlflow/{what}")).by(by)).await
    }

    async fn ok(&self, by: &str, what: &str, body: Value) -> Value {
        let answer = self.post(by, what, body).await;
        assert_eq!(answer.status, 200, "{what}: {:?}", answer.body);
        answer.json()
    }

    /// An experiment of ana's, and a run in it.
    async fn tracked(&self) -> (String, String) {
        let made = self.ok(&self.ana, "experiments/create", json!({ "name": "digits" })).await;
        let experiment = made["experiment_id"].as_str().unwrap().to_owned();
        let body = json!({ "experiment_id": experiment, "start_time": 5, "run_name": "r" });
        let run = self.ok(&self.ana, "runs/create", body).await;
        (experiment, run["run"]["info"]["run_id"].as_str().unwrap().to_owned())
    }

    async fn audited(&self, verb: &str, decision: &str) -> usize {
        let rows =
            self.api.send(Ask::new("GET", "/api/v1/audit").by(self.api.admin())).await.json();
        let rows = rows["items"].as_array().unwrap().clone();
        rows.iter().filter(|row| row["verb"] == verb && row["decision"] == decision).count()
    }
}

fn code(answer: &Answer) -> String {
    answer.json()["error_code"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_team_sees_what_it_tracked_and_nobody_else_does() {
    let w = World::new().await;
    let (experiment, run) = w.tracked().await;
    let get_run = format!("runs/get?run_id={run}");
    let get = format!("experiments/get?experiment_id={experiment}");
    let search = json!({ "experiment_ids": [experiment] });
    for (who, status, found) in
        [(&w.ana, 200, 1), (&w.mia, 200, 1), (&w.lea, 200, 1), (&w.eve, 404, 0)]
    {
        assert_eq!(w.get(who, &get_run).await.status, status);
        assert_eq!(w.get(who, &get).await.status, status);
        let runs = w.ok(who, "runs/search", search.clone()).await;
        assert_eq!(runs["runs"].as_array().unwrap().len(), found);
    }
    // Administrators run the pool, and read nobody's data.
    let admin = w.api.admin().to_owned();
    assert_eq!(w.get(&admin, &get_run).await.status, 404);
    // The same words for what is not there and what is not told.
    let unseen =
        w.get(&w.eve, &get_run).await.json()["message"].as_str().unwrap().replace(&run, "");
    let none = "0".repeat(32);
    let missing = w.get(&w.eve, &format!("runs/get?run_id={none}")).await.json();
    assert_eq!(missing["message"].as_str().unwrap().replace(&none, ""), unseen);
    assert!(w.audited("run-read", "denied").await >= 3);
    // Names are a team's: another has its own.
    let name = "experiments/get-by-name?experiment_name=digits";
    assert_eq!(w.get(&w.mia, name).await.status, 200);
    assert_eq!(code(&w.get(&w.eve, name).await), "RESOURCE_DOES_NOT_EXIST");
    w.ok(&w.eve, "experiments/create", json!({ "name": "digits" })).await;
}

#[tokio::test]
async fn a_run_is_changed_by_its_owner_and_the_lead() {
    let w = World::new().await;
    let (experiment, run) = w.tracked().await;
    let metric = json!({ "run_id": run, "key": "loss", "value": 0.5, "timestamp": 1 });
    let by_mia = w.post(&w.mia, "runs/log-metric", metric.clone()).await;
    assert_eq!((by_mia.status, code(&by_mia)), (403, "PERMISSION_DENIED".to_owned()));
    let by_eve = w.post(&w.eve, "runs/log-metric", metric.clone()).await;
    assert_eq!((by_eve.status, code(&by_eve)), (404, "RESOURCE_DOES_NOT_EXIST".to_owned()));
    w.ok(&w.ana, "runs/log-metric", metric.clone()).await;
    // A teammate tracks runs of her own in it, and says what it is; she does not delete it.
    let hers = json!({ "experiment_id": experiment });
    w.ok(&w.mia, "runs/create", hers).await;
    let tag = json!({ "experiment_id": experiment, "key": "about", "value": "digits" });
    w.ok(&w.mia, "experiments/set-experiment-tag", tag).await;
    let delete = json!({ "experiment_id": experiment });
    assert_eq!(w.post(&w.mia, "experiments/delete", delete.clone()).await.status, 403);
    w.ok(&w.lea, "runs/delete", json!({ "run_id": run })).await;
    let gone = w.post(&w.ana, "runs/log-metric", metric).await;
    assert!(gone.json()["message"].as_str().unwrap().contains("'active' state"), "{gone:?}");
    w.ok(&w.lea, "experiments/delete", delete).await;
    assert_eq!(w.audited("experiment-manage", "allowed").await, 1);
    assert_eq!(w.audited("run-make", "allowed").await, 2);
    // A token of scope read tracks nothing.
    let read = json!({ "scope": "read", "expires_in_ms": 60_000 });
    let made = w.api.send(Ask::new("POST", "/api/v1/tokens").by(&w.ana).once().json(read)).await;
    let token = made.json()["secret"].as_str().unwrap().to_owned();
    let create = json!({ "name": "more" });
    assert_eq!(w.post(&token, "experiments/create", create).await.status, 403);
    assert_eq!(w.get(&token, &format!("runs/get?run_id={run}")).await.status, 200);
}

#[tokio::test]
async fn who_is_not_known_learns_nothing() {
    let w = World::new().await;
    let (_, run) = w.tracked().await;
    let path = format!("/api/2.0/mlflow/runs/get?run_id={run}");
    for ask in [
        Ask::new("GET", &path),
        Ask::new("GET", &path).by("weft_pat_00_00"),
        Ask::new("GET", &path).header("authorization", "Basic YTpi"),
        // What is good within a run is nothing outside.
        Ask::new("GET", &path).by("w1-1-0"),
    ] {
        let answer = w.api.send(ask).await;
        assert_eq!((answer.status, code(&answer)), (401, "UNAUTHENTICATED".to_owned()));
        assert!(!answer.json().to_string().contains(&run));
    }
    let foreign = Ask::new("GET", &path).by(&w.ana).header("host", "evil.example");
    assert_eq!(w.api.send(foreign).await.status, 403);
    let page = Ask::new("GET", &path).by(&w.ana).header("origin", "http://evil.example");
    assert_eq!(w.api.send(page).await.status, 403);
}

#[tokio::test]
async fn hostile_requests_are_refused_and_change_nothing() {
    let w = World::new().await;
    let (experiment, run) = w.tracked().await;
    let before = w.get(&w.ana, &format!("runs/get?run_id={run}")).await.json();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for body in ["", "{", "[]", "null", "7", "\"x\"", "{\"run_id\":31}", "\u{0}", &deep] {
        for what in ["runs/log-batch", "runs/log-metric", "runs/update", "runs/log-inputs"] {
            let path = format!("/api/2.0/mlflow/{what}");
            let answer =
                w.api.send(Ask::new("POST", &path).by(&w.ana).bytes(body.as_bytes())).await;
            assert_eq!(answer.status, 400, "{what} {body:.20}: {:?}", answer.body);
            assert_eq!(code(&answer), "INVALID_PARAMETER_VALUE");
        }
    }
    let batch = |more: Value| {
        let mut body = json!({ "run_id": run });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let good = json!({ "key": "good", "value": 1, "timestamp": 1 });
    for (why, body) in [
        (
            "a path",
            batch(json!({ "metrics": [good, { "key": "../x", "value": 1, "timestamp": 1 }] })),
        ),
        ("too many", batch(json!({ "metrics": vec![good.clone(); 1_001] }))),
        ("no time", batch(json!({ "metrics": [good, { "key": "x", "value": 1 }] }))),
        (
            "twice",
            batch(
                json!({ "params": [{ "key": "a", "value": "1" }, { "key": "a", "value": "1" }] }),
            ),
        ),
        ("ours", batch(json!({ "tags": [{ "key": "weft.workload", "value": "w1" }] }))),
        ("a value", batch(json!({ "metrics": [{ "key": "x", "value": "0x10", "timestamp": 1 }] }))),
    ] {
        let answer = w.post(&w.ana, "runs/log-batch", body).await;
        assert_eq!(code(&answer), "INVALID_PARAMETER_VALUE", "{why}: {:?}", answer.body);
    }
    let large = vec![b' '; (8 << 20) + 1];
    let large = Ask::new("POST", "/api/2.0/mlflow/runs/log-batch").by(&w.ana).bytes(&large);
    assert_eq!(w.api.send(large).await.status, 400);
    for (filter, order) in
        [("metrics.x <", ""), ("';--", ""), ("", "run_id; DROP"), (&*"(".repeat(9_999), "")]
    {
        let body = json!({ "experiment_ids": [experiment], "filter": filter, "order_by": [order] });
        let answer = w.post(&w.ana, "runs/search", body).await;
        assert_eq!(code(&answer), "INVALID_PARAMETER_VALUE", "{filter:.20} {order}");
    }
    for what in ["nothing", "runs/../runs/get", "runs/get/", "runs//get", "%00", "experiments"] {
        let answer = w.get(&w.ana, what).await;
        assert_eq!(code(&answer), "ENDPOINT_NOT_FOUND", "{what}");
    }
    let token = format!("metrics/get-history?run_id={run}&metric_key=x&page_token=1");
    assert_eq!(code(&w.get(&w.ana, &token).await), "INVALID_PARAMETER_VALUE");
    assert_eq!(w.get(&w.ana, &format!("runs/get?run_id={run}")).await.json(), before);
}

#[tokio::test]
async fn points_are_kept_once_and_told_in_pages() {
    let w = World::new().await;
    let (_, run) = w.tracked().await;
    let point =
        |at: u64| json!({ "key": "loss", "value": at as f64 / 2.0, "timestamp": at, "step": at });
    let batch: Vec<Value> = (0..1_000).map(point).collect();
    for _ in 0..2 {
        w.ok(&w.ana, "runs/log-batch", json!({ "run_id": run, "metrics": batch })).await;
    }
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let page = format!(
            "metrics/get-history?run_id={run}&metric_key=loss&max_results=300&page_token={token}"
        );
        let page = w.get(&w.mia, &page).await.json();
        let points = page["metrics"].as_array().unwrap();
        seen.extend(points.iter().map(|point| point["step"].as_u64().unwrap()));
        let Some(next) = page["next_page_token"].as_str() else { break };
        token = next.to_owned();
    }
    assert_eq!(seen, (0..1_000).collect::<Vec<_>>());
    let run = w.get(&w.ana, &format!("runs/get?run_id={run}")).await.json();
    assert_eq!(run["run"]["data"]["metrics"][0]["value"], 499.5);
}

#[tokio::test]
async fn files_are_kept_and_stay_in_their_place() {
    let w = World::new().await;
    let (experiment, run) = w.tracked().await;
    let files = "/api/2.0/mlflow-artifacts/artifacts";
    let at = |path: &str| format!("{files}/{experiment}/{run}/artifacts/{path}");
    let put = |by: &str, path: &str| Ask::new("PUT", path).by(by).bytes(b"canary");
    for path in ["a.txt", "in/b.txt", "in/deep/%C3%BC.txt", "in/a%20b"] {
        assert_eq!(w.api.send(put(&w.ana, &at(path))).await.status, 200, "{path}");
    }
    assert_eq!(w.api.send(put(&w.mia, &at("c.txt"))).await.status, 403);
    assert_eq!(w.api.send(put(&w.eve, &at("c.txt"))).await.status, 404);
    let get = |by: &str, path: &str| Ask::new("GET", path).by(by);
    for (by, status) in [(&w.ana, 200), (&w.mia, 200), (&w.eve, 404)] {
        let found = w.api.send(get(by, &at("in/deep/%C3%BC.txt"))).await;
        assert_eq!(found.status, status);
        assert_eq!(found.body == "canary", status == 200);
    }
    let found = w.api.send(get(&w.ana, &at("a.txt"))).await;
    assert_eq!(found.headers["content-disposition"], "attachment");
    assert_eq!(found.headers["x-content-type-options"], "nosniff");
    let list =
        |by: &str, path: &str| get(by, &format!("{files}?path={experiment}/{run}/artifacts{path}"));
    let listed = w.api.send(list(&w.mia, "/in")).await.json();
    let wanted = json!({ "files": [
        { "path": "a b", "is_dir": false, "file_size": 6 },
        { "path": "b.txt", "is_dir": false, "file_size": 6 },
        { "path": "deep", "is_dir": true },
    ] });
    assert_eq!(listed, wanted);
    // Nothing is written, read, listed or deleted elsewhere.
    for path in [
        "..",
        "../x",
        "%2e%2e/x",
        "%252e%252e/x",
        "in/../../x",
        "/etc/passwd",
        "in//x",
        "./x",
        "in\\x",
        "in%5c..%5cx",
        "x%00",
        "%2fetc",
        "in%2f..%2f..%2fx",
    ] {
        for method in ["PUT", "GET", "DELETE"] {
            let answer = w.api.send(Ask::new(method, &at(path)).by(&w.ana).bytes(b"x")).await;
            assert!(matches!(answer.status, 400 | 404), "{method} {path}: {}", answer.status);
        }
    }
    let other = format!("{files}/{}/{run}/artifacts/a.txt", 999);
    assert_eq!(w.api.send(get(&w.ana, &other)).await.status, 404);
    for path in ["", "/..", "/%252e%252e"] {
        let of_others = format!("{files}?path=1{path}");
        assert!(matches!(w.api.send(get(&w.ana, &of_others)).await.status, 400 | 404));
    }
    // They are a dataset: encrypted, counted, and read by whom the run is read by.
    let dataset = format!("/api/v1/datasets/artifacts-{experiment}");
    let shown = w.api.send(Ask::new("GET", &dataset).by(&w.mia)).await.json();
    assert_eq!((&shown["owner"], &shown["tier"]), (&json!("ana"), &json!("internal")));
    assert_eq!(w.api.send(Ask::new("DELETE", &at("in")).by(&w.mia)).await.status, 403);
    assert_eq!(w.api.send(Ask::new("DELETE", &at("in")).by(&w.ana)).await.status, 200);
    let left = w.api.send(list(&w.ana, "")).await.json();
    assert_eq!(left["files"].as_array().unwrap().len(), 1, "{left}");
    w.ok(&w.ana, "runs/delete", json!({ "run_id": run })).await;
    assert_eq!(w.api.send(put(&w.ana, &at("late.txt"))).await.status, 400);
}

#[tokio::test]
async fn a_model_is_its_owners_to_change_and_its_teams_to_see() {
    let w = World::new().await;
    let (experiment, run) = w.tracked().await;
    let body = json!({ "experiment_id": experiment, "name": "m", "source_run_id": run });
    let made = w.ok(&w.ana, "logged-models", body.clone()).await;
    let id = made["model"]["info"]["model_id"].as_str().unwrap().to_owned();
    let path = format!("/api/2.0/mlflow/logged-models/{id}");
    for (by, reads, writes) in
        [(&w.ana, 200, 200), (&w.mia, 200, 403), (&w.lea, 200, 200), (&w.eve, 404, 404)]
    {
        assert_eq!(w.api.send(Ask::new("GET", &path).by(by)).await.status, reads);
        let ready = json!({ "status": "LOGGED_MODEL_READY" });
        let finalize = Ask::new("PATCH", &path).by(by).json(ready);
        assert_eq!(w.api.send(finalize).await.status, writes);
        let search = json!({ "experiment_ids": [experiment], "filter": "status = 'READY'" });
        let found = w.ok(by, "logged-models/search", search).await;
        assert_eq!(found["models"].as_array().unwrap().len(), usize::from(reads == 200));
    }
    // A metric of another's model is not hers to tell.
    let hers = w.ok(&w.mia, "runs/create", json!({ "experiment_id": experiment })).await;
    let hers = hers["run"]["info"]["run_id"].as_str().unwrap();
    let metric =
        json!({ "run_id": hers, "key": "acc", "value": 1, "timestamp": 1, "model_id": id });
    assert_eq!(w.post(&w.mia, "runs/log-metric", metric).await.status, 404);
    for bad in ["a/b", "", "a:b", "a.b", "a'b"] {
        let body = json!({ "experiment_id": experiment, "name": bad });
        assert_eq!(w.post(&w.ana, "logged-models", body).await.status, 400, "{bad}");
    }
    let hidden = json!({ "experiment_id": experiment, "source_run_id": "0".repeat(32) });
    assert_eq!(w.post(&w.ana, "logged-models", hidden).await.status, 404);
    assert_eq!(w.api.send(Ask::new("DELETE", &path).by(&w.ana)).await.status, 200);
    assert_eq!(w.api.send(Ask::new("GET", &path).by(&w.ana)).await.status, 404);
}

#[tokio::test]
async fn a_team_holds_no_more_than_it_may() {
    let w = World::limited(|limits| limits.tracking_bytes_per_queue = Bytes(20_000)).await;
    let (_, run) = w.tracked().await;
    let batch = |from: u64| {
        let point = |at: u64| json!({ "key": "loss", "value": 1, "timestamp": at });
        json!({ "run_id": run, "metrics": (from..from + 300).map(point).collect::<Vec<_>>() })
    };
    w.ok(&w.ana, "runs/log-batch", batch(0)).await;
    let over = w.post(&w.ana, "runs/log-batch", batch(300)).await;
    assert_eq!((over.status, code(&over)), (429, "RESOURCE_EXHAUSTED".to_owned()));
    assert!(over.json()["message"].as_str().unwrap().contains("tracking-bytes-per-queue"));
    // What is there already takes no more room, and others have theirs.
    w.ok(&w.ana, "runs/log-batch", batch(0)).await;
    w.ok(&w.eve, "experiments/create", json!({ "name": "x" })).await;
    w.ok(&w.eve, "runs/create", json!({ "experiment_id": "0" })).await;
}
