//! What one user may take of a server: the rest is refused, in words, and leaves nothing behind.

use crate::api_world::{Api, Ask, job};
use serde_json::json;
use std::path::Path;

fn limited(api: &crate::api_world::Answer) -> bool {
    (api.status, api.code().as_str()) == (429, "limit-reached")
}

async fn submit(api: &Api, token: &str, name: &str, queue: &str) -> crate::api_world::Answer {
    let mut spec = job(name);
    spec["queue"] = json!(queue);
    let ask = Ask::new("POST", "/api/v1/workloads").by(token).once();
    api.send(ask.json(json!({ "spec": spec }))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_many_workloads_may_not_have_ended() {
    let api = Api::start_with(|config| {
        config.limits.live_per_user = 2;
        config.limits.live_per_queue = 3;
    })
    .await;
    api.queue("lab").await;
    let (ana, bob) = (
        api.user("ana", "member", Some("lab")).await,
        api.user("bob", "member", Some("lab")).await,
    );
    let first = submit(&api, &ana, "a", "lab").await;
    assert_eq!(first.status, 201);
    let ask = || Ask::new("POST", "/api/v1/workloads").by(&ana).key("second");
    let mut spec = job("b");
    spec["queue"] = json!("lab");
    let second = api.send(ask().json(json!({ "spec": spec }))).await;
    assert_eq!(second.status, 201);
    let third = submit(&api, &ana, "c", "lab").await;
    assert!(limited(&third), "{:?}", third.body);
    let text = third.json();
    assert!(text["detail"].as_str().unwrap().contains("the user `ana` has 2"), "{text}");
    assert!(text["hint"].as_str().unwrap().contains("weft stop"), "{text}");
    let again = api.send(ask().json(json!({ "spec": spec }))).await;
    assert_eq!((again.status, &again.body), (201, &second.body), "a repetition is no new one");

    assert_eq!(submit(&api, &bob, "d", "lab").await.status, 201);
    let full = submit(&api, &bob, "e", "lab").await;
    assert!(limited(&full) && full.json()["detail"].as_str().unwrap().contains("queue `lab`"));

    let id = first.json()["id"].as_str().unwrap().to_owned();
    let stop = Ask::new("POST", &format!("/api/v1/workloads/{id}/stop")).by(&ana).once();
    assert_eq!(api.send(stop.json(json!({ "now": true }))).await.status, 200);
    assert_eq!(submit(&api, &ana, "f", "lab").await.status, 201, "one has ended");
    api.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_many_streams_may_be_open() {
    let api = Api::start_with(|config| config.limits.streams_per_user = 2).await;
    api.queue("lab").await;
    let ana = api.user("ana", "member", Some("lab")).await;
    let bob = api.user("bob", "member", Some("lab")).await;
    let id = api.submit(&ana, job("waits")).await;
    let events = || Ask::new("GET", "/api/v1/events?follow=true");
    let first = api.events(events().by(&ana)).await;
    let logs = format!("/api/v1/workloads/{id}/logs?follow=true");
    let _second = api.events(Ask::new("GET", &logs).by(&ana)).await;
    let watch = || Ask::new("GET", &format!("/api/v1/workloads/{id}/watch")).by(&ana);
    let third = api.send(watch()).await;
    assert!(limited(&third), "{:?}", third.body);
    let _his = api.events(events().by(&bob)).await;
    drop(first);
    // The place is free once the server has seen that the client left.
    let freed = async { while api.send(watch()).await.status != 200 {} };
    tokio::time::timeout(crate::api_world::DEADLINE, freed).await.unwrap();
    api.end().await;
}

/// Made with a token that was stolen, another lives no longer, and goes with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_made_with_another_ends_with_it() {
    let api = Api::start().await;
    api.queue("lab").await;
    api.user("ana", "member", Some("lab")).await;
    let (stolen, secret) = api.token("ana", "write", 60_000).await;
    let make = |by: &str| {
        let body = json!({ "scope": "write", "expires_in_ms": 90u64 * 86_400_000 });
        api.send(Ask::new("POST", "/api/v1/tokens").by(by).once().json(body))
    };
    let child = make(&secret).await.json();
    let mine = api.must(Ask::new("GET", "/api/v1/tokens?user=ana")).await.json();
    let of = |id: &str| mine.as_array().unwrap().iter().find(|t| t["id"] == id).unwrap().clone();
    assert_eq!(child["token"]["parent"], json!(stolen));
    assert_eq!(child["token"]["expires_at_ms"], of(&stolen)["expires_at_ms"]);
    let grandchild = make(child["secret"].as_str().unwrap()).await.json();
    let secret = grandchild["secret"].as_str().unwrap().to_owned();
    let whoami = || Ask::new("GET", "/api/v1/whoami").by(&secret);
    assert_eq!(api.send(whoami()).await.status, 200);

    api.must(Ask::new("DELETE", &format!("/api/v1/tokens/{stolen}")).once()).await;
    assert_eq!(api.send(whoami()).await.status, 401);
    let rows = api.must(Ask::new("GET", "/api/v1/audit?limit=1000")).await.json();
    let rows = rows["items"].as_array().unwrap();
    let told = |id: &serde_json::Value, verb: &str| {
        let resource = json!(format!("token {}", id.as_str().unwrap()));
        let is = |row: &&serde_json::Value| row["resource"] == resource && row["verb"] == verb;
        let row = rows.iter().find(is).unwrap_or_else(|| panic!("no {verb} of {resource}"));
        row["detail"].as_str().unwrap().to_owned()
    };
    for (made, parent) in [(&child, json!(stolen)), (&grandchild, child["token"]["id"].clone())] {
        for verb in ["token-create", "token-revoke"] {
            let detail = told(&made["token"]["id"], verb);
            assert!(detail.contains(parent.as_str().unwrap()), "{verb}: {detail}");
        }
    }
    api.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_many_tokens_of_a_user_are_good() {
    let api = Api::start_with(|config| config.limits.tokens_per_user = 2).await;
    api.queue("lab").await;
    let ana = api.user("ana", "member", Some("lab")).await;
    let (id, _) = api.token("ana", "read", 60_000).await;
    let make = || {
        let body = json!({ "scope": "read", "expires_in_ms": 60_000 });
        api.send(Ask::new("POST", "/api/v1/tokens").by(&ana).once().json(body))
    };
    let third = make().await;
    assert!(limited(&third), "{:?}", third.body);
    api.must(Ask::new("DELETE", &format!("/api/v1/tokens/{id}")).once()).await;
    assert_eq!(make().await.status, 201, "a revoked one counts no more");
    api.end().await;
}

/// The caller's own is meant, however many namesakes others have made since.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_means_the_callers_own() {
    let api = Api::start().await;
    api.queue("lab").await;
    let ana = api.user("ana", "member", Some("lab")).await;
    let mine = api.submit(&ana, job("train")).await;
    for n in 0..110 {
        let queue = format!("team{n}");
        api.queue(&queue).await;
        assert_eq!(submit(&api, api.admin(), "train", &queue).await.status, 201);
    }
    let found = api.send(Ask::new("GET", "/api/v1/workloads/train").by(&ana)).await;
    assert_eq!((found.status, found.json()["id"].as_str()), (200, Some(mine.as_str())));
    let bob = api.user("bob", "member", Some("lab")).await;
    let found = api.send(Ask::new("GET", "/api/v1/workloads/train").by(&bob)).await;
    assert_eq!(found.json()["id"].as_str(), Some(mine.as_str()), "the team's");
    api.end().await;
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(<sha2::Sha256 as sha2::Digest>::digest(bytes))
}

/// An archive of its own for each letter: an end, and ever more of it.
fn tar(letter: u8) -> Vec<u8> {
    vec![0; 1024 + 512 * usize::from(letter - b'a')]
}

fn put(token: &str, bytes: &[u8]) -> Ask {
    Ask::new("PUT", &format!("/api/v1/bundles/{}", digest(bytes))).by(token).bytes(bytes)
}

/// Files in the folders that uploads write to, unfinished ones included.
fn stored(state: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders: Vec<_> = ["bundles", "uploads", "images"].map(|dir| state.join(dir)).into();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(entry.path()),
                false => found.push(entry.file_name().into_string().unwrap()),
            }
        }
    }
    found.retain(|name| !name.ends_with(".lock"));
    found
}

