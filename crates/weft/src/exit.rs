//! Exit codes: a run's own, and the few that are Weft's.
//!
//! The code of a followed run is passed through. Weft's own failures lie in 120 to 126, where
//! programs rarely put theirs, so that a script can tell the two apart. `docs/guide/exit-codes.md`
//! is held to this list by a test.

/// Why Weft itself, and not a run, ended with a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// It was done; a followed run ended with 0.
    Done = 0,
    /// The command line, or a workload file, breaks a rule.
    Usage = 2,
    /// Something failed that none of the codes below names; a run ended without a code.
    Failed = 120,
    /// There is no such thing, or it may not be seen.
    NotFound = 121,
    /// The token is missing, unknown or expired, or the policy denies it.
    Denied = 122,
    /// It is not in a state for that, or the name is taken.
    Conflict = 123,
    /// No server answers, and none could be started.
    Unreachable = 124,
    /// Nothing in the pool could ever hold it.
    Impossible = 125,
    /// Ctrl-C: detached, the run goes on.
    Detached = 126,
}

impl Code {
    /// Every code with what it means, as the help and the guide show it.
    pub(crate) const ALL: [(Code, &str); 9] = [
        (Code::Done, "done; a followed run ended with 0"),
        (Code::Usage, "the command line or a workload file breaks a rule"),
        (Code::Failed, "something else failed, or a run ended without a code"),
        (Code::NotFound, "there is no such thing, or you may not see it"),
        (Code::Denied, "not recognised, or not allowed"),
        (Code::Conflict, "not possible in its state, or the name is taken"),
        (Code::Unreachable, "no server answers"),
        (Code::Impossible, "nothing in the pool could ever hold it"),
        (Code::Detached, "detached with Ctrl-C; the run goes on"),
    ];

    /// The code's word in JSON, where the server has none of its own.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Code::Done => "done",
            Code::Usage => "usage",
            Code::Failed => "failed",
            Code::NotFound => "not-found",
            Code::Denied => "denied",
            Code::Conflict => "conflict",
            Code::Unreachable => "unreachable",
            Code::Impossible => "impossible",
            Code::Detached => "detached",
        }
    }

    /// The number.
    pub(crate) const fn number(self) -> u8 {
        self as u8
    }
}

/// The table as lines.
pub(crate) fn table() -> String {
    let line = |(code, says): &(Code, &str)| format!("  {:>3}  {says}\n", code.number());
    Code::ALL.iter().map(line).collect()
}
