//! The management library: what a device is, and how much of its memory is taken.
//!
//! It answers before `cuInit` and without it, as the real one does. Its result codes are its own.
//! Absent so far: telemetry of load; it answers that it is not supported.

use crate::call::{Out, Text};
use crate::device::{Device, devices};
use crate::driver::with;
use crate::outcome::{Code, Outcome};
use std::ffi::{CStr, c_char};
use std::sync::atomic::{AtomicU32, Ordering};

const UNINITIALIZED: Code = Code(1);
pub(crate) const INVALID_ARGUMENT: Code = Code(2);
pub(crate) const UNSUPPORTED: Code = Code(3);
pub(crate) const NOT_FOUND: Code = Code(6);
const INSUFFICIENT_SIZE: Code = Code(7);

/// Handles of devices begin here; null is none.
const HANDLES: u64 = 0x7000;

/// What the library calls itself.
const VERSION: &str = "13.580.65.06";
const DRIVER_VERSION: &str = "580.65.06";

/// How many times it was initialised and not yet shut down.
static OPEN: AtomicU32 = AtomicU32::new(0);

/// A function that is not offered.
pub(crate) extern "C" fn absent() -> u32 {
    UNSUPPORTED.0
}

fn open() -> Outcome {
    OPEN.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

/// The handle of a device by its place.
pub(crate) fn handle_of(place: usize) -> u64 {
    HANDLES + place as u64
}

/// The device of a handle.
pub(crate) fn device(handle: u64) -> Outcome<(usize, &'static Device)> {
    if OPEN.load(Ordering::Relaxed) == 0 {
        return Err(UNINITIALIZED);
    }
    let place = handle.checked_sub(HANDLES).ok_or(INVALID_ARGUMENT)? as usize;
    let device = devices().get(place).ok_or(INVALID_ARGUMENT)?;
    crate::nvml_health::answers(place)?;
    Ok((place, device))
}

/// The handle of the device that is the one.
fn find(out: Out<u64>, is: impl Fn(&Device) -> bool) -> Outcome {
    device(HANDLES)
        .map(drop)
        .or_else(|code| if code == UNINITIALIZED { Err(code) } else { Ok(()) })?;
    let place = devices().iter().position(is).ok_or(NOT_FOUND)?;
    argument(out.put(HANDLES + place as u64))
}

/// A null address is this library's own kind of wrong.
fn argument(outcome: Outcome) -> Outcome {
    outcome.map_err(|_| INVALID_ARGUMENT)
}

fn text(out: Out<c_char>, text: &str, room: u32) -> Outcome {
    if text.len() >= room as usize {
        return Err(INSUFFICIENT_SIZE);
    }
    argument(out.put_text(text, room as usize))
}

fn handle(out: Out<u64>, index: u32) -> Outcome {
    device(HANDLES + u64::from(index))?;
    argument(out.put(HANDLES + u64::from(index)))
}

fn count(out: Out<u32>) -> Outcome {
    if OPEN.load(Ordering::Relaxed) == 0 {
        return Err(UNINITIALIZED);
    }
    argument(out.put(devices().len() as u32))
}

/// Bytes of a device that this process has taken.
fn used(place: usize) -> u64 {
    with(|state| Ok(state.used[place])).unwrap_or(0)
}

/// The public structure `nvmlPciInfo_t`.
#[repr(C)]
pub(crate) struct Bus {
    legacy: [u8; 16],
    domain: u32,
    bus: u32,
    device: u32,
    device_id: u32,
    subsystem_id: u32,
    id: [u8; 32],
}

fn bus(handle: u64, out: Out<Bus>) -> Outcome {
    let (_, device) = device(handle)?;
    let (mut legacy, mut id) = ([0; 16], [0; 32]);
    let short = device.bus_id();
    legacy[..short.len()].copy_from_slice(short.as_bytes());
    let long = format!("0000{short}");
    id[..long.len()].copy_from_slice(long.as_bytes());
    argument(out.put(Bus {
        legacy,
        domain: 0,
        bus: device.bus,
        device: 0,
        device_id: 0,
        subsystem_id: 0,
        id,
    }))
}

/// Words of the public structure `nvmlGpuFabricInfo_v3_t`, the longest so far.
const FABRIC_WORDS: usize = 10;

/// The public structure `nvmlProcessInfo_t` of the second and third revision.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct Holder {
    process: u32,
    bytes: u64,
    instances: [u32; 2],
}

