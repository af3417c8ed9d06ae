//! The runtime as its callers see it.

mod bundle;
mod crash;
mod data;
mod environment;
mod escape;
mod exec;
mod gpu;
mod image;
mod kept;
mod life;
mod mps;
mod outputs;
mod rootless;
mod support;
