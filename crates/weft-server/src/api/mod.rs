//! The HTTP API: one table of routes, one place of authorisation, one noun per file.
//!
//! `serve.rs` calls [`router()`] once and serves it on a Unix socket and on TCP. It puts a
//! [`crate::auth::Peer`] into the extensions of each request: who is at the other end of its
//! connection. Without one every request is refused.
//!
//! | to | read |
//! |--|--|
//! | see every route, and what each needs | `table.rs` (`route.rs` says what a row may say) |
//! | follow a request | `router.rs`, `dispatch.rs`, `guard.rs`, then its noun |
//! | change state with its audit row and kept answer | `write.rs` |
//! | add a route | a row in `table.rs`, a handler in its noun, perhaps a verb in `weft-policy` |
//! | see what a spec must keep to | `spec.rs` |
//! | stream | `stream.rs`, with `feed.rs` for the news |
//!
//! Absent on purpose: CORS, cookies, a way around the table.

mod admin;
mod audit;
mod bundles;
mod call;
mod clock;
pub(crate) mod data;
mod dispatch;
mod events;
mod exec;
mod fault;
mod feed;
pub(crate) mod guard;
mod health;
mod images;
mod intake;
mod logs;
mod metrics;
mod offers;
mod openapi;
mod outputs;
mod page;
mod pool;
mod program;
mod queues;
mod reply;
mod route;
mod router;
mod share;
mod sources;
mod spec;
mod state;
mod stream;
mod table;
mod tokens;
mod usage;
mod users;
mod view;
mod watch;
mod workloads;
mod write;

pub(crate) use data::content::Watched;
pub(crate) use data::keys::REGION as S3_REGION;
pub(crate) use data::moment::now as now_of;
pub(crate) use data::outgoing::outgoing;
pub(crate) use data::profile;
pub(crate) use fault::{Fault, internal, quoted};
pub(crate) use guard::of_dataset;
pub(crate) use intake::{Intake, announced};
pub use openapi::text as openapi;
pub use router::router;
pub(crate) use share::{Share, Shares};
pub use state::{About, App};
pub use table::{Listed, listed};
pub(crate) use workloads::DEFAULT_QUEUE;
