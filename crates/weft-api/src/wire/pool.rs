//! The pool on the wire: machines, accelerators, queues, images.

use super::DataQuota;
use super::workload::WaitKind;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /api/v1/info`: what this server is; needs no token beyond a valid one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServerInfo {
    /// Version of the binary.
    pub version: String,
    /// Process id of the server.
    pub pid: u32,
    /// Its loopback or TLS address.
    pub address: String,
    /// Where its state is.
    pub state_dir: String,
    /// Whether the accelerators are simulated.
    pub simulated: bool,
    /// The server's clock.
    pub now_ms: u64,
    /// How it stands with the object store in which data lies, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_store: Option<DataStore>,
}

/// How it stands with the object store in which data lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DataStore {
    /// Packs that lie there.
    pub packs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packs that are owed to it: they lie on the server's disk alone.
    pub owed: u64,
    /// Their bytes.
    pub owed_bytes: u64,
    /// Bytes of packs on the server's disk.
    pub here_bytes: u64,
    /// Why it does not take or give what it should.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing: Option<String>,
}

/// A machine of the pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Node {
    /// Name.
    pub name: String,
    /// Whether its agent answers.
    pub ready: bool,
    /// Whether new work is kept off it.
    pub drained: bool,
    /// Processor for the pool, and what of it is allocated.
    pub cpu_milli: u64,
    /// Allocated.
    pub cpu_allocated_milli: u64,
    /// Memory for the pool.
    pub memory_bytes: u64,
    /// Allocated.
    pub memory_allocated_bytes: u64,
    /// Scratch disk for the pool.
    pub disk_bytes: u64,
    /// Accelerators.
    pub devices: u32,
    /// What the machine lacks for full isolation or accounting, in sentences.
    pub warnings: Vec<String>,
    /// For `If-Match`.
    pub version: u64,
}

/// `PATCH /api/v1/nodes/{name}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeUpdate {
    /// Keep new work off it (`true`) or let it come (`false`).
    pub drained: bool,
}

/// `PATCH /api/v1/devices/{node}/{index}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceUpdate {
    /// Give it back to the pool (`true`), after a look, or take it out (`false`): what runs on it
    /// is moved or told.
    pub takes_work: bool,
    /// Why it is taken out, at most 200 characters: whoever holds it is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// An accelerator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Device {
    /// `<node>/<index>`.
    pub id: String,
    /// Kind, `h200`.
    pub class: String,
    /// Product name as the driver gives it.
    pub product: String,
    /// Memory.
    pub memory_bytes: u64,
    /// Whether it is simulated: there is no hardware behind it.
    pub simulated: bool,
    /// Whether it is only declared: nothing runs on it.
    #[serde(default)]
    pub declared: bool,
    /// Its health.
    pub health: Health,
    /// The rungs of isolation, as they were found on it, the strongest first.
    #[serde(default)]
    pub isolation: Vec<Rung>,
    /// Who holds what of it.
    pub shares: Vec<DeviceShare>,
    /// What it counts when teams take turns, in thousandths of the pool's mean device.
    #[serde(default)]
    pub worth_milli: u64,
    /// Compute not given, in thousandths.
    pub free_milli: u64,
    /// Memory not given.
    pub free_memory_bytes: u64,
    /// Share of the last sample period in which kernels ran, in percent; absent where nobody can
    /// tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_percent: Option<u8>,
    /// Where that comes from: `sampled`, the driver was asked; `measured`, it is what those who
    /// hold it used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_source: Option<String>,
    /// Memory in use, where measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_used_bytes: Option<u64>,
}

/// Health of an accelerator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// Whether it takes new work.
    pub ok: bool,
    /// `ok`, `suspect`, `drained`, `quarantined` or `returned`.
    #[serde(default)]
    pub state: String,
    /// Since when, in milliseconds; 0: ever.
    #[serde(default)]
    pub since_ms: u64,
    /// What is wrong, where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// A rung of isolation, as it was found on an accelerator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Rung {
    /// `exclusive`, `mig`, `kernel`, `mps` or `shared`.
    pub isolation: String,
    /// Whether it was tried there and works: only then is it given to anybody.
    pub offered: bool,
    /// What was tried, or why it is not offered.
    pub why: String,
}

/// What a workload holds of an accelerator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeviceShare {
    /// `<node>/<index>`.
    pub device: String,
    /// Kind, `h200`.
    pub class: String,
    /// Whose; absent where the caller may not see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload: Option<String>,
    /// Compute, in thousandths.
    pub milli: u64,
    /// Memory limit.
    pub memory_bytes: u64,
    /// The MIG profile, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mig: Option<String>,
    /// `exclusive`, `mig`, `remote` or `shared`.
    pub isolation: String,
    /// Whether the device is simulated.
    pub simulated: bool,
    /// What is used of it now; absent where the caller may not see it, or nobody can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<ShareUse>,
}

