//! Views: made of each version of their source, read as datasets are, written by nobody; and what
//! their readers try.

use crate::api_world::{Answer, Api, Ask, DEADLINE};
use serde_json::{Value, json};

/// What no reader of the view may ever see.
const CANARY: &str = "canary-7f31d0";

/// `crown` with two versions: `a.csv`, and in the second `hidden/secret.csv`.
struct World {
    api: Api,
    ana: String,
    lea: String,
    mia: String,
    eve: String,
}

impl World {
    async fn new(tier: &str) -> Self {
        let api = Api::start().await;
        for queue in ["lab", "rest"] {
            api.queue(queue).await;
        }
        let ana = api.user("ana", "member", Some("lab")).await;
        let lea = api.user("lea", "lead", Some("lab")).await;
        let mia = api.user("mia", "member", Some("lab")).await;
        let eve = api.user("eve", "member", Some("rest")).await;
        api.dataset(&ana, "crown", tier).await;
        let world = Self { api, ana, lea, mia, eve };
        world.put("hidden/secret.csv", &format!("name\n{CANARY}\n")).await;
        world
    }

    /// Puts a file into the source, and makes a version of it.
    async fn put(&self, path: &str, text: &str) {
        let path = format!("/api/v1/datasets/crown/objects/{path}");
        let put = Ask::new("PUT", &path).by(&self.ana).bytes(text.as_bytes());
        assert_eq!(self.api.send(put).await.status, 201);
        let versions = "/api/v1/datasets/crown/versions";
        assert_eq!(self.post(&self.ana, versions, json!({ "note": CANARY })).await.status, 201);
    }

    async fn post(&self, by: &str, path: &str, body: Value) -> Answer {
        self.api.send(Ask::new("POST", path).by(by).once().json(body)).await
    }

    async fn get(&self, by: &str, path: &str) -> Answer {
        self.api.send(Ask::new("GET", path).by(by)).await
    }

    async fn make(&self) {
        let make = json!({ "name": "open-part", "files": "a.csv" });
        let made = self.post(&self.ana, "/api/v1/datasets/crown/views", make).await;
        assert_eq!(made.status, 201, "{:?}", made.body);
    }

