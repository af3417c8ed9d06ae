//! Who is calling: peer credentials on the Unix socket, bearer tokens on TCP.
//!
//! `api/dispatch.rs` asks `caller` once for each request; what the caller may do is the
//! policy's matter. Absent on purpose: passwords, cookies and sessions; nothing a browser sends
//! by itself is ever a credential.

mod bootstrap;
mod caller;
pub(crate) mod origin;
pub(crate) mod run;
pub(crate) mod throttle;
pub(crate) mod token;

pub(crate) use bootstrap::TOKEN_LIFE_MAX;
pub use bootstrap::{ADMIN, bootstrap};
pub use caller::Peer;
pub(crate) use caller::{
    Caller, Unknown, caller, may_fail, nobody, not_said, of_token, problem, still,
};
