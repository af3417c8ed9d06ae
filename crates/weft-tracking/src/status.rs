//! How a run stands.

use std::str::FromStr;

/// How a logged model stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ModelStatus {
    /// Its files are being kept.
    Pending,
    /// All of it is there.
    Ready,
    /// Its files could not be kept.
    Failed,
}

impl ModelStatus {
    /// Every status.
    pub const ALL: [ModelStatus; 3] =
        [ModelStatus::Pending, ModelStatus::Ready, ModelStatus::Failed];

    /// The word in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            ModelStatus::Pending => "pending",
            ModelStatus::Ready => "ready",
            ModelStatus::Failed => "failed",
        }
    }

    /// The word in JSON.
    pub const fn wire(self) -> &'static str {
        match self {
            ModelStatus::Pending => "LOGGED_MODEL_PENDING",
            ModelStatus::Ready => "LOGGED_MODEL_READY",
            ModelStatus::Failed => "LOGGED_MODEL_UPLOAD_FAILED",
        }
    }

    /// The word in filters.
    pub const fn word(self) -> &'static str {
        match self {
            ModelStatus::Pending => "PENDING",
            ModelStatus::Ready => "READY",
            ModelStatus::Failed => "FAILED",
        }
    }

    /// From the word in JSON.
    pub fn from_wire(text: &str) -> Option<Self> {
        ModelStatus::ALL.into_iter().find(|status| status.wire() == text)
    }
}

impl FromStr for ModelStatus {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        ModelStatus::ALL.into_iter().find(|status| status.as_str() == text).ok_or(())
    }
}

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
