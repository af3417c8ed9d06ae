//! Files that are put in parts over the API: whose they are, what they may hold, what they become.

use crate::api_world::{Answer, Api, Ask};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const UPLOADS: &str = "/api/v1/datasets/open/uploads";
const BODY: &[u8] = b"id,age\n1,30\n2,41\n";

struct People {
    ana: String,
    bo: String,
}

async fn people(api: &Api) -> People {
    api.queue("lab").await;
    let ana = api.user("ana", "member", Some("lab")).await;
    let bo = api.user("bo", "lead", Some("lab")).await;
    api.dataset(&ana, "open", "internal").await;
    People { ana, bo }
}

fn file(path: &str, bytes: usize) -> Value {
    json!({ "path": path, "bytes": bytes, "modified_ns": "17" })
}

async fn begin(api: &Api, by: &str, file: Value) -> Answer {
    api.send(Ask::new("POST", UPLOADS).by(by).once().json(file)).await
}

async fn part(api: &Api, by: &str, upload: &Value, number: u32, body: &[u8]) -> Answer {
    let path = format!("{UPLOADS}/{upload}/parts/{number}");
    api.send(Ask::new("PUT", &path).by(by).bytes(body)).await
}

async fn finish(api: &Api, by: &str, upload: &Value, of: &[u8]) -> Answer {
    let sum = hex::encode(Sha256::digest(Sha256::digest(of)));
    let path = format!("{UPLOADS}/{upload}/finish");
    api.send(Ask::new("POST", &path).by(by).once().json(json!({ "sha256_parts": sum }))).await
}

#[tokio::test]
async fn an_upload_is_its_senders_alone_and_becomes_what_was_sent() {
    let api = Api::start().await;
    let People { ana, bo } = people(&api).await;
    let begun = begin(&api, &ana, file("b.csv", BODY.len())).await.json();
    assert_eq!((&begun["parts"], &begun["changed"]), (&json!([]), &json!(false)), "{begun}");
    let id = &begun["id"];
    let kept = part(&api, &ana, id, 1, BODY).await;
    assert_eq!(kept.status, 201, "{:?}", kept.body);
    assert_eq!(kept.json()["sha256"], hex::encode(Sha256::digest(BODY)));

    // Another who may write there finds nothing of it, however it is asked for.
    let others = begin(&api, &bo, file("b.csv", BODY.len())).await.json();
    assert!(others["id"] != *id && others["parts"] == json!([]), "{others}");
    for answer in [part(&api, &bo, id, 1, b"evil").await, finish(&api, &bo, id, BODY).await] {
        assert_eq!((answer.status, answer.code()), (404, "not-found".to_owned()));
    }
    let never = finish(&api, &bo, &json!(77), BODY).await;
    let told = |answer: &Answer| answer.json()["detail"].clone();
    assert_eq!(told(&never), told(&finish(&api, &bo, id, BODY).await), "as of one that never was");
    for token in [&ana, &bo] {
        let key = api.s3_key(token, "write").await;
        let listed = api.s3(&key, Ask::new("GET", "/open?uploads")).await;
        let listed = String::from_utf8(listed.body.to_vec()).unwrap();
        assert!(listed.contains("ListMultipartUploadsResult"), "{listed}");
        assert!(!listed.contains("b.csv"), "{listed}");
        let parts = api.s3(&key, Ask::new("GET", &format!("/open/b.csv?uploadId={id}"))).await;
        assert_eq!(parts.status, 404, "{:?}", parts.body);
    }

    // Its sender finds it as it was left, and it becomes what was sent or nothing.
    let again = begin(&api, &ana, file("b.csv", BODY.len())).await.json();
    assert_eq!((&again["id"], &again["parts"][0]["number"]), (id, &json!(1)), "{again}");
    assert_eq!(finish(&api, &ana, id, b"something else").await.status, 409);
    let done = finish(&api, &ana, id, BODY).await;
    assert_eq!(done.status, 201, "{:?}", done.body);
    let read = Ask::new("GET", "/api/v1/datasets/open/objects/b.csv").by(&bo);
    let read = api.send(read).await;
    assert_eq!((read.status, &read.body[..]), (200, BODY));
    let list = Ask::new("GET", "/api/v1/datasets/open/objects?prefix=b&notes=true").by(&ana);
    let list = api.send(list).await.json();
    let object = &list["items"][0];
    assert_eq!(object["profile"]["columns"][1]["name"], "age", "{object}");
    assert!(!object.to_string().contains("ana"), "who sent it is the log's: {object}");
    assert_eq!(finish(&api, &ana, id, BODY).await.status, 404, "it is over");
    api.end().await;
}