/// The same of the first revision: a process and its bytes.
pub(crate) type FirstHolder = [u64; 2];

/// The processes that hold memory of a device: this one and a neighbour, if they do.
fn holders<T>(handle: u64, count: Out<u32>, out: Out<T>, of: impl Fn((u32, u64)) -> T) -> Outcome {
    let (place, _) = device(handle)?;
    let room = count.get().ok_or(INVALID_ARGUMENT)?;
    let neighbour = crate::watch::settings().neighbour;
    let own = used(place).saturating_sub(neighbour);
    let all = [(NEIGHBOUR, neighbour), (std::process::id(), own)];
    let all: Vec<_> = all.into_iter().filter(|(_, bytes)| *bytes > 0).collect();
    count.offer(all.len() as u32);
    if (room as usize) < all.len() {
        return Err(INSUFFICIENT_SIZE);
    }
    argument(out.put_all(all.into_iter().map(of)))
}

fn whole(holder: (u32, u64)) -> Holder {
    Holder { process: holder.0, bytes: holder.1, instances: [u32::MAX; 2] }
}

/// The number of the process that is the neighbour: the system's first, which never is a program.
const NEIGHBOUR: u32 = 1;

/// The one function that answers with a text.
pub(crate) const TEXT: crate::call::Call =
    crate::call::Call { symbol: "nvmlErrorString", code: error_string as *const () };

