//! Imports over HTTP and from another store: what comes, what does not come again, and what is not
//! reached.

use crate::api_world::{Api, Ask, DEADLINE};
use serde_json::{Value, json};
use std::io;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A secret that is to be seen nowhere.
const SECRET: &str = "s3cr3t-CANARY-7f1e";

impl Api {
    /// Starts an import, and waits for its end.
    pub(crate) async fn import(&self, token: &str, dataset: &str, body: Value) -> Value {
        let path = format!("/api/v1/datasets/{dataset}/imports");
        let ask = Ask::new("POST", &path).by(token).once().json(body);
        let started = self.send(ask).await;
        assert_eq!(started.status, 201, "{:?}", started.body);
        let path = format!("{path}/{}", started.json()["id"]);
        let wait = async {
            loop {
                let now = self.send(Ask::new("GET", &path).by(token)).await.json();
                if now["state"] != "running" {
                    return now;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(DEADLINE, wait).await.unwrap()
    }

    /// One that brings something.
    pub(crate) async fn imported(&self, token: &str, dataset: &str, body: Value) -> Value {
        let ended = self.import(token, dataset, body).await;
        assert_eq!(ended["state"], "done", "{ended}");
        ended
    }

    /// Declares a source, as the administrator.
    pub(crate) async fn source(&self, name: &str, body: Value) {
        let put = Ask::new("PUT", &format!("/api/v1/sources/{name}")).json(body);
        let put = self.send(put.by(self.admin())).await;
        assert_eq!(put.status, 200, "{:?}", put.body);
        assert!(!String::from_utf8_lossy(&put.body).contains(SECRET));
    }

    /// An object's bytes.
    pub(crate) async fn fetch(&self, token: &str, dataset: &str, path: &str) -> String {
        let path = format!("/api/v1/datasets/{dataset}/objects/{path}");
        let answer = self.send(Ask::new("GET", &path).by(token)).await;
        assert_eq!(answer.status, 200, "{path}: {:?}", answer.body);
        String::from_utf8(answer.body.to_vec()).unwrap()
    }
}

/// What it says to the head of a request.
type Says = Box<dyn Fn(&str) -> String + Send>;

/// A server of the web that says what it is told to, and notes what it was asked.
struct Web {
    port: u16,
    says: Arc<Mutex<Says>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Web {
    async fn start(says: impl Fn(&str) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let says: Arc<Mutex<Says>> = Arc::new(Mutex::new(Box::new(says)));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let web = Self { port, says: says.clone(), asked: asked.clone() };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, says.clone(), asked.clone()));
            }
        });
        web
    }

    fn says(&self, says: impl Fn(&str) -> String + Send + 'static) {
        *self.says.lock().unwrap() = Box::new(says);
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    fn at(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }
}

async fn answer(
    stream: TcpStream,
    says: Arc<Mutex<Says>>,
    asked: Arc<Mutex<Vec<String>>>,
) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while stream.read_line(&mut head).await? > 2 {}
    let said = says.lock().unwrap()(&head);
    asked.lock().unwrap().push(head);
    stream.get_mut().write_all(said.as_bytes()).await?;
    stream.get_mut().shutdown().await
}

fn ok(body: &str, headers: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len())
}

fn leads_to(place: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nlocation: {place}\r\ncontent-length: 0\r\n\r\n")
}

async fn team(api: &Api) -> (String, String) {
    api.queue("lab").await;
    let ana = api.user("ana", "member", Some("lab")).await;
    let lea = api.user("lea", "lead", Some("lab")).await;
    api.dataset(&ana, "prices", "internal").await;
    (ana, lea)
}

