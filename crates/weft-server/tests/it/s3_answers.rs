//! What the S3 front answers, signed by hand: parts and their checksums, wishes, conditions, and
//! bodies that take their time.

use crate::api_world::{Answer, Api, Ask};
use crate::s3_signed::S3Key;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A server, a member's token, and their key.
async fn world() -> (Api, String, S3Key) {
    let api = Api::start_with(|config| config.limits.streams_per_user = 1).await;
    api.queue("lab").await;
    let token = api.user("ana", "member", Some("lab")).await;
    let key = api.s3_key(&token, "write").await;
    let made = api.s3(&key, Ask::new("PUT", "/claims")).await;
    assert_eq!(made.status, 200, "{:?}", made.body);
    (api, token, key)
}

fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

/// The text of an element; of the first of that name.
fn of(answer: &Answer, name: &str) -> String {
    let text = text(answer);
    let rest = text.split_once(&format!("<{name}>")).map_or("", |(_, rest)| rest);
    rest.split_once('<').map_or("", |(value, _)| value).to_owned()
}

fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    answer.headers.get(name).map_or("", |value| value.to_str().unwrap())
}

/// An upload in parts, finished; the request that finishes it, and its answer.
async fn upload(api: &Api, key: &S3Key, path: &str, parts: &[&[u8]]) -> (Ask, Answer) {
    let begin = Ask::new("POST", &format!("{path}?uploads"));
    let begin = begin.header("x-amz-checksum-algorithm", "CRC32");
    let begun = api.s3(key, begin.header("x-amz-checksum-type", "FULL_OBJECT")).await;
    assert_eq!(begun.status, 200, "{}", text(&begun));
    let id = of(&begun, "UploadId");
    let mut all = String::new();
    for (at, part) in parts.iter().enumerate() {
        let (number, query) = (at + 1, format!("uploadId={id}"));
        let put = Ask::new("PUT", &format!("{path}?partNumber={number}&{query}")).bytes(part);
        let put = api.s3(key, put).await;
        assert_eq!(put.status, 200, "{}", text(&put));
        assert!(!header(&put, "x-amz-checksum-crc32").is_empty(), "it is summed unasked");
        let tag = header(&put, "etag");
        all += &format!("<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>");
    }
    let all = format!("<CompleteMultipartUpload>{all}</CompleteMultipartUpload>");
    let join = Ask::new("POST", &format!("{path}?uploadId={id}")).bytes(all.as_bytes());
    let joined = api.s3(key, join.clone()).await;
    (join, joined)
}

#[tokio::test]
async fn parts_are_told_one_by_one_with_the_checksum_of_the_whole() {
    let (api, _, key) = world().await;
    let (first, last) = (vec![7_u8; 5 << 20], b"the rest".to_vec());
    let (join, joined) = upload(&api, &key, "/claims/big", &[&first, &last]).await;
    assert_eq!(joined.status, 200, "{}", text(&joined));
    let (etag, sum) = (of(&joined, "ETag"), of(&joined, "ChecksumCRC32"));
    assert_eq!(of(&joined, "ChecksumType"), "FULL_OBJECT");
    // The same bytes at once have the same checksum.
    let whole = [&first[..], &last].concat();
    let put = Ask::new("PUT", "/claims/one").header("x-amz-checksum-crc32", &sum).bytes(&whole);
    assert_eq!(api.s3(&key, put).await.status, 200);

    // Who has lost the answer finishes it again; with other parts it is another upload.
    let again = api.s3(&key, join.clone()).await;
    assert_eq!((again.status, of(&again, "ETag")), (200, etag.clone()));
    let all = String::from_utf8(join.body.clone()).unwrap();
    let fewer = all.split("<Part>").take(2).collect::<Vec<_>>().join("<Part>");
    let fewer = join.bytes(format!("{fewer}</CompleteMultipartUpload>").as_bytes());
    assert_eq!(api.s3(&key, fewer).await.status, 404);

    let part = |number: i32| Ask::new("GET", &format!("/claims/big?partNumber={number}"));
    let two = api.s3(&key, part(2).header("x-amz-checksum-mode", "ENABLED")).await;
    assert_eq!((two.status, &two.body[..]), (206, &last[..]));
    assert_eq!(header(&two, "x-amz-mp-parts-count"), "2");
    assert_ne!(header(&two, "x-amz-checksum-crc32"), sum, "of the part");
    for none in [0, 3, -1] {
        let none = api.s3(&key, part(none)).await;
        assert_eq!(none.status, 400, "{}", text(&none));
    }
    let of_one = api.s3(&key, Ask::new("GET", "/claims/one?partNumber=1")).await;
    assert_eq!((of_one.status, of_one.body.len()), (200, whole.len()));
    assert_eq!(api.s3(&key, Ask::new("GET", "/claims/one?partNumber=2")).await.status, 400);

    let asked = Ask::new("GET", "/claims/big?attributes");
    let asked = asked.header("x-amz-object-attributes", "ETag,ObjectParts,Checksum");
    let told = api.s3(&key, asked.header("x-amz-max-parts", "1")).await;
    assert_eq!(format!("\"{}\"", of(&told, "ETag")), etag.replace("&quot;", "\""));
    assert_eq!(of(&told, "Size"), (5 << 20).to_string(), "{}", text(&told));
    assert_eq!(
        (of(&told, "IsTruncated"), of(&told, "NextPartNumberMarker")),
        ("true".into(), "1".into())
    );
    api.end().await;
}

