//! Stands between a program and the CUDA driver, so that a slice of a device is a device.
//!
//! In the container of a workload that was given a fraction, this library has the names
//! `libcuda.so.1` and `libnvidia-ml.so.1`. Every symbol is one jump: to the true driver, or to a
//! hook. Programs see a device with the memory of their slice, are refused memory at its limit on
//! every path that takes some, and what they launch and move is counted.
//!
//! | file | what it has |
//! |--|--|
//! | `export.rs` | the exported symbols and the table they jump through |
//! | `truth.rs` | the true libraries, and calls of them |
//! | `hook.rs` | how a hook is declared |
//! | `resolve.rs` | `cuGetProcAddress`: hooks in the place of what the driver answers |
//! | `tenant.rs` | the container's limits and its ledger, and what this process holds |
//! | `memory.rs` | memory that is taken and given back |
//! | `context.rs` | contexts that end, and what was taken in them |
//! | `pool.rs` | memory that is taken in the order of a stream |
//! | `graph.rs` | memory that graphs take by themselves |
//! | `shared.rs` | memory of others |
//! | `overhead.rs` | what contexts and code take: measured |
//! | `code.rs` | code that is brought onto a device |
//! | `mapped.rs` | memory that is created apart from its addresses |
//! | `place.rs` | where memory is, as structures say it |
//! | `view.rs` | how much memory there is |
//! | `paced.rs` | launches that wait for their share of the device's time |
//! | `cost.rs` | how long kernels take: measured, by the driver's events |
//! | `moved.rs` | bytes that are copied |
//! | `mps.rs` | whether MPS serves this process and keeps its limit; its variables again |
//!
//! What it does not know of it refuses: without limits every limit is zero, and what takes memory
//! in a way that is not counted yet is not supported. It is a quota, not a wall: a program that
//! calls the kernel's driver by itself goes around it.
//!
//! No hook holds a lock across a call of the driver, but a graph's that relies on memory which
//! trims would take (`graph.rs`). A launch takes one addition and two jumps
//! where the container has the whole device's time, and is paced where it has a part that MPS does
//! not keep.

#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

#[macro_use]
mod hook;
mod code;
mod context;
mod cost;
mod export;
mod graph;
mod mapped;
mod memory;
mod moved;
mod mps;
mod overhead;
mod paced;
mod place;
mod pool;
mod resolve;
mod shared;
mod tenant;
mod truth;
mod view;
