//! The planner: a pure function from a snapshot of the pool to a plan, and its audit.
#![no_std]

extern crate alloc;

mod action;
mod snapshot;

pub use action::{Action, Finding, Plan, Reason, StopCause, Verdict};
pub use snapshot::{
    Cohort, Device, DeviceClass, DeviceMode, Grant, MigPlacement, Node, Pending, Placement, Queue,
    Quota, Request, Running, Snapshot, Workload, WorkloadState,
};
