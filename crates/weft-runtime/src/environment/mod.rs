//! Environments: locked Python packages in a content-addressed, shared cache.
//!
//! An environment is named by what is in it: the interpreter and the locked requirements. It is
//! built once ([`build`]), published whole, never changed after, and seen read-only by every
//! sandbox that asks for it. Files are hard links into the installer's cache, so two environments
//! with the same package hold it once. Packages come from the index this machine is set up for.

mod build;
mod child;
mod index;
mod installer;
mod interpreter;
mod progress;
mod requirements;
mod standalone;
mod store;

use progress::Report;
use std::io;

pub use requirements::check_requirements;
pub use store::Environments;

/// Why an environment could not be made.
#[derive(Debug, thiserror::Error)]
pub enum EnvironmentError {
    /// A line of the requirements that is not locked.
    #[error(
        "requirements, line {line}: `{text}`: {rule}\n\
         hint: lock them: uv pip compile requirements.in --generate-hashes -o requirements.txt"
    )]
    Requirements {
        /// Counted from 1.
        line: usize,
        /// The line, without its hashes.
        text: String,
        /// What is wrong with it.
        rule: &'static str,
    },
    /// A `python:` that is no version.
    #[error("python: `{0}` is not a version; write 3.11, 3.11.2 or >=3.11")]
    Version(String),
    /// No interpreter fits.
    #[error(
        "python: {wanted} is not on this machine; it has {available}\n\
         hint: name one of these, leave `python` out, or ask for it to be installed below /usr"
    )]
    NoPython {
        /// What was asked for.
        wanted: String,
        /// The versions that are there, `3.11 and 3.13`, or `none`.
        available: String,
    },
    /// An interpreter that sandboxes cannot see and that cannot be copied.
    #[error("python {python} cannot be used in a sandbox: {reason}\nhint: install it below /usr")]
    NotMovable {
        /// Which.
        python: String,
        /// Why.
        reason: &'static str,
    },
    /// uv is not there and could not be brought.
    #[error("uv is not on the path, and bringing it by pip failed; install uv or pip\n{0}")]
    NoInstaller(String),
    /// The installer failed; its last lines.
    #[error("the environment could not be made:\n{0}")]
    Failed(String),
    /// The disk or a child process failed.
    #[error("making the environment: {0}")]
    Io(#[from] io::Error),
    /// A worker of the build panicked or was cancelled.
    #[error("making the environment: {0}")]
    Worker(#[from] tokio::task::JoinError),
}
