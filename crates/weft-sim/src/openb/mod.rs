//! The standard packing experiment on Alibaba's openb lists, as published with "Beware of
//! Fragmentation" (USENIX ATC '23): requests arrive one by one, nothing leaves, what fits nowhere
//! is dropped; how much of the devices is allocated when 100 % and 130 % of them were asked for?
//!
//! | step | file |
//! |--|--|
//! | machines and requests in integers; shuffled and tuned to 1.3 by a seed | `workload.rs` |
//! | one run of one policy | `run.rs` |
//! | the same through the production planner | `planner.rs` |
//! | what was published | `published.rs` |
//!
//! Differences from the artifact: the shuffle is by [`crate::rng`], not Go's generator.

pub(crate) mod planner;
mod published;
mod run;
mod workload;

pub use planner::{Planned, plan};
pub use published::{Published, published};
pub use run::{Learned, PolicyName, Result, decision_times, run, run_planner};
pub use workload::{Pool, arrivals};
