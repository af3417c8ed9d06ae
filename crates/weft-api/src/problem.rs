//! Errors on the wire: `application/problem+json` (RFC 9457) with a stable code.
//!
//! Each code has a page `docs/errors/<code>.md`; a test holds the two lists together.

use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// The media type of an error body.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// An error as a client sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// Stable name of what went wrong; programs match on it.
    pub code: Code,
    /// The HTTP status.
    pub status: u16,
    /// One lower-case sentence: field, value and rule.
    pub detail: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Field or parameter at fault, as a dotted path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:literal;)*) => {
        /// Stable names of errors.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Code {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Code] = &[$(Code::$name),*];

            /// The stable name.
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$name => $text,)* }
            }

            /// The HTTP status it goes with.
            pub const fn status(self) -> u16 {
                match self { $(Code::$name => $status,)* }
            }
        }
    };
}

codes! {
    /// The body or a parameter does not have the form the API describes.
    BadRequest = "bad-request", 400;
    /// A workload file or spec breaks a rule.
    InvalidSpec = "invalid-spec", 422;
    /// No machine or share of the pool could ever satisfy the request.
    Impossible = "impossible-request", 422;
    /// No token, or one that is unknown, expired or revoked.
    Unauthenticated = "unauthenticated", 401;
    /// The policy denies it.
    Forbidden = "forbidden", 403;
    /// There is no such thing, or it is not visible to the caller.
    NotFound = "not-found", 404;
    /// The method is not one this path knows.
    MethodNotAllowed = "method-not-allowed", 405;
    /// The thing is not in a state in which that can be done.
    Conflict = "conflict", 409;
    /// A name is taken.
    AlreadyExists = "already-exists", 409;
    /// `If-Match` names an older version.
    PreconditionFailed = "precondition-failed", 412;
    /// The body is larger than the limit.
    TooLarge = "too-large", 413;
    /// The body is not of the media type the route takes.
    UnsupportedMedia = "unsupported-media-type", 415;
    /// The same `Idempotency-Key` came with another request.
    IdempotencyMismatch = "idempotency-mismatch", 422;
    /// A mutation came without an `Idempotency-Key`.
    IdempotencyMissing = "idempotency-key-missing", 400;
    /// Too many failed authentications from this address.
    TooMany = "too-many-failures", 429;
    /// The caller has as much of something as one user, or one queue, may have.
    LimitReached = "limit-reached", 429;
    /// The server is at its limit; try again.
    Busy = "busy", 503;
    /// The disk is full: nothing was changed, reading goes on.
    DiskFull = "disk-full", 507;
    /// The team holds as much data as it may: nothing was changed, reading goes on.
    OverQuota = "over-quota", 507;
    /// A fault of ours; the detail has what to report.
    Internal = "internal", 500;
}

// By hand: the derive does not see names that a macro gives.
impl ToSchema for Code {}

impl PartialSchema for Code {
    fn schema() -> RefOr<Schema> {
        let names = Code::ALL.iter().map(|code| code.as_str());
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("Stable names of errors; each has a page under docs/errors."))
            .enum_values(Some(names))
            .into()
    }
}

impl Problem {
    /// An error of that code with this detail.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, status: code.status(), detail: detail.into(), hint: None, field: None }
    }

    /// With what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With the field at fault.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_code_has_a_page_and_every_page_a_code() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let pages: BTreeSet<String> = files
            .filter_map(|name| Some(name.to_str()?.strip_suffix(".md")?.to_owned()))
            .filter(|name| name != "README")
            .collect();
        let codes: BTreeSet<String> = Code::ALL.iter().map(|c| c.as_str().to_owned()).collect();
        assert_eq!(pages, codes);
        for code in Code::ALL {
            let page = std::fs::read_to_string(format!("{folder}/{}.md", code.as_str())).unwrap();
            let title = format!("# {}\n\nHTTP {}\n", code.as_str(), code.status());
            assert!(page.starts_with(&title), "{}: {title}", code.as_str());
            assert!(page.contains("\n## Why\n") && page.contains("\n## What to do\n"));
        }
    }

    #[test]
    fn names_on_the_wire_are_the_stable_ones() {
        for code in Code::ALL {
            let text = serde_json::to_string(code).unwrap();
            assert_eq!(text, format!("\"{}\"", code.as_str()));
            assert_eq!(serde_json::from_str::<Code>(&text).unwrap(), *code);
            let described = serde_json::to_value(Code::schema()).unwrap();
            assert!(described["enum"].as_array().unwrap().contains(&code.as_str().into()));
        }
    }
}
