//! The runtime as its callers see it.

mod bundle;
mod environment;
mod image;
mod escape;
mod life;
mod outputs;
mod support;
