//! What contexts and code take of a device: measured, since no call says it.
//!
//! The management library tells what each process has of a device; what of it this process did not
//! ask for is contexts, code and what kernels need for themselves. It is looked at after each call
//! that brings some, and now and then. Absent on purpose: any of this where the container has the
//! whole memory of the device; and where the driver does not name the process, as an old one does
//! not in a container, it is the agent's to see from outside.

use crate::tenant::{self, own, refund, reserve};
use crate::truth;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use weft_cuda_abi::ledger::DEVICES_MAX;

/// How often it is looked at when no call brings any, in nanoseconds: a question takes up to a
/// millisecond, so it is a thousandth of the time at most.
const EACH_NS: u64 = 1_000_000_000;
/// Processes of a device that are looked through.
const PROCESSES_MAX: usize = 256;
/// What the management library says where it does not know.
const UNKNOWN: u64 = u64::MAX;

/// The public structure `nvmlProcessInfo_t` of the third revision.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct Holder {
    process: u32,
    bytes: u64,
    instances: [u32; 2],
}

/// What is counted of each device, in the container's order.
static COUNTED: Mutex<[u64; DEVICES_MAX]> = Mutex::new([0; DEVICES_MAX]);

/// When each was looked at.
static LOOKED: [AtomicU64; DEVICES_MAX] = [const { AtomicU64::new(0) }; DEVICES_MAX];

fn counted() -> MutexGuard<'static, [u64; DEVICES_MAX]> {
    COUNTED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A moment of the system's steady clock, to a few milliseconds, without asking the system.
fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: room for the answer; the clock is always there.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &raw mut time) };
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// The management library's handle of a device.
fn handle(uuid: &[u8; 16]) -> Option<usize> {
    static OPEN: OnceLock<bool> = OnceLock::new();
    if !*OPEN.get_or_init(|| truth::management_init() == 0) {
        return None;
    }
    let hex: String = uuid.iter().map(|byte| format!("{byte:02x}")).collect();
    let part = |from: usize, to: usize| &hex[from..to];
    let parts = [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)];
    let text = format!("GPU-{}\0", parts.join("-"));
    let mut device = 0;
    (truth::management_device(text.as_ptr(), &raw mut device) == 0).then_some(device)
}

/// Bytes of a device that nobody has, by the management library.
pub(crate) fn free(uuid: &[u8; 16]) -> Option<u64> {
    let (device, mut memory) = (handle(uuid)?, [0; 3]);
    (truth::management_memory(device, &raw mut memory) == 0).then_some(memory[1])
}

/// Bytes of a device that this process has, by the management library.
fn has(uuid: &[u8; 16]) -> Option<u64> {
    let (device, mut count) = (handle(uuid)?, PROCESSES_MAX as u32);
    let mut all = [Holder { process: 0, bytes: 0, instances: [0; 2] }; PROCESSES_MAX];
    let found = truth::management_holders(device, &raw mut count, all.as_mut_ptr()) == 0;
    let all = all.get(..count as usize).filter(|_| found)?;
    let own = all.iter().find(|holder| holder.process == std::process::id())?;
    (own.bytes != UNKNOWN).then_some(own.bytes)
}

/// Counts what contexts and code take of a device; false where that is more than there is left.
///
/// Where this process takes or gives back meanwhile the figure is of no moment, and nothing is
/// counted until the next time.
pub(crate) fn settle(device: i32) -> bool {
    let Some((place, uuid)) = tenant::slice(device) else { return true };
    let (before, was) = (own(place), counted()[place]);
    LOOKED[place].store(now(), Ordering::Relaxed);
    let Some(has) = has(&uuid) else { return true };
    let mut counted = counted();
    if own(place) != before || counted[place] != was {
        return true;
    }
    let is = has.saturating_sub(before.saturating_sub(was));
    if is > was && !reserve(device, is - was) {
        return false;
    }
    counted[place] = is;
    drop(counted);
    refund(device, was.saturating_sub(is));
    true
}

/// Looks at a device when it was not looked at for a while. Where there is more than is left, what
/// is left counts: nothing else is to be had then.
pub(crate) fn now_and_then(device: i32) {
    let Some((place, uuid)) = tenant::slice(device) else { return };
    if now().saturating_sub(LOOKED[place].load(Ordering::Relaxed)) < EACH_NS || settle(device) {
        return;
    }
    let (limit, held) = tenant::memory(&uuid);
    let left = limit.saturating_sub(held);
    if reserve(device, left) {
        counted()[place] += left;
    }
}

/// Looks at every device: something ended.
pub(crate) fn settle_all() {
    let mut count = 0;
    truth::device_count(&raw mut count);
    (0..count).for_each(|device| _ = settle(device));
}
