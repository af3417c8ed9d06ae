//! What calls of the driver cost a program, measured: the inner part of `weft bench overhead`.
//!
//! Opens the driver as any program does, by its name, so what stands before it in a container is
//! measured with it. The one kernel is an empty one of our own. Absent on purpose: anything of the
//! device's speed; these are costs of the calls, on the processor's side.

use libloading::{Library, Symbol};
use serde::{Deserialize, Serialize};
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ptr::{null, null_mut};
use std::time::Instant;

/// Calls in a batch: fewer than a driver's queue has room for, so that none waits for the device.
const BATCH: u32 = 256;

/// Batches; the median of them is the figure.
const BATCHES: usize = 64;

/// Bytes taken and copied: small, so that the call is what costs.
const BYTES: usize = 4_096;

/// A kernel that does nothing, for any device of the last ten years.
const NOTHING: &CStr = c".version 6.0
.target sm_50
.address_size 64
.visible .entry weft_nothing()
{
    ret;
}
";

/// How the tests' stand-in for the driver names its devices.
const STAND_IN: &[u8] = b"weft-fakecuda";

/// What one process has measured; times are nanoseconds of a call, but for the start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// From nothing to a context with a kernel, in nanoseconds.
    pub start: f64,
    /// A call that asks for the current device.
    pub pass: f64,
    /// A launch of a kernel.
    pub launch: f64,
    /// Memory taken and given back.
    pub memory: f64,
    /// A copy of 4 KiB to the device.
    pub copy: f64,
    /// The driver's version, 1000 times the major number and 10 times the minor.
    pub driver: i32,
    /// The device's name.
    pub device: String,
    /// Whether the driver is the tests' stand-in, which computes nothing.
    pub stand_in: bool,
}

type Handle = *mut c_void;

/// A function of the driver, called; what it answered as a sentence.
macro_rules! ask {
    ($library:expr, $name:literal, ($($type:ty),*), $($arg:expr),*) => {{
        type Call = unsafe extern "C" fn($($type),*) -> c_uint;
        // SAFETY: the driver's function of this name has this type by its public header.
        let call = unsafe { $library.get::<Call>($name.as_bytes()) };
        let call = call.map_err(|error| error.to_string())?;
        // SAFETY: addresses are of local values of the types named, handles the driver's own.
        match unsafe { call($($arg),*) } {
            0 => Ok(()),
            status => Err(format!("{} answered {status}", $name)),
        }
    }};
}

/// Measures the driver that a program of this process's surroundings finds.
///
/// # Errors
/// A sentence: there is no driver, it has no device, or a call failed.
pub fn measure() -> Result<Figures, String> {
    let begun = Instant::now();
    // SAFETY: what its initialisers do is the driver's own and what every program lets it do.
    let library = unsafe { Library::new("libcuda.so.1") };
    let library = library.map_err(|error| format!("no driver: {error}"))?;
    ask!(library, "cuInit", (c_uint), 0)?;
    let (mut device, mut context, mut module, mut kernel): (c_int, Handle, Handle, Handle) =
        (0, null_mut(), null_mut(), null_mut());
    ask!(library, "cuDeviceGet", (*mut c_int, c_int), &raw mut device, 0)?;
    ask!(library, "cuDevicePrimaryCtxRetain", (*mut Handle, c_int), &raw mut context, device)?;
    ask!(library, "cuCtxSetCurrent", (Handle), context)?;
    let image = NOTHING.as_ptr();
    ask!(library, "cuModuleLoadData", (*mut Handle, *const c_char), &raw mut module, image)?;
    let name = c"weft_nothing".as_ptr();
    let to = &raw mut kernel;
    ask!(library, "cuModuleGetFunction", (*mut Handle, Handle, *const c_char), to, module, name)?;
    let start = begun.elapsed().as_nanos() as f64;
    let (driver, device, stand_in) = whose(&library, device)?;
    Ok(Figures {
        start,
        pass: pass(&library)?,
        launch: launch(&library, kernel)?,
        memory: memory(&library)?,
        copy: copy(&library)?,
        driver,
        device,
        stand_in,
    })
}

