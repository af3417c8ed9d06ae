//! Talks to a Weft server: typed calls over its Unix socket or over TCP, and its streams.
//!
//! [`Client`] is the whole of it: calls stand in one file for each noun. A mutation carries an
//! [`Intent`], so that it is safe to repeat after a broken connection, and the client does so.
//! Absent on purpose: any printing, any choice of which server to talk to but [`ClientFile`].

mod access;
mod address;
mod client_file;
mod connect;
mod data;
mod error;
mod exec;
mod intent;
mod pool;
mod request;
mod sources;
mod stream;
mod workloads;

pub use address::Address;
pub use client_file::{ClientFile, ClientFileError};
pub use data::{Download, ObjectQuery, Upload};
pub use error::ClientError;
pub use exec::{ExecReader, ExecSession, ExecWriter, Frame};
pub use intent::Intent;
pub use request::Client;
pub use stream::Events;
pub use workloads::{EventQuery, Listing, LogQuery};
