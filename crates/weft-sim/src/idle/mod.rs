//! Serving that is mostly idle, on fewer devices: what is idle is suspended to the host's memory
//! and brought back when it is asked for again.
//!
//! The input is what a serving cluster recorded of its pods: how busy each one's device was, how
//! much of its memory it held, and how long its models took to load. The question is how few
//! devices serve the same work if a pod holds one only while it works and a while after, and
//! whether coming back is quicker than loading a model was.
//!
//! | file | what it has |
//! |--|--|
//! | `record.rs` | the recorded samples, as bursts of work |
//! | `pool.rs` | devices, who is on them, who has to leave; virtual time |
//! | `outcome.rs` | delays and how much was used |
//!
//! Called by `src/bin/idle.rs`. Absent on purpose: host memory as a limit (what is needed is
//! counted), several devices for one pod, what a load balancer could do.

mod outcome;
mod pool;
mod record;

pub use outcome::Outcome;
pub use pool::{Setup, serve};
pub use record::{Burst, bursts, loads};
