//! The tracking server: experiments and runs, in the words of MLflow's REST API.
//!
//! ```text
//! mlflow ─► /api/2.0/mlflow/… ─► door.rs: who, how much ─► experiments │ runs │ logged │ search
//!                                                            └─ rights.rs: may they ─► weft-store
//! ```
//!
//! Stock clients need nothing but an address and a token. What they mean is `weft-tracking`'s; here
//! it is kept, under the rights of teams: an experiment is a team's, a run is its user's, and as
//! sensitive as what the workload read that tracked it. A run that was tracked in a workload names
//! it, and ends with it at the latest (`ends.rs`).

mod artifacts;
mod door;
mod ends;
mod experiments;
mod logged;
mod models;
mod rights;
mod runs;
mod search;
mod words;

pub(crate) use door::routes;
pub(crate) use ends::run;
