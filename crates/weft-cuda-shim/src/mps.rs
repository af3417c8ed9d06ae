//! MPS below this library: its variables, and whether it serves a process here and limits it.
//!
//! Where MPS keeps the container's part, its variables are set again when the library is loaded: a
//! program that was started without them would be no client, and say nothing of it.
//!
//! A program that asks for this copy of the library calls [`weft_gpu_try_mps`] in the run's own
//! sandbox and with its environment, and ends with what it answers. The true driver is asked, past
//! this library's own limits: a client with a limit of [`LIMIT`] takes [`WITHIN`], and is refused
//! the whole limit on top. A refusal says nothing where the device has no room for it, so the
//! management library is asked first; where there is none, only that the process is a client is
//! seen, and a trial (the variable [`TRIAL`]) fails.
//!
//! Absent on purpose: any promise about other processes. MPS limits each by itself.

use crate::{tenant, truth};
use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt;
use weft_cuda_abi::mark;

/// What the process may have: more than a context takes by itself.
const LIMIT: u64 = 1 << 30;
/// What it takes.
const WITHIN: u64 = 32 << 20;
/// What the device must have left for a refusal to be the limit's: it, and a context's own memory.
const ROOM: u64 = 2 * LIMIT;
/// After so many seconds a driver that does not answer is given up.
const PATIENCE: u32 = 30;
/// Set where nothing may be left untried; the process then holds what it took until it is ended.
const TRIAL: &CStr = c"WEFT_GPU_TRIAL";
/// The variable by which a client of MPS is limited; the daemon sees one device.
const VARIABLE: &CStr = c"CUDA_MPS_PINNED_DEVICE_MEM_LIMIT";
const VALUE: &CStr = c"0=1G";

/// `CUDA_ERROR_OUT_OF_MEMORY`.
const OUT_OF_MEMORY: u32 = 2;
/// `CU_DEVICE_ATTRIBUTE_MPS_ENABLED`.
const IS_CLIENT: u32 = 133;

/// Sets the variables of the container, where it has some and they are not as they should be. Runs
/// when the library is loaded, before the driver looks at them.
pub(crate) fn keep() {
    let Some(lines) = truth::file("variables").and_then(|path| read(&path)) else { return };
    for line in lines.lines() {
        let Some((name, value)) = line.split_once('=') else { continue };
        let (Ok(name), Ok(value)) = (CString::new(name), CString::new(value)) else { continue };
        // SAFETY: texts. Programs that are started as they should be have it, so that nothing is
        // changed under threads which look at the environment.
        unsafe {
            let now = libc::getenv(name.as_ptr());
            if now.is_null() || CStr::from_ptr(now) != value.as_c_str() {
                libc::setenv(name.as_ptr(), value.as_ptr(), 1);
            }
        }
    }
}

fn read(path: &CStr) -> Option<String> {
    std::fs::read_to_string(std::ffi::OsStr::from_bytes(path.to_bytes())).ok()
}

/// Tries it; [`mark::ANSWERS`] with the layout where it holds, else another number, and a sentence
/// on the standard error. Called once, by a program that does nothing else.
#[unsafe(no_mangle)]
extern "C" fn weft_gpu_try_mps() -> i32 {
    // SAFETY: the process has one thread, and nothing of the driver's was called.
    let trial = unsafe {
        libc::alarm(PATIENCE);
        libc::setenv(VARIABLE.as_ptr(), VALUE.as_ptr(), 1);
        !libc::getenv(TRIAL.as_ptr()).is_null()
    };
    match tried(trial) {
        Ok(()) => {
            if trial {
                say(libc::STDOUT_FILENO, "holds");
                // SAFETY: no time is left to be given up, and nothing is done until the end.
                unsafe {
                    libc::alarm(0);
                    libc::pause();
                }
            }
            mark::answer()
        }
        Err(why) => {
            say(libc::STDERR_FILENO, &why);
            1
        }
    }
}

fn say(to: i32, text: &str) {
    let line = format!("{text}\n");
    // SAFETY: the text and its length.
    unsafe { libc::write(to, line.as_ptr().cast(), line.len()) };
}

fn ask(what: &str, result: u32) -> Result<(), String> {
    if result == 0 { Ok(()) } else { Err(format!("{what} answered {result}")) }
}

fn tried(trial: bool) -> Result<(), String> {
    let device = part()?;
    let (mut is_client, mut context) = (0, 0);
    // A driver that does not know the attribute does not tell.
    let told = truth::attribute(&raw mut is_client, IS_CLIENT, device) == 0;
    if told && is_client == 0 {
        return Err("the driver runs it without MPS".to_owned());
    }
    let free = tenant::uuid(device).and_then(|uuid| crate::overhead::free(&uuid)).unwrap_or(0);
    ask("a context", truth::primary_retain(&raw mut context, device))?;
    ask("a context", truth::push(context))?;
    let (mut within, mut above) = (0, 0);
    ask("32 MiB within a limit of 1 GiB", truth::take(&raw mut within, WITHIN))?;
    if free < ROOM {
        if trial || !told {
            return Err(format!("{} MiB of the device are free, too few to try", free >> 20));
        }
        return Ok(());
    }
    match truth::take(&raw mut above, LIMIT) {
        OUT_OF_MEMORY => Ok(()),
        0 => Err("1 GiB above the limit of 1 GiB was given".to_owned()),
        other => Err(format!("1 GiB above the limit answered {other}, not out of memory")),
    }
}

/// The driver's number of the device that the run has a part of.
fn part() -> Result<i32, String> {
    ask("cuInit", truth::init(0))?;
    let mut count = 0;
    ask("the number of devices", truth::device_count(&raw mut count))?;
    let ours =
        |number: &i32| tenant::uuid(*number).is_some_and(|uuid| tenant::memory(&uuid) != (0, 0));
    (0..count).find(ours).ok_or_else(|| "the driver shows no device of its part".to_owned())
}
