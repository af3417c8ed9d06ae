//! Accelerator inventory and telemetry: the machine's NVML driver, or a simulated one.
//!
//! The agent calls [`detect`] once and then asks the [`DeviceDriver`] it gets; the server shows
//! [`DeviceDriver::simulated`] wherever a device is shown. A machine without accelerators is
//! not an error: its inventory is empty. A driver that is there and does not work is a
//! [`DeviceDriver::warning`], and its inventory is empty too.
//!
//! Absent on purpose: deciding who gets a device (`weft-sched`), opening device nodes for a
//! container (`weft-runtime`), and changing a device's state: this crate only reads.

mod class;
mod driver;
mod kind;
mod mig;
mod nvml;
mod simulated;
mod xid;

pub use class::{class_name, class_value};
pub use driver::{DeviceDriver, DeviceInfo, DeviceSample, Health, ProcessUse, detect};
pub use kind::{KINDS, Kind, MigShape};
pub use nvml::Nvml;
pub use simulated::{SIMULATED_DEVICES_MAX, Simulated, SimulationError};
pub use xid::{XidBlame, xid_blame};
