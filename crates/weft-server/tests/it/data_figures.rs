//! Figures of datasets as Prometheus reads them: by team, tier and reader, and what starts bring.

use crate::api_world::{Api, Ask, job};
use serde_json::json;
use std::time::{Duration, Instant};

async fn scraped(api: &Api) -> String {
    let body = api.must(Ask::new("GET", "/metrics")).await.body;
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test]
async fn what_is_read_held_and_brought_is_counted_and_names_nobody() {
    let api = Api::start().await;
    let token = api.user("ana", "member", Some("default")).await;
    api.dataset(&token, "open", "internal").await;
    let object = "/api/v1/datasets/open/objects/secret-name";
    let put = Ask::new("PUT", object).by(&token).bytes(b"seven b").once();
    assert_eq!(api.send(put).await.status, 201);
    for _ in 0..2 {
        assert_eq!(api.send(Ask::new("GET", object).by(&token)).await.status, 200);
    }
    let refused = api.send(Ask::new("GET", object).by("nobody")).await;
    assert_eq!(refused.status, 401);
    let version = Ask::new("POST", "/api/v1/datasets/open/versions").by(&token);
    assert_eq!(api.send(version.json(json!({ "note": "" })).once()).await.status, 201);
    let text = scraped(&api).await;
    for line in [
        "weft_data_read_bytes_total{queue=\"default\",tier=\"internal\",by=\"client\"} 14",
        "weft_data_reads_total{queue=\"default\",tier=\"internal\",by=\"client\"} 2",
        "weft_data_held_objects{queue=\"default\"} 2",
        "weft_data_quota_objects{queue=\"default\"} 10000000",
        "weft_data_declared_bytes_total 0",
    ] {
        assert!(text.lines().any(|it| it == line), "{line}\n{text}");
    }
    let mut spec = job("reads");
    spec["data"] = json!([{ "from": "open@v2", "to": "/data" }]);
    api.submit(&token, spec).await;
    let begun = Instant::now();
    let text = loop {
        let text = scraped(&api).await;
        if text.lines().any(|line| line == "weft_data_declared_bytes_total 15") {
            break text;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{text}");
    };
    // The server's machine holds what the server holds.
    assert!(text.lines().any(|line| line == "weft_data_brought_bytes_total 0"), "{text}");
    let figures = text.lines().filter(|line| line.starts_with("weft_data_"));
    for line in figures {
        assert!(!["open", "ana", "secret-name"].iter().any(|it| line.contains(it)), "{line}");
    }
    api.end().await;
}
