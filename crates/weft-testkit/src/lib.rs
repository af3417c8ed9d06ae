//! Runs the binary for tests, in a world of its own.
//!
//! A [`World`] is a directory with state, configuration and working directory; nothing of the
//! test's own environment reaches the binary. Dropping it ends every run and the server, and
//! fails the test when a process, a mount or a control group of it is left.

mod golden;
mod orphans;
mod world;

pub use golden::golden;
pub use world::{Answer, Running, World};
