//! The planner: a pure function from a snapshot of the pool to a plan, and its audit.
//!
//! [`plan()`] says what to start, what to stop and why everything else waits; [`audit()`] checks
//! that with other code. No clock, no files, no randomness, no floating point, no hash order:
//! `no_std` lets the compiler prove most of it. The same functions serve the server's loop, dry
//! runs ([`what_if`], [`impossible`]), the simulator and the tests; [`mod@case`] is their common
//! text.
//!
//! To follow a plan, read `plan.rs`; each of its steps is one file that adds methods to the look
//! (`pass.rs`):
//!
//! | step | file |
//! |--|--|
//! | working copy with undo | `board/` |
//! | keeping it from plan to plan | `engine.rs` |
//! | time limits, when to look again | `limits.rs` |
//! | keeping what is being handed over | `promise.rs` |
//! | whose turn it is | `order.rs` |
//! | what happens in a workload's turn | `turn.rs`, `tried.rs` |
//! | start one workload, or keep a place for it | `start.rs`, `least.rs` |
//! | placing anew what starts, for one more | `rearrange.rs` |
//! | what is usual, for how starts are packed | `market.rs` |
//! | machines kept for large requests ahead of demand | `large.rs`, `drain.rs`, `kept.rs` |
//! | what an hour of a device counts | `price.rs` |
//! | where instances lie on their devices | `arrange.rs` |
//! | how many members what starts gets beyond the least | `grow.rs` |
//! | reclaim, preemption and suspension | `claim.rs`, `prospect.rs`, `take_back.rs`, `rank.rs` |
//! | protection from being passed for ever | `reserve.rs`, `backfill.rs` |
//! | reasons, in data and in words | `explain.rs`, `lacking.rs`, `describe.rs` |
//! | estimates | `eta.rs`, `course.rs`, `likely.rs` |
//! | what would let one start | `relax/` |
//! | what could never run | `possible.rs` |
//! | what a new one could have now | `offer.rs` |
//!
//! The rules, the wanted properties and the limits: `docs/design/planner.md`.
#![no_std]

extern crate alloc;

mod action;
mod apply;
mod arrange;
mod audit;
mod backfill;
mod board;
mod capacity;
pub mod case;
mod claim;
mod course;
mod describe;
mod drain;
mod engine;
mod eta;
mod explain;
mod grow;
mod kept;
mod lacking;
mod large;
mod least;
mod likely;
mod limits;
mod market;
mod near;
mod offer;
mod order;
mod pass;
mod plan;
mod possible;
mod price;
mod promise;
mod prospect;
mod rank;
mod rearrange;
mod relax;
mod reserve;
mod snapshot;
mod start;
mod take_back;
mod tried;
mod turn;

pub use action::{Action, Finding, Plan, Reason, StopCause, Verdict};
pub use apply::{apply, owe, what_if, with_one};
pub use audit::audit;
pub use capacity::{DeviceFree, QueueUse, devices, gpu_milli, queue_use};
pub use describe::describe;
pub use engine::Engine;
pub use large::{Asked, Large};
pub use market::{Market, Usual};
pub use near::{Data, Versions};
pub use offer::{Back, Offer, Room, offers};
pub use plan::{decide, plan};
pub use possible::{GANG_MAX, impossible};
pub use price::Prices;
pub use relax::{
    Change, May, RELAXATIONS_MAX, Relaxation, Then, Why, describe_change, describe_changes,
    describe_relaxation, possible_with,
};
pub use snapshot::{
    Cohort, Device, DeviceClass, DeviceMode, Grant, MigPlacement, Node, Order, Pending, Placement,
    Queue, Quota, Request, Running, Snapshot, Workload, WorkloadState,
};
