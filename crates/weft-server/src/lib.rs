//! The loop and the API: the server of one pool, embedded in the one binary.
//!
//! [`serve()`] runs it. Inside, `control.rs` turns the six steps of the loop and `api` lets people
//! in; both speak to the same store, which is the only truth.
//!
//! | to | read |
//! |--|--|
//! | follow a workload from submission to start | `api/workloads.rs`, then `control.rs` |
//! | see what a start and an end of the server do | `serve.rs`, `server.rs`, `recover.rs` |
//! | add a route | `api/route.rs` |
//! | know who is let in | `auth/`, `listen.rs` |
//!
//! Absent on purpose: SQL (`weft-store`), choices (`weft-sched`), processes (`weft-runtime`).

pub mod api;
pub mod auth;
mod config;
mod control;
mod data;
mod data_store;
mod housekeep;
mod imports;
mod limits;
mod listen;
mod lock;
mod pool;
mod publish;
mod reads;
mod record;
mod recover;
mod refusals;
mod s3;
mod sampler;
mod scrub;
mod serve;
mod server;
mod tls;
mod tracking;
mod views;
mod watch_devices;

pub use config::{DEFAULT_LISTEN, ServeConfig, TlsFiles};
pub use control::{Control, LiveDevice, LoopStats, WhatIf};
pub use limits::{LIMIT_NAMES, Limits};
pub use listen::SOCKET;
pub use lock::{ServerNote, read_note};
pub use record::{Replayed, replay};
pub use serve::{Ready, ServeError, serve};
pub use server::Server;
