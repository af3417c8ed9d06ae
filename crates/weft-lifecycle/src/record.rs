//! What is known of a workload's life, as it is stored.

use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};
use weft_types::{Attempt, Millis, Timestamp, WorkloadId};

/// What is known of a workload's life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Where it stands.
    pub state: State,
    /// How often it was started; 0 before the first.
    pub attempt: Attempt,
    /// The members of the current start; empty while it waits.
    pub members: Vec<MemberState>,
    /// Why it is being ended, once it is.
    pub stop: Option<StopReason>,
    /// When it is started again.
    pub retry: RetryPolicy,
    /// Retries used so far.
    pub retries: u32,
    /// Not to be started before this.
    pub not_before: Timestamp,
    /// How it ended: of the last start while it waits again, final in a final state.
    pub exit: Option<Exit>,
}

/// Where a workload stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It waits for capacity.
    Queued,
    /// It holds capacity; not every member runs yet.
    Starting,
    /// Every member runs, or has ended well.
    Running,
    /// It holds capacity; its members are being ended.
    Stopping,
    /// Every member ended with 0.
    Succeeded,
    /// A member failed and no retry is left.
    Failed,
    /// It was ended by a person or by its time limit.
    Stopped,
}

/// Where a member stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MemberState {
    /// Its environment is being made.
    Starting,
    /// Its command runs.
    Running,
    /// It is gone, and what it held is free.
    Ended(Exit),
}

/// How a member, or the whole workload, ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// What happened.
    pub end: End,
    /// When.
    pub at: Timestamp,
    /// More for people, where there is more: what to do, which step failed.
    pub detail: String,
}

/// What ended a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// Its command exited with this code.
    Exited(i32),
    /// Its command was ended by this signal.
    Signalled(i32),
    /// It used more memory than its limit.
    OutOfMemory,
    /// It used more disk than its limit.
    OutOfDisk,
    /// Its environment could not be made: nothing of it ran.
    NotStarted,
    /// Its machine or supervisor went away; how it ended is not known.
    Lost,
    /// The platform ended it: see the record's `stop`. Also when its command then chose to exit
    /// with 0, as a training run does that saves its state: what was taken back is not done.
    Stopped,
}

/// When a workload is started again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// After its command failed.
    pub on_error: bool,
    /// After its machine or supervisor was lost.
    pub on_lost: bool,
    /// How often at most.
    pub max: u32,
}

/// Why a workload is being ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StopReason {
    /// A person asked.
    Requested,
    /// It has run as long as it may.
    MaxDuration,
    /// A workload of higher priority takes its place; it waits again.
    Preempted(WorkloadId),
    /// What it borrowed goes back to its owner; it waits again.
    Reclaimed(WorkloadId),
    /// One of its queue that was served less takes its turn; it waits again, with its work kept.
    Suspended(WorkloadId),
    /// Another member of its gang ended badly.
    MemberFailed,
    /// A device it holds failed; it waits again, for another one.
    DeviceFailed,
    /// An operator takes out a device it holds; likewise.
    DeviceTakenOut,
}

impl State {
    /// Whether it holds capacity.
    pub const fn holds_capacity(self) -> bool {
        matches!(self, State::Starting | State::Running | State::Stopping)
    }

    /// Whether it will never run again.
    pub const fn is_final(self) -> bool {
        matches!(self, State::Succeeded | State::Failed | State::Stopped)
    }

    /// The word stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            State::Queued => "queued",
            State::Starting => "starting",
            State::Running => "running",
            State::Stopping => "stopping",
            State::Succeeded => "succeeded",
            State::Failed => "failed",
            State::Stopped => "stopped",
        }
    }
}

impl End {
    /// Whether the command did what it should.
    pub const fn is_success(self) -> bool {
        matches!(self, End::Exited(0))
    }
}

impl Record {
    /// A workload just submitted.
    pub fn new(retry: RetryPolicy) -> Self {
        Self {
            state: State::Queued,
            attempt: Attempt(0),
            members: Vec::new(),
            stop: None,
            retry,
            retries: 0,
            not_before: Timestamp::ZERO,
            exit: None,
        }
    }

    /// Back-off before retry `n`, counted from 1: 1 s doubled each time, at most 5 minutes, so
    /// that a workload that fails at once does not keep a device busy with starts.
    pub fn back_off(n: u32) -> Millis {
        const FIRST_MS: u64 = 1_000;
        const MOST_MS: u64 = 300_000;
        Millis((FIRST_MS << n.saturating_sub(1).min(20)).min(MOST_MS))
    }
}
