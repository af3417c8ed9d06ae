//! Why nothing came, for the person who asked. Absent on purpose: secrets, and bodies of answers:
//! an error is no way to read what a host says.

use std::time::Duration;

/// Longest text of another server that is told.
const TOLD_MAX: usize = 300;

/// Why nothing came.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// What was named cannot be asked.
    #[error("`{what}` {rule}")]
    Named {
        /// What was given.
        what: String,
        /// What is wrong, and what to do.
        rule: String,
    },
    /// The host is at an address that is not to be connected to.
    #[error(
        "{host} is at {address}, which {why}, so it is not connected to{}",
        allowed(*.never)
    )]
    Address {
        /// The host.
        host: String,
        /// Where it is.
        address: std::net::IpAddr,
        /// What that is.
        why: &'static str,
        /// Whether nobody can allow it.
        never: bool,
    },
    /// Nobody is there.
    #[error("{host} cannot be reached: {why}")]
    Connect {
        /// The host.
        host: String,
        /// What the system said.
        why: String,
    },
    /// No answer, or no more of it, in time.
    #[error("{host} has been silent for {} s: try again later", .after.as_secs())]
    Silent {
        /// The host.
        host: String,
        /// For so long.
        after: Duration,
    },
    /// It did not let us in, in time.
    #[error("{host} did not finish the login within {} s: try again later", .after.as_secs())]
    Login {
        /// The host.
        host: String,
        /// In so long.
        after: Duration,
    },
    /// It sends, but next to nothing.
    #[error(
        "{host} sent fewer than {least} bytes in {} s: that is too slow to be waited for; try \
         again later",
        .after.as_secs()
    )]
    Slow {
        /// The host.
        host: String,
        /// What it had to send.
        least: u64,
        /// In so long.
        after: Duration,
    },
    /// An answer that is no success.
    #[error("{url} answers {status}{}", hint(*.status))]
    Status {
        /// Where.
        url: String,
        /// What.
        status: u16,
    },
    /// It goes on and on elsewhere.
    #[error("{url} leads elsewhere more than {most} times")]
    Redirects {
        /// Where it began.
        url: String,
        /// The most.
        most: usize,
    },
    /// More than may come.
    #[error("{what} is longer than {most} bytes, the most that is taken")]
    TooLong {
        /// What.
        what: String,
        /// In bytes.
        most: u64,
    },
    /// What the database says.
    #[error("the database says: {message} ({code})")]
    Database {
        /// Its code.
        code: String,
        /// Its words.
        message: String,
    },
    /// It does not speak as it should.
    #[error("{host} does not speak as it should: {why}")]
    Protocol {
        /// The host.
        host: String,
        /// What is wrong.
        why: String,
    },
    /// It broke off.
    #[error("{host} broke off: {source}")]
    Broken {
        /// The host.
        host: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Nobody takes what comes.
    #[error("what came could not be kept: {0}")]
    Kept(std::io::Error),
}

impl SourceError {
    pub(crate) fn named(what: &str, rule: &str) -> Self {
        Self::Named { what: told(what), rule: rule.to_owned() }
    }

    pub(crate) fn protocol(host: &str, why: impl Into<String>) -> Self {
        Self::Protocol { host: host.to_owned(), why: told(&why.into()) }
    }

    pub(crate) fn broken(host: &str, source: impl Into<std::io::Error>) -> Self {
        Self::Broken { host: host.to_owned(), source: source.into() }
    }

    pub(crate) fn database(code: &str, message: &str) -> Self {
        Self::Database { code: told(code), message: told(message) }
    }
}

fn allowed(never: bool) -> &'static str {
    match never {
        true => "",
        false => "; an operator can allow it to a source: `weft source add --allow`",
    }
}

fn hint(status: u16) -> &'static str {
    match status {
        401 | 403 => ": it wants other credentials; whoever keeps the source can add it anew",
        404 | 410 => ": look at what it is called",
        429 | 500.. => ": try again later",
        _ => "",
    }
}

/// Another's text as it can be shown: short, and without what moves a terminal.
pub(crate) fn told(text: &str) -> String {
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut clean: String = clean.collect();
    clean.truncate(clean.floor_char_boundary(TOLD_MAX));
    clean
}
