//! The S3 front: datasets are buckets to stock clients, under the same rights, on the same port.
//!
//! ```text
//! request ─► how signed (signed.rs), host ─► signature (keys.rs) ─► policy (enter.rs) ─► operation
//!                                        │                      │
//!                                 denied, audited        denied, audited
//! ```
//!
//! A request that carries an AWS signature is meant for this front, whatever its path, so that one
//! address and one certificate serve both protocols. Nobody is let in without a signature.
//!
//! | to | read |
//! |--|--|
//! | see which signatures are looked at | `signed.rs` |
//! | see what an operation needs to be let in | `enter.rs` |
//! | follow an object in or out | `objects.rs`, `body.rs`, `length.rs` |
//! | get a short key for a token | `sts.rs` |
//! | know what is so within a run | `inside.rs` |
//! | see what holds of every bucket | `always.rs` |
//! | know what lists give | `lists.rs` |
//! | follow an upload in parts | `parts.rs` |
//! | see what is kept with an object | `notes.rs`, `pieces.rs` |
//! | see which wishes are refused | `wishes.rs` |
//!
//! The protocol itself (signatures, XML, framing) is `s3s`'s. Absent on purpose: SigV2, forms that
//! browsers post, keys of the client's own (SSE-C), access lists: refused, or not implemented.

mod always;
mod attributes;
mod body;
mod buckets;
mod door;
mod enter;
mod fault;
mod inside;
mod keys;
mod length;
mod lists;
mod notes;
mod objects;
mod parts;
mod pieces;
mod service;
mod signed;
mod sts;
mod sums;
mod tags;
mod wishes;

pub(crate) use door::{Front, divert};
pub(crate) use inside::inside;
pub(crate) use keys::{ACCESS_KEY_BYTES, access_key, secret_of};
