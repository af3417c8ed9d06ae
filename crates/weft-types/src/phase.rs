//! Kind and phase: what a user submits, and where it stands in a model's life.
//!
//! The phase is a typed policy: it carries the defaults for sharing, preemption and idleness
//! that a user never has to name.

use crate::{GpuRequest, Millis};
use alloc::string::String;
use core::fmt;
use serde::{Deserialize, Serialize};

/// What a user submits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Interactive, mostly idle.
    Workspace,
    /// Runs to an end.
    Job,
    /// Answers requests until it is stopped.
    Service,
}

/// Where a workload stands in a model's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Interactive: CPU first, fractions, suspended when idle.
    Concept,
    /// Throughput: whole devices, given back the second it ends.
    Training,
    /// Latency: the smallest slice that serves, never taken back for another's training.
    Deployment,
}

/// What may be taken back from a running workload, and after how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReclaimPolicy {
    /// Whether a workload of higher priority in the same queue may take its place.
    pub preemptible: bool,
    /// Whether capacity it borrowed from another queue may be taken back.
    pub reclaimable: bool,
    /// It runs at least this long before either happens.
    pub min_run_ms: Millis,
}

/// How well a neighbour on the same accelerator is kept apart: declared, and true.
///
/// The order is that of their strength, the strongest first: what was demanded is kept by
/// whatever is not above it (`docs/guide/gpu-sharing.md` says what each protects against).
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Isolation {
    /// No accelerator was given.
    None,
    /// The whole device is this workload's.
    Exclusive,
    /// A MIG instance: separate memory and compute in hardware.
    Mig,
    /// A share whose memory the kernel limits for a control group, with processors by MPS.
    Kernel,
    /// A share whose limits the driver's MPS server keeps.
    Mps,
    /// A share kept by quota: not a security boundary.
    #[default]
    Shared,
}

/// A rung of the ladder, as it was found on a device.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rung {
    /// Which.
    pub isolation: Isolation,
    /// Whether it was tried there and works: only then is it given to anybody.
    pub offered: bool,
    /// What was tried, or why it is not offered: a clause for people.
    pub why: String,
}

impl Kind {
    /// The phase a kind belongs to when the user names none.
    pub const fn default_phase(self) -> Phase {
        match self {
            Kind::Workspace => Phase::Concept,
            Kind::Job => Phase::Training,
            Kind::Service => Phase::Deployment,
        }
    }

    /// The word users write.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Workspace => "workspace",
            Kind::Job => "job",
            Kind::Service => "service",
        }
    }
}

impl Phase {
    /// The word users write.
    pub const fn as_str(self) -> &'static str {
        match self {
            Phase::Concept => "concept",
            Phase::Training => "training",
            Phase::Deployment => "deployment",
        }
    }

    /// Running longer than this is expected of a workload of the phase, so taking it back
    /// sooner would waste what it cost to start (DESIGN §2: minimum run time).
    const MIN_RUN_MS: Millis = Millis::from_secs(60);

    /// What may be taken back from a workload of this phase.
    pub const fn reclaim(self) -> ReclaimPolicy {
        match self {
            Phase::Concept | Phase::Training => {
                ReclaimPolicy { preemptible: true, reclaimable: true, min_run_ms: Self::MIN_RUN_MS }
            }
            Phase::Deployment => ReclaimPolicy {
                preemptible: false,
                reclaimable: true,
                min_run_ms: Self::MIN_RUN_MS,
            },
        }
    }

    /// What `gpu: auto` means: every phase starts on CPU, the first rung of the ladder, until
    /// the workload is known to use an accelerator.
    pub const fn default_gpu(self) -> GpuRequest {
        GpuRequest::None
    }
}

impl Isolation {
    /// The rungs of the ladder by which a device can be given, the strongest first.
    pub const LADDER: [Isolation; 5] = [
        Isolation::Exclusive,
        Isolation::Mig,
        Isolation::Kernel,
        Isolation::Mps,
        Isolation::Shared,
    ];

    /// The rung of a word, where it is one.
    pub fn rung(word: &str) -> Option<Isolation> {
        Self::LADDER.into_iter().find(|rung| rung.as_str() == word)
    }

    /// What keeps shares of a device apart where these rungs were found on it: the strongest that
    /// is offered; none where it is not to be shared.
    pub fn of_shares(rungs: &[Rung]) -> Option<Isolation> {
        let sharing = |rung: &&Rung| rung.offered && rung.isolation > Isolation::Mig;
        rungs.iter().filter(sharing).map(|rung| rung.isolation).min()
    }

    /// Whether it is what is promised where nothing is said.
    pub fn is_least(&self) -> bool {
        *self == Isolation::Shared
    }

    /// The word shown beside every allocation.
    pub const fn as_str(self) -> &'static str {
        match self {
            Isolation::None => "none",
            Isolation::Exclusive => "exclusive",
            Isolation::Mig => "mig",
            Isolation::Kernel => "kernel",
            Isolation::Mps => "mps",
            Isolation::Shared => "shared",
        }
    }
}

macro_rules! display_word {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    )*};
}

display_word!(Kind, Phase, Isolation);
