//! The runtime as its callers see it.

mod bundle;
mod outputs;
