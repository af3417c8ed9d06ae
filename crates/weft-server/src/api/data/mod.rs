//! Datasets: what there are, their objects, their versions, and whether all of it can be read.
//!
//! | to | read |
//! |--|--|
//! | make, describe and remove a dataset | `sets.rs` |
//! | bring back what was removed | `removed.rs` |
//! | ask for access, or for an early end, and decide on it | `requests.rs` |
//! | put, fetch and list objects | `objects.rs`, with `body.rs` and `outgoing.rs` for the bytes |
//! | put a file in parts, and go on behind those that are there | `uploads.rs` |
//! | make a view of a dataset, or a branch | `views.rs`, `branches.rs` |
//! | see the first rows of a table | `rows.rs` |
//! | make, name and compare versions | `versions.rs`, `diff.rs` |
//! | know what is said of an object's content, of a table its columns | `content.rs`, `profile.rs` |
//! | know what `@v3`, `@gold` or `@2026-11-01` is | `moment.rs` |
//! | know what is read and held, for `/metrics` | `figures.rs` |
//! | read all of it, and free what nobody needs | `check.rs` |
//! | bring data from elsewhere | `imports.rs` |
//! | put other keys in the place of those that are | `rotate.rs` |
//! | make a key for S3 clients | `keys.rs` |
//! | know what a submission declares, and what a run may read | `declared.rs` |
//! | know what a run may leave, and how a version came to be | `published.rs`, `lineage.rs` |
//!
//! Who may do it is said by the table of routes; the guard has found the dataset before. Absent on
//! purpose: S3, which has a front of its own over the same data.

pub(super) mod body;
pub(super) mod branches;
pub(super) mod check;
pub(crate) mod content;
pub(super) mod declared;
pub(super) mod diff;
pub(super) mod figures;
pub(super) mod imports;
pub(super) mod keys;
pub(super) mod lineage;
pub(super) mod moment;
pub(crate) mod objects;
pub(crate) mod outgoing;
pub(crate) mod profile;
pub(super) mod published;
pub(super) mod removed;
pub(crate) mod requests;
pub(super) mod rotate;
pub(super) mod rows;
pub(super) mod sets;
pub(super) mod size;
pub(super) mod uploads;
pub(super) mod versions;
pub(super) mod views;

use super::bundles::disk;
use super::fault::{Fault, fault, internal};
use weft_api::problem::{Code, Problem};
use weft_gateway::{DataError, PackError};

/// What went wrong with data, for the caller.
pub(crate) fn refused(error: DataError) -> Fault {
    match error {
        DataError::Store(error) => error.into(),
        DataError::Pack(PackError::Full(_)) => disk(std::io::ErrorKind::StorageFull.into()).into(),
        DataError::Pack(PackError::Away { .. }) => fault(Code::Busy, error.to_string()),
        DataError::Conflict { .. } => {
            let hint = "make the branch's the same as the dataset's there, or the other way, and \
                        merge again";
            Problem::new(Code::Conflict, error.to_string()).hint(hint).into()
        }
        DataError::Path(_) | DataError::Notes(_) | DataError::Body(_) => {
            fault(Code::BadRequest, error.to_string())
        }
        // What is damaged is told to the operator, by its number in the log.
        other => internal(other).into(),
    }
}
