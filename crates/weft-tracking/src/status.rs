//! How a run stands.

use std::str::FromStr;

/// How a run stands, in MLflow's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// It is at work.
    Running,
    /// It will be.
    Scheduled,
    /// It ended well.
    Finished,
    /// It ended badly.
    Failed,
    /// It was ended.
    Killed,
}

impl Status {
    /// Every status.
    pub const ALL: [Status; 5] =
        [Status::Running, Status::Scheduled, Status::Finished, Status::Failed, Status::Killed];

    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Status::Running => "RUNNING",
            Status::Scheduled => "SCHEDULED",
            Status::Finished => "FINISHED",
            Status::Failed => "FAILED",
            Status::Killed => "KILLED",
        }
    }
}

impl FromStr for Status {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Status::ALL.into_iter().find(|status| status.as_str() == text).ok_or(())
    }
}