/// What a workload uses now of what it holds of an accelerator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShareUse {
    /// Where the figures come from: `measured` or `sampled`.
    pub source: String,
    /// Compute used since the sample before, in thousandths of the device; absent before there
    /// were two, and where nobody can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub milli: Option<u64>,
    /// Memory held.
    pub memory_bytes: u64,
    /// When it was last seen to use the device; absent: not yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active_at_ms: Option<u64>,
}

/// A team's share of the pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// Path, `lab/vision`.
    pub name: String,
    /// The group it lends to and borrows from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cohort: Option<String>,
    /// Devices, in thousandths.
    pub gpu_milli: QueueQuota,
    /// Processor, in thousandths of a core.
    pub cpu_milli: QueueQuota,
    /// Memory, in bytes.
    pub memory_bytes: QueueQuota,
    /// What its datasets may be together; absent in a change: as it was, nothing at first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataQuota>,
    /// Who goes first among equal priorities; not sent: as before, in a new queue `submission`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<QueueOrder>,
    /// What its workloads, and those of queues below it, are kept apart from neighbours on an
    /// accelerator by, at least: `exclusive`, `mig`, `kernel`, `mps` or `shared`; not sent: as
    /// before, in a new queue `shared`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<String>,
    /// Workloads waiting; ignored when sent.
    #[serde(default)]
    pub waiting: u32,
    /// Workloads holding capacity; ignored when sent.
    #[serde(default)]
    pub running: u32,
    /// For `If-Match`; ignored in a body.
    #[serde(default)]
    pub version: u64,
}

/// Who goes first among a queue's workloads of equal priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum QueueOrder {
    /// Who came first.
    Submission,
    /// Who has been served least, then who will end soonest; what can be suspended makes place.
    Service,
}

impl QueueOrder {
    /// The word users write.
    pub const fn as_str(self) -> &'static str {
        match self {
            QueueOrder::Submission => "submission",
            QueueOrder::Service => "service",
        }
    }
}

/// A share of one resource. What is not set is zero.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct QueueQuota {
    /// Its own.
    pub nominal: u64,
    /// What it may use beyond, when others leave it free.
    pub borrowing: u64,
    /// What of its own others may use while it does not.
    pub lending: u64,
    /// What it uses now; ignored when sent.
    pub used: u64,
}

/// `GET /api/v1/offers`: what a new workload of a queue could have now. Every figure was tried in
/// a plan, and started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Offers {
    /// The queue it would be submitted to.
    pub queue: String,
    /// By kind of accelerator.
    pub items: Vec<Offer>,
}

/// What could be had now of one kind of accelerator, by a job that asks for next to nothing beside
/// it: what it needs of processor and memory must be there too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Offer {
    /// The kind, `h200`.
    pub class: String,
    /// Memory of each.
    pub memory_bytes: u64,
    /// Whether they are simulated.
    pub simulated: bool,
    /// Healthy ones, on machines that take work.
    pub devices: u32,
    /// Others, that take no new work for their health.
    #[serde(default)]
    pub out: u32,
    /// What would start at once, with what other teams lend.
    pub now: OfferRoom,
    /// Why no more whole ones start; absent where all do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<OfferWhy>,
    /// What would start at once within the queue's own share; beyond it, what is lent may be
    /// taken back.
    pub own: OfferRoom,
    /// More than now, once others have given back what is theirs to give.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taking_back: Option<OfferBack>,
    /// What each counts when teams take turns, in thousandths of the pool's mean device.
    #[serde(default)]
    pub worth_milli: u64,
}

/// Why no more would start at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OfferWhy {
    /// The kind of reason one more would wait for.
    pub kind: WaitKind,
    /// In a few words: `in use`, `cpu share of lab`.
    pub word: String,
    /// A sentence for people; absent where it would name workloads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How much would start at once.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OfferRoom {
    /// Whole ones, one for each member, wherever they are.
    pub devices: u32,
    /// Whole ones of one machine.
    pub on_one_machine: u32,
    /// The largest part of one, in thousandths, below 1000.
    pub share_milli: u64,
    /// MIG instances, by profile.
    pub mig: Vec<OfferMig>,
}

/// MIG instances that would start at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OfferMig {
    /// Their profile, `1g.18gb`.
    pub profile: String,
    /// How many.
    pub count: u32,
}

/// What could be had by taking back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OfferBack {
    /// Whole ones, one for each member.
    pub devices: u32,
    /// Workloads that would be stopped for it, as far as the caller may see them.
    pub stops: Vec<String>,
    /// How many others would be stopped.
    pub stops_others: u32,
}

/// An image in the machine's store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Image {
    /// The name it was pulled or imported under.
    pub reference: String,
    /// Digest of its manifest.
    pub digest: String,
    /// Unpacked size.
    pub bytes: u64,
}
