//! A real run over the API: submitted, followed, looked into, its outputs fetched, forgotten.

use crate::api_world::{Api, Ask, Events, job};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Whether this machine can make sandboxes; where not, it is said loudly.
fn sandboxes() -> bool {
    let findings = weft_runtime::Runtime::probe().into_iter();
    let lacking: Vec<_> =
        findings.filter(|finding| !finding.ok && finding.what.contains("namespace")).collect();
    if !lacking.is_empty() {
        crate::world::loudly(&format!("SKIPPED: no sandboxes on this machine: {lacking:?}"));
    }
    lacking.is_empty()
}

fn script(name: &str, text: &str) -> Value {
    let mut spec = job(name);
    spec["command"] = json!(["/bin/sh", "-c", text]);
    spec["resources"]["memory_bytes"] = json!(64_000_000);
    spec
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_submission_to_outputs() {
    if !sandboxes() {
        return;
    }
    let api = Api::start().await;
    let text = "for n in 1 2 3; do echo line $n; done; echo bad >&2; mkdir out; \
                printf result > out/model.bin; ln -s /etc/passwd out/link";
    let mut spec = script("train", text);
    spec["outputs"] = json!(["out"]);
    let id = api.submit(api.admin(), spec).await;
    let path = |rest: &str| format!("/api/v1/workloads/{id}{rest}");
    let mut logs = api.events(Ask::new("GET", &path("/logs?follow=true")).by(api.admin())).await;
    let mut watch = api.events(Ask::new("GET", &path("/watch")).by(api.admin())).await;
    let mut lines = Vec::new();
    while let Some(told) = logs.next().await {
        assert_eq!(told.sort, "log", "{told:?}");
        lines.push((told.data["stream"].clone(), told.data["text"].clone()));
    }
    for wanted in ["line 1", "line 2", "line 3"] {
        assert!(lines.contains(&(json!("out"), json!(wanted))), "{wanted}: {lines:?}");
    }
    assert!(lines.contains(&(json!("err"), json!("bad"))), "{lines:?}");
    let mut states = Vec::new();
    while let Some(told) = watch.next().await {
        states.push(told.data["state"].as_str().unwrap().to_owned());
    }
    assert_eq!(states.last().unwrap(), "succeeded", "{states:?}");

    let page = api.must(Ask::new("GET", &path("/logs"))).await.json();
    let kept: Vec<_> = page["items"].as_array().unwrap().iter().map(|l| &l["text"]).collect();
    assert!(lines.iter().all(|(_, text)| kept.contains(&text)), "no line is lost: {kept:?}");
    let files = api.must(Ask::new("GET", &path("/outputs"))).await.json();
    assert_eq!(files, json!([{ "path": "out/model.bin", "bytes": 6 }]));
    let file = api.must(Ask::new("GET", &path("/outputs/out/model.bin"))).await;
    assert_eq!(
        (&file.body[..], &file.headers["content-length"]),
        (&b"result"[..], &"6".parse().unwrap())
    );
    assert_eq!(file.headers["content-disposition"], "attachment");
    let link = Ask::new("GET", &path("/outputs/out/link")).by(api.admin());
    assert_eq!(api.send(link).await.status, 404);

    let shown = api.must(Ask::new("GET", &path(""))).await.json();
    assert_eq!((&shown["exit"]["kind"], &shown["exit"]["code"]), (&json!("exited"), &json!(0)));
    let metrics = api.must(Ask::new("GET", &path("/metrics"))).await.json();
    assert_eq!(metrics["memory_limit_bytes"], 64_000_000);
    api.must(Ask::new("DELETE", &path("")).once()).await;
    assert_eq!(api.send(Ask::new("GET", &path("")).by(api.admin())).await.status, 404);
    api.end().await;
}

/// Asks for a command inside a run; the stream then carries its frames.
async fn enter(api: &Api, id: &str, token: &str, argv: Value) -> TcpStream {
    let body = json!({ "argv": argv }).to_string();
    let head = format!(
        "POST /api/v1/workloads/{id}/exec HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\n\
         connection: upgrade\r\nupgrade: weft-exec\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        api.address(),
        body.len()
    );
    let mut stream = api.connect_from([127, 0, 0, 1]).await;
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    stream
}

/// A run that stays, once it runs, and what is told of it.
async fn stays(api: &Api) -> (String, Events) {
    let id = api.submit(api.admin(), script("stays", "sleep 600")).await;
    let watch = format!("/api/v1/workloads/{id}/watch");
    let mut watch = api.events(Ask::new("GET", &watch).by(api.admin())).await;
    while watch.next().await.expect("it runs").data["state"] != "running" {}
    (id, watch)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_token_ends_what_it_runs_inside() {
    if !sandboxes() {
        return;
    }
    let api = Api::start().await;
    let (id, mut watch) = stays(&api).await;
    let (token, secret) = api.token("admin", "write", 600_000).await;
    let mut stream = enter(&api, &id, &secret, json!(["/bin/sleep", "600"])).await;
    api.must(Ask::new("DELETE", &format!("/api/v1/tokens/{token}")).once()).await;
    let ended = tokio::time::timeout(crate::api_world::DEADLINE, stream.read_u8()).await;
    assert!(ended.expect("it goes on").is_err());
    let stop = Ask::new("POST", &format!("/api/v1/workloads/{id}/stop")).once();
    api.must(stop.json(json!({ "now": true }))).await;
    while watch.next().await.is_some() {}
    api.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_inside_a_run() {
    if !sandboxes() {
        return;
    }
    let api = Api::start().await;
    let (id, mut watch) = stays(&api).await;

    let argv = json!(["/bin/sh", "-c", "read word; echo got $word; exit 7"]);
    let mut stream = enter(&api, &id, api.admin(), argv).await;
    // Frames: kind, length, payload.
    stream.write_all(b"\x00\x00\x00\x00\x05word\n").await.unwrap();
    let (mut out, mut code) = (Vec::new(), None);
    while code.is_none() {
        let read = async {
            let (kind, length) =
                (stream.read_u8().await.unwrap(), stream.read_u32().await.unwrap());
            let mut payload = vec![0; length as usize];
            stream.read_exact(&mut payload).await.unwrap();
            (kind, payload)
        };
        match tokio::time::timeout(crate::api_world::DEADLINE, read).await.unwrap() {
            (0, payload) => out.extend(payload),
            (2, payload) => code = Some(i32::from_be_bytes(payload.try_into().unwrap())),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((String::from_utf8_lossy(&out).as_ref(), code), ("got word\n", Some(7)));

    let stop = Ask::new("POST", &format!("/api/v1/workloads/{id}/stop")).once();
    api.must(stop.json(json!({ "now": true }))).await;
    while watch.next().await.is_some() {}
    let audit = api.must(Ask::new("GET", "/api/v1/audit?limit=1000")).await.json();
    let audit = audit["items"].as_array().unwrap().clone();
    let exec: Vec<_> = audit.iter().filter(|row| row["verb"] == "workload-exec").collect();
    assert_eq!(exec.len(), 1);
    assert!(exec[0]["detail"].as_str().unwrap().contains("/bin/sh"));
    assert!(!exec[0]["detail"].as_str().unwrap().contains("got"), "arguments are the user's");
    api.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_prometheus_reads() {
    let api = Api::start().await;
    api.queue("lab").await;
    let ask = Ask::new("GET", "/metrics");
    let answer = api.must(ask).await;
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    let mut families = std::collections::BTreeMap::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, sort) = rest.split_once(' ').unwrap();
            assert!(families.insert(name.to_owned(), sort.to_owned()).is_none(), "{name} twice");
            continue;
        }
        if line.starts_with('#') {
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
        let name = series.split('{').next().unwrap();
        let base = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| name.strip_suffix(end).filter(|base| families.contains_key(*base)));
        assert!(families.contains_key(base.unwrap_or(name)), "{line} has no type");
    }
    for wanted in [
        "weft_workloads{state=\"waiting\"} 0",
        "weft_http_requests_total{route=\"/api/v1/queues/{*path}\",method=\"PUT\",status=\"2xx\"} \
         1",
    ] {
        assert!(text.lines().any(|line| line == wanted), "{wanted}\n{text}");
    }
    api.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_member_of_a_gang_has_its_outputs() {
    if !sandboxes() {
        return;
    }
    let api = Api::start().await;
    let mut spec = script("gang", "printf %s $WEFT_RANK$WEFT_RANK > sum; test $WEFT_RANK -lt 2");
    spec["outputs"] = json!(["sum"]);
    spec["replicas"] = json!(2);
    let id = api.submit(api.admin(), spec).await;
    let path = |rest: &str| format!("/api/v1/workloads/{id}{rest}");
    assert_eq!(last_told(&api, &id).await["state"], "succeeded");
    let files = api.must(Ask::new("GET", &path("/outputs"))).await.json();
    assert_eq!(files, json!([{ "path": "0/sum", "bytes": 2 }, { "path": "1/sum", "bytes": 2 }]));
    let file = api.must(Ask::new("GET", &path("/outputs/1/sum"))).await;
    assert_eq!(&file.body[..], b"11");
    api.end().await;
}

/// What is told of a workload last, once it has ended.
async fn last_told(api: &Api, id: &str) -> Value {
    let watch = Ask::new("GET", &format!("/api/v1/workloads/{id}/watch")).by(api.admin());
    let mut watch = api.events(watch).await;
    let mut last = Value::Null;
    while let Some(told) = watch.next().await {
        last = told.data;
    }
    last
}

/// A gang that goes on with fewer members leaves what the others kept before on the disk, and it
/// is none of its outputs any more: neither listed nor served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_larger_start_left_is_no_output_of_a_smaller_one() {
    if !sandboxes() {
        return;
    }
    let api = Api::start_with(|config| config.simulate = Some("3xH200-141".to_owned())).await;
    let on_device = |name: &str, text: &str| {
        let mut spec = script(name, text);
        spec["resources"]["gpu"] = json!("1");
        spec
    };
    let text = "trap 'exit 1' TERM; printf %s $WEFT_ATTEMPT > sum; test $WEFT_ATTEMPT = 2 && exit; \
                while ! test -e go; do sleep 0.05; done; exit 1";
    let mut some = on_device("some", text);
    (some["outputs"], some["replicas"], some["replicas_max"]) =
        (json!(["sum"]), 1.into(), 6.into());
    some["retry"] = json!({ "on": ["error"], "max": 1 });
    let id = api.submit(api.admin(), some).await;
    let work = |member: u32| api.dir().join(format!("runs/{id}-1-{member}/work"));
    let all = async {
        while !(0..3).all(|member| work(member).join("sum").exists()) {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(crate::api_world::DEADLINE, all).await.unwrap();
    // Another waits for a device and gets one when the first start fails; two are left.
    api.submit(api.admin(), on_device("other", "sleep 600")).await;
    std::fs::write(work(0).join("go"), "").unwrap();
    let path = |rest: &str| format!("/api/v1/workloads/{id}{rest}");
    let last = last_told(&api, &id).await;
    assert_eq!((&last["state"], &last["members"]), (&json!("succeeded"), &json!(2)), "{last}");
    let left = api.dir().join(format!("outputs/{id}/2/sum"));
    assert_eq!(std::fs::read_to_string(left).unwrap(), "1", "the third of the first start");
    let files = api.must(Ask::new("GET", &path("/outputs"))).await.json();
    let file = |member: u32| json!({ "path": format!("{member}/sum"), "bytes": 1 });
    assert_eq!(files, json!([file(0), file(1)]));
    assert_eq!(&api.must(Ask::new("GET", &path("/outputs/1/sum"))).await.body[..], b"2");
    for gone in ["/outputs/2/sum", "/outputs/./2/sum", "/outputs/%32/sum"] {
        let answer = api.send(Ask::new("GET", &path(gone)).by(api.admin())).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "not-found"), "{gone}");
    }
    api.must(Ask::new("POST", "/api/v1/workloads/other/stop").once().json(json!({ "now": true })))
        .await;
    assert_eq!(last_told(&api, "other").await["state"], "stopped");
    api.end().await;
}
