//! Workloads on the wire: submit, watch, explain, stop.

use crate::spec::WorkloadSpec;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// `POST /api/v1/workloads[?dry_run=true]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Submit {
    /// What to run.
    pub spec: WorkloadSpec,
}

/// Answer of a dry run: what the plan would do with it now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DryRun {
    /// The spec with every default filled in.
    pub spec: WorkloadSpec,
    /// Where it would start at once; empty if it would wait.
    pub placements: Vec<Placed>,
    /// Why it would wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<Wait>,
}

/// A workload as its team sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Workload {
    /// `w42`; never reused.
    pub id: String,
    /// Name, unique in its team while it is kept.
    pub name: String,
    /// Team's queue.
    pub queue: String,
    /// Who submitted it.
    pub user: String,
    /// `workspace`, `job` or `service`.
    pub kind: String,
    /// `concept`, `training` or `deployment`.
    pub phase: String,
    /// Where it stands.
    pub state: State,
    /// What a starting workload is doing, with progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
    /// How often it was started.
    pub attempt: u32,
    /// When it was submitted.
    pub submitted_at_ms: u64,
    /// When its last start was placed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placed_at_ms: Option<u64>,
    /// When its command began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at_ms: Option<u64>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at_ms: Option<u64>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
    /// Members of its current start, else of its last; of none yet: the fewest it starts with.
    #[serde(default)]
    pub members: u32,
    /// What it holds, while it does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub placements: Vec<Placed>,
    /// Why it waits, while it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<Wait>,
    /// Where its turn is over: while it saves its work, and until it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspended: Option<Suspended>,
    /// How long it held capacity in earlier starts whose work was kept; once it has succeeded, in
    /// all.
    #[serde(default)]
    pub served_ms: u64,
    /// How long it is expected to run in all, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Expected>,
    /// What it used so far.
    pub usage: UsageSummary,
    /// Since when it has not used its accelerators, while it runs: when it was last seen to, else
    /// its start. Absent where it has none, or of one of them nobody can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_idle_since_ms: Option<u64>,
    /// Local addresses of its ports, in the order of the spec.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<String>,
    /// The highest tier of the datasets that it may read; what it writes is as sensitive. Absent:
    /// it declared none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// What becomes of its outputs that go into datasets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub published: Vec<Published>,
    /// What was submitted.
    pub spec: WorkloadSpec,
    /// For `If-Match`; grows with each change.
    pub version: u64,
}

impl Workload {
    /// Whether nothing more happens to it by itself: it has ended, and what it left for datasets is
    /// there, or cannot be put there now.
    pub fn is_settled(&self) -> bool {
        let under_way =
            |output: &Published| output.state == PublishedState::Waiting && output.why.is_none();
        self.state.is_final() && !self.published.iter().any(under_way)
    }
}

/// An output that goes into a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Published {
    /// In the working directory.
    pub from: String,
    /// The dataset.
    pub to: String,
    /// What became of it.
    pub state: PublishedState,
    /// The version that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Why it is none; while it waits: why the last try failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What became of an output that goes into a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PublishedState {
    /// The workload has not ended, or it is on its way.
    Waiting,
    /// It is a version.
    Made,
    /// It may not be one, or there was nothing.
    Refused,
    /// The workload did not succeed.
    Dropped,
}

/// A workload whose turn is over; it goes on from what it saved when its next one comes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Suspended {
    /// Whose turn it is instead: `w12`.
    pub by: String,
    /// How long it had held capacity in all when that was decided, or when it gave it back.
    pub after_ms: u64,
}

/// How long a workload is expected to run in all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Expected {
    /// So long.
    pub duration_ms: u64,
    /// From how many of the user's last runs of the same program in the queue that was learned,
    /// as their median; 0: it was stated.
    pub runs: u32,
    /// The program those ran; absent where it was stated, or the caller may not see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
}

/// Where a workload stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It waits for capacity.
    Queued,
    /// It has capacity; its environment is being made.
    Starting,
    /// Its command runs.
    Running,
    /// It is being ended.
    Stopping,
    /// Its command ended with 0.
    Succeeded,
    /// Its command, or a step before it, failed.
    Failed,
    /// It was ended by a person or by its time limit.
    Stopped,
}

impl State {
    /// Whether it will never run again.
    pub const fn is_final(self) -> bool {
        matches!(self, State::Succeeded | State::Failed | State::Stopped)
    }

