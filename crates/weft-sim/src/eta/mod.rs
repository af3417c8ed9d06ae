//! What a waiting job is told of its start, held against what then happened.
//!
//! Jobs of a log run in virtual time through the production planner. When one that was just
//! submitted has to wait, the estimate in its verdict is kept; when it starts, the two are
//! compared. What the planner knows of run times is wrong by as much as is said.
//!
//! Called by `src/bin/eta.rs`. Absent on purpose: teams, failures, the time that a stop takes;
//! [`crate::replay`] has them.

mod guess;
mod world;

pub use guess::{Bucket, Guess, Summary};
pub use world::{Setup, guesses};
