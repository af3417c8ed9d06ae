//! Who is at the other end: socket, bearer, foreign pages, guessers.

use crate::api_world::{Api, Ask};
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_socket_knows_its_own_user() {
    let api = Api::start().await;
    let who = api.send_local(Ask::new("GET", "/api/v1/whoami")).await.json();
    assert_eq!((&who["user"], &who["by"]), (&json!("admin"), &json!("socket")));
    // A token says more than the socket.
    let (_, reader) = api.token("admin", "read", 60_000).await;
    let ask = Ask::new("POST", "/api/v1/users").by(&reader).once();
    let ask = ask.json(json!({ "name": "x", "role": "operator" }));
    assert_eq!(api.send_local(ask).await.code(), "forbidden");
    assert_eq!(api.send_local(Ask::new("GET", "/api/v1/whoami").by("junk")).await.status, 401);
    // No browser reaches the socket: whatever host it names is fine.
    let odd = Ask::new("GET", "/api/v1/whoami").header("host", "weft");
    assert_eq!(api.send_local(odd).await.status, 200);
    api.end().await;
}

/// Anybody on the machine can open connections to the port, and send nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_at_the_port_does_not_shut_the_socket() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let api = Api::start().await;
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    let mut crowd = Vec::new();
    // More than are served at once.
    for _ in 0..1_100 {
        crowd.push(api.connect_from([127, 0, 0, 1]).await);
    }
    let who = api.send_local(Ask::new("GET", "/api/v1/whoami"));
    let who = tokio::time::timeout(std::time::Duration::from_secs(10), who).await;
    assert_eq!(who.expect("the socket is shut").status, 200);
    drop(crowd);
    api.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn foreign_pages_are_refused() {
    let api = Api::start().await;
    let info = || Ask::new("GET", "/api/v1/info").by(api.admin());
    assert_eq!(api.send(info()).await.status, 200);
    let rebound = api.send(info().header("host", "attacker.example:7433")).await;
    assert_eq!((rebound.status, rebound.code().as_str()), (403, "forbidden"));
    assert_eq!(api.send(info().header("origin", "http://attacker.example")).await.status, 403);
    assert_eq!(api.send(info().header("origin", "null")).await.status, 403);
    let own = format!("http://{}", api.address());
    assert_eq!(api.send(info().header("origin", &own)).await.status, 200);
    // Also where nobody need be known, and where there is no route.
    let health = Ask::new("GET", "/healthz").header("host", "attacker.example");
    assert_eq!(api.send(health).await.status, 403);
    let nowhere = Ask::new("GET", "/x").header("host", "attacker.example");
    assert_eq!(api.send(nowhere).await.status, 403);
    api.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guesser_is_slowed_down_and_nobody_else() {
    let api = Api::start().await;
    let from = [127, 9, 9, 9];
    let mut answers = Vec::new();
    for n in 0..30 {
        let guess = Ask::new("GET", "/api/v1/info").by(&format!("weft_pat_{n}"));
        answers.push(api.send_over(api.connect_from(from).await, guess).await.status);
    }
    assert_eq!((answers[0], answers[29]), (401, 429), "{answers:?}");
    let good = Ask::new("GET", "/api/v1/info").by(api.admin());
    assert_eq!(api.send_over(api.connect_from(from).await, good).await.status, 200);
    let elsewhere = Ask::new("GET", "/api/v1/info").by("junk");
    assert_eq!(api.send(elsewhere).await.status, 401);
    api.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_shut_out_is_out_at_once() {
    let api = Api::start().await;
    api.queue("lab").await;
    let ana = api.user("ana", "member", Some("lab")).await;
    let whoami = || Ask::new("GET", "/api/v1/whoami").by(&ana);
    assert_eq!(api.send(whoami()).await.status, 200);
    api.must(Ask::new("DELETE", "/api/v1/users/ana").once()).await;
    assert_eq!(api.send(whoami()).await.status, 401);
    // The name stays taken, and no new token is made for it.
    let again = Ask::new("POST", "/api/v1/users").by(api.admin()).once();
    let again = again.json(json!({ "name": "ana", "role": "member", "queue": "lab" }));
    assert_eq!(api.send(again).await.code(), "already-exists");
    let token = Ask::new("POST", "/api/v1/tokens").by(api.admin()).once();
    let token = token.json(json!({ "user": "ana", "scope": "read", "expires_in_ms": 1000 }));
    assert_eq!(api.send(token).await.code(), "conflict");
    let own = Ask::new("DELETE", "/api/v1/users/admin").by(api.admin()).once();
    assert_eq!(api.send(own).await.code(), "conflict", "the built-in administrator stays");
    for reserved in ["weft", "root"] {
        let ask = Ask::new("POST", "/api/v1/users").by(api.admin()).once();
        let ask = ask.json(json!({ "name": reserved, "role": "operator" }));
        assert_eq!(api.send(ask).await.code(), "bad-request", "{reserved}");
    }
    api.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_live_as_long_as_they_may() {
    let api = Api::start().await;
    let make = |scope: &str, life: u64| {
        let ask = Ask::new("POST", "/api/v1/tokens").by(api.admin()).once();
        api.send(ask.json(json!({ "scope": scope, "expires_in_ms": life })))
    };
    assert_eq!(make("write", 0).await.code(), "bad-request");
    assert_eq!(make("write", 90 * 86_400_000 + 1).await.code(), "bad-request");
    assert_eq!(make("admin", 1_000).await.code(), "bad-request");
    assert_eq!(make("read", 90 * 86_400_000).await.status, 201);
    let listed = api.must(Ask::new("GET", "/api/v1/tokens")).await.json();
    assert!(listed.as_array().unwrap().iter().all(|token| token.get("secret").is_none()));
    api.end().await;
}
