//! Errors, with the codes that MLflow's clients know.

use serde::{Serialize, Serializer};
use std::fmt;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:literal;)*) => {
        /// What went wrong. Clients choose by it what to do, so that a wrong one is a wrong answer:
        /// they make an experiment anew at `RESOURCE_DOES_NOT_EXIST`, say.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[$doc])* $name,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Code] = &[$(Code::$name),*];

            /// As it stands in `error_code`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$name => $text,)* }
            }

            /// HTTP's status for it, as `mlflow.exceptions` maps it.
            pub const fn status(self) -> u16 {
                match self { $(Code::$name => $status,)* }
            }
        }
    };
}

codes! {
    /// A fault of the server's.
    InternalError = "INTERNAL_ERROR", 500;
    /// The request is not one that the API has.
    NotImplemented = "NOT_IMPLEMENTED", 501;
    /// Try again later.
    TemporarilyUnavailable = "TEMPORARILY_UNAVAILABLE", 503;
    /// More than the caller may ask for in a time.
    RequestLimitExceeded = "REQUEST_LIMIT_EXCEEDED", 429;
    /// No room: a quota or the disk.
    ResourceExhausted = "RESOURCE_EXHAUSTED", 429;
    /// It changed meanwhile.
    ResourceConflict = "RESOURCE_CONFLICT", 409;
    /// There is no such route.
    EndpointNotFound = "ENDPOINT_NOT_FOUND", 404;
    /// There is none, or none that the caller may know of.
    ResourceDoesNotExist = "RESOURCE_DOES_NOT_EXIST", 404;
    /// The caller may not.
    PermissionDenied = "PERMISSION_DENIED", 403;
    /// Who is calling is not known.
    Unauthenticated = "UNAUTHENTICATED", 401;
    /// The request cannot be read.
    BadRequest = "BAD_REQUEST", 400;
    /// The name is taken.
    ResourceAlreadyExists = "RESOURCE_ALREADY_EXISTS", 400;
    /// A value breaks a rule.
    InvalidParameterValue = "INVALID_PARAMETER_VALUE", 400;
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

/// A refusal, as it stands in the body of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// What went wrong.
    #[serde(rename = "error_code")]
    pub code: Code,
    /// What, where, which rule, and what to do.
    pub message: String,
}

impl Fault {
    /// A refusal with this code.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// A value that breaks a rule.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidParameterValue, message)
    }

    /// What had to be there and is not. Clients look for these words.
    pub fn missing(parameter: &str) -> Self {
        Self::invalid(format!("Missing value for required parameter '{parameter}'."))
    }

    /// A value of a parameter that breaks this rule. Clients look for these words.
    pub fn value(parameter: &str, value: &str, rule: &str) -> Self {
        Self::invalid(format!(
            "Invalid value \"{value}\" for parameter '{parameter}' supplied: {rule}"
        ))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.message)
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_what_clients_read() {
        let fault = Fault::missing("run_id");
        let text = serde_json::to_string(&fault).unwrap();
        assert_eq!(
            text,
            "{\"error_code\":\"INVALID_PARAMETER_VALUE\",\
             \"message\":\"Missing value for required parameter 'run_id'.\"}"
        );
        assert!(Code::ALL.iter().all(|code| (400..600).contains(&code.status())));
    }
}
