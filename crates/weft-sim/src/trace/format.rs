//! Which format a log has, by its header, and reading it.

use super::{
    Head, ReadJob, Trace, TraceError, helios, openb, openb_requests, pai, philly, plain,
    sacct_json, slurm,
};
use std::fmt;
use std::str::FromStr;

/// A format of a log of jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Weft's own CSV.
    Plain,
    /// `sacct --parsable2`.
    Slurm,
    /// `sacct --json`.
    SlurmJson,
    /// openb's lists of requests.
    Openb,
    /// The derived table of Philly.
    Philly,
    /// PAI's table of tasks.
    Pai,
    /// Helios.
    Helios,
}

impl Format {
    /// All of them, with their words.
    pub const ALL: [(Format, &str); 7] = [
        (Format::Plain, "plain"),
        (Format::Slurm, "slurm"),
        (Format::SlurmJson, "slurm-json"),
        (Format::Openb, "openb"),
        (Format::Philly, "philly"),
        (Format::Pai, "pai"),
        (Format::Helios, "helios"),
    ];

    /// By the first line; none where it names the columns of no format.
    #[must_use]
    pub fn detect(text: &str) -> Option<Self> {
        let text = text.trim_start_matches(['\u{feff}', '\n', '\r', ' ']);
        if text.starts_with('{') {
            return Some(Format::SlurmJson);
        }
        let header = text.lines().next().unwrap_or_default();
        if header.contains('|') {
            let head = Head::read(header, '|').ok()?;
            return slurm::NAMES.iter().any(|name| head.has(name)).then_some(Format::Slurm);
        }
        let table = Head::read(header, ',').ok()?;
        let by: [(Format, &[&str]); 5] = [
            (Format::Philly, &["timestamp", "duration", "num_gpus", "cluster"]),
            (Format::Openb, &["name", "num_gpu", "gpu_milli"]),
            (Format::Helios, &["job_id", "gpu_num", "submit_time"]),
            (Format::Pai, &["job_name", "inst_num", "plan_gpu"]),
            (Format::Plain, &["submit", "duration", "gpus"]),
        ];
        let all = |names: &&(Format, &[&str])| names.1.iter().all(|name| table.has(name));
        by.iter().find(all).map(|(format, _)| *format)
    }

    /// How a line of this format is read; none for JSON, which has no lines.
    pub(super) fn row(self) -> Option<(char, ReadJob)> {
        match self {
            Format::Plain => Some((',', plain::job)),
            Format::Slurm => Some(('|', slurm::job)),
            Format::SlurmJson => None,
            Format::Openb => Some((',', openb::job)),
            Format::Philly => Some((',', philly::job)),
            Format::Pai => Some((',', pai::job)),
            Format::Helios => Some((',', helios::job)),
        }
    }

    /// Reads a log of this format.
    ///
    /// # Errors
    ///
    /// The first line that is none.
    pub fn read(self, text: &str) -> Result<Trace, TraceError> {
        match self {
            Format::Plain => plain(text),
            Format::Slurm => slurm(text),
            Format::SlurmJson => sacct_json(text),
            Format::Openb => openb_requests(text),
            Format::Philly => philly(text),
            Format::Pai => pai(text),
            Format::Helios => helios(text),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = Self::ALL.iter().find(|(format, _)| format == self).map(|(_, word)| *word);
        f.write_str(word.unwrap_or_default())
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(_, word)| *word == text).map(|(format, _)| *format);
        found.ok_or_else(|| {
            let words: Vec<&str> = Self::ALL.iter().map(|(_, word)| *word).collect();
            format!("`{text}` is no format; there are {}", words.join(", "))
        })
    }
}
