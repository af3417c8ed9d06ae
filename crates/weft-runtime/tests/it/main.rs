//! The runtime as its callers see it.

mod bundle;
mod environment;
mod image;
mod crash;
mod escape;
mod life;
mod outputs;
mod rootless;
mod support;
