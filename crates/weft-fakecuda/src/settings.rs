//! What the variable `WEFT_FAKECUDA` says: words apart by spaces, each a name and a value.
//!
//! Where it is not set, a file beside the library says it, named [`FILE`]: a program in a container
//! inherits no environment, and a server that is to take the stand-in for its driver has none of
//! ours either.
//!
//! ```text
//! WEFT_FAKECUDA="devices=2xH200-141 kernel=20us kernel.train=3ms clock=virtual \
//!                trace=/tmp/calls fault=cuMemAlloc_v2@3:2"
//! ```
//!
//! | word | says | without it |
//! |--|--|--|
//! | `devices` | as `weft up --simulate` | none |
//! | `version` | the driver's, 1000 × major + 10 × minor | [`VERSION`] |
//! | `kernel`, `kernel.<name>` | how long a kernel keeps the device: `ns`, `us`, `ms` | [`KERNEL_NS`] |
//! | `context`, `module` | what a context, and an image in one, takes of a device: `KiB`, `MiB` | nothing |
//! | `neighbour` | what another process holds of each device: `KiB`, `MiB` | nothing |
//! | `clock` | `virtual`: whoever waits moves the time; `real` | `virtual` |
//! | `shared` | a file of eight bytes for each device, by which processes share their time | own devices |
//! | `state` | a folder for what outlives a process: MIG instances, and errors and health to be told | none |
//! | `trace` | calls are written to this file, the process's and the thread's number behind it | no trace |
//! | `checkpoint` | `on`: processes can be suspended, each by itself or by others | they cannot |
//! | `fault` | at the n-th call of a symbol: a result's number, or `crash` | no fault |
//!
//! A word that is not understood ends the process, with a sentence: a test that asked for something
//! else than it gets would prove nothing.

use std::collections::BTreeMap;
use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use weft_device::Kind;

/// The driver's version if nothing is said: that of the newest headers the tables know.
pub(crate) const VERSION: u32 = 13_050;

/// How long a kernel keeps a device if nothing is said, in nanoseconds: a small one.
pub(crate) const KERNEL_NS: u64 = 10_000;

/// The file that says what no environment does.
const FILE: &str = "weft-fakecuda";

/// Most devices: as many as a machine has that is sold.
const DEVICES_MAX: usize = 16;

/// What the stand-in is to be.
#[derive(Debug, Default)]
pub(crate) struct Settings {
    /// The devices' kinds, in order, and whether each is divided in MIG instances.
    pub(crate) devices: Vec<(&'static Kind, bool)>,
    /// The driver's version.
    pub(crate) version: u32,
    /// Nanoseconds that kernels take, by name; the empty name is all others.
    pub(crate) kernels: BTreeMap<String, u64>,
    /// Bytes that a context takes of its device, and an image in one.
    pub(crate) context: u64,
    /// See above.
    pub(crate) module: u64,
    /// Bytes of each device that another process holds.
    pub(crate) neighbour: u64,
    /// Whether waiting takes real time.
    pub(crate) real_clock: bool,
    /// A file by which processes share the devices' time: eight bytes for each device.
    pub(crate) shared: Option<String>,
    /// A folder for what outlives the process.
    pub(crate) state: Option<String>,
    /// Where calls are written.
    pub(crate) trace: Option<String>,
    /// Whether processes can be suspended.
    pub(crate) checkpoint: bool,
    /// Calls that fail.
    pub(crate) faults: Vec<Fault>,
}

/// A call that fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Of which symbol.
    pub(crate) symbol: String,
    /// The how manieth call, from 1.
    pub(crate) call: u64,
    /// What it answers; none ends the process at once.
    pub(crate) code: Option<u32>,
}

impl Settings {
    /// What the environment says, else the file beside the library.
    ///
    /// # Errors
    /// A sentence that names the word that is not understood.
    pub(crate) fn read() -> Result<Self, String> {
        let beside = || std::fs::read_to_string(folder()?.join(FILE)).ok();
        let said = std::env::var("WEFT_FAKECUDA").ok().or_else(beside);
        Self::parse(&said.unwrap_or_default())
    }

    fn parse(text: &str) -> Result<Self, String> {
        let mut it = Self { version: VERSION, ..Self::default() };
        it.kernels.insert(String::new(), KERNEL_NS);
        for word in text.split_whitespace() {
            it.take(word).ok_or_else(|| format!("WEFT_FAKECUDA: `{word}` is not understood"))?;
        }
        Ok(it)
    }

