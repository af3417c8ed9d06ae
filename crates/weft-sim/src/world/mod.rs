//! Virtual time: jobs of a log on a pool that does not exist, decided by the production planner.
//!
//! | file | what it has |
//! |--|--|
//! | `scenario.rs` | what is assumed: machines, teams' shares, suspensions, failures |
//! | `run.rs` | the course of events, one moment after the other |
//! | `life.rs` | one job: its record is the production state machine's |
//! | `course.rs` | what came of it: each job's fate, the use over time, a hash of all decisions |
//! | `breakdown.rs` | when machines fail and are mended |
//!
//! Called by [`crate::replay`] and [`crate::study`]. Byte-identical on repeat: one clock, ordered
//! maps, integers, chance from a seed. Absent on purpose: data, networks, where on the machines a
//! job runs best.

mod breakdown;
mod course;
mod life;
mod run;
mod scenario;

pub use breakdown::Failures;
pub use course::{Course, Fate, Series};
pub use run::{Control, Patience, Simulation, simulate};
pub use scenario::{Case, Lacks, Scenario, TeamShare, draw};