#[tokio::test]
async fn a_checksum_that_is_not_the_parts_is_refused_and_nothing_is_lost() {
    let (api, _, key) = world().await;
    let begin = Ask::new("POST", "/claims/a?uploads").header("x-amz-checksum-algorithm", "SHA256");
    let id = of(&api.s3(&key, begin).await, "UploadId");
    let put = Ask::new("PUT", &format!("/claims/a?partNumber=1&uploadId={id}")).bytes(b"ab");
    let tag = header(&api.s3(&key, put).await, "etag").to_owned();
    let all = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{tag}</ETag></Part>\
         </CompleteMultipartUpload>"
    );
    let join = || Ask::new("POST", &format!("/claims/a?uploadId={id}")).bytes(all.as_bytes());
    let bad = api.s3(&key, join().header("x-amz-checksum-sha256", "AAAA-1")).await;
    assert_eq!((bad.status, of(&bad, "Code")), (400, "BadDigest".to_owned()));
    let good = api.s3(&key, join()).await;
    assert!(of(&good, "ChecksumSHA256").ends_with("-1"), "{}", text(&good));
    api.end().await;
}

/// What is so anyway is taken, all else is refused, and nothing is put.
#[tokio::test]
async fn no_wish_is_passed_over_in_silence() {
    let (api, token, key) = world().await;
    let seal = "x-amz-server-side-encryption";
    let own = "x-amz-server-side-encryption-customer-algorithm";
    let own_key = "x-amz-server-side-encryption-customer-key";
    let own_sum = "x-amz-server-side-encryption-customer-key-md5";
    let many = |pairs: &[(&str, &str)]| {
        let put = Ask::new("PUT", "/claims/a").bytes(b"a");
        pairs.iter().fold(put, |put, (name, value)| put.header(name, value))
    };
    for (pairs, wanted) in [
        (&[(seal, "aws:kms")][..], 501),
        (&[(own, "AES256")], 400),
        (&[(own, "AES256"), (own_key, "YQ=="), (own_sum, "DMF1ucDxtqgxw5niaXcmYQ==")], 501),
        (&[(own, "AES256"), (own_key, "YQ=="), (own_sum, "AAAAAAAAAAAAAAAAAAAAAA==")], 400),
        (&[(own, "AES256"), (seal, "AES256")], 400),
        (&[(seal, "AES257")], 400),
        (&[("x-amz-server-side-encryption-aws-kms-key-id", "k")], 400),
        (&[("x-amz-acl", "public-read")], 400),
        (&[("x-amz-grant-read", "id=bob")], 400),
        (&[("x-amz-object-lock-mode", "COMPLIANCE")], 501),
        (&[("x-amz-website-redirect-location", "/b")], 501),
        (&[("x-amz-expected-bucket-owner", "bob")], 403),
        (&[("content-md5", "c2hvcnQ=")], 400),
        (&[("content-md5", "")], 400),
    ] {
        let answer = api.s3(&key, many(pairs)).await;
        assert_eq!(answer.status, wanted, "{pairs:?}: {}", text(&answer));
        assert_eq!(of(&answer, "RequestId"), header(&answer, "x-amz-request-id"), "{pairs:?}");
    }
    assert_eq!(api.s3(&key, Ask::new("HEAD", "/claims/a")).await.status, 404, "nothing was put");
    let so = [(seal, "AES256"), ("x-amz-acl", "private"), ("x-amz-expected-bucket-owner", "ana")];
    let put = api.s3(&key, many(&so)).await;
    assert_eq!((put.status, header(&put, seal)), (200, "AES256"), "{}", text(&put));
    assert_eq!(api.s3(&key, Ask::new("PUT", "/claims")).await.status, 200, "it is made once");

    let ask = |query: &str| api.s3(&key, Ask::new("GET", &format!("/claims?{query}")));
    for (query, name, wanted) in [
        ("encryption", "SSEAlgorithm", "AES256"),
        ("ownershipControls", "ObjectOwnership", "BucketOwnerEnforced"),
        ("publicAccessBlock", "BlockPublicPolicy", "true"),
        ("policyStatus", "IsPublic", "false"),
        ("acl", "Permission", "FULL_CONTROL"),
    ] {
        assert_eq!(of(&ask(query).await, name), wanted, "{query}");
    }
    assert!(text(&ask("location").await).contains(">us-weft-1</LocationConstraint>"));
    for (list, wanted) in [("private", 200), ("public-read", 400)] {
        for path in ["/claims?acl", "/claims/a?acl"] {
            let answer = api.s3(&key, Ask::new("PUT", path).header("x-amz-acl", list)).await;
            assert_eq!(answer.status, wanted, "{path}: {}", text(&answer));
        }
    }
    // Others see whose it is, not themselves.
    let bob = api.user("bob", "member", Some("lab")).await;
    let bob = api.s3_key(&bob, "write").await;
    let acl = api.s3(&bob, Ask::new("GET", "/claims/a?acl")).await;
    assert_eq!(of(&acl, "ID"), "ana", "{}", text(&acl));
    let opened = "<PublicAccessBlockConfiguration><BlockPublicAcls>true</BlockPublicAcls>\
                  </PublicAccessBlockConfiguration>";
    let open = Ask::new("PUT", "/claims?publicAccessBlock").bytes(opened.as_bytes());
    assert_eq!(api.s3(&key, open).await.status, 403, "nothing is opened");
    drop(token);
    api.end().await;
}

