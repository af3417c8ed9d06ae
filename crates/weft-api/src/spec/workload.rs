//! A parsed, legal workload: every alias resolved, every default filled in.
//!
//! This is the wire form. The file form with its aliases and short hands is read by the parser
//! beside it, which is the only way from a file to this.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use weft_types::Isolation;

/// A legal workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WorkloadSpec {
    /// `workspace`, `job` or `service`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Name, unique in its team while it is kept; the server adds a suffix where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `concept`, `training` or `deployment`; absent: the kind's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Queue it is submitted to; absent: the caller's team.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// -1000 to 1000; higher goes first in its queue.
    #[serde(default)]
    pub priority: i32,
    /// What it runs in.
    #[serde(default)]
    pub runtime: RuntimeSpec,
    /// Shell lines run once before `run`, cached by content with the environment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub setup: Vec<String>,
    /// The program and its arguments. A `run:` text of a file becomes `sh -euc <text>`.
    pub command: Vec<String>,
    /// Environment variables; the rest of the environment is built from scratch.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// SHA-256 of the uploaded files (a tar archive), unpacked into the working directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<String>,
    /// Paths in the working directory that are kept after the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<String>,
    /// What becomes a version of a dataset once it has succeeded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub publish: Vec<PublishSpec>,
    /// Datasets it finds as read-only folders.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data: Vec<DataSpec>,
    /// What each member needs.
    #[serde(default)]
    pub resources: ResourcesSpec,
    /// Members that start together or not at all.
    #[serde(default = "one")]
    pub replicas: u32,
    /// Members it starts with where there is room for more; absent: for no more than `replicas`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas_max: Option<u32>,
    /// It is stopped after running this long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_duration_ms: Option<u64>,
    /// When it is started again.
    #[serde(default)]
    pub retry: RetrySpec,
    /// TCP ports it listens on, reachable through the server's loopback.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<u16>,
    /// What it can reach.
    #[serde(default)]
    pub network: NetworkMode,
    /// Time between the request to end and the kill, in milliseconds.
    #[serde(default = "default_grace")]
    pub stop_grace_ms: u64,
    /// How it can be suspended and go on later; absent: not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<SuspendSpec>,
    /// How long it is expected to run in all; absent: its limit, else what its last runs took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_duration_ms: Option<u64>,
}

/// What a workload runs in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RuntimeSpec {
    /// An OCI image reference or digest; absent: the machine's own `/usr`, read-only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// A Python version, `3.11`; absent with `requirements`: the machine's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python: Option<String>,
    /// The text of a requirements file, every line locked with hashes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requirements: Option<String>,
}

/// A dataset as a read-only folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataSpec {
    /// The dataset and its version: `claims@v7`. Sent, it may be any name of a version, or none for
    /// the newest; what is kept is its number.
    pub from: String,
    /// The folder: an absolute path.
    pub to: String,
    /// Of the version no more than this: `1%`, `0.5%` or `0.01` of the rows of its tables and of
    /// its other files, the same ones each time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<String>,
    /// How sensitive it is: what the server found when it was submitted, whatever was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
}

/// What becomes a version of a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishSpec {
    /// A path in the working directory: of a folder its content is taken, else what it names.
    pub from: String,
    /// The dataset, which is made where there is none. The version is what was named and nothing
    /// else; what was there before stays in the versions before.
    pub to: String,
}

/// What each member needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ResourcesSpec {
    /// Processor, in thousandths of a core.
    pub cpu_milli: u64,
    /// Memory limit.
    pub memory_bytes: u64,
    /// Scratch disk limit.
    pub disk_bytes: u64,
    /// The accelerator request, in the grammar of `weft_types::GpuRequest`.
    pub gpu: String,
    /// What keeps it apart from neighbours on the same accelerator at least: `exclusive`, `mig`,
    /// `kernel`, `mps` or `shared`.
    #[serde(skip_serializing_if = "is_least")]
    pub isolation: String,
}

fn is_least(isolation: &str) -> bool {
    isolation == Isolation::Shared.as_str()
}

/// How a workload can be suspended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SuspendSpec {
    /// Who keeps its work.
    pub by: SuspendBy,
    /// What it costs in time not worked, in milliseconds: saving, starting again, loading.
    #[serde(default = "default_suspend_cost")]
    pub cost_ms: u64,
}

/// Who keeps the work of what is suspended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SuspendBy {
    /// The program: it saves to its kept folder, is sent SIGTERM, has `stop_grace`, and goes on
    /// from what it saved when it is started again.
    Checkpoint,
}

/// When a workload is started again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RetrySpec {
    /// On which ends.
    pub on: Vec<RetryOn>,
    /// How often at most. What was preempted or reclaimed waits again without counting.
    pub max: u32,
}

/// An end after which a workload may be started again.
#[derive(Serialize, Deserialize, ToSchema, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RetryOn {
    /// Its command failed.
    Error,
    /// Its machine or supervisor was lost.
    Lost,
}

/// What a workload can reach.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum NetworkMode {
    /// Its own loopback only.
    #[default]
    None,
    /// Out through a proxy that refuses the machine's own and private addresses.
    Outbound,
}

impl Default for ResourcesSpec {
    /// Enough for a small script: one core, 2 GB of memory, 10 GB of scratch, no accelerator.
    fn default() -> Self {
        Self {
            cpu_milli: 1_000,
            memory_bytes: 2_000_000_000,
            disk_bytes: 10_000_000_000,
            gpu: "none".to_owned(),
            isolation: Isolation::Shared.to_string(),
        }
    }
}

fn one() -> u32 {
    1
}

/// Ten seconds: what container platforms give by default.
fn default_grace() -> u64 {
    10_000
}

/// Half a minute: a container's start and the reading of some gigabytes.
pub const SUSPEND_COST_DEFAULT_MS: u64 = 30_000;

fn default_suspend_cost() -> u64 {
    SUSPEND_COST_DEFAULT_MS
}

impl WorkloadSpec {
    /// Fewest and most members it starts with.
    pub fn members(&self) -> (u32, u32) {
        (self.replicas, self.replicas_max.map_or(self.replicas, |most| most.max(self.replicas)))
    }

    /// The paths of the working directory that are copied out after the end, as files or on their
    /// way into datasets.
    pub fn kept(&self) -> impl Iterator<Item = &str> {
        let published = self.publish.iter().map(|entry| entry.from.as_str());
        self.outputs.iter().map(String::as_str).chain(published)
    }

    /// A job that says nothing yet: every default, no command.
    pub fn empty() -> Self {
        Self {
            kind: "job".to_owned(),
            name: None,
            phase: None,
            queue: None,
            priority: 0,
            runtime: RuntimeSpec::default(),
            setup: Vec::new(),
            command: Vec::new(),
            env: BTreeMap::new(),
            bundle: None,
            outputs: Vec::new(),
            publish: Vec::new(),
            data: Vec::new(),
            resources: ResourcesSpec::default(),
            replicas: one(),
            replicas_max: None,
            max_duration_ms: None,
            retry: RetrySpec::default(),
            ports: Vec::new(),
            network: NetworkMode::default(),
            stop_grace_ms: default_grace(),
            suspend: None,
            expected_duration_ms: None,
        }
    }
}
