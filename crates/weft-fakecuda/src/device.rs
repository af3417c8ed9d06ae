//! Devices and their attributes, as far as programs ask for them.
//!
//! Memory and processors are those of the product's table of kinds; compute capability and limits
//! are from the tables of the CUDA programming guide ("Compute Capabilities", technical
//! specifications). What the stand-in cannot do is said to be missing.

use crate::call::{Out, Text};
use crate::driver::{driver, initialise};
use crate::outcome::{CODES, INVALID_DEVICE, INVALID_VALUE, Outcome};
use std::ffi::c_char;
use std::sync::OnceLock;
use weft_device::Kind;

/// A device.
#[derive(Debug)]
pub(crate) struct Device {
    /// What it is.
    pub(crate) kind: &'static Kind,
    /// Which, the same in each run.
    pub(crate) uuid: [u8; 16],
    /// Its bus; its place there is 0.
    pub(crate) bus: u32,
    /// Whether it is divided in instances.
    pub(crate) mig: bool,
    /// Major and minor.
    pub(crate) capability: (i32, i32),
}

/// Shared memory of a block if it does not ask for more.
pub(crate) const SHARED_BYTES: u64 = 48 << 10;

/// Compute capability by the beginning of a kind's label.
const CAPABILITIES: &[(&str, (i32, i32))] = &[
    ("T4", (7, 5)),
    ("V100", (7, 0)),
    ("A100", (8, 0)),
    ("A30", (8, 0)),
    ("A10", (8, 6)),
    ("L4", (8, 9)),
    ("RTX4090", (8, 9)),
    ("RTXPRO6000", (12, 0)),
    ("B300", (10, 3)),
    ("B200", (10, 0)),
    ("H", (9, 0)),
];

impl Device {
    /// The device at a place.
    fn new(place: usize, kind: &'static Kind, mig: bool) -> Self {
        let found = CAPABILITIES.iter().find(|(start, _)| kind.label.starts_with(start));
        let mut uuid = *b"weft-fakecuda\0\0\0";
        uuid[15] = place as u8;
        let capability = found.map_or((9, 0), |(_, capability)| *capability);
        Self { kind, uuid, bus: 1 + place as u32, mig, capability }
    }

    /// `0000:01:00.0`.
    pub(crate) fn bus_id(&self) -> String {
        format!("0000:{:02x}:00.0", self.bus)
    }

    /// `GPU-…`.
    pub(crate) fn uuid_text(&self) -> String {
        let hex: String = self.uuid.iter().map(|byte| format!("{byte:02x}")).collect();
        let part = |range: std::ops::Range<usize>| &hex[range];
        let parts = [part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)];
        format!("GPU-{}", parts.join("-"))
    }

    /// Memory that programs can use.
    pub(crate) fn memory(&self) -> u64 {
        self.kind.memory().0
    }

    /// Shared memory of a block at most, when asked for, and of a processor.
    fn shared(&self) -> (i32, i32) {
        let kilobytes = match self.capability {
            (7, 0) => 96,
            (7, _) => 64,
            (8, 0) => 164,
            (8, _) | (12, _) => 100,
            _ => 228,
        };
        // From 8.0 on the driver keeps one kilobyte of each block.
        let own = i32::from(self.capability.0 >= 8);
        ((kilobytes - own) << 10, kilobytes << 10)
    }

    /// Threads of a processor at most.
    fn threads(&self) -> i32 {
        match self.capability {
            (7, 5) => 1024,
            (7, 0) | (8, 0) | (9, _) | (10, _) => 2048,
            _ => 1536,
        }
    }

    /// An attribute by its number in the public header.
    fn attribute(&self, number: u32) -> i32 {
        let flag = i32::from;
        match number {
            1..=3 => 1024,
            4 => 64,
            5 => i32::MAX,
            6 | 7 => 65_535,
            8 => SHARED_BYTES as i32,
            9 => 64 << 10,
            10 => 32,
            11 => i32::MAX,
            12 | 82 => 65_536,
            13 => 1_500_000,
            14 => 512,
            16 => (f64::from(self.kind.sms) * crate::mps::percentage() / 100.0).max(1.0) as i32,
            15 | 19 | 31 | 41 | 78 | 79 | 80 | 90 | 91 | 95 | 102 | 103 | 115 => 1,
            32 => flag(self.capability.0 < 12),
            33 => self.bus as i32,
            36 => 2_000_000,
            37 => 5120,
            38 => 50 << 20,
            39 => self.threads(),
            40 => 3,
            75 => self.capability.0,
            76 => self.capability.1,
            81 => self.shared().1,
            83 => 1,
            87 => 2,
            97 => self.shared().0,
            106 => 32,
            111 => 1 << 10,
            133 => flag(crate::mps::is_client()),
            120 => flag(self.capability.0 >= 9),
            _ => 0,
        }
    }
}

