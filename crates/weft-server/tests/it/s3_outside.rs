//! Attempts to read a restricted dataset from outside a workload, or to carry it out: not one byte
//! of it, nor of what is said of it, and each attempt on the audit log.

use crate::api_world::{Answer, Api, Ask};
use crate::s3_signed::S3Key;
use serde_json::{Value, json};

/// What must never be seen. It stands in an object, in its metadata and in its tags.
const CANARY: &str = "canary-7d1f0c";

struct World {
    api: Api,
    /// Whoever could come closest: the dataset's owner.
    owner: S3Key,
    owner_token: String,
    /// Everybody else, by what they are.
    others: Vec<(&'static str, S3Key, String)>,
    revoked: S3Key,
    disabled: S3Key,
}

impl World {
    async fn start() -> Self {
        let api = Api::start().await;
        for queue in ["lab", "lab/vision", "other"] {
            api.queue(queue).await;
        }
        let owner_token = api.user("ana", "member", Some("lab/vision")).await;
        let owner = api.s3_key(&owner_token, "write").await;
        let mut others = Vec::new();
        for (name, role, queue) in [
            ("bo", "member", Some("lab/vision")),
            ("lea", "lead", Some("lab")),
            ("eve", "member", Some("other")),
            ("oscar", "operator", None),
            ("rita", "admin", None),
        ] {
            let token = api.user(name, role, queue).await;
            others.push((name, api.s3_key(&token, "write").await, token));
        }
        let reader = api.token("ana", "read", 3_600_000).await.1;
        others.push(("ana, for reading", api.s3_key(&owner_token, "read").await, reader));
        let gone = api.user("gone", "member", Some("lab/vision")).await;
        let disabled = api.s3_key(&gone, "write").await;
        api.must(Ask::new("DELETE", "/api/v1/users/gone").once()).await;
        let revoked = api.s3_key(&owner_token, "write").await;
        let revoke = Ask::new("DELETE", &format!("/api/v1/tokens/{}", revoked.id));
        assert_eq!(api.send(revoke.by(&owner_token).once()).await.status, 204);
        let world = Self { api, owner, owner_token, others, revoked, disabled };
        world.fill().await;
        world
    }

    /// `crown` is restricted and has the canary; `open` is internal.
    async fn fill(&self) {
        self.api.dataset(&self.owner_token, "open", "internal").await;
        self.api.dataset(&self.owner_token, "crown", "restricted").await;
        let put = Ask::new("PUT", "/crown/secret.csv")
            .header("x-amz-meta-what", CANARY)
            .header("x-amz-tagging", &format!("what={CANARY}"))
            .header("content-disposition", &format!("attachment; filename={CANARY}"))
            .bytes(format!("name,value\n{CANARY},1\n").as_bytes());
        let put = self.api.s3(&self.owner, put).await;
        assert_eq!(put.status, 200, "{:?}", put.body);
        let version = Ask::new("POST", "/api/v1/datasets/crown/versions").by(&self.owner_token);
        assert_eq!(self.api.send(version.once().json(json!({}))).await.status, 201);
    }

    /// Refusals on the audit log so far.
    async fn refusals(&self) -> usize {
        let (mut next, mut refusals) = (String::new(), 0);
        loop {
            let path = format!("/api/v1/audit?limit=1000{next}");
            let page = self.api.must(Ask::new("GET", &path)).await.json();
            let items = page["items"].as_array().unwrap();
            refusals += items.iter().filter(|row| row["decision"] == "denied").count();
            match page["next"].as_str() {
                Some(cursor) => next = format!("&cursor={cursor}"),
                None => return refusals,
            }
        }
    }

    /// Makes an attempt: it fails, shows nothing, and is told.
    async fn attempt(&self, what: &str, answer: impl Future<Output = Answer>) {
        let before = self.refusals().await;
        let answer = answer.await;
        self.shows_nothing(what, &answer);
        assert!(answer.status >= 400, "{what}: {}", answer.status);
        assert!(self.refusals().await > before, "{what} is not on the audit log");
    }

