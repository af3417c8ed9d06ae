//! Data from elsewhere: HTTP, object stores, PostgreSQL, MySQL, by one outbound client.
//!
//! ```text
//! what is named ─► address.rs: may it be connected to? ─► dial.rs: that address ─► TLS
//!                                                              │
//!        http.rs ◄── s3.rs (signed by sign.rs)     postgres.rs, mysql.rs: one snapshot
//!            └────────────────► bytes, a piece at a time, to who takes them ◄────┘
//! ```
//!
//! A bucket of our own, which is written to as well, is `bucket.rs`, by the same way out.
//!
//! Nothing here holds more than a piece of what comes, or of a database a row. Absent on purpose:
//! who may use a source and where its secret is kept (the server, the store), and what becomes of
//! the bytes (the gateway).
//! The databases' protocols are our own code: docs/adr/0020.

/// Longest row of a database that is taken, as the database sends it. While it becomes CSV it is
/// held up to six times as large (bytes double as letters, a buffer doubles as it grows), and
/// several imports run at once.
pub(crate) const ROW_MAX: usize = 16 << 20;

mod address;
mod bucket;
mod dial;
mod error;
mod http;
mod mysql;
mod postgres;
mod s3;
mod scram;
mod sign;
mod snapshot;

pub use address::Network;
pub use bucket::{Bucket, Lacks};
pub use dial::{Outbound, host};
pub use error::SourceError;
pub use http::{Auth, Body, Fetched, Known, Web, told_address};
pub use mysql::Mysql;
pub use postgres::Postgres;
pub use s3::{Entry, Store};
pub use sign::Signer;
pub use snapshot::{Database, Snapshot};
