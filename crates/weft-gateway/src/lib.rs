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
//! | have packs in an object store | `away.rs`, `elsewhere.rs` (docs/adr/0024) |
//! | read a range of an object | `manifest.rs` |
//! | put an object, delete or copy it | `stage.rs`, `commit.rs`, in parts `upload.rs` |
//! | make a dataset what a run left, as a version | `replace.rs` |
//! | look at what has arrived and is none yet | `arrived.rs` |
//! | read it, or a list | `object.rs` |
//! | bring back what was, or end it for good | `restore.rs`, `forget.rs` |
//! | know which key opens what | `data.rs`, `bond.rs`; of sources' secrets `secret.rs` |
//! | put another key in the place of one | `rotate.rs`, `master.rs` |
//! | know what is damaged | `scrub.rs`, `chunk.rs` |
//! | know when a chunk goes, and why never too early | `collect.rs` |
//! | know how two versions of a file share what is equal | `cut.rs` |
//!
//! The first room of the dataset gateway (docs/adr/0016); its index is in the store. The server's
//! API and its S3 door stand on it. Absent on purpose: who may do what, which they decide.

mod arrived;
mod away;
mod bond;
mod chunk;
mod collect;
mod commit;
mod cut;
mod data;
mod elsewhere;
mod forget;
mod key;
mod manifest;
mod master;
mod merge;
mod notes;
mod object;
mod pack;
mod replace;
mod restore;
mod rotate;
mod scrub;
mod seal;
mod secret;
mod stage;
mod upload;

pub use arrived::Arrived;
pub use away::{Away, AwayState};
pub use collect::Collected;
pub use commit::{Deleted, Put};
pub use cut::{Cutter, LONGEST, SHORTEST, USUAL};
pub use data::{Also, Data, DataError};
pub use elsewhere::{Elsewhere, Elsewise};
pub use forget::{Certificate, Forgotten};
pub use key::{KEY_BYTES, Key, KeyError, WRAPPED_BYTES, Wrapped};
pub use manifest::{Manifest, Part, Piece, Unreadable};
pub use master::{Master, master};
pub use merge::{AlsoMerged, Merged};
pub use notes::{NOTES_MAX, Notes};
pub use object::{Listed, Object};
pub use pack::{PACK_BYTES, PackError, Packs};
pub use replace::{REPLACED_AT_ONCE, Replacing};
pub use scrub::{Damage, Scrubbed};
pub use seal::{ChunkId, SEGMENT, SEGMENT_TAG, Secret, Tampered, needed, open, seal, sealed_len};
pub use stage::Staged;
pub use upload::{Finish, KeptPart, PARTS_MAX, SENDER, Upload};
