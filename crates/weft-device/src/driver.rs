//! What the agent may ask of the machine's accelerators, and how the driver is chosen.

use crate::{Nvml, Opened, Simulated, SimulationError, Slot, XidBlame};
use std::path::{Path, PathBuf};
use weft_sched::{DeviceClass, DeviceMode, MigPlacement};
use weft_types::{Bytes, Rung};

/// The machine's accelerators. Every reading is fresh and takes well under 10 ms a device; making
/// and ending a MIG instance takes up to a second.
pub trait DeviceDriver: Send + Sync {
    /// Every device, in the driver's order; empty where there is none.
    fn inventory(&self) -> Vec<DeviceInfo>;

    /// What every device does now, in the same order.
    fn sample(&self) -> Vec<DeviceSample>;

    /// Whether the devices are declared by the operator, so that nothing runs on them.
    fn simulated(&self) -> bool;

    /// Why the inventory may be incomplete: a sentence for the operator, none when all is well.
    fn warning(&self) -> Option<String>;

    /// Errors that the driver has reported since this was last asked, in its order. What is taken
    /// and not written down is lost: who asks keeps them.
    fn errors(&self) -> Vec<DeviceError>;

    /// Every MIG instance on a device, whoever made it; none where it is not divided. The device
    /// is named by its [`DeviceInfo::uuid`], here and below; `Err` is the driver's answer in words.
    fn instances(&self, device: &str) -> Result<Vec<Slot>, String>;

    /// Makes an instance at a place of a device; its number. It has no compute instance yet.
    fn make_instance(&self, device: &str, place: &MigPlacement) -> Result<u32, String>;

    /// Makes the instance usable, where it is not, and tells what a program is to be given.
    fn open_instance(&self, device: &str, id: u32) -> Result<Opened, String>;

    /// Ends an instance; refused while a program uses it.
    fn end_instance(&self, device: &str, id: u32) -> Result<(), String>;
}

/// An accelerator as the driver describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Its place in the driver's order, from 0; the same as in `nvidia-smi`.
    pub index: u32,
    /// The driver's identifier, stable over reboots: `GPU-…`; `SIM-…` when simulated.
    pub uuid: String,
    /// The product's name as the driver gives it, `NVIDIA H100 80GB HBM3`.
    pub product: String,
    /// What the planner matches requests with.
    pub class: DeviceClass,
    /// Whether it is given whole or in MIG instances, and where those can be made.
    pub mode: DeviceMode,
    /// What a container needs under `/dev` to use it; empty when simulated.
    pub device_nodes: Vec<PathBuf>,
    /// Whether new work may be placed on it.
    pub health: Health,
    /// The rungs of isolation as they were found on it, the strongest first.
    pub rungs: Vec<Rung>,
    /// Whether there is no hardware: it was declared, or its driver is the tests' stand-in.
    pub simulated: bool,
}

/// An error of a device, as the driver reported it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceError {
    /// The device, by its [`DeviceInfo::uuid`].
    pub uuid: String,
    /// The driver's number of it; none where a counter of the device tells it.
    pub xid: Option<u64>,
    /// Who is to blame.
    pub blame: XidBlame,
    /// What it is, as a clause for people.
    pub what: String,
}

impl std::fmt::Display for DeviceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.xid {
            Some(xid) => write!(f, "xid {xid}: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

/// Whether new work may be placed on a device, by what it says of itself now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It may.
    Healthy,
    /// It computes right, but slowly: it may not as long as that lasts.
    Ailing {
        /// Why, for people: `it is too hot and slowed down`.
        reason: String,
    },
    /// It may not, until an operator has looked or the device was reset.
    Unhealthy {
        /// What happened, for people: `xid 79: the device has fallen off the bus`.
        reason: String,
    },
}

impl Health {
    /// Whether new work may be placed on the device.
    pub fn is_healthy(&self) -> bool {
        matches!(self, Health::Healthy)
    }
}

/// What one device did at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceSample {
    /// Which device.
    pub index: u32,
    /// Thousandths of the last sampling period (a sixth of a second to a second, the driver's
    /// choice) in which a kernel ran. None where the driver cannot tell: in MIG mode it does
    /// not. Zero when simulated, since nothing runs on what does not exist.
    pub active_permille: Option<u16>,
    /// Device memory in use, the driver's own reserve included.
    pub memory_used: Bytes,
    /// Processes that hold a context on the device, by their pid in the host's namespace.
    pub processes: Vec<ProcessUse>,
}

/// What one process holds on one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessUse {
    /// Pid in the host's namespace.
    pub pid: u32,
    /// Device memory it holds; zero where the driver does not say.
    pub memory: Bytes,
}

/// The machine's driver: the simulated one when the operator declared one, NVML otherwise; by
/// this management library where one is named.
///
/// # Errors
/// Only for a declaration that does not parse; a machine without devices is no error.
pub fn detect(
    simulate: Option<&str>,
    management: Option<&Path>,
) -> Result<Box<dyn DeviceDriver>, SimulationError> {
    match (simulate, management) {
        (Some(text), _) => Ok(Box::new(text.parse::<Simulated>()?)),
        (None, Some(library)) => Ok(Box::new(Nvml::load_from(library.as_os_str()))),
        (None, None) => Ok(Box::new(Nvml::load())),
    }
}
