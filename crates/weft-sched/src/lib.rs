//! The planner: a pure function from a snapshot of the pool to a plan, and its audit.
#![no_std]

extern crate alloc;

mod action;
mod apply;
mod snapshot;
mod stub;

pub use action::{Action, Finding, Plan, Reason, StopCause, Verdict};
pub use apply::{apply, what_if};
pub use snapshot::{
    Cohort, Device, DeviceClass, DeviceMode, Grant, MigPlacement, Node, Pending, Placement, Queue,
    Quota, Request, Running, Snapshot, Workload, WorkloadState,
};
pub use stub::*;
