//! Branches as their users meet them: changed at will, compared, merged, given up; and who may not.

use crate::api_world::{Answer, Api, Ask};
use serde_json::{Value, json};

struct World {
    api: Api,
    ana: String,
    mia: String,
    eve: String,
}

const CLAIMS: &str = "/api/v1/datasets/claims";
const MENDED: &str = "/api/v1/datasets/mended";

impl World {
    async fn new(tier: &str) -> Self {
        let api = Api::start().await;
        for queue in ["lab", "rest"] {
            api.queue(queue).await;
        }
        let ana = api.user("ana", "member", Some("lab")).await;
        let mia = api.user("mia", "member", Some("lab")).await;
        let eve = api.user("eve", "member", Some("rest")).await;
        api.dataset(&ana, "claims", tier).await;
        let world = Self { api, ana, mia, eve };
        for path in ["a.csv", "b.csv", "in/c.csv"] {
            world.put("claims", path, "id\n1\n").await;
        }
        world.post(&world.ana, &format!("{CLAIMS}/versions"), json!({})).await;
        world
    }

    async fn put(&self, dataset: &str, path: &str, text: &str) {
        let path = format!("/api/v1/datasets/{dataset}/objects/{path}");
        let put = Ask::new("PUT", &path).by(&self.ana).bytes(text.as_bytes());
        assert_eq!(self.api.send(put).await.status, 201);
    }

    async fn delete(&self, path: &str) -> Answer {
        self.api.send(Ask::new("DELETE", path).by(&self.ana).once()).await
    }

    async fn post(&self, by: &str, path: &str, body: Value) -> Answer {
        self.api.send(Ask::new("POST", path).by(by).once().json(body)).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.api.send(Ask::new("GET", path).by(&self.ana)).await
    }

    async fn branch(&self) {
        let (path, make) = (format!("{CLAIMS}/branches"), json!({ "name": "mended" }));
        let made = self.post(&self.ana, &path, make).await;
        assert_eq!(made.status, 201, "{:?}", made.json());
    }

