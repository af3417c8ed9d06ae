//! A log under several policies: who would have waited how long, and what that says about sharing.
//!
//! | file | what it has |
//! |--|--|
//! | `compare.rs` | the study in numbered steps |
//! | `cluster.rs` | the machines: `80x8`, or a file |
//! | `policy.rs` | what a policy says, and the two that are built in |
//! | `sizes.rs` | how many devices each team has |
//! | `silos.rs` | machines dealt out to teams; the sizes that would have been best for silos |
//! | `runs.rs` | policies as runs of [`crate::world`], two at a time |
//! | `fewer.rs` | the smallest pool that is no worse |
//! | `together.rs` | the policies asked for, side by side through the log |
//! | `left.rs` | what can be compared where it was left early |
//! | `figures.rs` | what is counted about a run, and its distribution |
//! | `findings.rs` | all that a report says, as data |
//!
//! Called by `weft simulate`; [`crate::report`] shows what it finds. Runs of one study share
//! nothing but the log, so that the threads they are made on change nothing. Absent on purpose:
//! files, clocks, words.

mod cluster;
mod compare;
mod fewer;
mod figures;
mod findings;
mod left;
mod policy;
mod runs;
mod silos;
mod sizes;
mod together;

pub use cluster::{Cluster, ClusterError};
pub use compare::{Question, Watch, study};
pub use figures::{Claims, Figures, Spread};
pub use findings::{
    Assumed, Fewer, Findings, Group, Later, Left, Ran, SCHEMA, Sensitivity, SizeGroup, TraceFacts,
};
pub use policy::{Policy, PolicyFile, QueueFile, Sharing, Sizes};
pub use sizes::SizeError;