#[tokio::test]
async fn what_is_no_part_of_the_file_is_refused_in_words() {
    let api = Api::start().await;
    let People { ana, .. } = people(&api).await;
    for (wrong, field) in [
        (file("", 3), "path"),
        (file("a\0b", 3), "path"),
        (json!({ "path": "a", "bytes": 3, "modified_ns": "noon" }), "modified_ns"),
        (json!({ "path": "a", "bytes": (5_u64 << 40) + 1, "modified_ns": "1" }), "bytes"),
    ] {
        let answer = begin(&api, &ana, wrong).await;
        assert!(matches!(answer.status, 400 | 413), "{field}: {:?}", answer.body);
        assert_eq!(answer.json()["field"], field);
    }
    let begun = begin(&api, &ana, file("c.bin", BODY.len())).await.json();
    let id = &begun["id"];
    for number in [0, 2, u32::MAX] {
        let answer = part(&api, &ana, id, number, BODY).await;
        assert_eq!((answer.status, &answer.json()["field"]), (400, &json!("number")));
    }
    // Too short, it is there, and is not taken for the whole.
    assert_eq!(part(&api, &ana, id, 1, &BODY[1..]).await.status, 201);
    let short = finish(&api, &ana, id, &BODY[1..]).await;
    let told = short.json()["detail"].clone();
    assert_eq!((short.status, told), (409, json!("part 1 of 1 is not there with its 17 bytes")));
    // What is larger than it was announced is not taken either.
    assert_eq!(part(&api, &ana, id, 1, &[BODY, b"x"].concat()).await.status, 201);
    assert_eq!(finish(&api, &ana, id, &[BODY, b"x"].concat()).await.status, 409);
    // A file that has changed begins anew, and that is said once.
    let other = begin(&api, &ana, file("c.bin", 5)).await.json();
    assert_eq!((&other["changed"], &other["parts"]), (&json!(true), &json!([])), "{other}");
    assert_eq!(part(&api, &ana, id, 1, BODY).await.status, 404, "it was given up");
    let again = begin(&api, &ana, file("c.bin", 5)).await.json();
    assert_eq!((&again["id"], &again["changed"]), (&other["id"], &json!(false)), "{again}");
    api.end().await;
}

#[tokio::test]
async fn parts_count_in_the_quota_and_a_full_one_loses_none_of_them() {
    let api = Api::start().await;
    let People { ana, .. } = people(&api).await;
    let quota = async |bytes: u64| {
        let none = json!({});
        let queue = json!({
            "name": "lab", "gpu_milli": none, "cpu_milli": none, "memory_bytes": none,
            "data": { "bytes": bytes, "objects": 100 },
        });
        api.must(Ask::new("PUT", "/api/v1/queues/lab").once().json(queue)).await;
    };
    let (size, length) = (16 << 20, (16 << 20) + 5_000);
    let begun = begin(&api, &ana, file("big.bin", length)).await.json();
    let id = &begun["id"];
    let last: Vec<u8> = (0..5_000_u32).flat_map(|n| Sha256::digest(n.to_le_bytes())).collect();
    let last = &last[..5_000];
    assert_eq!(part(&api, &ana, id, 2, last).await.status, 201);
    quota(5_000).await;
    let first = vec![7; size];
    let full = part(&api, &ana, id, 1, &first).await;
    assert_eq!((full.status, full.code()), (507, "over-quota".to_owned()), "{:?}", full.body);
    let kept = begin(&api, &ana, file("big.bin", length)).await.json();
    assert_eq!(kept["parts"][0]["number"], 2, "{kept}");
    assert_eq!(kept["parts"].as_array().unwrap().len(), 1);
    // With more room it goes on.
    quota(1 << 30).await;
    assert_eq!(part(&api, &ana, id, 1, &first).await.status, 201);
    let sums = [Sha256::digest(&first), Sha256::digest(last)].concat();
    let sum = json!({ "sha256_parts": hex::encode(Sha256::digest(sums)) });
    let path = format!("{UPLOADS}/{id}/finish");
    let done = api.send(Ask::new("POST", &path).by(&ana).once().json(sum)).await;
    assert_eq!((done.status, &done.json()["bytes"]), (201, &json!(length)), "{:?}", done.body);
    api.end().await;
}
