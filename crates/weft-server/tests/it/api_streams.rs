//! Streams: they begin where asked, tell what happens, and end with what they follow.

use crate::api_world::{Api, Ask, job};
use serde_json::json;

async fn stop(api: &Api, token: &str, id: &str) {
    let ask = Ask::new("POST", &format!("/api/v1/workloads/{id}/stop")).by(token).once();
    let answer = api.send(ask).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_are_followed_and_resumed() {
    let api = Api::start().await;
    for queue in ["lab", "other"] {
        api.queue(queue).await;
    }
    let ana = api.user("ana", "member", Some("lab")).await;
    let eve = api.user("eve", "member", Some("other")).await;
    let mut follow = api.events(Ask::new("GET", "/api/v1/events?follow=true").by(&ana)).await;
    api.submit(&eve, job("hidden")).await;
    let first = api.submit(&ana, job("first")).await;
    let told = follow.next().await.unwrap();
    assert_eq!((told.sort.as_str(), &told.data["subject"]), ("submitted", &json!(first)));
    assert_eq!(told.id, told.data["seq"].as_u64());
    let second = api.submit(&ana, job("second")).await;
    assert_eq!(follow.next().await.unwrap().data["subject"], json!(second));
    drop(follow);

    let resume = Ask::new("GET", "/api/v1/events?follow=true").by(&ana);
    let resume = resume.header("last-event-id", &told.id.unwrap().to_string());
    let mut resumed = api.events(resume).await;
    assert_eq!(resumed.next().await.unwrap().data["subject"], json!(second));

    let page = api.send(Ask::new("GET", "/api/v1/events?limit=1000").by(&ana)).await.json();
    let page = page["items"].as_array().unwrap();
    let others =
        page.iter().filter(|event| event["kind"] != "workload" && event["kind"] != "queue");
    assert_eq!(others.count(), 0, "users and tokens are not a member's business: {page:?}");
    assert!(!page.iter().any(|event| event["actor"] == "eve"), "{page:?}");
    api.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_ends_with_its_workload() {
    let api = Api::start().await;
    api.queue("lab").await;
    let ana = api.user("ana", "member", Some("lab")).await;
    let id = api.submit(&ana, job("waits")).await;
    let path = format!("/api/v1/workloads/{id}/watch");
    let mut watch = api.events(Ask::new("GET", &path).by(&ana)).await;
    let mut told = watch.next().await.unwrap();
    assert_eq!(told.data["state"], "queued");
    // The first plan says why it waits.
    while told.data["wait"]["kind"] != "quota" {
        told = watch.next().await.unwrap();
    }
    let why = api.send(Ask::new("GET", &format!("/api/v1/workloads/{id}/why")).by(&ana)).await;
    assert_eq!(why.json()["kind"], "quota");
    let logs = format!("/api/v1/workloads/{id}/logs?follow=true");
    let mut logs = api.events(Ask::new("GET", &logs).by(&ana)).await;
    stop(&api, &ana, &id).await;
    let last = watch.next().await.unwrap();
    assert_eq!((last.data["state"].as_str(), &last.data["id"]), (Some("stopped"), &json!(id)));
    assert_eq!(watch.next().await, None, "the stream ends with it");
    assert_eq!(logs.next().await, None, "and so does its log");

    let why = api.send(Ask::new("GET", &format!("/api/v1/workloads/{id}/why")).by(&ana)).await;
    assert_eq!(why.code(), "conflict");
    let again = Ask::new("POST", &format!("/api/v1/workloads/{id}/stop")).by(&ana).once();
    assert_eq!(api.send(again).await.code(), "conflict");
    let remove = Ask::new("DELETE", &format!("/api/v1/workloads/{id}")).by(&ana).once();
    assert_eq!(api.send(remove).await.status, 204);
    assert_eq!(api.send(Ask::new("GET", &path).by(&ana)).await.status, 404);
    api.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_with_its_token_and_with_the_server() {
    let api = Api::start().await;
    let (id, token) = api.token("admin", "read", 3_600_000).await;
    let mut revoked = api.events(Ask::new("GET", "/api/v1/events?follow=true").by(&token)).await;
    let mut kept = api.events(Ask::new("GET", "/api/v1/events?follow=true").by(api.admin())).await;
    api.must(Ask::new("DELETE", &format!("/api/v1/tokens/{id}")).once()).await;
    while let Some(told) = revoked.next().await {
        assert_eq!(told.data["subject"], json!(id), "only its own end");
    }
    assert_eq!(kept.next().await.unwrap().data["what"], "revoked");
    api.end().await;
    while kept.next().await.is_some() {}
}
