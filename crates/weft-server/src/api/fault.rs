//! How anything that goes wrong becomes a problem on the wire.
//!
//! Handlers and transactions return [`Fault`]; `dispatch.rs` answers it. Details of faults of
//! ours go to the log with a number, never to the caller. Text that came from a caller is cut
//! and escaped before it is repeated.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::fmt::Write as _;
use weft_api::problem::{Code, MEDIA_TYPE, Problem};
use weft_store::StoreError;

/// Longest piece of a caller's text repeated in an error: enough to recognise it.
const QUOTED_MAX: usize = 120;

/// Why a request was not done.
#[derive(Debug)]
pub(crate) enum Fault {
    /// It is told to the caller as it is.
    Problem(Box<Problem>),
    /// A transaction that is taken back with this answer: a dry run.
    TakenBack(Box<super::reply::Reply>),
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        Fault::Problem(Box::new(problem))
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        problem_of(error).into()
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        match self {
            Fault::Problem(problem) => answer(*problem),
            Fault::TakenBack(reply) => reply.into_response(),
        }
    }
}

/// A problem as a response.
pub(crate) fn answer(problem: Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    let mut response = (status, [(header::CONTENT_TYPE, MEDIA_TYPE)], body).into_response();
    let headers = response.headers_mut();
    match problem.code {
        // RFC 9110 §15.5.2 asks for it.
        Code::Unauthenticated => {
            let scheme = header::HeaderValue::from_static("Bearer realm=\"weft\"");
            headers.insert(header::WWW_AUTHENTICATE, scheme);
        }
        Code::Busy | Code::TooMany => {
            headers.insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
        }
        _ => {}
    }
    response
}

/// An error of the given code.
pub(crate) fn fault(code: Code, detail: impl Into<String>) -> Fault {
    Problem::new(code, detail).into()
}

/// An error of the given code, at this field.
pub(crate) fn at(code: Code, field: &str, detail: impl Into<String>) -> Fault {
    Problem::new(code, detail).field(field).into()
}

/// A fault of ours: the cause goes to the log, its number to the caller.
pub(crate) fn internal(cause: impl std::fmt::Display) -> Problem {
    let mut number = [0; 4];
    let _ = getrandom::fill(&mut number);
    let number = hex::encode(number);
    tracing::error!(number, %cause, "a request failed by a fault of ours");
    Problem::new(Code::Internal, format!("the server failed; this is fault {number} in its log"))
        .hint("look for the number in server.log, and report what stands there")
}

/// A caller's text for use in an error: cut, and without control characters.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::new();
    for letter in text.chars() {
        if out.len() >= QUOTED_MAX {
            out.push('…');
            break;
        }
        match letter.is_control()
            || matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        {
            true => _ = write!(out, "{}", letter.escape_unicode()),
            false => out.push(letter),
        }
    }
    out
}

fn problem_of(error: StoreError) -> Problem {
    let text = error.to_string();
    match error {
        StoreError::DiskFull(_) => {
            Problem::new(Code::DiskFull, "the disk with the state is full; nothing was changed")
                .hint("free some space on the server's machine; it goes on by itself")
        }
        StoreError::NotFound { what, id } => {
            Problem::new(Code::NotFound, format!("there is no {what} `{}`", quoted(&id)))
        }
        StoreError::Exists { what, id } => {
            Problem::new(Code::AlreadyExists, format!("the {what} `{}` exists", quoted(&id)))
                .hint("choose another name")
        }
        StoreError::Conflict { .. } => Problem::new(Code::PreconditionFailed, quoted(&text))
            .hint("read it again and repeat the change on the newer version"),
        StoreError::InUse { .. } => Problem::new(Code::Conflict, quoted(&text)),
        StoreError::OverQuota { ref queue, .. } => {
            let hint = format!(
                "remove what is not needed (it counts until it is forgotten), or ask an operator \
                 for more: `weft admin queue set {queue} --data SIZE`"
            );
            Problem::new(Code::OverQuota, quoted(&text)).hint(hint)
        }
        StoreError::TooLarge { .. } => Problem::new(Code::TooLarge, quoted(&text)),
        StoreError::Fenced { .. } => {
            Problem::new(Code::Busy, "another server has taken over; connect again")
        }
        StoreError::Closed => Problem::new(Code::Busy, "the server is ending"),
        _ => internal(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_text_is_bounded_and_harmless() {
        assert_eq!(
            quoted("a\r\nSet-Cookie: x\u{202e}\0"),
            "a\\u{d}\\u{a}Set-Cookie: x\\u{202e}\\u{0}"
        );
        assert!(quoted(&"ä".repeat(100_000)).len() < QUOTED_MAX + 8);
    }

    #[test]
    fn faults_of_ours_stay_ours() {
        let problem =
            problem_of(StoreError::Sqlite("near \"SELECT\": /var/lib/weft.db".to_owned()));
        assert_eq!(problem.code, Code::Internal);
        assert!(!problem.detail.contains("SELECT"), "{}", problem.detail);
    }
}
