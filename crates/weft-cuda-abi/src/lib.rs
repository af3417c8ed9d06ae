//! The CUDA driver's functions: which symbol answers a name at a version, and what a call means to
//! a tenant's limits.
//!
//! A program asks the driver for a function by name and by the version it was built with, and must
//! get the revision of that version: a pointer to a newer one would be called with other arguments.
//! Whoever stands between a program and the driver, or in the driver's place, needs that map whole.
//!
//! | file | what it has |
//! |--|--|
//! | `driver.rs` | the map: name and version to symbol, as the driver's public headers declare it |
//! | `nvml.rs` | the names of the management library |
//! | `class.rs` | what a call means: takes memory, launches work, tells what is free, or none of it |
//! | `limits.rs` | what a container may use of its devices, as the agent writes it down |
//! | `folder.rs` | where a copy of the library finds them |
//! | `mark.rs` | which build a copy of the library is of |
//! | `share.rs` | a share of a device's time |
//! | `ledger.rs` | what its processes hold, in memory that they and the agent share |
//! | `reading.rs` | a ledger's bytes as the agent reads them, which may say anything |
//! | `rates.rs` | what the agent gives a container of what others leave |
//!
//! `cargo xtask abi` holds the tables against the headers, which are not part of this repository.
//! Absent on purpose: the driver's structures, and any call of the system or the driver.

#![no_std]

mod class;
mod driver;
mod nvml;

/// Atomic words; those of the model checker where it looks at every order of accesses
/// (`tests/it/orders.rs`).
mod atomic {
    #[cfg(not(loom))]
    pub(crate) use core::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
    #[cfg(loom)]
    pub(crate) use loom::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
}

pub mod folder;
pub mod ledger;
pub mod limits;
pub mod mark;
pub mod rates;
pub mod reading;
pub mod share;

pub use class::{CLASSES, Class, class_of};
pub use driver::{DefaultStream, Revision, answer, base_name, revisions};
pub use nvml::management_symbols;
