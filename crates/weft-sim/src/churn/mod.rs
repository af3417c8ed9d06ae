//! A pool in its steady state: requests of openb come and leave, at as much as the pool has, and
//! what is watched is how long those for a whole machine wait.
//!
//! When nothing ever leaves, a packing is judged by what it allocates. Under a backlog every
//! packing allocates alike, even a random one, because what is small fills every hole; the price is
//! paid by requests for eight devices, for which no machine is ever empty. The cure is the
//! planner's, which keeps machines ahead of demand (`drain.rs` of `weft-sched`).
//!
//! | file | what it has |
//! |--|--|
//! | `setup.rs` | what is assumed; arrivals and lifetimes by a seed |
//! | `world.rs` | a packing alone: virtual time, a queue served in order with skipping |
//! | `planner.rs` | the same arrivals and lifetimes through the production planner |
//! | `outcome.rs` | waits by size, allocation, moves |
//!
//! Called by `src/bin/churn.rs`. Absent on purpose: users, queues, priorities; time that a start
//! takes.

mod outcome;
mod planner;
mod setup;
mod world;

pub use outcome::{Outcome, Size, Waits};
pub use planner::plan_churn;
pub(crate) use setup::exponential;
pub use setup::{Ends, LIFE, Setup};
pub use world::churn;
