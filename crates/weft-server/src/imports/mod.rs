//! Imports: what comes from a source becomes a version of a dataset.
//!
//! ```text
//! asked (api/data/imports.rs) ─► row `running` ─► task: each file staged, put ─► one transaction:
//!                                                      version, row `done`, audit row
//! ```
//!
//! | to | read |
//! |--|--|
//! | see which run, and end one | `room.rs` |
//! | follow one from its first byte to its version | `job.rs` |
//! | know what a source's settings mean | `source.rs` |
//! | see what is asked of the web and of object stores | `files.rs` |
//! | see what is asked of databases | `tables.rs` |
//!
//! A server that ends leaves rows that say `running`: the next one says that they failed. Files
//! that had come are in the dataset, and no version has them. Absent on purpose: timetables.

mod files;
mod job;
mod room;
mod source;
mod tables;

pub(crate) use job::{Declared, Job, start};
pub(crate) use room::Imports;
pub(crate) use source::{Settings, check};

use crate::ServeError;
use weft_store::Store;
use weft_types::Timestamp;

/// Says of what a server before left running that it failed.
pub(crate) async fn recover(store: &Store, now: Timestamp) -> Result<(), ServeError> {
    let why = "the server ended before it was done: import it again";
    store.write(move |w| w.fail_imports(why, now)).await?;
    Ok(())
}