    fn take(&mut self, word: &str) -> Option<()> {
        let (name, value) = word.split_once('=')?;
        match name {
            "devices" => self.devices = devices(value)?,
            "context" => self.context = bytes(value)?,
            "module" => self.module = bytes(value)?,
            "neighbour" => self.neighbour = bytes(value)?,
            "version" => self.version = value.parse().ok()?,
            "clock" => {
                self.real_clock = match value {
                    "real" => true,
                    "virtual" => false,
                    _ => return None,
                }
            }
            "shared" => self.shared = Some(value.to_owned()),
            "state" => self.state = Some(value.to_owned()),
            "trace" => self.trace = Some(value.to_owned()),
            "checkpoint" if value == "on" => self.checkpoint = true,
            "fault" => self.faults.push(fault(value)?),
            _ => {
                let kernel = name.strip_prefix("kernel")?;
                let kernel = kernel.strip_prefix('.').or(kernel.is_empty().then_some(""))?;
                self.kernels.insert(kernel.to_owned(), nanoseconds(value)?);
            }
        }
        Some(())
    }

    /// How long a kernel keeps the device.
    pub(crate) fn kernel_ns(&self, name: &str) -> u64 {
        let named = self.kernels.get(name).or_else(|| self.kernels.get(""));
        named.copied().unwrap_or(KERNEL_NS)
    }
}

/// The folder this library was loaded from, as its loader was told.
fn folder() -> Option<PathBuf> {
    let here: fn() -> Option<PathBuf> = folder;
    // SAFETY: room for the answer, of which zeros are a legal value; the address is this code's.
    let name = unsafe {
        let mut found: libc::Dl_info = std::mem::zeroed();
        let known = libc::dladdr(here as *const libc::c_void, &raw mut found) != 0;
        (known && !found.dli_fname.is_null()).then(|| CStr::from_ptr(found.dli_fname))
    };
    Some(Path::new(OsStr::from_bytes(name?.to_bytes())).parent()?.to_owned())
}

/// `2xH200-141,L4-24,A100-40:mig`.
fn devices(value: &str) -> Option<Vec<(&'static Kind, bool)>> {
    let mut found = Vec::new();
    for group in value.split(',') {
        let (count, label) = match group.split_once('x') {
            Some((count, label)) if count.bytes().all(|b| b.is_ascii_digit()) => {
                (count.parse::<usize>().ok()?, label)
            }
            _ => (1, group),
        };
        let (label, mig) = match label.strip_suffix(":mig") {
            Some(label) => (label, true),
            None => (label, false),
        };
        let kind = Kind::by_label(label).filter(|kind| kind.mig.is_some() || !mig)?;
        found.extend(std::iter::repeat_n((kind, mig), count.min(DEVICES_MAX + 1)));
    }
    (found.len() <= DEVICES_MAX).then_some(found)
}

/// `cuMemAlloc_v2@3:2`, `cuLaunchKernel@1:crash`.
fn fault(value: &str) -> Option<Fault> {
    let (symbol, rest) = value.split_once('@')?;
    let (call, code) = rest.split_once(':')?;
    let code = if code == "crash" { None } else { Some(code.parse().ok()?) };
    Some(Fault { symbol: symbol.to_owned(), call: call.parse().ok()?, code })
}

fn nanoseconds(value: &str) -> Option<u64> {
    measure(value, &[("ns", 1), ("us", 1000), ("ms", 1_000_000)])
}

fn bytes(value: &str) -> Option<u64> {
    measure(value, &[("KiB", 1 << 10), ("MiB", 1 << 20)])
}

/// A number with one of these units.
fn measure(value: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (number, unit) = value.split_at(value.find(|c: char| !c.is_ascii_digit())?);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_understood_or_said() {
        let text = "devices=2xH200-141,A100-40:mig kernel=5us kernel.train=3ms clock=real \
                    trace=/tmp/calls fault=cuMemAlloc_v2@3:2 fault=cuInit@1:crash";
        let it = Settings::parse(text).expect("all are words");
        let labels: Vec<_> = it.devices.iter().map(|(kind, mig)| (kind.label, *mig)).collect();
        assert_eq!(labels, [("H200-141", false), ("H200-141", false), ("A100-40", true)]);
        assert_eq!((it.kernel_ns("train"), it.kernel_ns("other")), (3_000_000, 5_000));
        assert!(it.real_clock);
        let fault = Fault { symbol: "cuMemAlloc_v2".to_owned(), call: 3, code: Some(2) };
        assert_eq!(it.faults[0], fault);
        assert_eq!(it.faults[1].code, None);
        for wrong in [
            "devices=H9000-1",
            "devices=L4-24:mig",
            "devices=17xL4-24",
            "clock=fast",
            "kernel=3",
            "context=9",
            "speed=9",
            "checkpoint=maybe",
        ] {
            let error = Settings::parse(wrong).expect_err(wrong);
            assert_eq!(error, format!("WEFT_FAKECUDA: `{wrong}` is not understood"));
        }
    }
}
