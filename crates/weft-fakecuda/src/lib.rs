//! A stand-in for the CUDA driver and NVML: the unmodified user-space stack runs on it.
//!
//! The library is put in place of `libcuda.so.1` and `libnvidia-ml.so.1` by a folder of two links.
//! Devices, of the true kinds' sizes, are declared by the variable `WEFT_FAKECUDA`; device memory
//! is the host's, copies and sets are done, kernels known by name are computed (`golden.rs`), and
//! all others take time and do nothing. It is a part of the tests, never of a product: no device
//! code of anybody is run.
//!
//! | file | what it has |
//! |--|--|
//! | `export.rs` | the exported symbols, and the table they jump through |
//! | `call.rs` | what stands between C and Rust: addresses, results, panics |
//! | `watch.rs` | the trace of calls, and faults injected into them |
//! | `settings.rs` | what `WEFT_FAKECUDA` says |
//! | `driver.rs` | the state of the process: devices, contexts, streams, memory, code |
//! | `device.rs` | devices and their attributes |
//! | `context.rs` | contexts, and the stack of them that each thread has |
//! | `arena.rs` | a device's memory: addresses and amounts |
//! | `memory.rs` | taking, giving back and describing memory |
//! | `array.rs` | arrays: memory that only handles lead to |
//! | `pool.rs` | memory that is taken in the order of a stream |
//! | `vmm.rs` | addresses and memory apart, and memory handed to other processes |
//! | `ipc.rs` | memory of one process in another |
//! | `copy.rs` | copies and sets |
//! | `stream.rs` | streams, events and the clock they run by |
//! | `work.rs` | what a stream is given to do; captured, it is a graph |
//! | `graph.rs` | graphs: their nodes, and what can be launched of them |
//! | `graph_memory.rs` | memory that graphs take by themselves |
//! | `code.rs` | modules, libraries, functions |
//! | `launch.rs` | launches |
//! | `checkpoint.rs`, `gate.rs` | suspending a process, its own or another |
//! | `golden.rs` | the kernels that are computed |
//! | `resolve.rs` | `cuGetProcAddress` and the hidden tables |
//! | `mps.rs` | this process as a client of MPS |
//! | `nvml.rs` | the management library |
//! | `nvml_event.rs` | errors of devices, as a test writes them |
//! | `nvml_health.rs` | what devices say of their health, likewise |
//! | `nvml_instance.rs` | MIG instances, made and ended |
//! | `nvml_mig.rs` | MIG as it tells it |
//!
//! A function that is not offered answers "not supported", never success.

#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

#[macro_use]
mod call;
mod arena;
mod array;
mod checkpoint;
mod code;
mod context;
mod copy;
mod device;
mod driver;
mod export;
mod gate;
mod golden;
mod graph;
mod graph_memory;
mod ipc;
mod launch;
mod memory;
mod mps;
mod nvml;
mod nvml_event;
mod nvml_health;
mod nvml_instance;
mod nvml_mig;
mod outcome;
mod pool;
mod resolve;
mod settings;
mod stream;
mod vmm;
mod watch;
mod work;
