//! Errors of devices as the management library tells them: numbers that a test writes.
//!
//! With the word `state`, each line of the file `xid` in its folder is a device and an error's
//! number; who waits is told those written since its set was made. Without it nothing ever happens.

use crate::call::Out;
use crate::nvml::{INVALID_ARGUMENT, UNSUPPORTED, device, handle_of};
use crate::outcome::{Code, Outcome};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// `NVML_ERROR_TIMEOUT`.
const TIMEOUT: Code = Code(10);

/// The one sort of event there is: critical errors, by the number in the public header.
const XID: u64 = 8;

/// Between two looks at the file.
const LOOK: Duration = Duration::from_millis(5);

/// The one set; a process that made several would be told each error once.
const SET: u64 = 1;

/// Lines already told.
static TOLD: AtomicUsize = AtomicUsize::new(0);

/// The public structure `nvmlEventData_t`.
#[repr(C)]
pub(crate) struct Event {
    device: u64,
    sort: u64,
    data: u64,
    instance: u32,
    compute: u32,
}

/// The lines of the file: device, number.
fn written() -> Vec<(usize, u64)> {
    let Some(folder) = &crate::watch::settings().state else { return Vec::new() };
    let path = std::path::Path::new(folder).join("xid");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    // A line that is not ended yet is being written.
    let ended = text.rsplit_once('\n').map_or("", |(ended, _)| ended);
    let line = |line: &str| {
        let (device, number) = line.split_once(' ')?;
        Some((device.parse().ok()?, number.parse().ok()?))
    };
    ended.lines().filter_map(line).collect()
}

fn next() -> Option<Event> {
    let told = TOLD.load(Ordering::Relaxed);
    let (place, number) = *written().get(told)?;
    TOLD.store(told + 1, Ordering::Relaxed);
    // No instance is meant: all bits.
    let none = u32::MAX;
    let device = handle_of(place);
    Some(Event { device, sort: XID, data: number, instance: none, compute: none })
}

fn wait(set: u64, out: Out<Event>, milliseconds: u32) -> Outcome {
    if set != SET || out.is_null() {
        return Err(INVALID_ARGUMENT);
    }
    let until = Instant::now() + Duration::from_millis(milliseconds.into());
    loop {
        if let Some(event) = next() {
            return out.put(event);
        }
        if Instant::now() >= until {
            return Err(TIMEOUT);
        }
        std::thread::sleep(LOOK);
    }
}

calls! {
    fn nvmlEventSetCreate(set: Out<u64>) {
        set.put(SET).map_err(|_| INVALID_ARGUMENT)?;
        TOLD.store(written().len(), Ordering::Relaxed);
        Ok(())
    }

    fn nvmlEventSetFree(_set: u64) {
        Ok(())
    }

    fn nvmlDeviceRegisterEvents(handle: u64, sorts: u64, set: u64) {
        device(handle)?;
        match (sorts, set) {
            (XID, SET) => Ok(()),
            (_, SET) => Err(UNSUPPORTED),
            _ => Err(INVALID_ARGUMENT),
        }
    }

    fn nvmlEventSetWait_v2(set: u64, out: Out<Event>, milliseconds: u32) {
        wait(set, out, milliseconds)
    }
}