/// A function of the driver; who calls says its type by the public header.
fn named<'a, T>(library: &'a Library, name: &str) -> Result<Symbol<'a, T>, String> {
    // SAFETY: nothing is called here; who calls answers for the type.
    let found = unsafe { library.get(name.as_bytes()) };
    found.map_err(|error| error.to_string())
}

fn whose(library: &Library, device: c_int) -> Result<(i32, String, bool), String> {
    let (mut version, mut name, mut uuid) = (0, [0 as c_char; 96], [0_u8; 16]);
    ask!(library, "cuDriverGetVersion", (*mut c_int), &raw mut version)?;
    let room = name.len() as c_int;
    ask!(library, "cuDeviceGetName", (*mut c_char, c_int, c_int), name.as_mut_ptr(), room, device)?;
    ask!(library, "cuDeviceGetUuid", (*mut u8, c_int), uuid.as_mut_ptr(), device)?;
    let bytes = name.map(|c| c.to_ne_bytes()[0]);
    let name = CStr::from_bytes_until_nul(&bytes).map_err(|e| e.to_string())?;
    Ok((version, name.to_string_lossy().into_owned(), uuid.starts_with(STAND_IN)))
}

fn pass(library: &Library) -> Result<f64, String> {
    type Ask = unsafe extern "C" fn(*mut c_int) -> c_uint;
    let call: Symbol<'_, Ask> = named(library, "cuCtxGetDevice")?;
    let mut device: c_int = 0;
    // SAFETY: an address of a local value.
    let one = || unsafe { call(&raw mut device) };
    batches(one, || Ok(()))
}

fn launch(library: &Library, kernel: Handle) -> Result<f64, String> {
    type Launch = unsafe extern "C" fn(
        Handle,
        c_uint,
        c_uint,
        c_uint,
        c_uint,
        c_uint,
        c_uint,
        c_uint,
        Handle,
        *const Handle,
        *const Handle,
    ) -> c_uint;
    let call: Symbol<'_, Launch> = named(library, "cuLaunchKernel")?;
    let none: *const Handle = null();
    // SAFETY: the kernel takes no arguments; one thread of it does nothing.
    let one = || unsafe { call(kernel, 1, 1, 1, 1, 1, 1, 0, null_mut(), none, none) };
    batches(one, || ask!(library, "cuCtxSynchronize", (),))
}

fn memory(library: &Library) -> Result<f64, String> {
    type Take = unsafe extern "C" fn(*mut u64, usize) -> c_uint;
    type Give = unsafe extern "C" fn(u64) -> c_uint;
    let take: Symbol<'_, Take> = named(library, "cuMemAlloc_v2")?;
    let give: Symbol<'_, Give> = named(library, "cuMemFree_v2")?;
    let both = || {
        let mut at = 0;
        // SAFETY: an address of a local value, and what was just taken.
        unsafe { take(&raw mut at, BYTES) | give(at) }
    };
    batches(both, || Ok(()))
}

fn copy(library: &Library) -> Result<f64, String> {
    type Copy = unsafe extern "C" fn(u64, *const u8, usize) -> c_uint;
    let (mut at, from) = (0_u64, [0_u8; BYTES]);
    ask!(library, "cuMemAlloc_v2", (*mut u64, usize), &raw mut at, BYTES)?;
    let call: Symbol<'_, Copy> = named(library, "cuMemcpyHtoD_v2")?;
    // SAFETY: both have room for as many bytes.
    let one = || unsafe { call(at, from.as_ptr(), BYTES) };
    let took = batches(one, || Ok(()))?;
    ask!(library, "cuMemFree_v2", (u64), at)?;
    Ok(took)
}

/// The median over batches of what a call takes; between batches the device is waited for.
fn batches(
    mut call: impl FnMut() -> c_uint,
    settle: impl Fn() -> Result<(), String>,
) -> Result<f64, String> {
    let mut each = Vec::with_capacity(BATCHES);
    for _ in 0..BATCHES {
        let begun = Instant::now();
        let failed = (0..BATCH).map(|_| call()).find(|status| *status != 0);
        let took = begun.elapsed().as_nanos() as f64;
        if let Some(status) = failed {
            return Err(format!("a call failed with {status}"));
        }
        each.push(took / f64::from(BATCH));
        settle()?;
    }
    each.sort_by(f64::total_cmp);
    Ok(each[BATCHES / 2])
}