    /// The word shown.
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

/// What a starting workload is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Stage {
    /// `image`, `environment`, `files`, `setup` or `container`.
    pub name: String,
    /// 0 to 100, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    /// What is being done, short: `numpy 2.1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// How a workload ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Exit {
    /// `exited`, `signalled`, `out-of-memory`, `out-of-disk`, `max-duration`, `stopped`,
    /// `lost`, `not-started`.
    pub kind: String,
    /// The command's exit code; 128 + signal where it was signalled. What a followed run
    /// exits with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// A sentence for people: what happened and what to do.
    pub detail: String,
}

/// What one member holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Placed {
    /// Which member.
    pub member: u32,
    /// On which machine.
    pub node: String,
    /// Thousandths of a core.
    pub cpu_milli: u64,
    /// Memory limit.
    pub memory_bytes: u64,
    /// Accelerators and their isolation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<super::DeviceShare>,
    /// `none`, `exclusive`, `mig`, `remote` or `shared`.
    pub isolation: String,
}

/// Why a workload waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Wait {
    /// The sort of reason.
    pub kind: WaitKind,
    /// A sentence for people.
    pub reason: String,
    /// What would let it start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Place in its queue, from 1.
    pub position: u32,
    /// When it may start, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta_ms: Option<u64>,
    /// What would let it start, the least given up first, at most three. Looked for where one
    /// workload is asked about: its `why` and a dry run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub helps: Vec<Help>,
}

/// Something that would let a waiting workload start. It was tried: with it, and nothing else
/// changed, the workload starts at this moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Help {
    /// A sentence for people.
    pub what: String,
    /// What to write in the workload's file; empty where time alone is needed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<FieldChange>,
    /// How much of what was asked is given up, in thousandths of it. Another kind of device, queue
    /// or priority has no amount and counts what the planner's book of rules says.
    pub given_up_milli: u32,
    /// When what it waits for is expected to have ended; absent: it starts at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<u64>,
    /// Workloads whose end it waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ends: Vec<String>,
    /// Workloads that would be stopped for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stops: Vec<String>,
}

/// Another value for a field of the workload's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldChange {
    /// `resources.gpu`, `replicas`, `queue`.
    pub field: String,
    /// What to write there.
    pub value: String,
}

/// The sort of reason a workload waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WaitKind {
    /// The next plan will look at it.
    New,
    /// A retry waits for its back-off.
    BackOff,
    /// Nothing in the pool could hold it.
    Impossible,
    /// The team's share is used up.
    Quota,
    /// What it needs is in use.
    Capacity,
    /// Capacity is being handed over to it.
    Handover,
    /// Minimum run times have to pass first.
    MinRun,
    /// An earlier workload of its team goes first.
    Behind,
    /// A machine it could use is held for work that takes whole machines.
    Kept,
    /// The sample of a dataset that it reads is being made.
    Sample,
}

/// What a workload used, over all its starts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsageSummary {
    /// Time with capacity held.
    pub wall_ms: u64,
    /// Processor time used.
    pub cpu_ms: u64,
    /// Processor time that was allocated.
    pub cpu_allocated_ms: u64,
    /// Highest memory use seen.
    pub memory_peak_bytes: u64,
    /// Memory limit.
    pub memory_limit_bytes: u64,
    /// Device time allocated, in thousandths of a device times milliseconds, over 1000.
    pub gpu_allocated_ms: u64,
    /// Of that, time in which its kernels ran; absent where nobody can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_active_ms: Option<u64>,
    /// Where that comes from: `measured`, each launch was counted; `sampled`, the driver was asked
    /// now and then, at least in one of its starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_source: Option<String>,
}

/// `POST …/stop`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Stop {
    /// Kill at once instead of asking first.
    pub now: bool,
}

/// One line of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    /// When it was written.
    pub at_ms: u64,
    /// Which member wrote it.
    pub member: u32,
    /// `out`, `err` or `weft` (said by the platform, as of setup).
    pub stream: String,
    /// The line, without its end; invalid UTF-8 is replaced.
    pub text: String,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Grows by at least one per event; resume a watch after it.
    pub seq: u64,
    /// When.
    pub at_ms: u64,
    /// Who did it: a user, or `weft`.
    pub actor: String,
    /// What it is about: `workload`, `queue`, `user`, `token`, `node`, `device`, `image`.
    pub kind: String,
    /// Id of what it is about.
    pub subject: String,
    /// What happened, kebab-case: `submitted`, `placed`, `running`, `exited`, `stop-requested`.
    pub what: String,
    /// A sentence for people.
    pub detail: String,
}

/// A kept output file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OutputFile {
    /// Path below the outputs.
    pub path: String,
    /// Size.
    pub bytes: u64,
}

/// One page of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Pass as `cursor` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Bounds of a listing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
pub struct PageQuery {
    /// At most this many, 1 to 1000.
    pub limit: Option<u32>,
    /// `next` of the page before.
    pub cursor: Option<String>,
}