#[tokio::test]
async fn who_signs_nothing_is_told_so_in_s3s_way() {
    let (api, _, _) = world().await;
    let list = Ask::new("GET", "/claims").header("amz-sdk-invocation-id", "1");
    let answer = api.send(list).await;
    assert_eq!((answer.status, of(&answer, "Code")), (403, "AccessDenied".to_owned()));
    let rows = api.must(Ask::new("GET", "/api/v1/audit?limit=1000")).await.json();
    let denied = |row: &&serde_json::Value| {
        row["decision"] == "denied"
            && row["resource"].as_str().is_some_and(|r| r.contains("/claims"))
    };
    assert_eq!(rows["items"].as_array().unwrap().iter().filter(denied).count(), 1);
    api.end().await;
}

#[tokio::test]
async fn an_object_is_deleted_only_as_the_one_that_is_meant() {
    let (api, _, key) = world().await;
    let put = api.s3(&key, Ask::new("PUT", "/claims/a").bytes(b"abc")).await;
    let (etag, version) = (header(&put, "etag").to_owned(), header(&put, "x-amz-version-id"));
    let version = version.to_owned();
    let delete = |path: &str, pairs: &[(&str, &str)]| {
        let delete = Ask::new("DELETE", path);
        pairs.iter().fold(delete, |delete, (name, value)| delete.header(name, value))
    };
    for pair in [
        ("if-match", "\"0000-1\""),
        ("x-amz-if-match-size", "4"),
        ("x-amz-if-match-last-modified-time", "Thu, 01 Jan 2015 00:00:00 GMT"),
    ] {
        let answer = api.s3(&key, delete("/claims/a", &[pair])).await;
        assert_eq!(answer.status, 412, "{pair:?}: {}", text(&answer));
    }
    let many = format!(
        "<Delete><Object><Key>a</Key><Size>4</Size></Object><Object><Key>a</Key>\
         <ETag>{etag}</ETag></Object></Delete>"
    );
    let md5 = Ask::new("POST", "/claims?delete").bytes(many.as_bytes());
    let many = api.s3(&key, md5.header("x-amz-if-match-size", "3")).await;
    let codes = (of(&many, "Code"), of(&many, "DeleteMarker"));
    assert_eq!(codes, ("PreconditionFailed".to_owned(), "true".to_owned()), "{}", text(&many));
    let gone = api.s3(&key, Ask::new("HEAD", "/claims/a")).await;
    assert_eq!((gone.status, header(&gone, "x-amz-delete-marker")), (404, "true"));
    let never = api.s3(&key, Ask::new("HEAD", "/claims/never")).await;
    assert_eq!((never.status, header(&never, "x-amz-delete-marker")), (404, ""));
    // What is gone is gone, whatever it should have been; what was there before that is kept.
    assert_eq!(api.s3(&key, delete("/claims/a", &[("if-match", "\"0000-1\"")])).await.status, 204);
    let old = format!("/claims/a?versionId={version}");
    assert_eq!(api.s3(&key, delete(&old, &[])).await.status, 204, "it was that one");
    assert_eq!(api.s3(&key, Ask::new("GET", &old)).await.status, 200, "and is kept");
    assert_eq!(api.s3(&key, Ask::new("PUT", "/claims/a").bytes(b"anew")).await.status, 200);
    assert_eq!(api.s3(&key, delete("/claims/a", &[])).await.status, 204);
    assert_eq!(api.s3(&key, delete(&old, &[])).await.status, 403, "one from before");
    // Who names a version is not told of a mark.
    let put = api.s3(&key, Ask::new("PUT", "/claims/b").bytes(b"abc")).await;
    let named = format!("/claims/b?versionId={}", header(&put, "x-amz-version-id"));
    let gone = api.s3(&key, delete(&named, &[("x-amz-if-match-size", "3")])).await;
    assert_eq!((gone.status, header(&gone, "x-amz-delete-marker")), (204, ""));
    assert_eq!(header(&gone, "x-amz-version-id"), header(&put, "x-amz-version-id"));
    api.end().await;
}

