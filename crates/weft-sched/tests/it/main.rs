//! The planner as its callers meet it: cases, properties, and an audit that can fail.

mod audit_fails;
mod cases;
mod engine;
mod fairness;
mod mig;
mod pools;
mod properties;
mod why;
