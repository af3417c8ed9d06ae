//! Outputs: what a run leaves in its working folder, copied out after its end and served.
//!
//! The working folder was written by the workload, so nothing in it is trusted: folders are
//! opened one component at a time and links never followed (`openat2(2)` with `RESOLVE_BENEATH`
//! and `RESOLVE_NO_SYMLINKS`), only regular files are copied, and what they hold is bounded.
//! Absent on purpose: links in the copy. A workload that wants a second name writes a second file.

mod collect;
mod pattern;
mod serve;

pub use collect::{Collected, collect};
pub use pattern::{check_pattern, place_below};
pub use serve::{OutputFile, list, open};

use std::io;
use std::path::{Path, PathBuf};

/// Outputs of one member; a large model with its checkpoints. More belongs in a dataset.
pub const OUTPUT_BYTES_MAX: u64 = 100 << 30;

/// Files and folders of one member's outputs.
pub const OUTPUT_ENTRIES_MAX: u64 = 100_000;

/// Folders below one another; deeper trees serve only to exhaust whoever walks them.
const DEPTH_MAX: usize = 64;

/// Why outputs were not collected or served.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// A pattern that is not a path inside the working folder.
    #[error("output `{pattern}` {rule}; write a path inside the working folder, as in `model/`")]
    Pattern {
        /// As written.
        pattern: String,
        /// The rule it breaks.
        rule: &'static str,
    },
    /// More than a limit allows.
    #[error("the outputs are more than {limit} {what}, at `{path}`; name fewer under `outputs`")]
    TooMuch {
        /// Where it went over.
        path: PathBuf,
        /// The limit.
        limit: u64,
        /// Of what.
        what: &'static str,
    },
    /// A file that is not among the outputs, or not a regular one.
    #[error("`{0}` is not among the outputs")]
    Unknown(PathBuf),
    /// Reading or writing failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl OutputError {
    fn io(path: &Path, source: impl Into<io::Error>) -> Self {
        Self::Io { path: path.to_owned(), source: source.into() }
    }
}