/// Knowing a digest opens nothing: not whether it is here, not the files, without their bytes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bundle_is_for_those_who_have_sent_it() {
    let api = Api::start().await;
    api.queue("lab").await;
    let ana = api.user("ana", "member", Some("lab")).await;
    let eve = api.user("eve", "member", Some("lab")).await;
    let bytes = tar(b'a');
    assert_eq!(api.send(put(&ana, &bytes)).await.status, 201);

    let path = format!("/api/v1/bundles/{}", digest(&bytes));
    let has = |token: &str| api.send(Ask::new("HEAD", &path).by(token));
    assert_eq!((has(&ana).await.status, has(&eve).await.status), (200, 404));
    let nothing = Ask::new("PUT", &path).by(&eve);
    assert_eq!(api.send(nothing).await.code(), "bad-request", "no body, no bundle");
    assert_eq!(has(&eve).await.status, 404);
    let mut spec = job("train");
    spec["bundle"] = json!(digest(&bytes));
    for route in ["/api/v1/workloads", "/api/v1/workloads?dry_run=true"] {
        let ask = Ask::new("POST", route).by(&eve).once().json(json!({ "spec": spec }));
        let refused = api.send(ask).await;
        assert_eq!((refused.status, refused.code().as_str()), (422, "invalid-spec"), "{route}");
    }

    assert_eq!(api.send(put(&eve, &bytes)).await.status, 201, "with the bytes, it is hers too");
    assert_eq!(has(&eve).await.status, 200);
    api.submit(&eve, spec).await;
    api.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_users_bundles_have_a_quota() {
    let quota = [b'a', b'b'].map(|letter| tar(letter).len() as u64).iter().sum();
    let api =
        Api::start_with(|config| config.limits.bundle_bytes_per_user = weft_types::Bytes(quota))
            .await;
    api.queue("lab").await;
    let ana = api.user("ana", "member", Some("lab")).await;
    let bob = api.user("bob", "member", Some("lab")).await;
    for letter in [b'a', b'b'] {
        assert_eq!(api.send(put(&ana, &tar(letter))).await.status, 201);
    }
    let third = api.send(put(&ana, &tar(b'c'))).await;
    assert!(limited(&third), "{:?}", third.body);
    assert!(third.json()["hint"].as_str().unwrap().contains("a week"));
    // Not announced, it is refused once it is here.
    let chunked = put(&ana, &tar(b'c')).header("transfer-encoding", "chunked");
    assert!(limited(&api.send(chunked).await));
    assert_eq!(stored(api.dir()).len(), 2, "nothing of it is left: {:?}", stored(api.dir()));
    assert_eq!(api.send(put(&ana, &tar(b'a'))).await.status, 200, "what is here costs nothing");
    assert_eq!(api.send(put(&bob, &tar(b'a'))).await.status, 201, "each has a quota");
    api.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_leave_the_reserve_of_the_disk() {
    let api = Api::start_with(|config| {
        config.limits.disk_reserve = Some(weft_types::Bytes(u64::MAX));
    })
    .await;
    let image = Ask::new("POST", "/api/v1/images").by(api.admin()).once().bytes(b"an image");
    for ask in [put(api.admin(), &tar(b'a')), image] {
        let path = ask.path.clone();
        let refused = api.send(ask).await;
        assert_eq!((refused.status, refused.code().as_str()), (507, "disk-full"), "{path}");
    }
    assert_eq!(stored(api.dir()), Vec::<String>::new());
    api.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_many_uploads_of_a_user_are_taken_at_once() {
    use tokio::io::AsyncWriteExt;
    let api = Api::start_with(|config| config.limits.uploads_per_user = 1).await;
    api.queue("lab").await;
    let ana = api.user("ana", "member", Some("lab")).await;
    let bob = api.user("bob", "member", Some("lab")).await;
    let bytes = tar(b'a');
    let mut idle = api.connect_from([127, 9, 9, 9]).await;
    let head = format!(
        "PUT /api/v1/bundles/{} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {ana}\r\n\
         Content-Length: {}\r\n\r\nx",
        digest(&bytes),
        api.address(),
        bytes.len()
    );
    idle.write_all(head.as_bytes()).await.unwrap();
    let begun = async {
        while stored(api.dir()).is_empty() {
            tokio::task::yield_now().await
        }
    };
    tokio::time::timeout(crate::api_world::DEADLINE, begun).await.unwrap();
    let second = api.send(put(&ana, &tar(b'b'))).await;
    assert!(limited(&second), "{:?}", second.body);
    assert_eq!(api.send(put(&bob, &tar(b'b'))).await.status, 201);
    drop(idle);
    let freed = async { while api.send(put(&ana, &tar(b'c'))).await.status != 201 {} };
    tokio::time::timeout(crate::api_world::DEADLINE, freed).await.unwrap();
    api.end().await;
}

/// At the bound of all callers together the answer is 503 at once, with when to try again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn past_the_bound_of_requests_the_answer_is_busy() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let api = Api::start_with(|config| config.limits.requests = 1).await;
    let mut slow = api.connect_from([127, 9, 9, 8]).await;
    let head = format!(
        "POST /api/v1/workloads HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nIdempotency-Key: k\r\nContent-Length: 2\r\n\r\n{{",
        api.address(),
        api.admin(),
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    let healthy = || api.send(Ask::new("GET", "/healthz"));
    let busy = async {
        loop {
            let answer = healthy().await;
            if answer.status != 200 {
                return answer;
            }
        }
    };
    let busy = tokio::time::timeout(crate::api_world::DEADLINE, busy).await.unwrap();
    assert_eq!((busy.status, busy.code().as_str()), (503, "busy"));
    assert_eq!(busy.headers["retry-after"], "1");
    slow.write_all(b"}").await.unwrap();
    slow.read_u8().await.unwrap();
    let freed = async { while healthy().await.status != 200 {} };
    tokio::time::timeout(crate::api_world::DEADLINE, freed).await.unwrap();
    api.end().await;
}

/// How long changes take to be on disk is measured: one more commit is one more counted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commits_are_measured() {
    let api = Api::start().await;
    let counted = async || {
        let text = api.must(Ask::new("GET", "/metrics")).await.body;
        let text = String::from_utf8(text.to_vec()).unwrap();
        let of = |name: &str| -> f64 {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_else(|| panic!("no {name}")).trim().parse().unwrap()
        };
        assert!(text.contains("# TYPE weft_store_commit_seconds histogram"));
        let count = of("weft_store_commit_seconds_count");
        assert_eq!(of("weft_store_commit_seconds_bucket{le=\"+Inf\"}"), count);
        assert!(of("weft_store_commit_seconds_bucket{le=\"0.1\"}") <= count);
        assert!(of("weft_store_commit_seconds_sum") > 0.0);
        count
    };
    let before = counted().await;
    api.queue("lab").await;
    assert!(counted().await > before);
    api.end().await;
}
