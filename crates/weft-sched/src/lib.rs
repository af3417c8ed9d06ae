//! The planner: a pure function from a snapshot of the pool to a plan, and its audit.
#![no_std]

extern crate alloc;

mod action;
mod apply;
mod audit;
mod board;
mod capacity;
pub mod case;
mod describe;
mod eta;
mod explain;
mod lacking;
mod limits;
mod order;
mod pass;
mod plan;
mod possible;
mod promise;
mod reserve;
mod snapshot;
mod take_back;

pub use action::{Action, Finding, Plan, Reason, StopCause, Verdict};
pub use apply::{apply, what_if};
pub use audit::audit;
pub use capacity::{DeviceFree, QueueUse, devices, gpu_milli, queue_use};
pub use describe::describe;
pub use plan::plan;
pub use possible::{GANG_MAX, impossible};
pub use snapshot::{
    Cohort, Device, DeviceClass, DeviceMode, Grant, MigPlacement, Node, Pending, Placement, Queue,
    Quota, Request, Running, Snapshot, Workload, WorkloadState,
};
