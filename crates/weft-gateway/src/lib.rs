//! Datasets at rest: bytes are cut where their content says so, sealed, and packed into files.
//!
//! ```text
//! an object's bytes ─► Cutter ─► chunks ─► seal ─► Packs (append, sync) ─► places
//!                                   └────► Manifest (secrets, lengths) ─► under the object's key
//! ```
//!
//! | to | read |
//! |--|--|
//! | see why what is on the disk is of no use without keys | `seal.rs`, `key.rs` |
//! | follow a chunk to the disk and back | `pack.rs` |
//! | read a range of an object | `manifest.rs` |
//! | put an object and read it | `data.rs` |
//! | know when a chunk goes, and why never too early | `collect.rs` |
//! | know how two versions of a file share what is equal | `cut.rs` |
//!
//! The first room of the dataset gateway (docs/adr/0016); its index is in the store. What will
//! stand on it is not there yet: the S3 front, policies, commands. Nothing of the product calls it.

mod collect;
mod cut;
mod data;
mod key;
mod manifest;
mod pack;
mod seal;

pub use collect::Collected;
pub use cut::{Cutter, LONGEST, SHORTEST, USUAL};
pub use data::{Data, DataError, Object, Put};
pub use key::{KEY_BYTES, Key, KeyError, WRAPPED_BYTES, Wrapped, master};
pub use manifest::{Manifest, Part, Piece, Unreadable};
pub use pack::{PACK_BYTES, PackError, Packs, Place};
pub use seal::{ChunkId, SEGMENT, Secret, TAG, Tampered, needed, open, seal, sealed_len};
