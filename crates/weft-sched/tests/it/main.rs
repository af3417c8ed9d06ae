//! The planner as its callers meet it: cases, properties, and an audit that can fail.

mod audit_fails;
mod cases;
mod mig;
mod pools;
mod properties;
