//! What MLflow's clients say of experiments and runs, as far as it needs no state.
//!
//! ```text
//! text of a filter ─► lexer ─► filter::parse ─► clauses ─► does a run match?
//! text of an order ─────────► order::parse  ─► order   ─► which run is first?
//! body of a request ─► wire ─► check ─► what may be kept, or a fault with MLflow's code
//! ```
//!
//! A client that works with `mlflow server` means the same here. Where this differs on purpose,
//! the function that does says so. Absent on purpose: where runs are kept, and who may.

pub mod check;
mod fault;
pub mod filter;
mod lexer;
pub mod order;
mod searched;
mod status;
pub mod wire;

pub use fault::{Code, Fault};
pub use searched::{EXPERIMENTS, Entry, Field, Kind, MODELS, RUNS, Searched};
pub use status::{ModelStatus, Status};
