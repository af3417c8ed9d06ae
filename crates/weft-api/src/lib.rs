//! Wire types, error codes, the workload file and the OpenAPI description.
//!
//! Three things are kept apart: core types (`weft-types`, `weft-sched`), stored rows
//! (`weft-store`) and what stands here, the words on the wire. The server converts at its edge.

pub mod problem;
pub mod spec;
pub mod wire;
