//! The planner as its callers meet it: cases, properties, and an audit that can fail.

#![expect(clippy::print_stdout, reason = "figures, for `cargo xtask prove`")]

mod applied;
mod audit_fails;
mod cases;
mod drains;
mod engine;
mod fairness;
mod laws;
mod market;
mod mig;
mod offer;
mod pools;
mod promises;
mod properties;
mod reasons;
mod rules;
mod shadows;
mod shares;
mod small;
mod streams;
mod why;
mod world;
