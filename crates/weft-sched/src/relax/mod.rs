//! What would let a waiting workload start: the least that has to be given up, or waited for.
//!
//! One figure of what was asked for is changed at a time, tried on the working copy as the last
//! look left it, and undone; what is reported was really placed there. Asked for one workload at a
//! time, by `weft why` and by a dry run; a plan with twenty thousand that wait computes none of it.
//! Absent on purpose: changes of anything but the workload itself, the clock, words for the time.
//!
//! | file | holds |
//! |--|--|
//! | `change.rs` | what is changed, as data, and what that gives up |
//! | `figure.rs` | figures of a request that can be lowered, and by how much |
//! | `trial.rs` | whether the changed workload would start, on the working copy |
//! | `find.rs` | the search, and the ranking |
//! | `kind.rs` | another kind of device, a smaller instance |
//! | `ends.rs` | whose end it waits for |
//! | `never.rs` | what of an impossible request could run |
//! | `words.rs` | all of it in words |

mod change;
mod ends;
mod figure;
mod find;
mod kind;
mod never;
mod trial;
mod words;

pub use change::{Change, Relaxation, Then};
pub use find::{May, RELAXATIONS_MAX, Why};
pub use never::possible_with;
pub use words::{describe_change, describe_changes, describe_relaxation};
