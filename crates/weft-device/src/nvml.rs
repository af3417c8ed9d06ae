//! The machine's NVIDIA devices, by the library that comes with their driver.
//!
//! ```text
//! load ─► library absent ──────────────► no devices
//!      ├► library there, driver broken ─► no devices, a warning
//!      └► library and driver work ──────► devices; a thread waits for Xid events
//! ```
//!
//! The library is opened when the server starts, so that one binary serves machines with and
//! without it. A device that stops answering is unhealthy and stays in the inventory: what runs
//! on it is counted still.

use crate::health::{self, Counters};
use crate::instance::Divided;
use crate::ladder::{self, Host};
use crate::xid::XID_UNKNOWN;
use crate::{DeviceDriver, DeviceError, DeviceInfo, DeviceSample, Health, ProcessUse};
use crate::{Opened, Slot, class_name, class_value, mig, xid_blame};
use nvml_wrapper::bitmasks::event::EventTypes;
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::enums::event::XidError;
use nvml_wrapper::error::{NvmlError, NvmlErrorWithSource};
use nvml_wrapper::{Device, EventSet};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use weft_sched::{DeviceClass, DeviceMode, MigPlacement};
use weft_types::Bytes;

/// How the identities of the tests' stand-in begin: its name, in hexadecimal.
const STAND_IN: &str = "GPU-77656674-2d66-616b-6563-7564";

/// How long the thread waits for an event before it looks whether the driver is still wanted.
const EVENT_WAIT_MS: u32 = 1_000;

/// Most errors kept until somebody asks: a device that fails reports hundreds a second, all of
/// which say the same.
const ERRORS_MAX: usize = 256;

/// Device nodes every container with a device needs, next to the device's own.
const SHARED_NODES: [&str; 4] =
    ["/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset"];

/// The machine's NVIDIA devices; none where there is no driver.
pub struct Nvml {
    state: State,
}

enum State {
    /// No library: the machine has no NVIDIA driver.
    Absent,
    /// A library that would not start, and why.
    Broken(String),
    /// A library that works.
    Loaded(Arc<Loaded>),
}

struct Loaded {
    nvml: nvml_wrapper::Nvml,
    host: Host,
    /// Errors that nobody has asked for yet.
    errors: Mutex<Vec<DeviceError>>,
    /// What each device had counted at the last look, by its identity.
    counted: Mutex<BTreeMap<String, Counters>>,
}

impl Nvml {
    /// Opens the machine's library under its usual name and starts it.
    pub fn load() -> Self {
        Self::load_from(OsStr::new("libnvidia-ml.so.1"))
    }

    /// Likewise, with the library at this path.
    pub fn load_from(library: &OsStr) -> Self {
        let state = match nvml_wrapper::Nvml::builder().lib_path(library).init() {
            Ok(nvml) => State::Loaded(start(nvml)),
            Err(NvmlError::LibloadingError(_)) => State::Absent,
            Err(error) => State::Broken(broken(&error)),
        };
        Self { state }
    }
}

fn start(nvml: nvml_wrapper::Nvml) -> Arc<Loaded> {
    let host = Host::look(Path::new("/"), &nvml.sys_driver_version().unwrap_or_default());
    let loaded =
        Arc::new(Loaded { nvml, host, errors: Mutex::default(), counted: Mutex::default() });
    let watched = Arc::downgrade(&loaded);
    let thread = std::thread::Builder::new().name("weft-xid".to_owned());
    if let Err(error) = thread.spawn(move || watch(&watched)) {
        tracing::warn!(%error, "device errors are not watched: no thread could be started");
    }
    loaded
}

fn broken(error: &NvmlError) -> String {
    let hint = match error {
        NvmlError::DriverNotLoaded => "load the nvidia kernel module, or remove its library",
        NvmlError::LibRmVersionMismatch => "the driver was updated; reboot or reload the module",
        NvmlError::NoPermission => "the server may not open /dev/nvidiactl; check its rights",
        _ => "run nvidia-smi to see the driver's own message",
    };
    format!("the NVIDIA driver is installed but does not work: {error}; {hint}")
}

impl DeviceDriver for Nvml {
    fn inventory(&self) -> Vec<DeviceInfo> {
        let State::Loaded(loaded) = &self.state else { return Vec::new() };
        loaded.devices().map(|(index, device)| loaded.describe(index, device)).collect()
    }

    fn sample(&self) -> Vec<DeviceSample> {
        let State::Loaded(loaded) = &self.state else { return Vec::new() };
        loaded.devices().map(|(index, device)| sample(index, device.as_ref().ok())).collect()
    }

    fn simulated(&self) -> bool {
        false
    }

