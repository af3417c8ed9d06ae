//! Accelerator inventory and telemetry: the machine's NVML driver, or a simulated one.
//!
//! The agent calls [`detect`] once and then asks the [`DeviceDriver`] it gets; the server shows
//! [`DeviceDriver::simulated`] wherever a device is shown. A machine without accelerators is
//! not an error: its inventory is empty. A driver that is there and does not work is a
//! [`DeviceDriver::warning`], and its inventory is empty too.
//!
//! [`Instances`] makes MIG instances on devices that an administrator has put into MIG mode, ends
//! them, and knows after a crash which are Weft's: the one thing this crate changes.
//!
//! Absent on purpose: deciding who gets a device or where an instance lies (`weft-sched`), opening
//! device nodes for a container (`weft-runtime`), and changing a device itself: its modes, clocks
//! and limits are the administrator's, and it is never reset.

mod class;
mod driver;
mod health;
mod instance;
mod instances;
mod kind;
mod ladder;
mod measure;
mod mig;
mod nvml;
mod simulated;
mod xid;

pub use class::{class_name, class_value};
pub use driver::{DeviceDriver, DeviceError, DeviceInfo, DeviceSample, Health, ProcessUse, detect};
pub use instances::{InstanceError, Instances, Opened, Slot, boot};
pub use kind::{KINDS, Kind, MigShape};
pub use ladder::found;
pub use measure::{Figures, measure};
pub use nvml::Nvml;
pub use simulated::{SIMULATED_DEVICES_MAX, Simulated, SimulationError};
pub use xid::{XidBlame, xid_blame};
