//! Hostile input: every answer is a problem that names what is wrong, and the server goes on.

use crate::api_world::{Api, Ask, job};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies() {
    let api = Api::start().await;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_spec = format!(r#"{{"spec":{{"type":"job","command":{deep}}}}}"#);
    let mut many = job("many");
    many["env"] = (0..5_000).map(|n| (format!("V{n}"), json!("x"))).collect();
    let many = json!({ "spec": many }).to_string();
    let cases: Vec<(&str, Vec<u8>, u16)> = vec![
        ("empty", b"".to_vec(), 400),
        ("no JSON", b"{".to_vec(), 400),
        ("a scalar", b"7".to_vec(), 400),
        ("null", b"null".to_vec(), 400),
        ("an array", b"[]".to_vec(), 400),
        ("two values", br#"{"spec":{"type":"job","command":["x"]}} {}"#.to_vec(), 400),
        ("deep", deep.into_bytes(), 400),
        ("deep in a field", deep_spec.into_bytes(), 400),
        ("bad UTF-8", b"{\"spec\":\"\xff\xfe\"}".to_vec(), 400),
        ("wrong type", br#"{"spec":{"type":7,"command":["x"]}}"#.to_vec(), 400),
        ("negative", br#"{"spec":{"type":"job","command":["x"],"replicas":-1}}"#.to_vec(), 400),
        (
            "overflow",
            br#"{"spec":{"type":"job","command":["x"],"replicas":4294967296}}"#.to_vec(),
            400,
        ),
        ("float", br#"{"spec":{"type":"job","command":["x"],"replicas":1e3}}"#.to_vec(), 400),
        ("unknown", br#"{"spec":{"type":"job","command":["x"],"owner":"root"}}"#.to_vec(), 400),
        ("twice", br#"{"spec":{"type":"job","type":"job","command":["x"]}}"#.to_vec(), 400),
        ("NUL", br#"{"spec":{"type":"job","command":["a\u0000b"]}}"#.to_vec(), 422),
        (
            "traversal",
            br#"{"spec":{"type":"job","command":["x"],"bundle":"../../etc"}}"#.to_vec(),
            422,
        ),
        (
            "a queue that is a path",
            br#"{"spec":{"type":"job","command":["x"],"queue":"../a"}}"#.to_vec(),
            422,
        ),
        ("many", many.into_bytes(), 422),
        ("huge", vec![b' '; 600 * 1024], 413),
    ];
    for (what, body, status) in cases {
        let ask = Ask::new("POST", "/api/v1/workloads").by(api.admin()).once();
        let answer = api.send(ask.header("content-type", "application/json").bytes(&body)).await;
        assert_eq!(answer.status, status, "{what}: {:?}", answer.body);
        assert_eq!(answer.headers["content-type"], "application/problem+json", "{what}");
        assert!(answer.body.len() < 2_000, "{what}: the error repeats its cause");
    }
    // Every field of it has a default, and serde would read them from a list.
    let list = Ask::new("POST", "/api/v1/workloads/w1/stop").by(api.admin()).once();
    let list = list.header("content-type", "application/json").bytes(b"[]");
    assert_eq!(api.send(list).await.status, 404);
    let list = Ask::new("POST", "/api/v1/admin/shutdown").by(api.admin()).once();
    let list = list.header("content-type", "application/json").bytes(b" [true]");
    assert_eq!(api.send(list).await.code(), "bad-request");
    let form = Ask::new("POST", "/api/v1/workloads").by(api.admin()).once().bytes(b"a=b");
    let form = form.header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(api.send(form).await.code(), "unsupported-media-type");
    let gift = Ask::new("DELETE", "/api/v1/users/nobody").by(api.admin()).once().bytes(b"x");
    assert_eq!(api.send(gift).await.code(), "bad-request");
    assert_eq!(api.send(Ask::new("GET", "/healthz")).await.status, 200);
    api.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paths_and_queries() {
    let api = Api::start().await;
    api.queue("lab").await;
    let ana = api.user("ana", "member", Some("lab")).await;
    let id = api.submit(&ana, job("train")).await;
    let long = "x".repeat(8_000);
    let out = |path: &str| format!("/api/v1/workloads/{id}/outputs/{path}");
    let cases = [
        ("GET", "/api/v1/workloads/..%2f..%2fweft.db".to_owned(), 404),
        ("GET", "/api/v1/workloads/%00".to_owned(), 404),
        ("GET", "/api/v1/workloads/%ff".to_owned(), 400),
        ("GET", format!("/api/v1/workloads/{long}"), 404),
        ("GET", "/api/v1/workloads/w18446744073709551615".to_owned(), 404),
        ("GET", "/api/v1/workloads/w018446744073709551616".to_owned(), 404),
        ("GET", "/api/v1/workloads/%27%20OR%201=1--".to_owned(), 404),
        ("GET", out("../../../weft.db"), 404),
        ("GET", out("..%2f..%2f..%2fweft.db"), 404),
        ("GET", out("%2fetc%2fpasswd"), 404),
        ("GET", out("/etc/passwd"), 404),
        ("GET", out("a%00b"), 404),
        ("GET", out("."), 404),
        ("GET", "/api/v1/bundles/x".to_owned(), 405),
        ("PUT", "/api/v1/bundles/..%2f..%2fweft.db".to_owned(), 400),
        ("PUT", format!("/api/v1/bundles/{}", "A".repeat(64)), 400),
        ("PUT", format!("/api/v1/bundles/{}", "0".repeat(63)), 400),
        ("GET", "/api/v1/workloads?limit=0".to_owned(), 400),
        ("GET", "/api/v1/workloads?limit=-1".to_owned(), 400),
        ("GET", "/api/v1/workloads?limit=1e9".to_owned(), 400),
        ("GET", "/api/v1/workloads?limit=99999999999999".to_owned(), 400),
        ("GET", "/api/v1/workloads?cursor=%00".to_owned(), 400),
        ("GET", "/api/v1/workloads?stat=running".to_owned(), 400),
        ("GET", "/api/v1/workloads?state=running&state=queued".to_owned(), 400),
        ("GET", "/api/v1/workloads?queue=..%2F..".to_owned(), 400),
        ("GET", "/api/v1/events?after=-1".to_owned(), 400),
        ("GET", "/api/v1/nothing".to_owned(), 404),
        ("GET", "/".to_owned(), 404),
        ("GET", "//api/v1/info".to_owned(), 404),
        ("GET", "/api/v1/../v1/info".to_owned(), 404),
        ("TRACE", "/api/v1/info".to_owned(), 405),
        ("OPTIONS", "/api/v1/info".to_owned(), 405),
        ("POST", "/api/v1/info".to_owned(), 405),
        ("PATCH", "/healthz".to_owned(), 405),
    ];
    for (method, path, status) in cases {
        let answer = api.send(Ask::new(method, &path).by(&ana)).await;
        let shown = &path[..path.len().min(80)];
        assert_eq!(answer.status, status, "{method} {shown}: {:?}", answer.body);
        assert!(answer.body.len() < 2_000, "{shown}: the error repeats its cause");
        assert!(!answer.headers.contains_key("access-control-allow-origin"), "{shown}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{shown}");
    }
    let queue = |path: &str| {
        let body = json!({ "name": path, "gpu_milli": {}, "cpu_milli": {}, "memory_bytes": {} });
        let ask = Ask::new("PUT", &format!("/api/v1/queues/{path}")).by(api.admin()).once();
        api.send(ask.json(body))
    };
    for bad in ["a%2f..%2fb", "a//b", "a/b/c/d/e/f", "A", "%ff", "lab/"] {
        let answer = queue(bad).await;
        assert_eq!(answer.status, 400, "{bad}: {:?}", answer.body);
    }
    api.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quotas_are_numbers_that_add_up() {
    let api = Api::start().await;
    let put = |gpu: serde_json::Value| {
        let body = json!({ "name": "q", "gpu_milli": gpu, "cpu_milli": {}, "memory_bytes": {} });
        api.send(Ask::new("PUT", "/api/v1/queues/q").by(api.admin()).once().json(body))
    };
    for bad in [
        json!({ "nominal": -1 }),
        json!({ "nominal": u64::MAX }),
        json!({ "nominal": 1.5 }),
        json!({ "nominal": 1, "lending": 2 }),
        json!({ "nominal": "1" }),
        json!({ "nominal": null }),
        json!(7),
    ] {
        assert_eq!(put(bad.clone()).await.status, 400, "{bad}");
    }
    assert_eq!(put(json!({ "nominal": 1000, "lending": 1000 })).await.status, 201);
    api.end().await;
}

/// What no HTTP client would send.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_no_request() {
    let api = Api::start().await;
    let host = api.address().to_owned();
    let head = |rest: &str| format!("GET /api/v1/info HTTP/1.1\r\nhost: {host}\r\n{rest}\r\n");
    let cases: Vec<Vec<u8>> = vec![
        b"\x16\x03\x01\x02\x00\x01\x00".to_vec(),
        b"GET / HTTP/9.9\r\n\r\n".to_vec(),
        b"GET /\x00 HTTP/1.1\r\n\r\n".to_vec(),
        head("content-length: 5\r\ncontent-length: 6\r\n").into_bytes(),
        head("transfer-encoding: chunked\r\ncontent-length: 5\r\n").into_bytes(),
        head("content-length: -5\r\n").into_bytes(),
        head(&format!("x: {}\r\n", "y".repeat(1_000_000))).into_bytes(),
        head(&"a: b\r\n".repeat(2_000)).into_bytes(),
        [head("transfer-encoding: chunked\r\n").as_bytes(), b"ffffffffffffffffff\r\n"].concat(),
        [b"GET /".as_slice(), &b"a".repeat(1_000_000), b" HTTP/1.1\r\n\r\n"].concat(),
    ];
    for case in cases {
        let mut stream = tokio::net::TcpStream::connect(&host).await.unwrap();
        // It may be closed before all of it was sent.
        let _ = stream.write_all(&case).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        let _ = tokio::time::timeout(crate::api_world::DEADLINE, read).await.unwrap();
        let text = String::from_utf8_lossy(&answer);
        let shown = String::from_utf8_lossy(&case[..case.len().min(80)]).into_owned();
        assert!(!text.starts_with("HTTP/1.1 2"), "{shown}: {text}");
        assert!(!text.starts_with("HTTP/1.1 5"), "{shown}: {text}");
    }
    assert_eq!(api.send(Ask::new("GET", "/healthz")).await.status, 200);
    api.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bundle_is_what_its_name_says() {
    let api = Api::start().await;
    let mut tar = vec![0u8; 1024];
    let digest = |bytes: &[u8]| hex::encode(<sha2::Sha256 as sha2::Digest>::digest(bytes));
    let path = |bytes: &[u8]| format!("/api/v1/bundles/{}", digest(bytes));
    let put =
        |path: String, body: Vec<u8>| api.send(Ask::new("PUT", &path).by(api.admin()).bytes(&body));
    assert_eq!(put(path(b"other"), tar.clone()).await.code(), "bad-request");
    let has = |path: String| api.send(Ask::new("HEAD", &path).by(api.admin()));
    assert_eq!(has(path(&tar)).await.status, 404);
    assert_eq!(put(path(&tar), tar.clone()).await.status, 201);
    assert_eq!(put(path(&tar), tar.clone()).await.status, 200);
    assert_eq!(has(path(&tar)).await.status, 200);
    tar[0] = b'x';
    let damaged = put(path(&tar), tar.clone()).await;
    assert_eq!(damaged.code(), "bad-request", "an archive that does not unpack is not kept");
    let announced = Ask::new("PUT", &path(b"big")).by(api.admin());
    let announced = announced.header("content-length", &(2u64 << 30).to_string());
    assert_eq!(api.send(announced).await.code(), "too-large");
    api.end().await;
}
