//! The words of Weft: identifiers, units and the accelerator request.
//!
//! Every crate may use this one; it uses nothing of ours. `no_std` lets the compiler prove that
//! the core built on it has no clock, files, network or random hash order. A type belongs here
//! only when two rooms of the house speak of it; what one room needs lives in that room.
#![no_std]

extern crate alloc;

mod data;
mod device_use;
mod gpu;
mod id;
mod phase;
mod unit;

pub use data::{Tier, TierError};
pub use device_use::{DeviceUse, UseSource, Work};
pub use gpu::{COUNT_MAX, GpuFilter, GpuRequest, GpuRequestError, MigProfile, Range};
pub use id::{
    Attempt, DatasetName, DeviceId, Epoch, GANG_MAX, Generation, IdError, Member, NAME_MAX, NodeId,
    QueueName, UserName, WorkloadId,
};
pub use phase::{Isolation, Kind, Phase, ReclaimPolicy, Rung};
pub use unit::{Bytes, MilliCpu, MilliGpu, Millis, Timestamp, UnitError};
