//! What the loop hands the agent, and what the agent answers.

use std::sync::Arc;
use tokio::sync::oneshot;
use weft_api::spec::WorkloadSpec;
use weft_lifecycle::Exit;
use weft_runtime::{MemberKey, Usage};
use weft_sched::Placement;
use weft_types::{DeviceUse, Epoch, Timestamp};

/// One member to run: committed, and decided to the last detail but what only the machine knows.
#[derive(Debug, Clone)]
pub struct Assignment {
    /// Which start of which member; whatever is done for it is done once.
    pub key: MemberKey,
    /// The server's epoch; an agent refuses an older one than its own.
    pub epoch: Epoch,
    /// The workload's name.
    pub name: String,
    /// Members in all.
    pub gang: u32,
    /// What it was given.
    pub placement: Placement,
    /// What was submitted.
    pub spec: Arc<WorkloadSpec>,
    /// Whether something of it may exist already.
    pub origin: Origin,
}

/// Whether something of a member may exist already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The commit was just made: nothing does.
    Fresh,
    /// The server started again: what is found is adopted.
    Recovered {
        /// The store knows that its command began: if nothing is found, it is lost.
        running: bool,
        /// The store knows that it is to end: nothing is started for it.
        stopping: bool,
    },
}

/// How far a member is asked to end; only ever grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// Not at all.
    No,
    /// Asked, then killed after its grace.
    Ask,
    /// Killed at once.
    Now,
}

/// What the agent saw. Repeated until [`Report::done`] was sent.
#[derive(Debug)]
pub struct Report {
    /// Of which member.
    pub key: MemberKey,
    /// What.
    pub observed: Observed,
    /// Sent once the store has it on disk; dropped unsent, the report comes again.
    pub done: oneshot::Sender<()>,
}

/// What was seen of a member.
#[derive(Debug, Clone)]
pub enum Observed {
    /// Its command began.
    Running {
        /// When.
        at: Timestamp,
    },
    /// It is gone, and what it held is free.
    Ended {
        /// When its command began, if it was seen to.
        began: Option<Timestamp>,
        /// How it ended.
        exit: Exit,
        /// What it used in all.
        usage: Usage,
        /// What it used of devices in all, where that is measured.
        used: Vec<DeviceUse>,
    },
}

/// What a starting member is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// `image`, `environment`, `files`, `setup` or `container`.
    pub name: &'static str,
    /// 0 to 100, where known.
    pub percent: Option<u8>,
    /// What is being done, short.
    pub detail: String,
}