fn files(web: &Web) -> Value {
    json!({ "queue": "lab", "secret": SECRET, "at": {
        "kind": "http", "address": web.at(), "plain": true, "allow": ["127.0.0.1"],
    }})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_the_web_comes_once_for_each_time_it_changes() {
    let api = Api::start().await;
    let (ana, _) = team(&api).await;
    let web = Web::start(|_| ok("a,b\n1,2\n", "etag: \"one\"\r\n")).await;
    api.source("files", files(&web)).await;
    let from = json!({ "from": "files:2026/p.csv" });
    let first = api.imported(&ana, "prices", from.clone()).await;
    assert_eq!((&first["files"], &first["bytes"]), (&json!(1), &json!(8)), "{first}");
    assert_eq!(api.fetch(&ana, "prices", "p.csv").await, "a,b\n1,2\n");
    let asked = web.asked().concat();
    assert!(asked.starts_with("GET /2026/p.csv HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains(&format!("authorization: Bearer {SECRET}")), "{asked}");
    // It is as it was: no byte comes, and no version.
    web.says(|head| {
        assert!(head.contains("if-none-match: \"one\""), "{head}");
        "HTTP/1.1 304 Not Modified\r\n\r\n".to_owned()
    });
    let again = api.imported(&ana, "prices", from.clone()).await;
    assert_eq!((&again["files"], &again["version"]), (&json!(0), &first["version"]));
    // Somebody has put another in its place: it comes again.
    let put = Ask::new("PUT", "/api/v1/datasets/prices/objects/p.csv").by(&ana).bytes(b"x");
    assert_eq!(api.send(put).await.status, 201);
    web.says(|head| {
        assert!(!head.contains("if-none-match"), "{head}");
        ok("a,b\n3,4\n", "")
    });
    let third = api.imported(&ana, "prices", from).await;
    assert_eq!(api.fetch(&ana, "prices", "p.csv").await, "a,b\n3,4\n");
    assert_ne!(third["version"], first["version"]);
    // What it was asked with is on no list, log or disk.
    for path in ["/api/v1/sources", "/api/v1/audit", "/api/v1/datasets/prices/imports"] {
        let told = api.send(Ask::new("GET", path).by(api.admin())).await;
        assert!(told.status == 200 && !String::from_utf8_lossy(&told.body).contains(SECRET));
    }
    let dir = api.end_and_keep().await;
    for entry in std::fs::read_dir(dir.path()).unwrap().flatten() {
        let bytes = std::fs::read(entry.path()).unwrap_or_default();
        let found = bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes());
        assert!(!found, "{:?} has the secret", entry.path());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_breaks_off_makes_no_version() {
    let api = Api::start().await;
    let (ana, _) = team(&api).await;
    let web = Web::start(|_| "HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nhalf".to_owned()).await;
    api.source("files", files(&web)).await;
    for (says, why) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nhalf", "broke off"),
        ("HTTP/1.1 403 Forbidden\r\ncontent-length: 6\r\n\r\nSECRET", "answers 403"),
        ("no HTTP", "broke off"),
    ] {
        web.says(move |_| says.to_owned());
        let ended = api.import(&ana, "prices", json!({ "from": "files:p.csv" })).await;
        let told = ended["why"].as_str().unwrap();
        assert!(ended["state"] == "failed" && told.contains(why), "{ended}");
        assert!(!told.contains("SECRET") && ended["version"].is_null(), "{ended}");
    }
    let path = "/api/v1/datasets/prices/objects/p.csv";
    assert_eq!(api.send(Ask::new("GET", path).by(&ana)).await.status, 404);
    api.end().await;
}

/// What a request is led to that must not be reached: a canary listens on loopback.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_inside_is_reached_by_a_name_or_a_redirect() {
    let api = Api::start().await;
    let (ana, lea) = team(&api).await;
    let canary = Web::start(|_| ok("inside", "")).await;
    let web = Web::start(|_| ok("", "")).await;
    api.source("files", files(&web)).await;
    let port = canary.port;
    for place in [
        format!("http://127.0.0.1:{port}/"),
        format!("http://localhost:{port}/"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "https://169.254.169.254/".to_owned(),
        "https://[::ffff:169.254.169.254]/".to_owned(),
        "https://127.0.0.1/".to_owned(),
        "https://10.0.0.1/".to_owned(),
        "https://2130706433/".to_owned(),
        "https://0x7f.1/".to_owned(),
        "https://[::1]/".to_owned(),
        "https://[64:ff9b::a9fe:a9fe]/".to_owned(),
        "https://[fd00:ec2::254]/".to_owned(),
        "file:///etc/passwd".to_owned(),
        "ftp://127.0.0.1/".to_owned(),
        format!("https://user:pass@127.0.0.1:{port}/"),
        "gopher://127.0.0.1:70/".to_owned(),
    ] {
        let to = place.clone();
        web.says(move |_| leads_to(&to));
        let led = api.import(&ana, "prices", json!({ "from": "files:p.csv" })).await;
        assert_eq!(led["state"], "failed", "led to {place}: {led}");
        if !place.starts_with("http") {
            continue;
        }
        let path = "/api/v1/datasets/prices/imports";
        let ask = Ask::new("POST", path).by(&ana).once().json(json!({ "from": place, "to": "x" }));
        let wanted = if place.contains('@') { 400 } else { 201 };
        assert_eq!(api.send(ask).await.status, wanted, "{place}");
    }
    // Round in circles, and out of what was declared.
    let itself = web.at();
    web.says(move |_| leads_to(&itself));
    let led = api.import(&ana, "prices", json!({ "from": "files:p.csv" })).await;
    assert!(led["why"].as_str().unwrap().contains("more than 5 times"), "{led}");
    for out in ["files:../up", "files:https://example.org/", "files:\\\\example.org\\"] {
        let before = web.asked().len();
        let led = api.import(&ana, "prices", json!({ "from": out, "to": "x" })).await;
        let asked = web.asked().concat();
        let stayed = led["state"] == "failed" && !asked.contains("example.org");
        assert!(stayed, "{out}: {led}, asked {before} then {asked}");
    }
    let idle = async {
        loop {
            let all = api.send(Ask::new("GET", "/api/v1/datasets/prices/imports").by(&ana)).await;
            let all = all.json();
            let all = all["items"].as_array().or(all.as_array()).unwrap().clone();
            if all.iter().all(|row| row["state"] == "failed") {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, idle).await.unwrap();
    assert_eq!(canary.asked(), Vec::<String>::new(), "what is inside was asked");
    lead_declares_what_is_public(&api, (&ana, &lea), &web).await;
    api.end().await;
}

/// Networks inside are an operator's to allow.
async fn lead_declares_what_is_public(api: &Api, (ana, lea): (&str, &str), web: &Web) {
    let mut mine = files(web);
    let put = Ask::new("PUT", "/api/v1/sources/mine").by(lea).json(mine.clone());
    assert_eq!(api.send(put).await.code(), "forbidden");
    mine["at"].as_object_mut().unwrap().remove("allow");
    let put = Ask::new("PUT", "/api/v1/sources/mine").by(lea).json(mine);
    assert_eq!(api.send(put).await.status, 200);
    let led = api.import(ana, "prices", json!({ "from": "mine:p.csv" })).await;
    assert!(led["why"].as_str().unwrap().contains("is not connected to"), "{led}");
}

/// One that waits for a server that says nothing is cancelled; another ends with its server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_cancelled_or_cut_off_makes_no_version() {
    let api = Api::start().await;
    let (ana, _) = team(&api).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/", silent.local_addr().unwrap());
    let at = json!({ "kind": "http", "address": address, "plain": true, "allow": ["127.0.0.1"] });
    api.source("silent", json!({ "queue": "lab", "at": at })).await;
    let path = "/api/v1/datasets/prices/imports";
    let start = || Ask::new("POST", path).by(&ana).once().json(json!({ "from": "silent:p.csv" }));
    let versions = api.send(Ask::new("GET", "/api/v1/datasets/prices/versions").by(&ana)).await;
    let first = api.send(start()).await.json();
    let (held, _) = silent.accept().await.unwrap();
    let one = format!("{path}/{}", first["id"]);
    assert_eq!(api.send(Ask::new("GET", &one).by(&ana)).await.json()["state"], "running");
    assert_eq!(api.send(Ask::new("DELETE", &one).by(&ana).once()).await.status, 204);
    assert_eq!(api.send(Ask::new("GET", &one).by(&ana)).await.json()["state"], "cancelled");
    // As many as one user may have, and no more.
    let mut all = Vec::new();
    for _ in 0..4 {
        assert_eq!(api.send(start()).await.status, 201);
        all.push(silent.accept().await.unwrap());
    }
    assert_eq!(api.send(start()).await.code(), "limit-reached");
    let after = api.send(Ask::new("GET", "/api/v1/datasets/prices/versions").by(&ana)).await;
    assert_eq!(after.json(), versions.json());
    let admin = api.admin().to_owned();
    let dir = api.end_and_keep().await;
    drop((held, all));
    let store = weft_store::Store::open(dir.path()).unwrap();
    let running = store.read(|r| r.import(2)).await.unwrap().unwrap();
    assert_eq!(running.state, weft_store::ImportState::Running);
    store.close().await.unwrap();
    let again = Api::start_on(dir, admin).await;
    let cut = again.send(Ask::new("GET", &format!("{path}/2")).by(&ana)).await.json();
    assert!(cut["state"] == "failed" && cut["version"].is_null(), "{cut}");
    assert!(cut["why"].as_str().unwrap().contains("import it again"), "{cut}");
    again.end().await;
}

/// A source that answers when it is told to: its declaration, and the door.
async fn slow(api: &Api) -> (Value, TcpListener) {
    let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/", door.local_addr().unwrap());
    let at = json!({ "kind": "http", "address": address, "plain": true, "allow": ["127.0.0.1"] });
    let source = json!({ "queue": "lab", "at": at });
    api.source("slow", source.clone()).await;
    (source, door)
}

/// What is taken from the source while it is asked: nothing comes, whoever asked, by whatever way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rights_to_a_source_are_asked_again_before_anything_is_kept() {
    let api = Api::start().await;
    let (ana, _) = team(&api).await;
    let (source, door) = slow(&api).await;
    let make = json!({ "name": "own", "tier": "internal", "queue": "lab" });
    let make = Ask::new("POST", "/api/v1/datasets").once().json(make);
    assert_eq!(api.send_local(make).await.status, 201);
    for (dataset, local, again) in
        [("own", true, false), ("own", true, true), ("prices", false, false)]
    {
        api.source("slow", source.clone()).await;
        let path = format!("/api/v1/datasets/{dataset}/imports");
        let ask = Ask::new("POST", &path).once().json(json!({ "from": "slow:p.csv" }));
        let started = match local {
            true => api.send_local(ask).await,
            false => api.send(ask.by(&ana)).await,
        };
        let path = format!("{path}/{}", started.json()["id"]);
        let (mut held, _) = door.accept().await.unwrap();
        match again {
            // Another place, of the same name.
            true => {
                let mut other = source.clone();
                other["at"]["address"] = json!("https://files.example/");
                api.source("slow", other).await;
            }
            false => {
                api.must(Ask::new("DELETE", "/api/v1/sources/slow").once()).await;
            }
        }
        held.write_all(ok("a,b\n", "").as_bytes()).await.unwrap();
        held.shutdown().await.unwrap();
        let ended = async {
            loop {
                let now = api.send_local(Ask::new("GET", &path)).await.json();
                if now["state"] != "running" {
                    return now;
                }
                tokio::task::yield_now().await;
            }
        };
        let ended = tokio::time::timeout(DEADLINE, ended).await.unwrap();
        assert_eq!(ended["state"], "failed", "{ended}");
        let object = format!("/api/v1/datasets/{dataset}/objects/p.csv");
        assert_eq!(api.send(Ask::new("GET", &object).by(&ana)).await.status, 404, "{ended}");
    }
    api.end().await;
}

/// Who may read a dataset is not told by it what the team's sources are called.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_is_named_to_whom_may_know_of_it() {
    let api = Api::start().await;
    let (ana, lea) = team(&api).await;
    api.queue("rest").await;
    let eve = api.user("eve", "member", Some("rest")).await;
    let web = Web::start(|_| ok("a,b\n1,2\n", "etag: \"one\"\r\n")).await;
    api.source("ledger", files(&web)).await;
    api.imported(&ana, "prices", json!({ "from": "ledger:2026/p.csv" })).await;
    for (token, known) in [(&ana, true), (&lea, true), (&eve, false)] {
        let mut told = String::new();
        for path in ["versions", "lineage", "imports", "imports/1", "objects?notes=true"] {
            let ask = Ask::new("GET", &format!("/api/v1/datasets/prices/{path}")).by(token);
            let answer = api.send(ask).await;
            assert_eq!(answer.status, 200, "{path}: {:?}", answer.body);
            told += &String::from_utf8_lossy(&answer.body);
        }
        assert_eq!(told.contains("ledger"), known, "{told}");
        assert!(told.contains("imported"), "{told}");
    }
    api.end().await;
}

/// However many people a team has, another one's imports have a place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_team_holds_so_many_places_and_no_more() {
    let api = Api::start().await;
    let (ana, lea) = team(&api).await;
    let (mut source, door) = slow(&api).await;
    let start = async |token: &str, dataset: &str, source: &str| {
        let path = format!("/api/v1/datasets/{dataset}/imports");
        let ask = Ask::new("POST", &path).by(token).once();
        api.send(ask.json(json!({ "from": format!("{source}:p.csv") }))).await
    };
    let mut held = Vec::new();
    for token in [&ana, &ana, &ana, &lea, &lea, &lea] {
        assert_eq!(start(token, "prices", "slow").await.status, 201);
        held.push(door.accept().await.unwrap());
    }
    for token in [&ana, &lea] {
        let refused = start(token, "prices", "slow").await;
        let told = String::from_utf8_lossy(&refused.body).into_owned();
        assert!(refused.code() == "limit-reached" && told.contains("one team"), "{told}");
    }
    api.queue("rest").await;
    let eve = api.user("eve", "member", Some("rest")).await;
    api.dataset(&eve, "notes", "internal").await;
    source["queue"] = json!("rest");
    api.source("theirs", source).await;
    assert_eq!(start(&eve, "notes", "theirs").await.status, 201);
    held.push(door.accept().await.unwrap());
    api.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_store_comes_by_what_has_changed() {
    let api = Api::start().await;
    let (ana, _) = team(&api).await;
    let other = Api::start().await;
    let (bo, _) = team(&other).await;
    let put = async |path: &str, body: &str| {
        let path = format!("/api/v1/datasets/prices/objects/{path}");
        let put = Ask::new("PUT", &path).by(&bo).bytes(body.as_bytes());
        assert_eq!(other.send(put).await.status, 201);
    };
    put("raw/a.csv", "a\n1\n").await;
    put("raw/deep/b%20%26%20c.csv", "b\n2\n").await;
    put("other.csv", "no").await;
    let key = other.s3_key(&bo, "read").await;
    let at = json!({
        "kind": "s3", "address": format!("http://{}", other.address()), "plain": true,
        "bucket": "prices", "region": "us-weft-1", "user": key.id, "allow": ["127.0.0.1"],
    });
    api.source("lake", json!({ "queue": "lab", "secret": key.secret, "at": at })).await;
    let from = json!({ "from": "s3://prices/raw/", "to": "in/" });
    let first = api.imported(&ana, "prices", from.clone()).await;
    assert_eq!(first["files"], 2, "{first}");
    assert_eq!(api.fetch(&ana, "prices", "in/deep/b%20%26%20c.csv").await, "b\n2\n");
    assert_eq!(api.imported(&ana, "prices", from.clone()).await["files"], 0);
    put("raw/a.csv", "a\n2\n").await;
    let third = api.imported(&ana, "prices", from).await;
    let next = first["version"].as_u64().unwrap() + 1;
    assert_eq!((&third["files"], &third["version"]), (&json!(1), &json!(next)), "{third}");
    assert_eq!(api.fetch(&ana, "prices", "in/a.csv").await, "a\n2\n");
    // Another team is told that there is none.
    api.queue("rest").await;
    let eve = api.user("eve", "member", Some("rest")).await;
    api.dataset(&eve, "loot", "internal").await;
    for from in ["lake:raw/", "s3://prices/raw/"] {
        let path = "/api/v1/datasets/loot/imports";
        let ask = Ask::new("POST", path).by(&eve).once().json(json!({ "from": from }));
        assert_eq!(api.send(ask).await.code(), "not-found", "{from}");
    }
    other.end().await;
    api.end().await;
}
