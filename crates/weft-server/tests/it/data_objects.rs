//! Objects over the API: bodies that take their time, objects that were put in parts, and the reads
//! of a server's last seconds.

use crate::api_world::{Api, Ask};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use weft_store::Store;

const LATE: &str = "/api/v1/datasets/open/objects/late";

async fn member(api: &Api) -> (String, String) {
    api.queue("lab").await;
    let token = api.user("ana", "member", Some("lab")).await;
    api.dataset(&token, "open", "internal").await;
    api.token("ana", "write", 3_600_000).await
}

fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// Begins a put of two bytes, and returns once the server waits for the first of them.
async fn begin(api: &Api, token: &str) -> TcpStream {
    let mut stream = api.connect_from([127, 0, 0, 1]).await;
    let head = format!(
        "PUT {LATE} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\n\
         content-length: 2\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n",
        api.address()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut told = [0; 25];
    stream.read_exact(&mut told).await.unwrap();
    assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

async fn end(mut stream: TcpStream) -> String {
    stream.write_all(b"ab").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn what_took_its_time_is_put_when_it_is_here_by_who_may_then() {
    let api = Api::start().await;
    let (id, secret) = member(&api).await;
    let began = begin(&api, &secret).await;
    let begun = now_ms();
    while now_ms() <= begun + 1 {
        tokio::task::yield_now().await;
    }
    let answer = end(began).await;
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    let list = Ask::new("GET", "/api/v1/datasets/open/objects?prefix=late").by(&secret);
    let at = api.send(list).await.json()["items"][0]["at_ms"].as_u64().unwrap();
    assert!(at > begun, "put at {at}, and the body was still to come at {begun}");

    let other = api.token("ana", "write", 3_600_000).await.1;
    api.send(Ask::new("DELETE", LATE).by(&other).once()).await;
    let began = begin(&api, &secret).await;
    let revoke = Ask::new("DELETE", &format!("/api/v1/tokens/{id}"));
    assert_eq!(api.send(revoke.by(&other).once()).await.status, 204);
    let answer = end(began).await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");

    let began = begin(&api, &other).await;
    api.must(Ask::new("DELETE", "/api/v1/users/ana").once()).await;
    let answer = end(began).await;
    assert!(answer.starts_with("HTTP/1.1 40"), "{answer}");
    let list = Ask::new("GET", "/api/v1/datasets/open/objects?prefix=late");
    assert_eq!(api.must(list).await.json()["items"], serde_json::json!([]));
    api.end().await;
}

#[tokio::test]
async fn an_object_that_was_put_in_parts_is_expected_by_its_tag() {
    let api = Api::start().await;
    let token = member(&api).await.1;
    let key = api.s3_key(&token, "write").await;
    let begun = api.s3(&key, Ask::new("POST", "/open/late?uploads")).await;
    let text = String::from_utf8(begun.body.to_vec()).unwrap();
    let upload = text.split("<UploadId>").nth(1).unwrap().split('<').next().unwrap();
    let part = Ask::new("PUT", &format!("/open/late?partNumber=1&uploadId={upload}")).bytes(b"ab");
    let part = api.s3(&key, part).await;
    let tag = part.headers["etag"].to_str().unwrap();
    let all = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{tag}</ETag></Part>\
         </CompleteMultipartUpload>"
    );
    let join = Ask::new("POST", &format!("/open/late?uploadId={upload}")).bytes(all.as_bytes());
    assert_eq!(api.s3(&key, join).await.status, 200);
    let tag = api.send(Ask::new("GET", LATE).by(&token)).await.headers["etag"].clone();
    let tag = tag.to_str().unwrap();
    assert!(tag.ends_with("-1\""), "{tag}");
    let put = || Ask::new("PUT", LATE).by(&token).header("if-match", tag).bytes(b"new");
    assert_eq!(api.send(put()).await.status, 201);
    assert_eq!(api.send(put()).await.status, 412, "it is another one by now");
    api.end().await;
}

#[tokio::test]
async fn reads_of_the_last_seconds_are_on_the_audit_log() {
    let api = Api::start().await;
    let token = member(&api).await.1;
    let read = Ask::new("GET", "/api/v1/datasets/open/objects/a.csv").by(&token);
    assert_eq!(api.send(read).await.status, 200);
    let dir = api.end_and_keep().await;
    let store = Store::open(dir.path()).unwrap();
    let rows = store.read(|r| r.audit(0, 1000)).await.unwrap();
    let of = |row: &&weft_store::AuditRow| row.entry.resource == "dataset open/a.csv";
    assert_eq!(rows.iter().filter(of).count(), 1, "{rows:?}");
}