calls! {
    fn nvmlInit() {
        open()
    }

    fn nvmlInit_v2() {
        open()
    }

    fn nvmlInitWithFlags(_flags: u32) {
        open()
    }

    fn nvmlShutdown() {
        let close = |open: u32| open.checked_sub(1);
        let closed = OPEN.fetch_update(Ordering::Relaxed, Ordering::Relaxed, close);
        closed.map(drop).map_err(|_| UNINITIALIZED)
    }

    fn nvmlSystemGetDriverVersion(out: Out<c_char>, room: u32) {
        text(out, DRIVER_VERSION, room)
    }

    fn nvmlSystemGetNVMLVersion(out: Out<c_char>, room: u32) {
        text(out, VERSION, room)
    }

    fn nvmlSystemGetCudaDriverVersion(out: Out<i32>) {
        argument(out.put(crate::watch::settings().version as i32))
    }

    fn nvmlSystemGetCudaDriverVersion_v2(out: Out<i32>) {
        argument(out.put(crate::watch::settings().version as i32))
    }

    fn nvmlDeviceGetCount(out: Out<u32>) {
        count(out)
    }

    fn nvmlDeviceGetCount_v2(out: Out<u32>) {
        count(out)
    }

    fn nvmlDeviceGetHandleByIndex(index: u32, out: Out<u64>) {
        handle(out, index)
    }

    fn nvmlDeviceGetHandleByIndex_v2(index: u32, out: Out<u64>) {
        handle(out, index)
    }

    fn nvmlDeviceGetHandleByUUID(uuid: Text, out: Out<u64>) {
        let wanted = uuid.text().map_err(|_| INVALID_ARGUMENT)?;
        find(out, |device| device.uuid_text() == wanted)
    }

    fn nvmlDeviceGetHandleByPciBusId(id: Text, out: Out<u64>) {
        let wanted = id.text().map_err(|_| INVALID_ARGUMENT)?.to_ascii_lowercase();
        find(out, |device| wanted.ends_with(&device.bus_id()))
    }

    fn nvmlDeviceGetHandleByPciBusId_v2(id: Text, out: Out<u64>) {
        let wanted = id.text().map_err(|_| INVALID_ARGUMENT)?.to_ascii_lowercase();
        find(out, |device| wanted.ends_with(&device.bus_id()))
    }

    fn nvmlDeviceGetIndex(handle: u64, out: Out<u32>) {
        argument(out.put(device(handle)?.0 as u32))
    }

    fn nvmlDeviceGetMinorNumber(handle: u64, out: Out<u32>) {
        argument(out.put(device(handle)?.0 as u32))
    }

    fn nvmlDeviceGetName(handle: u64, out: Out<c_char>, room: u32) {
        text(out, device(handle)?.1.kind.product, room)
    }

    fn nvmlDeviceGetUUID(handle: u64, out: Out<c_char>, room: u32) {
        match crate::nvml_instance::identity(handle) {
            Some(instance) => text(out, &instance, room),
            None => text(out, &device(handle)?.1.uuid_text(), room),
        }
    }

    fn nvmlDeviceGetMemoryInfo(handle: u64, out: Out<[u64; 3]>) {
        let (place, device) = device(handle)?;
        let (total, used) = (device.memory(), used(place));
        argument(out.put([total, total - used, used]))
    }

    fn nvmlDeviceGetMemoryInfo_v2(handle: u64, out: Out<[u64; 5]>) {
        let (place, device) = device(handle)?;
        let (total, used) = (device.memory(), used(place));
        // The version word that the caller wrote stays: the structure's size and 2.
        let version = 2 << 24 | size_of::<[u64; 5]>() as u64;
        argument(out.put([version, total, 0, total - used, used]))
    }

    fn nvmlDeviceGetCudaComputeCapability(handle: u64, major: Out<i32>, minor: Out<i32>) {
        let capability = device(handle)?.1.capability;
        argument(major.put(capability.0))?;
        argument(minor.put(capability.1))
    }

    fn nvmlDeviceGetP2PStatus(one: u64, other: u64, _what: u32, out: Out<u32>) {
        device(one)?;
        device(other)?;
        // Memory of any device here is at its address in all processes that map it.
        argument(out.put(0))
    }

    fn nvmlDeviceGetGpuFabricInfoV(handle: u64, out: Out<u32>) {
        device(handle)?;
        let version = out.get().ok_or(INVALID_ARGUMENT)?;
        // No fabric: everything behind the version, whose lower bytes are the size, is zero.
        let words = ((version & 0xff_ffff) as usize / size_of::<u32>()).min(FABRIC_WORDS);
        argument(out.put_all(std::iter::once(version).chain(std::iter::repeat_n(0, words - 1))))
    }

    fn nvmlDeviceGetComputeRunningProcesses(
        handle: u64,
        count: Out<u32>,
        out: Out<FirstHolder>,
    ) {
        holders(handle, count, out, |(process, bytes)| [u64::from(process), bytes])
    }

    fn nvmlDeviceGetComputeRunningProcesses_v2(handle: u64, count: Out<u32>, out: Out<Holder>) {
        holders(handle, count, out, whole)
    }

    fn nvmlDeviceGetComputeRunningProcesses_v3(handle: u64, count: Out<u32>, out: Out<Holder>) {
        holders(handle, count, out, whole)
    }

    fn nvmlDeviceGetPciInfo_v2(handle: u64, out: Out<Bus>) {
        bus(handle, out)
    }

    fn nvmlDeviceGetPciInfo_v3(handle: u64, out: Out<Bus>) {
        bus(handle, out)
    }
}

extern "C" fn error_string(code: u32) -> *const c_char {
    let known: &CStr = match code {
        0 => c"Success",
        1 => c"Uninitialized",
        2 => c"Invalid Argument",
        3 => c"Not Supported",
        6 => c"Not Found",
        7 => c"Insufficient Size",
        15 => c"GPU is lost",
        _ => c"Unknown Error",
    };
    known.as_ptr()
}
