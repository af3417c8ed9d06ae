//! The planner's dense working copy of a snapshot: small integers instead of names, and a log by
//! which anything tried on it is undone.
//!
//! Two sides are kept of every capacity: *now* (everything that holds capacity, also what is
//! stopping) and *later* (what is stopping is gone, what was promised is taken). A start must fit
//! on both, so it never meets a process that is still there and never steals a promised hole.
//!
//! | file | holds |
//! |--|--|
//! | `class.rs` | equal requests as one class, resolved against the device kinds |
//! | `pool.rs`, `device.rs` | machines and devices, and what is held of each |
//! | `log.rs` | taking and giving, with undo, and the fingerprint of each state |
//! | `fit.rs` | whether, how often and how well a class fits on a machine |
//! | `mig.rs` | the same for MIG instances, and where on a device |
//! | `places.rs` | the placements of a MIG geometry, and what a device is worth |
//! | `priced.rs` | how well, by what is usually asked for |
//! | `near.rs` | of places that are as good, the one nearest to the data |
//! | `scores.rs` | scores of the classes, kept while the pool changes |
//! | `tree.rs` | queues as seats, and who shares with whom |
//! | `quota.rs` | what is used in each seat, who borrows and who lends |
//! | `work.rs` | what runs and what waits, from one look to the next |
//! | `load.rs` | building all of it from a snapshot |
//! | `change.rs` | keeping it while workloads come and go |

mod change;
mod class;
mod device;
mod fit;
mod load;
mod log;
mod mig;
mod near;
mod places;
mod pool;
mod priced;
mod quota;
mod scores;
mod tree;
mod work;

pub(crate) use class::{Class, Gpu, Kinds, instance_milli};
pub(crate) use device::{Accelerator, Pick};
pub(crate) use load::{Board, grant_milli, placement_charge, pool as empty_pool};
pub(crate) use pool::{Amounts, Machine, Piece, Pool, Span, View};
pub(crate) use priced::usual;
pub(crate) use quota::{Charge, RESOURCES, Short, Which};
pub(crate) use work::{Run, Wait};
