//! Sessions over STS, by hand: what stock clients send, and what nobody should.

use crate::api_world::{Answer, Api, Ask};
use crate::s3_signed::S3Key;

const ROLE: &str = "arn%3Aaws%3Aiam%3A%3A000000000000%3Arole%2F";

fn text(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

fn of(answer: &Answer, name: &str) -> String {
    let text = text(answer);
    let rest = text.split_once(&format!("<{name}>")).map_or("", |(_, rest)| rest);
    rest.split_once('<').map_or("", |(value, _)| value).to_owned()
}

fn form(body: &str) -> Ask {
    let ask = Ask::new("POST", "/").bytes(body.as_bytes());
    ask.header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
}

/// Asks as boto3 does: without a signature, and with headers of its own.
async fn assume(api: &Api, token: &str, role: &str, more: &str) -> Answer {
    let body = format!(
        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn={ROLE}{role}\
         &RoleSessionName=laptop&WebIdentityToken={token}{more}"
    );
    api.send(form(&body).header("amz-sdk-invocation-id", "1")).await
}

/// A session's key, and its token.
fn session(answer: &Answer) -> (S3Key, String) {
    assert_eq!(answer.status, 200, "{}", text(answer));
    let (id, secret) = (of(answer, "AccessKeyId"), of(answer, "SecretAccessKey"));
    (S3Key { id, secret, shifted: 0 }, of(answer, "SessionToken"))
}

async fn with(api: &Api, (key, token): &(S3Key, String), ask: Ask) -> Answer {
    api.s3(key, ask.header("x-amz-security-token", token)).await
}

/// A server with `claims`, and a token that writes.
async fn world() -> (Api, String) {
    let api = Api::start().await;
    api.queue("lab").await;
    let token = api.user("ana", "member", Some("lab")).await;
    let key = api.s3_key(&token, "write").await;
    assert_eq!(api.s3(&key, Ask::new("PUT", "/claims")).await.status, 200);
    let put = Ask::new("PUT", "/claims/a").bytes(b"x");
    assert_eq!(api.s3(&key, put).await.status, 200);
    (api, token)
}

#[tokio::test]
async fn a_token_is_changed_into_a_session_that_ends_with_it() {
    let (api, token) = world().await;
    let line = format!("{token}%0A");
    let read = session(&assume(&api, &line, "read", "").await);
    let get = || Ask::new("GET", "/claims/a");
    assert_eq!(&*with(&api, &read, get()).await.body, b"x");
    let put = || Ask::new("PUT", "/claims/b").bytes(b"y");
    assert_eq!(with(&api, &read, put()).await.status, 403, "it reads");
    let write = session(&assume(&api, &token, "write", "&DurationSeconds=900").await);
    assert_eq!(with(&api, &write, put()).await.status, 200);

    let who = form("Action=GetCallerIdentity&Version=2011-06-15");
    let who = who.header("x-amz-security-token", &read.1);
    let who = api.send(read.0.sign_for("sts", api.address(), who)).await;
    assert_eq!((who.status, of(&who, "UserId")), (200, "ana".to_owned()), "{}", text(&who));
    assert!(of(&who, "Arn").ends_with("assumed-role/read/ana"), "{}", text(&who));

    let tokens = api.send(Ask::new("GET", "/api/v1/tokens").by(&token)).await.json();
    let id = token.split('_').nth(2).unwrap();
    assert!(tokens.to_string().contains(id), "{tokens}");
    let revoke = Ask::new("DELETE", &format!("/api/v1/tokens/{id}"));
    assert_eq!(api.send(revoke.by(&token).once()).await.status, 204);
    assert_eq!(with(&api, &read, get()).await.status, 403, "it ended with its token");
    assert_eq!(with(&api, &write, put()).await.status, 403);
    let again = assume(&api, &token, "read", "").await;
    assert_eq!((again.status, of(&again, "Code")), (400, "InvalidIdentityToken".to_owned()));
    assert!(text(&again).starts_with("<?xml") && text(&again).contains("<ErrorResponse xmlns"));
    api.end().await;
}

#[tokio::test]
async fn a_session_is_nothing_without_its_token() {
    let (api, token) = world().await;
    let one = session(&assume(&api, &token, "read", "").await);
    let two = session(&assume(&api, &token, "read", "").await);
    let long = api.s3_key(&token, "read").await;
    let get = || Ask::new("GET", "/claims/a");
    assert_eq!(with(&api, &one, get()).await.status, 200);
    let refused = |answer: &Answer| (answer.status, of(answer, "Code"));
    let odd = (403, "InvalidToken".to_owned());
    assert_eq!(refused(&api.s3(&one.0, get()).await), odd, "left out");
    assert_eq!(refused(&with(&api, &(one.0.clone(), two.1.clone()), get()).await), odd, "mixed");
    assert_eq!(refused(&with(&api, &(long, one.1.clone()), get()).await), odd, "of another key");
    // In an address, where it is under the signature, too.
    let host = api.address();
    let more = |token: &str| format!("&X-Amz-Security-Token={token}");
    let presigned =
        |key: &S3Key, more: &str| key.presign_with(host, "GET", ("/claims/a", more), 60);
    assert_eq!(api.send(presigned(&one.0, &more(&one.1))).await.status, 200);
    assert_eq!(refused(&api.send(presigned(&one.0, "")).await), odd);
    assert_eq!(refused(&api.send(presigned(&one.0, &more(&two.1))).await), odd);
    let twice = format!("{}{}", more(&one.1), more(&one.1));
    assert_eq!(api.send(presigned(&one.0, &twice)).await.status, 403);
    // Its form says scope and end: whoever changes them has no secret for what he made of it.
    for (is, would_be) in [("-read-", "-write-"), ("-read-1", "-read-2")] {
        let id = one.0.id.replace(is, would_be);
        let forged = (S3Key { id, ..one.0.clone() }, one.1.clone());
        let answer = with(&api, &forged, get()).await;
        assert_eq!(refused(&answer), (403, "SignatureDoesNotMatch".to_owned()), "{would_be}");
    }
    // A signature for one service is none for the other.
    let ask = get().header("x-amz-security-token", &one.1);
    assert_eq!(api.send(one.0.sign_for("sts", host, ask)).await.status, 403);
    let who = form("Action=GetCallerIdentity").header("x-amz-security-token", &one.1);
    assert_eq!(api.send(one.0.sign("unused", who)).await.status, 403);
    api.end().await;
}

#[tokio::test]
async fn what_a_session_would_not_heed_is_refused() {
    let (api, token) = world().await;
    for more in [
        "&Policy=%7B%7D",
        "&PolicyArns.member.1.arn=x",
        "&ProviderId=www.amazon.com",
        "&DurationSeconds=899",
        "&DurationSeconds=43200",
        "&DurationSeconds=-1",
        "&RoleSessionName=again",
    ] {
        let answer = assume(&api, &token, "read", more).await;
        let code = (answer.status, of(&answer, "Code"));
        assert_eq!(code, (400, "ValidationError".to_owned()), "{more}: {}", text(&answer));
    }
    assert_eq!(assume(&api, &token, "admin", "").await.status, 400, "a role that there is not");
    let mistyped = assume(&api, &token.replace("pat", "srv"), "read", "").await;
    assert_eq!(of(&mistyped, "Code"), "InvalidIdentityToken");
    let unknown = form("Action=AssumeRole&Version=2011-06-15");
    assert_eq!(of(&api.send(unknown).await, "Code"), "InvalidAction");
    // A key that reads makes no session that writes, and a session none at all.
    let key = api.s3_key(&token, "read").await;
    let ask = |form_of: Ask, key: &S3Key| key.sign_for("sts", api.address(), form_of);
    let short = api.send(ask(form("Action=GetSessionToken&Version=2011-06-15"), &key)).await;
    let short = session(&short);
    let put = Ask::new("PUT", "/claims/b").bytes(b"y");
    assert_eq!(with(&api, &short, put).await.status, 403);
    assert_eq!(with(&api, &short, Ask::new("GET", "/claims/a")).await.status, 200);
    let more = form("Action=GetSessionToken").header("x-amz-security-token", &short.1);
    assert_eq!(api.send(ask(more, &short.0)).await.status, 403);
    assert_eq!(api.send(form("Action=GetSessionToken")).await.status, 403, "unsigned");
    api.end().await;
}