    /// What a dataset is, once each version of its source is made.
    async fn made(&self, versions: usize) -> Value {
        let look = async {
            loop {
                let shown = self.get(&self.ana, "/api/v1/datasets/open-part").await.json();
                let all = shown["view"]["versions"].as_array().cloned().unwrap_or_default();
                let made = all.iter().filter(|version| version["version"].is_u64()).count();
                if made == versions {
                    return shown;
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(DEADLINE, look).await.expect("the view is made")
    }

    async fn text(&self, path: &str) -> (u16, String) {
        let answer = self.get(&self.ana, path).await;
        (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_follows_its_source_and_nobody_writes_to_it() {
    let world = World::new("internal").await;
    let views = "/api/v1/datasets/crown/views";
    let make = json!({ "name": "open-part", "files": "a.csv" });
    for (by, code) in [(&world.mia, "forbidden"), (&world.eve, "forbidden")] {
        assert_eq!(world.post(by, views, make.clone()).await.code(), code);
    }
    let admin = world.api.admin().to_owned();
    assert_eq!(world.post(&admin, views, make.clone()).await.code(), "forbidden");
    for wrong in [json!({ "name": "x" }), json!({ "name": "open-part", "files": "../a" })] {
        assert_eq!(world.post(&world.ana, views, wrong).await.code(), "bad-request");
    }
    world.make().await;
    assert_eq!(world.post(&world.ana, views, make).await.code(), "already-exists");

    // Both versions have the same a.csv: one version of the view is of both.
    let shown = world.made(2).await;
    assert_eq!((&shown["view"]["of"], &shown["objects"]), (&json!("crown"), &json!(1)), "{shown}");
    let versions = world.get(&world.ana, "/api/v1/datasets/open-part/versions").await.json();
    assert_eq!(versions[0]["tags"], json!(["of-v1", "of-v2"]), "{versions}");
    let now = "/api/v1/datasets/open-part/objects/a.csv";
    assert_eq!(world.text(now).await, (200, "a,b\n1,2\n".to_owned()));
    world.put("a.csv", "a,b\n3,4\n").await;
    world.made(3).await;
    assert_eq!(world.text(now).await.1, "a,b\n3,4\n");
    assert_eq!(world.text(&format!("{now}?at=of-v2")).await.1, "a,b\n1,2\n");
    assert_eq!(world.text("/api/v1/datasets/open-part/objects/hidden/secret.csv").await.0, 404);

    let of = "/api/v1/datasets/open-part";
    for ask in [
        Ask::new("PUT", &format!("{of}/objects/a.csv")).bytes(b"x"),
        Ask::new("DELETE", &format!("{of}/objects/a.csv")).once(),
        Ask::new("POST", &format!("{of}/versions")).once().json(json!({})),
        Ask::new("PUT", &format!("{of}/tags/gold")).once().json(json!({ "number": 1 })),
        Ask::new("POST", &format!("{of}/restore")).once().json(json!({ "at": "v1" })),
        Ask::new("POST", &format!("{of}/views")).once().json(json!({ "name": "of-a-view" })),
    ] {
        let (what, answer) = (ask.path.clone(), world.api.send(ask.by(&world.ana)).await);
        assert_eq!(answer.code(), "forbidden", "{what}: {:?}", answer.body);
    }
    let key = world.api.s3_key(&world.ana, "write").await;
    for ask in [
        Ask::new("PUT", "/open-part/a.csv").bytes(b"x"),
        Ask::new("DELETE", "/open-part/a.csv"),
        Ask::new("POST", "/open-part/a.csv?uploads"),
        Ask::new("DELETE", "/open-part"),
    ] {
        let (what, answer) = (ask.path.clone(), world.api.s3(&key, ask).await);
        assert!((400..500).contains(&answer.status), "{what}: {}", answer.status);
    }
    assert_eq!(world.text(now).await.1, "a,b\n3,4\n");
    world.api.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ends_in_the_source_ends_in_the_view_and_comes_back_with_it() {
    let world = World::new("internal").await;
    world.make().await;
    world.put("a.csv", "a,b\n3,4\n").await;
    world.made(3).await;
    let now = "/api/v1/datasets/open-part/objects/a.csv";
    let third = "/api/v1/datasets/crown/versions/v3";
    let remove = Ask::new("DELETE", third).by(&world.ana).once();
    assert_eq!(world.api.send(remove).await.status, 204);
    assert_eq!(world.text(now).await.1, "a,b\n1,2\n", "it is its newest version that is there");
    assert_eq!(world.text(&format!("{now}?at=v2")).await.0, 404);
    let key = world.api.s3_key(&world.ana, "write").await;
    let got = world.api.s3(&key, Ask::new("GET", "/open-part/a.csv")).await;
    assert_eq!(got.body, "a,b\n1,2\n".as_bytes());
    let revive = Ask::new("POST", &format!("{third}/revive")).by(&world.ana).once();
    assert_eq!(world.api.send(revive).await.status, 200);
    assert_eq!(world.text(now).await.1, "a,b\n3,4\n");
    assert_eq!(world.text(&format!("{now}?at=of-v3")).await.0, 200);

    // A source that was removed: no more versions, until it is back. A server that died goes on.
    let admin = world.api.admin().to_owned();
    let dir = world.api.end_and_keep().await;
    let api = Api::start_on(dir, admin).await;
    let world = World { api, ..world };
    world.put("a.csv", "a,b\n5,6\n").await;
    world.made(4).await;
    assert_eq!(world.text(now).await.1, "a,b\n5,6\n");
    world.api.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_is_less_sensitive_by_two_people_and_tells_nothing_of_its_source() {
    let world = World::new("confidential").await;
    world.make().await;
    assert_eq!(world.made(2).await["tier"], "confidential");
    let of = "/api/v1/datasets/open-part";
    let alone = Ask::new("PATCH", of).by(&world.ana).once().json(json!({ "tier": "internal" }));
    assert_eq!(world.api.send(alone).await.code(), "conflict");
    let ask = json!({ "tier": "internal", "why": "no names in it" });
    let crown = world.post(&world.ana, "/api/v1/datasets/crown/lower", ask.clone()).await;
    assert_eq!(crown.code(), "conflict", "what is no view is never lowered");
    let lower = format!("{of}/lower");
    assert_eq!(world.post(&world.mia, &lower, ask.clone()).await.code(), "forbidden");
    let approve = async |by: &str, asked: &Answer| {
        let path = format!("/api/v1/data/requests/{}/approve", asked.json()["id"]);
        world.api.send(Ask::new("POST", &path).by(by).once()).await
    };
    // Its owner is one of the two.
    let leads = world.post(&world.lea, &lower, ask.clone()).await;
    assert_eq!(leads.status, 202, "{:?}", leads.body);
    for by in [&world.lea, &world.mia, world.api.admin()] {
        assert_ne!(approve(by, &leads).await.status, 200);
    }
    let own = world.post(&world.ana, &lower, ask).await;
    assert_eq!(approve(&world.ana, &own).await.code(), "forbidden");
    assert_eq!(world.get(&world.eve, of).await.code(), "not-found");
    assert_eq!(approve(&world.lea, &own).await.status, 200);

    finds_nothing_else(&world, of).await;

    // What is more sensitive than was known is so in its views, too.
    let raise = Ask::new("PATCH", "/api/v1/datasets/crown").by(&world.ana).once();
    let raised = world.api.send(raise.json(json!({ "tier": "restricted" }))).await;
    assert_eq!(raised.status, 200);
    assert_eq!(world.get(&world.eve, of).await.code(), "not-found");
    assert_eq!(world.get(&world.ana, of).await.json()["tier"], "restricted");
    let late = approve(&world.ana, &leads).await;
    assert_eq!(late.code(), "conflict", "who asked knew less of it: {:?}", late.body);
    world.api.end().await;
}

/// What two people agreed on is what there was, or columns by name: nothing else comes into it, and
/// no way round brings it back to what it was before the source was known to be worse.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lowered_view_stays_what_was_agreed_on() {
    let world = World::new("confidential").await;
    world.make().await;
    world.made(2).await;
    let of = "/api/v1/datasets/open-part";
    let ask = json!({ "tier": "internal", "why": "no names in it" });
    let asked = world.post(&world.ana, &format!("{of}/lower"), ask).await;
    let path = format!("/api/v1/data/requests/{}/approve", asked.json()["id"]);
    assert_eq!(world.post(&world.lea, &path, json!({})).await.status, 200);

    // A word more of what the source is about is no reason to take it back.
    let patch = |body: Value| {
        let ask = Ask::new("PATCH", "/api/v1/datasets/crown").by(&world.ana).once().json(body);
        async { world.api.send(ask).await.status }
    };
    assert_eq!(patch(json!({ "about": "claims, by year" })).await, 200);
    let seen = world.get(&world.eve, of).await.json();
    assert_eq!(seen["tier"], "internal");
    let told = seen.to_string();
    assert!(!told.contains("crown") && !told.contains("a.csv"), "{told}");

    // It names no columns: a new one does not come with the next version.
    world.put("a.csv", &format!("a,b,name\n1,2,{CANARY}\n")).await;
    let waits = async {
        loop {
            let shown = world.get(&world.ana, of).await.json();
            if shown["view"]["versions"].to_string().contains("does not name its columns") {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, waits).await.expect("it says why it waits");
    let eve = world.api.s3_key(&world.eve, "write").await;
    let read = async || world.api.s3(&eve, Ask::new("GET", "/open-part/a.csv")).await;
    assert_eq!(&*read().await.body, b"a,b\n1,2\n");

    // What it was once is not copied out of it either.
    world.api.dataset(&world.eve, "mine", "internal").await;
    let copy = |from: &str| Ask::new("PUT", "/mine/a").header("x-amz-copy-source", from);
    assert_eq!(world.api.s3(&eve, copy("/open-part/a.csv?versionId=1")).await.status, 403);
    assert_eq!(world.api.s3(&eve, copy("/open-part/a.csv")).await.status, 200);

    // Away while its source is raised, and back.
    let remove = Ask::new("DELETE", of).by(&world.ana).once();
    assert_eq!(world.api.send(remove).await.status, 204);
    assert_eq!(patch(json!({ "tier": "restricted" })).await, 200);
    let revive = "/api/v1/datasets/open-part/revive";
    assert_eq!(world.post(&world.ana, revive, json!({})).await.status, 200);
    assert_eq!(world.get(&world.ana, of).await.json()["tier"], "restricted");
    assert!((400..500).contains(&read().await.status));

    // Sizes tell what is in a view's rows: who may not read the source makes none.
    let make = json!({ "name": "rows", "recipe": { "columns": ["a"], "rows": "b = 2" } });
    let views = "/api/v1/datasets/crown/views";
    assert_eq!(world.post(&world.lea, views, make.clone()).await.code(), "forbidden");
    assert_eq!(world.post(&world.ana, views, make).await.status, 201);
    world.api.end().await;
}

/// Eve reads the view, and finds nothing else.
async fn finds_nothing_else(world: &World, of: &str) {
    let eve = world.api.s3_key(&world.eve, "read").await;
    let got = world.api.s3(&eve, Ask::new("GET", "/open-part/a.csv")).await;
    assert_eq!((got.status, &*got.body), (200, "a,b\n1,2\n".as_bytes()));
    for path in [
        "/api/v1/datasets",
        "/api/v1/datasets?words=crown",
        "/api/v1/datasets?words=secret",
        of,
        &format!("{of}/versions"),
        &format!("{of}/versions/of-v1"),
        &format!("{of}/lineage"),
        &format!("{of}/lineage?at=of-v2"),
        &format!("{of}/diff?from=v1&to=now"),
        &format!("{of}/objects?notes=true"),
        &format!("{of}/objects?prefix=hidden/"),
        &format!("{of}/imports"),
        "/api/v1/data/removed",
        "/api/v1/data/requests",
    ] {
        let answer = world.get(&world.eve, path).await;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert_eq!(answer.status, 200, "{path}: {text}");
        assert!(!text.contains("crown") && !text.contains(CANARY), "{path}: {text}");
        assert!(!text.contains("secret"), "{path}: {text}");
    }
    for path in [
        "/crown/a.csv",
        "/crown.v1/a.csv",
        "/crown?list-type=2",
        "/open-part/hidden/secret.csv",
        "/open-part.of-v2/hidden/secret.csv",
        "/open-part/..%2Fcrown/a.csv",
        "/open-part?versions",
        "/open-part/a.csv?versionId=1",
        "/open-part/hidden/secret.csv?versionId=2",
    ] {
        let answer = world.api.s3(&eve, Ask::new("GET", path)).await;
        let text = String::from_utf8_lossy(&answer.body);
        assert!((400..500).contains(&answer.status), "{path}: {text}");
        assert!(!text.contains(CANARY) && !text.contains("a,b"), "{path}: {text}");
    }
    let copy = Ask::new("PUT", "/open-part/b").header("x-amz-copy-source", "/crown/a.csv");
    assert_eq!(world.api.s3(&eve, copy).await.status, 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_of_parquet_is_a_table_of_what_it_says() {
    let world = World::new("internal").await;
    let file = include_bytes!("../../../weft-view/tests/it/parquet/snappy.parquet");
    let nested = include_bytes!("../../../weft-view/tests/it/parquet/nested.parquet");
    for (path, bytes) in [("a.parquet", &file[..]), ("n.parquet", nested)] {
        let path = format!("/api/v1/datasets/crown/objects/{path}");
        let put = Ask::new("PUT", &path).by(&world.ana).bytes(bytes);
        assert_eq!(world.api.send(put).await.status, 201);
    }
    let (views, versions) = ("/api/v1/datasets/crown/views", "/api/v1/datasets/crown/versions");
    assert_eq!(world.post(&world.ana, versions, json!({})).await.status, 201);
    let recipe = json!({ "columns": ["id", "city"], "masks": { "id": "round:100" },
        "rows": "age >= 18 and city is not null" });
    let make = json!({ "name": "open-part", "files": "*.parquet", "recipe": recipe });
    assert_eq!(world.post(&world.ana, views, make).await.status, 201);
    let shown = world.made(3).await;
    let newest = &shown["view"]["versions"][0];
    assert!(newest["files"].to_string().contains("no column `age`"), "{newest}");
    let of = "/api/v1/datasets/open-part/objects";
    let got = world.get(&world.ana, &format!("{of}/a.parquet")).await;
    let bytes = weft_view::Bytes(&got.body);
    let mut table = weft_view::Parquet::open(&bytes).unwrap();
    let names: Vec<_> = table.columns().map(|(name, _)| name.to_owned()).collect();
    assert_eq!((table.rows(), names), (35, vec!["id".to_owned(), "city".to_owned()]));
    let mut ids = Vec::new();
    table.values(0, 35, &mut |cell| ids.extend(cell.text().map(|id| id.into_owned()))).unwrap();
    assert!(ids.len() == 35 && ids.iter().all(|id| id == "1000" || id == "1100"), "{ids:?}");
    // And its columns are told as those of any file.
    let list = world.get(&world.ana, &format!("{of}?notes=true")).await.json();
    let profile = &list["items"][0]["profile"];
    let told = (&profile["format"], &profile["rows"], &profile["columns"][1]["empty"]);
    assert_eq!(told, (&json!("parquet"), &json!(35), &json!(0)), "{list}");
    world.api.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_by_a_recipe_shows_what_it_says_and_leaves_out_what_is_in_doubt() {
    let world = World::new("internal").await;
    let rows = "id,name,age,note\n1,ana,17,no\n2,\"o, bo\",44,yes\n3,cy,18,\n";
    world.put("a.csv", rows).await;
    world.put("b.jsonl", "{\"id\":2,\"age\":50}\n").await;
    world.put("readme.txt", CANARY).await;
    let views = "/api/v1/datasets/crown/views";
    let (mask, none) = (json!({ "id": "hash" }), json!({}));
    for (wrong, said) in [
        (json!({ "rows": "age >" }), "rows"),
        (json!({ "columns": ["id"], "masks": { "age": "hash" } }), "masks.age"),
        (json!({ "sample": "110%" }), "sample"),
        (json!({ "colums": ["id"] }), "colums"),
        (none, "says nothing"),
    ] {
        let make = json!({ "name": "open-part", "recipe": wrong });
        let answer = world.post(&world.ana, views, make).await;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(answer.code() == "bad-request" && text.contains(said), "{text}");
    }
    let recipe = json!({ "columns": ["id", "age"], "masks": mask, "rows": "age >= 18" });
    let make = json!({ "name": "open-part", "recipe": recipe });
    assert_eq!(world.post(&world.ana, views, make).await.status, 201);
    let shown = world.made(5).await;
    assert_eq!(shown["view"]["recipe"]["rows"], "age >= 18", "{shown}");
    let newest = &shown["view"]["versions"][0];
    assert_eq!(newest["left_out"], 2, "{newest}");
    let told = newest["files"].to_string();
    assert!(told.contains("no column `age`") || told.contains("no column `id`"), "{told}");
    assert!(told.contains("readme.txt") && !told.contains(CANARY), "{told}");

    let path = "/api/v1/datasets/open-part/objects/";
    let (status, text) = world.text(&format!("{path}a.csv")).await;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!((status, lines.len(), lines[0]), (200, 3, "id,age"), "{text}");
    let (first, age) = lines[1].split_once(',').unwrap();
    assert_eq!((first.len(), age, lines[2].ends_with(",18")), (32, "44", true), "{text}");
    assert!(!text.contains("bo") && !text.contains("cy"), "{text}");
    // The same value is the same hash in another file, and another one in another view.
    let (_, other) = world.text(&format!("{path}b.jsonl")).await;
    assert!(other.contains(first), "{other}");
    assert_eq!(world.text(&format!("{path}readme.txt")).await.0, 404);
    assert_eq!(world.text(&format!("{path}hidden/secret.csv")).await.0, 404);
    let second = json!({ "name": "other-part", "recipe": recipe, "files": "b.jsonl" });
    assert_eq!(world.post(&world.ana, views, second).await.status, 201);
    let elsewhere = format!("{path}b.jsonl").replace("open-part", "other-part");
    let look = async {
        loop {
            match world.text(&elsewhere).await {
                (200, text) => return text,
                _ => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
            }
        }
    };
    let text = tokio::time::timeout(DEADLINE, look).await.expect("the view is made");
    assert!(!text.contains(first) && text.contains("50"), "{text}");

    // A column that is called otherwise from now on is not shown by any way: its file is left out.
    world.put("a.csv", "id,years,name\n1,99,ana\n").await;
    let shown = world.made(6).await;
    assert_eq!(shown["view"]["versions"][0]["left_out"], 3, "{shown}");
    assert_eq!(world.text(&format!("{path}a.csv")).await.0, 404);
    world.api.end().await;
}
