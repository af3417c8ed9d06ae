//! The HTTP API: one table of routes, one place of authorisation, one noun per file.
//!
//! `server.rs` calls [`router`] once and serves it on a Unix socket and on TCP. It puts a
//! [`crate::auth::Peer`] into the extensions of each connection's requests: who is at the other
//! end. Without one every request is refused.
//!
//! ```text
//! pub fn router(app: App) -> axum::Router          // everything, middleware included
//! serve with hyper_util …serve_connection_with_upgrades; header_read_timeout is the caller's
//! ```

pub mod state;

pub use state::{About, App};
