//! Asking for access: nobody learns by it what there is.

use crate::api_world::{Api, Ask};
use serde_json::json;

/// Asks, and gives the answer's number and everything else that it says.
async fn asks(api: &Api, token: &str, name: &str) -> (u64, String) {
    let ask = json!({ "dataset": name, "why": "a study" });
    let ask = Ask::new("POST", "/api/v1/data/access").by(token).once().json(ask);
    let answer = api.send(ask).await;
    match answer.status {
        202 => (answer.json()["id"].as_u64().unwrap(), answer.json()["state"].to_string()),
        _ => (0, answer.code()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_again_does_not_learn_what_became_of_a_name() {
    let api = Api::start().await;
    for queue in ["lab", "rest"] {
        api.queue(queue).await;
    }
    let ana = api.user("ana", "member", Some("lab")).await;
    let eve = api.user("eve", "member", Some("rest")).await;
    api.dataset(&ana, "old-scans", "restricted").await;
    let names = ["old-scans", "new-scans", "no-scans"];
    let mut first = Vec::new();
    for name in names {
        first.push(asks(&api, &eve, name).await);
    }
    let remove = Ask::new("DELETE", "/api/v1/datasets/old-scans").by(&ana).once();
    assert_eq!(api.send(remove).await.status, 204);
    api.dataset(&ana, "new-scans", "restricted").await;
    for (name, first) in names.into_iter().zip(&first) {
        assert_eq!(&asks(&api, &eve, name).await, first, "{name}");
    }
    // It is about what has the name now: whose that is decides on it.
    let asked = api.send(Ask::new("GET", "/api/v1/data/requests").by(&ana)).await.json();
    let asked: Vec<_> = asked.as_array().unwrap().iter().map(|row| &row["dataset"]).collect();
    assert_eq!(asked, ["new-scans"]);
    // Nor by the bound on what is open.
    for n in 3..50 {
        assert_ne!(asks(&api, &eve, &format!("guess-{n}")).await.0, 0);
    }
    api.dataset(&ana, "guess-7", "restricted").await;
    for name in ["guess-7", "guess-8"] {
        assert_eq!(asks(&api, &eve, name).await.1, "\"asked\"", "{name}");
    }
    api.dataset(&ana, "last", "restricted").await;
    for name in ["last", "nothing"] {
        assert_eq!(asks(&api, &eve, name).await, (0, "limit-reached".to_owned()), "{name}");
    }
    api.end().await;
}

/// A client that asks in vain in a loop fills no disk, and its count is not lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_of_a_good_key_are_counted_when_they_are_many() {
    let api = Api::start().await;
    api.queue("lab").await;
    let ana = api.user("ana", "member", Some("lab")).await;
    const ASKED: usize = 60;
    for n in 0..ASKED {
        let path = format!("/api/v1/datasets/guess-{n}");
        assert_eq!(api.send(Ask::new("GET", &path).by(&ana)).await.code(), "not-found");
    }
    let dir = api.end_and_keep().await;
    let store = weft_store::Store::open(dir.path()).unwrap();
    let rows = store.read(|r| r.audit(0, 1000)).await.unwrap();
    let of_ana: Vec<_> = rows.iter().filter(|row| row.entry.actor == "ana").collect();
    assert!(of_ana.len() < 30, "{} rows", of_ana.len());
    let told = of_ana.iter().map(|row| {
        let detail: serde_json::Value = serde_json::from_str(&row.entry.detail).unwrap();
        detail["refused"].as_u64().unwrap_or(1)
    });
    assert_eq!(told.sum::<u64>(), ASKED as u64);
    assert!(of_ana.iter().any(|row| row.entry.detail.contains("guess-45")));
    store.close().await.unwrap();
}
