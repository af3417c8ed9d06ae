//! A pool in its steady state: requests of openb come and leave, at as much as the pool has, and
//! what is watched is how long those for a whole machine wait.
//!
//! When nothing ever leaves, a packing is judged by what it allocates. Under a backlog every
//! packing allocates alike, even a random one, because what is small fills every hole; the price is
//! paid by requests for eight devices, for which no machine is ever empty. [`drain`] is the cure.
//!
//! | file | what it has |
//! |--|--|
//! | `drain.rs` | which machines are kept for large requests: pure integers, for the planner to use |
//! | `guard.rs` | a packing policy that keeps off them |
//! | `setup.rs` | what is assumed; arrivals and lifetimes by a seed |
//! | `world.rs` | virtual time: arrivals, departures, a queue served in order with skipping |
//! | `outcome.rs` | waits by size, allocation, moves |
//!
//! Called by `src/bin/churn.rs`. Absent on purpose: users, queues, priorities; time that a start
//! takes.

pub mod drain;
mod guard;
mod outcome;
mod setup;
mod world;

pub use outcome::{Outcome, Size, Waits};
pub use setup::{Ends, LIFE, Setup};
pub use world::churn;
