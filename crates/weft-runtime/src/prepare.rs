//! Making ready what a launch needs before it starts: its root and its environment.
//!
//! The agent calls [`crate::Runtime::prepare`] once per start; the work is done by `image` and
//! `environment`, whose results are shared by every run and kept.

use crate::launch::Root;
use std::path::PathBuf;

/// What a run wants to stand on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prepare {
    /// An OCI image reference or digest; none: the machine's own `/usr`.
    pub image: Option<String>,
    /// A Python version, `3.11`; none with `requirements`: the machine's.
    pub python: Option<String>,
    /// The text of a requirements file, every line locked with hashes.
    pub requirements: Option<String>,
}

/// What was made ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepared {
    /// For [`crate::Launch::root`].
    pub root: Root,
    /// For [`crate::Launch::environment`].
    pub environment: Option<PathBuf>,
}

/// What is being made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// An image is being pulled.
    Image,
    /// An environment is being made.
    Environment,
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// What is being made.
    pub stage: Stage,
    /// 0 to 100, where it is known.
    pub percent: Option<u8>,
    /// One line for people: what happens now.
    pub detail: String,
}
