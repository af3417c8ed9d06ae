//! What this machine can and cannot do for sandboxes, and what to do about it; for `weft doctor`.

use serde::Serialize;

/// One capability of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProbeFinding {
    /// What was looked at: `user namespaces`.
    pub what: String,
    /// Whether it is there.
    pub ok: bool,
    /// What its absence costs; empty when it is there.
    pub cost: String,
    /// What the operator can do; empty when there is nothing to do.
    pub fix: String,
}

pub(crate) fn probe() -> Vec<ProbeFinding> {
    Vec::new()
}
