//! The first rows of tables, as people ask for them; and of what is no table, or not theirs.

use crate::api_world::{Answer, Api, Ask};
use serde_json::{Value, json};

struct World {
    api: Api,
    ana: String,
}

impl World {
    async fn new(tier: &str) -> Self {
        let api = Api::start().await;
        api.queue("lab").await;
        let ana = api.user("ana", "member", Some("lab")).await;
        api.dataset(&ana, "claims", tier).await;
        Self { api, ana }
    }

    async fn put(&self, path: &str, body: &[u8]) {
        let path = format!("/api/v1/datasets/claims/objects/{path}");
        let put = Ask::new("PUT", &path).by(&self.ana).bytes(body);
        assert_eq!(self.api.send(put).await.status, 201);
    }

    async fn ask(&self, query: &str) -> Answer {
        let path = format!("/api/v1/datasets/claims/sample{query}");
        self.api.send(Ask::new("GET", &path).by(&self.ana)).await
    }

    async fn rows(&self, query: &str) -> Value {
        let answer = self.ask(query).await;
        assert_eq!(answer.status, 200, "{query}: {:?}", answer.json());
        answer.json()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_rows_of_each_format() {
    let world = World::new("internal").await;
    let people = include_bytes!("../../../weft-view/tests/it/parquet/people.csv");
    world.put("t/people.csv", people).await;
    let snappy = include_bytes!("../../../weft-view/tests/it/parquet/snappy.parquet");
    world.put("t/people.parquet", snappy).await;
    let csv = world.rows("?path=t/people.csv&rows=3").await;
    let mut parquet = world.rows("?path=t/people.parquet&rows=3").await;
    assert_eq!((&csv["columns"], &csv["more"]), (&parquet["columns"], &json!(true)), "{csv}");
    // What is no value in the one is an empty text in the other.
    for value in parquet["rows"].as_array_mut().unwrap().iter_mut() {
        for cell in value.as_array_mut().unwrap().iter_mut().filter(|cell| cell.is_null()) {
            *cell = json!("");
        }
    }
    assert_eq!(csv["rows"], parquet["rows"]);

    let lines = "{\"a\": 1, \"b\": null}\n{\"c\": [1], \"a\": \"x\\u001b[2J\"}\n";
    world.put("l.jsonl", lines.as_bytes()).await;
    let wanted = json!({
        "path": "l.jsonl", "columns": ["a", "b", "c"], "more": false, "left_out": 0,
        "rows": [["1", null, null], ["x\u{1b}[2J", null, "[1]"]],
    });
    assert_eq!(world.rows("?path=l.jsonl").await, wanted);
    // Without a path it is the first table; in a folder, of that.
    world.put("a.bin", b"no table").await;
    assert_eq!(world.rows("?path=t/").await["path"], "t/people.csv");
    // Wide and long ones are cut, and say so.
    let names: Vec<String> = (0..60).map(|n| format!("c{n}")).collect();
    let wide = format!("{}\n{}\n", names.join(","), "ä".repeat(300));
    world.put("w.csv", wide.as_bytes()).await;
    let wide = world.rows("?path=w.csv").await;
    assert_eq!((wide["columns"].as_array().unwrap().len(), &wide["left_out"]), (50, &json!(10)));
    assert_eq!(wide["rows"][0][0].as_str().unwrap().chars().count(), 201);
    assert_eq!(wide["rows"][0].as_array().unwrap().len(), 50);

    // Each was a read, and is on the record.
    let dir = world.api.end_and_keep().await;
    let store = weft_store::Store::open(dir.path()).unwrap();
    let rows = store.read(|r| r.audit(0, 1000)).await.unwrap();
    for path in ["t/people.csv", "t/people.parquet", "l.jsonl", "w.csv"] {
        let of = |row: &&weft_store::AuditRow| {
            row.entry.resource == format!("dataset claims/{path}")
                && row.entry.verb.contains("read")
        };
        assert_eq!(rows.iter().filter(of).count(), 1, "{path}: {rows:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_table_is_told_and_what_stays_inside_is_not() {
    let world = World::new("internal").await;
    let one_line = vec![b'x'; 2 << 20];
    let bodies: [(&str, &[u8]); 6] = [
        ("no.txt", b"text"),
        ("empty.csv", b""),
        ("latin.csv", b"a\n\xe4\n"),
        ("broken.jsonl", b"{\"a\":\n"),
        ("broken.parquet", b"PAR1 no PAR1"),
        ("line.csv", &one_line),
    ];
    for (path, body) in bodies {
        world.put(path, body).await;
        let answer = world.ask(&format!("?path={path}")).await;
        assert_eq!((answer.status, answer.code().as_str()), (400, "bad-request"), "{path}");
    }
    for (query, code) in [
        ("?path=none.csv", "not-found"),
        ("?path=a.csv&at=v99", "not-found"),
        ("?path=none/", "not-found"),
        ("?path=a.csv&rows=0", "bad-request"),
        ("?path=a.csv&rows=101", "bad-request"),
    ] {
        assert_eq!(world.ask(query).await.code(), code, "{query}");
    }
    let inside = World::new("confidential").await;
    assert_eq!(inside.ask("?path=a.csv").await.status, 403);
}
