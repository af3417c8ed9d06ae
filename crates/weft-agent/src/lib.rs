//! Executes a plan's actions on this machine and reports what it observes.
//!
//! The server's loop hands over [`Assignment`]s and stops; one task per member prepares, starts,
//! waits and reports. A [`Report`] is repeated until the server has it on disk, and every order
//! is done once per (workload, attempt, member), so that either side may die at any instruction.
//!
//! ```text
//! Agent::start(assignments) ─► member task: prepare ─► start ─► wait ─► Report::Ended ─► acked
//! Agent::stop(workload)     ─►      └ cancels, or asks the supervisor ┘
//! ```
//!
//! | to | read |
//! |--|--|
//! | follow one member through its life | `member.rs` |
//! | see what a workload finds in its sandbox | `launch.rs` |
//! | see how a device's time is divided among its workloads | `shares.rs` |
//! | know what of a machine the pool gets, and why | `capacity.rs` |
//! | see how MPS is tried, and who uses it | `mps.rs` |
//! | see what a run used of a device, and why that is believed | `device_use.rs` |
//!
//! Absent on purpose: any choice (the plan has made them all), the store's records, the network.

mod agent;
mod assignment;
mod capacity;
mod clock;
mod device_use;
mod exit;
mod instance;
mod launch;
mod member;
mod mps;
mod owner;
mod shares;

pub use agent::{Accelerators, Agent};
pub use assignment::{Assignment, Observed, Origin, Report, Stage, Stop};
pub use capacity::{Capacity, Headroom, capacity};
pub use clock::now;
pub use owner::owner_of;