    async fn paths(&self, dataset: &str) -> Vec<String> {
        let listed = self.get(&format!("{dataset}/objects")).await.json();
        let all = listed["objects"].as_array().or(listed["items"].as_array()).unwrap().clone();
        all.iter().map(|object| object["path"].as_str().unwrap().to_owned()).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_branch_is_changed_compared_and_merged() {
    let world = World::new("internal").await;
    world.branch().await;
    let shown = world.get(MENDED).await.json();
    assert_eq!(shown["branch"], json!({ "of": "claims", "version": 2 }), "{shown}");
    assert_eq!((&shown["versions"], &shown["objects"]), (&json!(1), &json!(3)), "{shown}");
    assert_eq!(world.get(CLAIMS).await.json()["branches"], json!(["mended"]));

    world.put("mended", "a.csv", "id\n2\n").await;
    world.put("mended", "new.csv", "id\n3\n").await;
    assert!(world.delete(&format!("{MENDED}/objects/in/c.csv")).await.status < 300);
    assert_eq!(world.paths(MENDED).await, ["a.csv", "b.csv", "new.csv"]);
    assert_eq!(world.paths(CLAIMS).await, ["a.csv", "b.csv", "in/c.csv"]);
    let old = world.get(&format!("{MENDED}/objects/a.csv?at=v1")).await;
    assert_eq!((old.status, &*old.body), (200, &b"id\n1\n"[..]));
    let diff = world.get(&format!("{MENDED}/diff?from=v1")).await.json();
    let changed: Vec<_> = diff["items"].as_array().unwrap().iter().map(|it| &it["path"]).collect();
    assert_eq!(changed, ["a.csv", "in/c.csv", "new.csv"], "{diff}");

    // What was changed in both is nobody's to judge but theirs.
    world.put("claims", "a.csv", "id\n9\n").await;
    let refused = world.post(&world.ana, &format!("{MENDED}/merge"), json!({})).await;
    assert_eq!(refused.code(), "conflict");
    assert!(refused.json()["detail"].as_str().unwrap().contains("a.csv"), "{:?}", refused.json());
    assert_eq!(world.paths(CLAIMS).await, ["a.csv", "b.csv", "in/c.csv"], "nothing is done");
    world.put("claims", "a.csv", "id\n1\n").await;
    let (merge, note) = (format!("{MENDED}/merge"), json!({ "note": "mended" }));
    let merged = world.post(&world.mia, &merge, note).await.json();
    let wanted = json!({ "into": "claims", "number": 3, "of": 2, "put": 2, "deleted": 1 });
    assert_eq!(merged, wanted);
    let now = world.get(&format!("{CLAIMS}/objects/a.csv")).await;
    assert_eq!(&*now.body, b"id\n2\n");
    assert_eq!(world.paths(CLAIMS).await, ["a.csv", "b.csv", "new.csv"]);

    // Both go on, and it is merged again; again, and nothing is.
    world.put("claims", "a.csv", "id\n8\n").await;
    world.put("mended", "b.csv", "id\n5\n").await;
    for put in [1, 0] {
        let merged = world.post(&world.ana, &format!("{MENDED}/merge"), json!({})).await.json();
        assert_eq!((&merged["put"], &merged["number"]), (&json!(put), &json!(4)), "{merged}");
    }
    let lineage = world.get(&format!("{CLAIMS}/lineage?at=v3")).await.json().to_string();
    assert!(lineage.contains("mended@v2"), "{lineage}");
    let lineage = world.get(&format!("{MENDED}/lineage?at=v1")).await.json().to_string();
    assert!(lineage.contains("claims@v2"), "{lineage}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_write_may_branch_and_a_branch_is_as_sensitive() {
    let world = World::new("internal").await;
    let branches = format!("{CLAIMS}/branches");
    let make = json!({ "name": "mended" });
    assert_eq!(world.post(&world.eve, &branches, make.clone()).await.code(), "forbidden");
    assert_eq!(
        world.post(&world.ana, &branches, json!({ "name": "x" })).await.code(),
        "bad-request"
    );
    let none = json!({ "name": "mended", "at": "v9" });
    assert_eq!(world.post(&world.ana, &branches, none).await.code(), "not-found");
    let now = json!({ "name": "mended", "at": "now" });
    assert_eq!(world.post(&world.ana, &branches, now).await.code(), "not-found");
    assert_eq!(world.post(&world.mia, &branches, make.clone()).await.status, 201);
    assert_eq!(world.get(MENDED).await.json()["owner"], "ana", "who owns the one owns the other");
    assert_eq!(world.post(&world.ana, &branches, make).await.code(), "already-exists");
    let (nested, third) = (format!("{MENDED}/branches"), json!({ "name": "third" }));
    assert_eq!(world.post(&world.ana, &nested, third).await.code(), "conflict");
    assert_eq!(
        world.post(&world.eve, &format!("{MENDED}/merge"), json!({})).await.code(),
        "forbidden"
    );
    assert_eq!(
        world.post(&world.ana, &format!("{CLAIMS}/merge"), json!({})).await.code(),
        "conflict"
    );

    // What it is of stays; a branch that is more sensitive is not merged into what is less.
    for path in [format!("{CLAIMS}/versions/v2"), CLAIMS.to_owned()] {
        let answer = world.delete(&path).await;
        assert_eq!(answer.status, 409, "{path}");
        assert!(answer.json()["detail"].as_str().unwrap().contains("mended"), "{path}");
    }
    let raise = |path: &str| {
        let raise = Ask::new("PATCH", path).by(&world.ana).once();
        world.api.send(raise.json(json!({ "tier": "confidential" })))
    };
    assert_eq!(raise(MENDED).await.status, 200);
    assert_eq!(
        world.post(&world.ana, &format!("{MENDED}/merge"), json!({})).await.code(),
        "conflict"
    );
    assert_eq!(raise(CLAIMS).await.status, 200);
    let merged = world.post(&world.ana, &format!("{MENDED}/merge"), json!({})).await;
    assert_eq!(merged.status, 200, "{:?}", merged.json());
    // Nobody reads it outside of a workload now, by whichever of its versions.
    for at in ["v1", "now"] {
        let read = world.get(&format!("{MENDED}/objects/a.csv?at={at}")).await;
        assert_eq!(read.status, 403, "{at}");
    }
    assert!(world.delete(MENDED).await.status < 300);
    assert!(world.delete(CLAIMS).await.status < 300);
}
