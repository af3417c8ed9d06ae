//! The runtime as its callers see it.

mod bundle;
mod life;
mod outputs;
mod support;