/// As `weft data put` does it: what a table's columns are is told however it came.
#[tokio::test]
async fn tables_that_come_over_s3_are_looked_into() {
    let (api, token, key) = world().await;
    let table = b"id,name\n1,a\n2,b\n";
    let put = Ask::new("PUT", "/claims/once.csv").bytes(table);
    assert_eq!(api.s3(&key, put).await.status, 200);
    let (_, joined) = upload(&api, &key, "/claims/parts.csv", &[table]).await;
    assert_eq!(joined.status, 200, "{}", text(&joined));
    let copy = Ask::new("PUT", "/claims/copy.csv").header("x-amz-copy-source", "/claims/once.csv");
    let copy = copy.header("x-amz-metadata-directive", "REPLACE");
    assert_eq!(api.s3(&key, copy).await.status, 200);
    let columns = include_bytes!("../../../weft-view/tests/it/parquet/polars.parquet");
    let put = Ask::new("PUT", "/claims/q/once.parquet").bytes(columns);
    assert_eq!(api.s3(&key, put).await.status, 200);
    let (_, joined) = upload(&api, &key, "/claims/q/parts.parquet", &[columns]).await;
    assert_eq!(joined.status, 200, "{}", text(&joined));
    // What lies of its columns is kept as any other file.
    let lies = Ask::new("PUT", "/claims/z.parquet").bytes(&columns[..columns.len() - 1]);
    assert_eq!(api.s3(&key, lies).await.status, 200);
    let list = Ask::new("GET", "/api/v1/datasets/claims/objects?notes=true").by(&token);
    let items = api.send(list).await.json()["items"].as_array().unwrap().clone();
    assert_eq!(items.len(), 6);
    for item in &items[..5] {
        let is_parquet = item["path"].as_str().unwrap().starts_with("q/");
        let told = (&item["profile"]["rows"], &item["profile"]["columns"][0]["kind"]);
        let rows = json!(if is_parquet { 60 } else { 2 });
        assert_eq!(told, (&rows, &json!("integer")), "{item}");
    }
    assert!(items[5]["profile"].is_null(), "{}", items[5]);
    api.end().await;
}

