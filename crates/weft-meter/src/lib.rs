//! The ledger: who held what of each device, who used it, and what lay idle, to the millisecond.
#![no_std]

extern crate alloc;

mod sample;

pub use sample::{DeviceSample, ProcessSample, Sample, WorkloadSample};