    fn shows_nothing(&self, what: &str, answer: &Answer) {
        let shown = format!("{:?} {}", answer.headers, String::from_utf8_lossy(&answer.body));
        assert!(!shown.contains(CANARY), "{what}: {shown}");
    }
}

#[tokio::test]
async fn nobody_reads_it_from_outside_neither_way() {
    let world = World::start().await;
    let everybody = [("ana", world.owner.clone(), world.owner_token.clone())];
    for (name, key, token) in everybody.iter().chain(&world.others) {
        let get = Ask::new("GET", "/crown/secret.csv");
        world.attempt(&format!("{name} over S3"), world.api.s3(key, get)).await;
        let get = Ask::new("GET", "/api/v1/datasets/crown/objects/secret.csv").by(token);
        world.attempt(&format!("{name} over the API"), world.api.send(get)).await;
        let head = Ask::new("HEAD", "/crown/secret.csv");
        world.attempt(&format!("{name}, what is said of it"), world.api.s3(key, head)).await;
    }
    world.api.end().await;
}

#[tokio::test]
async fn no_way_of_asking_shows_it_to_its_owner() {
    let world = World::start().await;
    let (api, key) = (&world.api, &world.owner);
    let put = Ask::new("PUT", "/crown/another").bytes(b"x");
    let change = api.s3(key, put).await.headers["x-amz-version-id"].to_str().unwrap().to_owned();
    let before: u64 = change.parse::<u64>().unwrap() - 1;
    let paths = [
        "/crown/secret.csv?attributes".to_owned(),
        "/crown/secret.csv?tagging".to_owned(),
        format!("/crown/secret.csv?versionId={before}"),
        "/crown/secret.csv?partNumber=1".to_owned(),
        "/crown/secret.csv?response-content-type=text%2Fhtml".to_owned(),
        "/crown.v1/secret.csv".to_owned(),
        "/crown.v2/secret.csv".to_owned(),
        "/crown.gold/a.csv".to_owned(),
        "/crown.latest/secret.csv".to_owned(),
        "/crown/%73ecret.csv".to_owned(),
        "/crown/secret%2Ecsv".to_owned(),
    ];
    for path in &paths {
        let get = Ask::new("GET", path).header("x-amz-object-attributes", "ETag,Checksum");
        world.attempt(path, api.s3(key, get)).await;
    }
    for range in ["bytes=0-0", "bytes=-5", "bytes=11-", "bytes=999-"] {
        let get = Ask::new("GET", "/crown/secret.csv").header("range", range);
        world.attempt(range, api.s3(key, get)).await;
        let get = Ask::new("GET", "/api/v1/datasets/crown/objects/secret.csv");
        let get = get.header("range", range).by(&world.owner_token);
        world.attempt(&format!("{range} over the API"), api.send(get)).await;
    }
    for (name, value) in [("if-none-match", "\"x\""), ("if-match", "*")] {
        let get = Ask::new("GET", "/crown/secret.csv").header(name, value);
        world.attempt(name, api.s3(key, get)).await;
    }
    for at in ["gold", "v2", "latest", "2099-01-01"] {
        let path = format!("/api/v1/datasets/crown/objects/a.csv?at={at}");
        world.attempt(&path, api.send(Ask::new("GET", &path).by(&world.owner_token))).await;
    }
    let host = api.address();
    for (method, seconds) in [("GET", 60), ("HEAD", 60), ("GET", 604_800)] {
        let presigned = key.presign(host, method, "/crown/secret.csv", seconds);
        world.attempt(&format!("presigned {method}, {seconds} s"), api.send(presigned)).await;
    }
    world.api.end().await;
}

/// Lists tell what there is, never what was said of it, which columns it has, or what its content's
/// hash is: whoever guesses at a small file would know it by that.
#[tokio::test]
async fn lists_and_searches_do_not_tell_what_is_said_of_it() {
    let world = World::start().await;
    let (api, owner) = (&world.api, ("ana", world.owner.clone(), world.owner_token.clone()));
    // A table without a head: its first row is what the profile would take for names.
    let put = Ask::new("PUT", "/api/v1/datasets/crown/objects/table.csv").by(&world.owner_token);
    let put = put.header("weft-modified-ns", "7").bytes(format!("{CANARY},1\n").as_bytes());
    assert_eq!(api.send(put).await.status, 201);
    for (name, _, token) in std::iter::once(&owner).chain(&world.others) {
        for at in ["", "&at=v1", "&prefix=secret", "&prefix=table"] {
            let path = format!("/api/v1/datasets/crown/objects?notes=true{at}");
            let answer = api.send(Ask::new("GET", &path).by(token)).await;
            world.shows_nothing(&format!("{name}: {path}"), &answer);
            let text = String::from_utf8_lossy(&answer.body);
            assert!(!text.contains("weft-sha256") && !text.contains("columns"), "{name}: {text}");
        }
        let found = Ask::new("GET", &format!("/api/v1/datasets?words={CANARY}")).by(token);
        let found = api.send(found).await;
        assert_eq!(found.status, 200, "{name}");
        assert!(!String::from_utf8_lossy(&found.body).contains("crown"), "{name} found it");
    }
    // What a put compares by is there.
    let list = Ask::new("GET", "/api/v1/datasets/crown/objects?notes=true&prefix=table");
    let list = api.send(list.by(&world.owner_token)).await.json();
    assert_eq!(list["items"][0]["notes"], json!({ "weft-modified-ns": "7" }), "{list}");
    world.api.end().await;
}

#[tokio::test]
async fn it_is_not_carried_into_another_dataset() {
    let world = World::start().await;
    let (api, key) = (&world.api, &world.owner);
    let begun = api.s3(key, Ask::new("POST", "/open/joined?uploads")).await;
    let text = String::from_utf8(begun.body.to_vec()).unwrap();
    let upload = text.split("<UploadId>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    let sources =
        ["/crown/secret.csv", "crown/secret.csv", "crown.v2/secret.csv", "crown%2Fsecret.csv"];
    for source in sources {
        for to in ["/open/copy", "/crown/copy"] {
            let copy = Ask::new("PUT", to).header("x-amz-copy-source", source);
            world.attempt(&format!("{source} to {to}"), api.s3(key, copy)).await;
        }
        let part = Ask::new("PUT", &format!("/open/joined?partNumber=1&uploadId={upload}"));
        let part = part.header("x-amz-copy-source", source);
        world.attempt(&format!("{source} as a part"), api.s3(key, part)).await;
    }
    // Nor is it made less than it is.
    for tier in ["confidential", "internal", "public"] {
        let lower = Ask::new("PATCH", "/api/v1/datasets/crown").by(&world.owner_token).once();
        let answer = api.send(lower.json(json!({ "tier": tier }))).await;
        assert!(answer.status >= 400, "to {tier}: {}", answer.status);
    }
    let listed = api.s3(key, Ask::new("GET", "/open?list-type=2")).await;
    world.shows_nothing("what is in the open one", &listed);
    world.api.end().await;
}

#[tokio::test]
async fn signatures_are_good_for_what_was_signed_by_whom_and_when() {
    let world = World::start().await;
    let (api, key, host) = (&world.api, &world.owner, world.api.address());
    let get = |path: &str| Ask::new("GET", path);
    assert_eq!(api.s3(key, get("/open/a.csv")).await.status, 200, "what is allowed works");

    for (what, path) in [
        ("another path", "/crown/secret.csv"),
        ("a path above", "/open/../crown/secret.csv"),
        ("an encoded path above", "/open/%2e%2e/crown/secret.csv"),
        ("an added query", "/open/a.csv?versionId=1"),
    ] {
        let mut replayed = key.sign(host, get("/open/a.csv"));
        replayed.path = path.to_owned();
        world.attempt(what, api.send(replayed)).await;
    }
    let mut other_method = key.sign(host, get("/open/a.csv"));
    other_method.method = "HEAD".parse().unwrap();
    world.attempt("another method", api.send(other_method)).await;

    let mut tampered = key.sign(host, get("/crown/secret.csv"));
    let authorization = &mut tampered.headers.last_mut().unwrap().1;
    let last = authorization.pop().unwrap();
    authorization.push(if last == '0' { '1' } else { '0' });
    world.attempt("a changed signature", api.send(tampered)).await;

    for shifted in [-3_600, 3_600] {
        let late = S3Key { shifted, ..key.clone() };
        world.attempt(&format!("{shifted} s"), api.s3(&late, get("/open/a.csv"))).await;
    }
    let expired = S3Key { shifted: -120, ..key.clone() };
    let presigned = expired.presign(host, "GET", "/open/a.csv", 60);
    world.attempt("an expired address", api.send(presigned)).await;
    let mut longer = expired.presign(host, "GET", "/open/a.csv", 60);
    longer.path = longer.path.replace("Expires=60", "Expires=3600");
    world.attempt("an address made to last", api.send(longer)).await;

    let guessed = S3Key { secret: "0".repeat(64), ..key.clone() };
    let unknown = S3Key { id: "WEFT0000000000000000".to_owned(), ..key.clone() };
    let (id, secret) = api.token("ana", "write", 3_600_000).await;
    let bearer = S3Key { id, secret, shifted: 0 };
    for (what, key) in [
        ("a guessed secret", &guessed),
        ("an unknown key", &unknown),
        ("a revoked key", &world.revoked),
        ("the key of who was shut out", &world.disabled),
        ("a bearer token as a key", &bearer),
    ] {
        world.attempt(what, api.s3(key, get("/open/a.csv"))).await;
    }
    let old = get("/crown/secret.csv").header("authorization", &format!("AWS {}:c2ln", key.id));
    world.attempt("version 2", api.send(old)).await;
    let old = format!("/crown/secret.csv?AWSAccessKeyId={}&Signature=c2ln&Expires=99999", key.id);
    world.attempt("version 2 in the address", api.send(get(&old))).await;
    world.api.end().await;
}

/// Whoever has a key can change what is there now, and that is all he can.
#[tokio::test]
async fn a_stolen_key_ends_nothing_that_was_there_before() {
    let world = World::start().await;
    let (api, key) = (&world.api, &world.owner);
    let put = api.s3(key, Ask::new("PUT", "/open/a.csv").bytes(b"overwritten")).await;
    assert_eq!(put.status, 200);
    let old = Ask::new("DELETE", "/open/a.csv?versionId=1");
    world.attempt("an older version", api.s3(key, old)).await;
    let many = b"<Delete><Object><Key>a.csv</Key><VersionId>1</VersionId></Object></Delete>";
    let before = world.refusals().await;
    let answer = api.s3(key, Ask::new("POST", "/open?delete").bytes(many)).await;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(text.contains("AccessDenied") && !text.contains("<Deleted>"), "{text}");
    assert!(world.refusals().await > before, "each is told");

    assert_eq!(api.s3(key, Ask::new("DELETE", "/open/a.csv")).await.status, 204);
    let bucket = api.s3(key, Ask::new("DELETE", "/open")).await;
    assert_eq!(bucket.status, 409, "its versions would go with it: {:?}", bucket.body);
    let back = api.s3(key, Ask::new("GET", "/open.v1/a.csv")).await;
    assert_eq!((back.status, &back.body[..]), (200, &b"a,b\n1,2\n"[..]));
    // And it is brought back in S3's own way.
    let copy = Ask::new("PUT", "/open/a.csv").header("x-amz-copy-source", "/open.v1/a.csv");
    assert_eq!(api.s3(key, copy).await.status, 200);
    let back = api.s3(key, Ask::new("GET", "/open/a.csv")).await;
    assert_eq!(&back.body[..], b"a,b\n1,2\n");
    assert_eq!(back.headers["x-content-type-options"], "nosniff");
    world.api.end().await;
}

/// A form is taken in before anybody is asked: it is not taken at all.
#[tokio::test]
async fn a_form_is_refused_before_its_body() {
    let world = World::start().await;
    let body = b"--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nbytes";
    let post = Ask::new("POST", "/open")
        .header("content-type", "multipart/form-data; boundary=x")
        .header("authorization", "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=host, Signature=0")
        .bytes(body);
    let answer = world.api.send(post).await;
    assert_eq!(answer.status, 501, "{:?}", answer.body);
    world.api.end().await;
}

/// What is nobody's attempt at an object is answered without one, and without a word of it.
#[tokio::test]
async fn odd_requests_show_nothing() {
    let world = World::start().await;
    let (api, key) = (&world.api, &world.owner);
    let asks = [
        Ask::new("GET", "/crown/secret.csv?torrent"),
        Ask::new("GET", "/crown/secret.csv?acl"),
        Ask::new("GET", "/crown/secret.csv?legal-hold"),
        Ask::new("GET", "/crown/secret.csv?retention"),
        Ask::new("POST", "/crown/secret.csv?select&select-type=2").bytes(b"<x/>"),
        Ask::new("GET", "/crown?list-type=2&fetch-owner=true"),
        Ask::new("GET", "/crown?versions"),
        Ask::new("GET", "/crown?uploads"),
        Ask::new("GET", "/crown?policy"),
        Ask::new("GET", "/api/v1/datasets/crown/objects/secret.csv"),
        Ask::new("GET", "//crown//secret.csv"),
        Ask::new("PUT", "/crown/secret.csv").header("if-match", "\"0-1\"").bytes(b"x"),
        Ask::new("PUT", "/crown/secret.csv").header("if-none-match", "*").bytes(b"x"),
        Ask::new("DELETE", "/crown/secret.csv?versionId=1"),
    ];
    for ask in asks {
        let what = ask.path.clone();
        world.shows_nothing(&what, &api.s3(key, ask).await);
    }
    for path in ["/crown/secret.csv", "/crown", "/"] {
        let answer = api.send(Ask::new("GET", path)).await;
        assert_eq!(answer.status, 404, "{path}");
        let answer = api.send(Ask::new("GET", path).by(&world.owner_token)).await;
        world.shows_nothing(path, &answer);
        assert_eq!(answer.status, 404, "{path}");
    }
    let told: Value = api.must(Ask::new("GET", "/api/v1/audit/verify")).await.json();
    assert!(told["broken_at"].is_null(), "{told}");
    world.api.end().await;
}
