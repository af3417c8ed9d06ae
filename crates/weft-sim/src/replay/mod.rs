//! A log replayed in virtual time through the production planner: who would have waited how long
//! on this pool, under this order.
//!
//! | file | what it has |
//! |--|--|
//! | `setup.rs` | the pool, the queues and what is known of jobs before they run |
//! | `run.rs` | the whole log through [`crate::world`] |
//! | `outcome.rs` | waits and completion times, and their distribution |
//!
//! Called by `src/bin/replay.rs`. Absent on purpose: failures of machines, data, networks; a stop
//! takes no time.

mod outcome;
mod run;
mod setup;

pub use outcome::{JobOutcome, Spread, Summary};
pub use run::{Replayed, replay};
pub use setup::{Setup, Teams};
