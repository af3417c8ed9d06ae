//! What one run used of one device: the word that the agent, the ledger and the store share.
//!
//! Totals since the run began, never differences: whoever reads one twice, or misses one, counts
//! nothing twice and loses nothing. What is not known is absent, and never zero.

use crate::{Bytes, DeviceId, Timestamp};
use core::fmt;
use serde::{Deserialize, Serialize};

/// What one run used of one device since it began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceUse {
    /// Which.
    pub device: DeviceId,
    /// Its time, in nanoseconds of the whole device; none where launches are not timed, as of a
    /// run that has the whole device.
    pub gpu_ns: Option<u64>,
    /// What was launched and moved; none where that is counted for several devices together.
    pub work: Option<Work>,
    /// Memory held now.
    pub memory: Bytes,
    /// The most memory held at any time.
    pub memory_peak: Bytes,
    /// When the run was last seen to use the device; none: it was not seen to.
    pub active_at: Option<Timestamp>,
}

/// What a run had a device do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// Kernels and graphs launched.
    pub launches: u64,
    /// Bytes moved from the machine's memory to the device.
    pub to_device: Bytes,
    /// Bytes moved back.
    pub from_device: Bytes,
}

/// Where a figure of use comes from; a figure without one is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UseSource {
    /// Each launch was counted, by the library that stands before the driver.
    Measured,
    /// The driver was asked now and then.
    Sampled,
    /// The device is declared by the operator and does not exist.
    Simulated,
}

impl UseSource {
    /// The word shown beside a figure.
    pub const fn as_str(self) -> &'static str {
        match self {
            UseSource::Measured => "measured",
            UseSource::Sampled => "sampled",
            UseSource::Simulated => "simulated",
        }
    }
}

impl fmt::Display for UseSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
