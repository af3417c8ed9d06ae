//! Tar archives from strangers: read with bounds, unpacked so that nothing leaves the target.
//!
//! Used for image layers ([`crate::image`]) and for the files of a workload ([`crate::bundle`]).
//! Absent on purpose: device nodes, set-user-id bits, owners and extended attributes. No artefact
//! needs them and each has been a way out of a container.

mod read;
mod unpack;

pub(crate) use read::Reader;
pub(crate) use unpack::Unpack;

/// How much an archive may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Entries, of any kind.
    pub(crate) entries: u64,
    /// Bytes of file contents in all.
    pub(crate) bytes: u64,
}

/// Why an archive was refused.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It does not read as a tar archive.
    #[error("the archive is damaged: {0}")]
    Damaged(String),
    /// A feature no archive of ours has.
    #[error("`{path}` in the archive is {what}, which is not supported; pack it without")]
    Unsupported {
        /// The entry.
        path: String,
        /// What it is.
        what: &'static str,
    },
    /// A path that does not stay inside.
    #[error("the path `{path}` in the archive {rule}")]
    Path {
        /// The entry's path.
        path: String,
        /// The rule it breaks.
        rule: &'static str,
    },
    /// More than a limit allows.
    #[error("the archive holds more than {limit} {what}; make it smaller")]
    TooMuch {
        /// The limit.
        limit: u64,
        /// Of what.
        what: &'static str,
    },
    /// Reading it or writing to the target failed.
    #[error("{doing}: {source}")]
    Io {
        /// What was tried.
        doing: String,
        /// The system's reason.
        source: std::io::Error,
    },
}

impl ArchiveError {
    fn io(doing: impl Into<String>, source: impl Into<std::io::Error>) -> Self {
        Self::Io { doing: doing.into(), source: source.into() }
    }
}