#[tokio::test]
async fn a_bucket_is_made_for_a_team_that_there_is() {
    let api = Api::start().await;
    // Of no team: what it makes is of the queue that all have.
    let token = api.user("rita", "admin", None).await;
    let key = api.s3_key(&token, "write").await;
    api.must(Ask::new("DELETE", "/api/v1/queues/default").once()).await;
    let made = api.s3(&key, Ask::new("PUT", "/claims")).await;
    assert_eq!(made.status, 400, "{}", text(&made));
    assert!(text(&made).contains("weft admin queue set default"), "{}", text(&made));
    assert_eq!(api.s3(&key, Ask::new("HEAD", "/claims")).await.status, 404);
    api.end().await;
}

#[tokio::test]
async fn who_waits_to_send_a_body_and_is_refused_is_told_that_the_connection_ends() {
    let (api, token, _) = world().await;
    let key = api.s3_key(&token, "read").await;
    let mut stream = api.connect_from([127, 0, 0, 1]).await;
    let head = put_head(&api, &key) + "expect: 100-continue\r\n\r\n";
    // As a client has it that sends no body after a refusal, and goes on with its next request.
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let answer = answer.to_lowercase();
    assert!(answer.starts_with("http/1.1 403"), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    assert_eq!(answer.matches("http/1.1 ").count(), 1, "nothing is answered after it: {answer}");
    api.end().await;
}

/// The head of a put of two bytes, but for its end.
fn put_head(api: &Api, key: &S3Key) -> String {
    let put = key.sign(api.address(), Ask::new("PUT", "/claims/late").bytes(b"ab"));
    let mut head = format!("PUT /claims/late HTTP/1.1\r\nhost: {}\r\n", api.address());
    for (name, value) in &put.headers {
        head += &format!("{name}: {value}\r\n");
    }
    head + "content-length: 2\r\n"
}

/// Begins a put of two bytes, and returns once the server waits for the first of them.
async fn begin(api: &Api, key: &S3Key) -> TcpStream {
    let head = put_head(api, key) + "expect: 100-continue\r\nconnection: close\r\n\r\n";
    let mut stream = api.connect_from([127, 0, 0, 1]).await;
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
async fn a_body_that_took_its_time_is_put_by_who_may_then() {
    let (api, token, key) = world().await;
    let began = begin(&api, &key).await;
    // One body at a time is this server's limit for each.
    let other = api.s3(&key, Ask::new("PUT", "/claims/other").bytes(b"x")).await;
    assert_eq!((other.status, of(&other, "Code")), (503, "SlowDown".to_owned()));
    assert!(end(began).await.starts_with("HTTP/1.1 200"));
    assert_eq!(api.s3(&key, Ask::new("PUT", "/claims/other").bytes(b"x")).await.status, 200);

    assert_eq!(api.s3(&key, Ask::new("DELETE", "/claims/late")).await.status, 204);
    let began = begin(&api, &key).await;
    let revoke = Ask::new("DELETE", &format!("/api/v1/tokens/{}", key.id));
    assert_eq!(api.send(revoke.by(&token).once()).await.status, 204);
    let answer = end(began).await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    let list = Ask::new("GET", "/api/v1/datasets/claims/objects?prefix=late").by(&token);
    assert_eq!(api.send(list).await.json()["items"], json!([]), "nothing was put");
    api.end().await;
}

/// Sends a request whose body comes in pieces and says no length; the answer's head and body.
async fn without_length(api: &Api, ask: &Ask, pieces: &[&[u8]]) -> String {
    let mut head = format!("{} {} HTTP/1.1\r\nhost: {}\r\n", ask.method, ask.path, api.address());
    for (name, value) in &ask.headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += "transfer-encoding: chunked\r\nconnection: close\r\n\r\n";
    let mut stream = api.connect_from([127, 0, 0, 1]).await;
    stream.write_all(head.as_bytes()).await.unwrap();
    for piece in pieces.iter().chain([&&b""[..]]) {
        let framed = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
        // Who is refused early is not read from any further.
        if stream.write_all(&framed).await.is_err() {
            break;
        }
    }
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn bodies_that_say_no_length_are_taken_as_they_come() {
    let (api, _, key) = world().await;
    let megabyte = vec![7; 1 << 20];
    // Nothing of the body is signed: it flows on, however long it is.
    let presigned = key.presign(api.address(), "PUT", "/claims/pipe", 60);
    let told = without_length(&api, &presigned, &[&megabyte, b"end"]).await;
    assert!(told.starts_with("HTTP/1.1 200"), "{told}");
    let there = api.s3(&key, Ask::new("HEAD", "/claims/pipe")).await;
    assert_eq!(header(&there, "content-length"), "1048579");
    // Its sum is signed, and is that of what comes: held, so it has to be small.
    let put = |path: &str, body: &[u8]| {
        let ask = Ask::new("PUT", &format!("/claims/{path}"));
        key.sign(api.address(), ask.bytes(body))
    };
    let told = without_length(&api, &put("small", b"abc"), &[b"a", b"bc"]).await;
    assert!(told.starts_with("HTTP/1.1 200"), "{told}");
    let told = without_length(&api, &put("false", b"abc"), &[b"abd"]).await;
    assert!(told.starts_with("HTTP/1.1 400"), "{told}");
    let large = [&megabyte[..], b"x"].concat();
    let told = without_length(&api, &put("large", &large), &[&megabyte, b"x"]).await;
    assert!(told.starts_with("HTTP/1.1 411") && told.contains("UNSIGNED-PAYLOAD"), "{told}");
    let list = api.s3(&key, Ask::new("GET", "/claims?list-type=2")).await;
    assert!(text(&list).contains("<KeyCount>2<"), "what was refused is not there: {}", text(&list));
    assert_eq!(&*api.s3(&key, Ask::new("GET", "/claims/small")).await.body, b"abc");
    api.end().await;
}

#[tokio::test]
async fn versions_are_listed_with_what_they_begin_with_alike() {
    let (api, _, key) = world().await;
    for path in ["a", "b/1", "b/2", "c", "c", "d/x"] {
        let put = Ask::new("PUT", &format!("/claims/{path}")).bytes(b"x");
        assert_eq!(api.s3(&key, put).await.status, 200);
    }
    let (mut seen, mut marker) = (Vec::new(), String::new());
    for _ in 0..9 {
        let path = format!("/claims?versions&delimiter=%2F&max-keys=1{marker}");
        let page = api.s3(&key, Ask::new("GET", &path)).await;
        assert_eq!((page.status, of(&page, "Delimiter")), (200, "/".to_owned()), "{}", text(&page));
        let common = text(&page).contains("<CommonPrefixes>");
        let of_page = text(&page);
        let shown = match common {
            true => {
                let rest = of_page.split_once("<CommonPrefixes><Prefix>").unwrap().1;
                rest.split_once('<').unwrap().0.to_owned()
            }
            false => of(&page, "Key"),
        };
        seen.push(shown);
        if of(&page, "IsTruncated") != "true" {
            break;
        }
        marker = format!("&key-marker={}", of(&page, "NextKeyMarker").replace('/', "%2F"));
        let change = of(&page, "NextVersionIdMarker");
        assert_eq!(change.is_empty(), common, "{of_page}");
        if !common {
            marker += &format!("&version-id-marker={change}");
        }
    }
    assert_eq!(seen, ["a", "b/", "c", "c", "d/"]);
    api.end().await;
}