    fn warning(&self) -> Option<String> {
        match &self.state {
            State::Absent => None,
            State::Broken(warning) => Some(warning.clone()),
            State::Loaded(loaded) => loaded.nvml.device_count().err().map(|e| broken(&e)),
        }
    }

    fn errors(&self) -> Vec<DeviceError> {
        let State::Loaded(loaded) = &self.state else { return Vec::new() };
        std::mem::take(&mut *loaded.errors.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn instances(&self, device: &str) -> Result<Vec<Slot>, String> {
        self.divided(device, |divided, _| divided.slots())
    }

    fn make_instance(&self, device: &str, place: &MigPlacement) -> Result<u32, String> {
        self.divided(device, |divided, _| divided.make(place))
    }

    fn open_instance(&self, device: &str, id: u32) -> Result<Opened, String> {
        self.divided(device, |divided, minor| divided.open(id, minor))
    }

    fn end_instance(&self, device: &str, id: u32) -> Result<(), String> {
        self.divided(device, |divided, _| divided.end(id))
    }
}

impl Nvml {
    /// Asks something of a device's instances; `what` gets the device's own number as well.
    fn divided<T>(
        &self,
        uuid: &str,
        what: impl FnOnce(Divided<'_>, u32) -> Result<T, String>,
    ) -> Result<T, String> {
        let State::Loaded(loaded) = &self.state else {
            return Err("the machine has no driver".to_owned());
        };
        let device = loaded.nvml.device_by_uuid(uuid).map_err(|e| format!("{uuid}: {e}"))?;
        let minor = device.minor_number().map_err(|e| e.to_string())?;
        // SAFETY: the handle is used only while `device` is borrowed.
        what(Divided { lib: loaded.nvml.lib(), device: unsafe { device.handle() } }, minor)
    }
}

impl Loaded {
    /// Every index the driver counts, with the device or why it does not answer.
    fn devices(&self) -> impl Iterator<Item = (u32, Result<Device<'_>, NvmlError>)> {
        let count = self.nvml.device_count().unwrap_or(0);
        (0..count).map(|index| (index, self.nvml.device_by_index(index)))
    }

    fn describe(&self, index: u32, device: Result<Device<'_>, NvmlError>) -> DeviceInfo {
        let device = match device {
            Ok(device) => device,
            Err(error) => return silent(index, &error),
        };
        let uuid = device.uuid().unwrap_or_else(|_| format!("GPU-index-{index}"));
        let product = device.name().unwrap_or_else(|_| "NVIDIA Graphics Device".to_owned());
        let memory = device.memory_info();
        let memory = memory.map_or(0, |m| m.total.saturating_sub(m.reserved));
        let memory = Bytes(memory);
        let name = class_name(&product);
        let value = class_value(&name, memory);
        let mode = mig::mode(self.nvml.lib(), &device);
        self.count(&uuid, &device);
        DeviceInfo {
            index,
            rungs: ladder::of_machine(&self.host, &mode, device.mig_mode().is_ok(), index),
            health: health::of(&device),
            simulated: uuid.starts_with(STAND_IN),
            uuid,
            product,
            class: DeviceClass { name, memory, value },
            mode,
            device_nodes: device_nodes(device.minor_number().unwrap_or(index), Path::new("/")),
        }
    }

    /// Keeps what its counters say, and tells what they say that is new.
    fn count(&self, uuid: &str, device: &Device<'_>) {
        let now = health::counters(device);
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let before = counted.insert(uuid.to_owned(), now);
        drop(counted);
        before.iter().flat_map(|before| health::grown(uuid, before, &now)).for_each(|error| {
            tracing::warn!(%uuid, "{}", error.what);
            self.tell(error);
        });
    }

    /// Keeps an error until somebody asks.
    fn tell(&self, error: DeviceError) {
        let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        if errors.len() < ERRORS_MAX {
            errors.push(error);
        }
    }
}

/// What is known of a device that does not answer: its place, and that it takes no work.
fn silent(index: u32, error: &NvmlError) -> DeviceInfo {
    DeviceInfo {
        index,
        uuid: format!("GPU-index-{index}"),
        product: "NVIDIA Graphics Device".to_owned(),
        class: DeviceClass { name: "gpu".to_owned(), memory: Bytes::ZERO, value: 0 },
        mode: DeviceMode::Whole,
        device_nodes: Vec::new(),
        health: Health::Unhealthy { reason: format!("the device does not answer: {error}") },
        rungs: Vec::new(),
        simulated: false,
    }
}

/// The device's own node and those all devices share, as far as the machine has them.
fn device_nodes(minor: u32, root: &Path) -> Vec<PathBuf> {
    let own = format!("/dev/nvidia{minor}");
    std::iter::once(own.as_str())
        .chain(SHARED_NODES)
        .map(PathBuf::from)
        .filter(|node| root.join(node.strip_prefix("/").unwrap_or(node)).exists())
        .collect()
}

fn sample(index: u32, device: Option<&Device<'_>>) -> DeviceSample {
    let Some(device) = device else { return DeviceSample { index, ..Default::default() } };
    let active = device.utilization_rates().ok();
    DeviceSample {
        index,
        active_permille: active.map(|rates| u16::try_from(rates.gpu.min(100)).unwrap_or(0) * 10),
        memory_used: Bytes(device.memory_info().map_or(0, |memory| memory.used)),
        processes: processes(device),
    }
}

/// Compute and graphics contexts; a process with both is counted once, by the larger figure.
fn processes(device: &Device<'_>) -> Vec<ProcessUse> {
    let mut memory: BTreeMap<u32, u64> = BTreeMap::new();
    let compute = device.running_compute_processes().unwrap_or_default();
    let graphics = device.running_graphics_processes().unwrap_or_default();
    for process in compute.into_iter().chain(graphics) {
        let used = match process.used_gpu_memory {
            UsedGpuMemory::Used(bytes) => bytes,
            UsedGpuMemory::Unavailable => 0,
        };
        let most = memory.entry(process.pid).or_default();
        *most = used.max(*most);
    }
    let entry = |(pid, bytes)| ProcessUse { pid, memory: Bytes(bytes) };
    memory.into_iter().map(entry).collect()
}

/// Waits for Xid events until the driver is dropped or a whole set of devices is lost.
fn watch(loaded: &Weak<Loaded>) {
    let Some(strong) = loaded.upgrade() else { return };
    // The set borrows the library, and the library goes when the driver does: so the wait below
    // holds the library at most `EVENT_WAIT_MS` longer than its owner.
    let set = match subscribe(&strong.nvml) {
        Ok(set) => set,
        Err(error) => {
            tracing::info!(%error, "the driver reports no device errors");
            return;
        }
    };
    while Arc::strong_count(&strong) > 1 {
        match set.wait(EVENT_WAIT_MS) {
            Ok(event) => match event.event_data {
                Some(XidError::Value(xid)) => note(&strong, &event.device, xid),
                Some(XidError::Unknown) => note(&strong, &event.device, XID_UNKNOWN),
                None => {}
            },
            Err(NvmlError::Timeout) => {}
            Err(error) => {
                tracing::warn!(%error, "device errors are no longer watched");
                return;
            }
        }
    }
}

fn subscribe(nvml: &nvml_wrapper::Nvml) -> Result<EventSet<'_>, NvmlErrorWithSource> {
    let mut set = nvml.create_event_set()?;
    for index in 0..nvml.device_count()? {
        if let Ok(device) = nvml.device_by_index(index) {
            set = device.register_events(EventTypes::CRITICAL_XID_ERROR, set)?;
        }
    }
    Ok(set)
}

fn note(loaded: &Loaded, device: &Device<'_>, xid: u64) {
    let uuid = device.uuid().unwrap_or_default();
    let (blame, what) = xid_blame(xid);
    tracing::warn!(%uuid, xid, ?blame, "{what}");
    loaded.tell(DeviceError { uuid, xid: Some(xid), blame, what: what.to_owned() });
}

#[cfg(test)]
#[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
mod tests {
    use super::*;

    #[test]
    fn no_library_is_no_devices() {
        let driver = Nvml::load_from(OsStr::new("/nonexistent/libnvidia-ml.so.1"));
        assert!(driver.inventory().is_empty());
        assert!(driver.sample().is_empty());
        assert_eq!(driver.warning(), None);
        assert!(!driver.simulated());
    }

    /// The real library on a machine without a device; Debian's package `libnvidia-ml1` has it.
    #[test]
    fn a_library_without_a_working_driver_is_a_warning() {
        let Some(library) = std::env::var_os("WEFT_TEST_NVML_LIBRARY") else {
            println!("SKIPPED: WEFT_TEST_NVML_LIBRARY does not name a libnvidia-ml.so.1");
            return;
        };
        let driver = Nvml::load_from(&library);
        assert!(driver.inventory().is_empty());
        let warning = driver.warning().expect("a library without a device warns");
        assert!(warning.contains("does not work"), "{warning}");
    }

    #[test]
    fn only_device_nodes_that_exist_are_named() {
        let root = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(root.path().join("dev")).expect("a folder");
        for node in ["nvidia3", "nvidiactl", "nvidia0"] {
            std::fs::write(root.path().join("dev").join(node), "").expect("a file");
        }
        let nodes = device_nodes(3, root.path());
        assert_eq!(nodes, [Path::new("/dev/nvidia3"), Path::new("/dev/nvidiactl")]);
    }
}
