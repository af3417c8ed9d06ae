//! What can go wrong between a client and a server.

use crate::client_file::ClientFileError;
use std::io;
use weft_api::problem::Problem;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No connection, or it broke.
    #[error("no server answers at {address}: {source}")]
    Unreachable {
        /// Where it was looked for.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The server refused, and said why.
    #[error("{0}")]
    Problem(Box<Problem>),
    /// What came back is not what a Weft server says.
    #[error("the answer of {address} is not understood: {reason}")]
    Protocol {
        /// Who answered.
        address: String,
        /// Why.
        reason: String,
    },
    /// The client file cannot be used.
    #[error(transparent)]
    File(#[from] ClientFileError),
    /// A certificate or TLS set-up.
    #[error("TLS with {address}: {reason}")]
    Tls {
        /// Which server.
        address: String,
        /// Why.
        reason: String,
    },
    /// A file here cannot be read or written.
    #[error("{path}: {source}")]
    Local {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
}

impl ClientError {
    /// What to do about it, where there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unreachable { .. } => {
                Some("start one with `weft up`, or name another with --server".to_owned())
            }
            Self::Problem(problem) => problem.hint.clone(),
            Self::Protocol { .. } => {
                Some("is it a Weft server of this version? `weft --version`".to_owned())
            }
            Self::File(error) => error.hint(),
            Self::Tls { .. } => {
                Some("name the server's certificate as `ca` in the client file".to_owned())
            }
            Self::Local { .. } => None,
        }
    }

    /// The problem, where the server named one.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem(problem) => Some(problem),
            _ => None,
        }
    }
}