/// The devices that the environment declares.
pub(crate) fn devices() -> &'static [Device] {
    static DEVICES: OnceLock<Vec<Device>> = OnceLock::new();
    DEVICES.get_or_init(|| {
        let kinds = crate::watch::settings().devices.iter().enumerate();
        kinds.map(|(place, (kind, mig))| Device::new(place, kind, *mig)).collect()
    })
}

/// The device of a number.
pub(crate) fn device(number: i32) -> Outcome<&'static Device> {
    let place = usize::try_from(number).map_err(|_| INVALID_DEVICE)?;
    driver()?;
    devices().get(place).ok_or(INVALID_DEVICE)
}

calls! {
    fn cuInit(flags: u32) {
        if flags == 0 { initialise() } else { Err(INVALID_VALUE) }
    }

    fn cuDriverGetVersion(version: Out<i32>) {
        version.put(crate::watch::settings().version as i32)
    }

    fn cuDeviceGet(found: Out<i32>, number: i32) {
        device(number)?;
        found.put(number)
    }

    fn cuDeviceGetCount(count: Out<i32>) {
        count.put(driver()?.devices.len() as i32)
    }

    fn cuDeviceGetName(name: Out<c_char>, room: i32, number: i32) {
        name.put_text(device(number)?.kind.product, usize::try_from(room).unwrap_or(0))
    }

    fn cuDeviceGetUuid(uuid: Out<[u8; 16]>, number: i32) {
        uuid.put(device(number)?.uuid)
    }

    fn cuDeviceGetUuid_v2(uuid: Out<[u8; 16]>, number: i32) {
        uuid.put(device(number)?.uuid)
    }

    fn cuDeviceTotalMem_v2(bytes: Out<u64>, number: i32) {
        bytes.put(device(number)?.memory())
    }

    fn cuDeviceGetAttribute(value: Out<i32>, attribute: u32, number: i32) {
        value.put(device(number)?.attribute(attribute))
    }

    fn cuDeviceComputeCapability(major: Out<i32>, minor: Out<i32>, number: i32) {
        major.put(device(number)?.capability.0)?;
        minor.put(device(number)?.capability.1)
    }

    fn cuDeviceGetPCIBusId(text: Out<c_char>, room: i32, number: i32) {
        text.put_text(&device(number)?.bus_id(), usize::try_from(room).unwrap_or(0))
    }

    fn cuDeviceGetByPCIBusId(found: Out<i32>, text: Text) {
        let wanted = text.text()?;
        let place = driver()?.devices.iter().position(|device| device.bus_id() == wanted);
        found.put(place.ok_or(INVALID_DEVICE)? as i32)
    }

    fn cuDeviceCanAccessPeer(can: Out<i32>, number: i32, peer: i32) {
        device(number)?;
        device(peer)?;
        can.put(i32::from(number != peer))
    }

    fn cuGetErrorString(code: u32, text: Out<*const c_char>) {
        let known = CODES.iter().find(|(known, ..)| *known == code).ok_or(INVALID_VALUE)?;
        text.put(known.2.as_ptr())
    }

    fn cuGetErrorName(code: u32, text: Out<*const c_char>) {
        let known = CODES.iter().find(|(known, ..)| *known == code).ok_or(INVALID_VALUE)?;
        text.put(known.1.as_ptr())
    }
}
