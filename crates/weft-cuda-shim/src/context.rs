//! Contexts that end: what was taken in them is given back with them.
//!
//! A context is one that a program made, or the one of its device. The latter ends when its last
//! user releases it, which the driver knows.

use crate::{memory, overhead, pool, truth};
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Contexts that the program made, and did not end yet.
static MADE: Mutex<BTreeSet<u64>> = Mutex::new(BTreeSet::new());

fn made() -> MutexGuard<'static, BTreeSet<u64>> {
    MADE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes a context that was made; it is ended again where there is no room for it.
fn make(result: u32, out: *mut u64, device: i32) -> u32 {
    if result != 0 || out.is_null() {
        return result;
    }
    // SAFETY: the driver has just answered there.
    let context = unsafe { out.read_unaligned() };
    if !overhead::settle(device) {
        truth::context_destroy(context);
        overhead::settle(device);
        return memory::OUT_OF_MEMORY;
    }
    made().insert(context);
    result
}

fn end(context: u64, call: impl FnOnce() -> u32) -> u32 {
    let (before, known) = (memory::moment(), made().remove(&context));
    let result = call();
    if result == 0 {
        memory::end(before, |taken| taken.context == context);
        pool::settle_all();
        overhead::settle_all();
    } else if known {
        made().insert(context);
    }
    result
}

/// Looks whether the context of a device has ended with a call.
fn released(device: i32, call: impl FnOnce() -> u32) -> u32 {
    let before = memory::moment();
    let result = call();
    let (mut flags, mut active) = (0, 1);
    let asked = truth::primary_state(device, &raw mut flags, &raw mut active);
    if result == 0 && asked == 0 && active == 0 {
        let made = made().clone();
        memory::end(before, |taken| taken.device == device && !made.contains(&taken.context));
        pool::settle_all();
        overhead::settle(device);
    }
    result
}

hooks! {
    [cuCtxCreate, cuCtxCreate_v2] (out: *mut u64, flags: u32, device: i32) |real| {
        make(real(out, flags, device), out, device)
    }

    [cuCtxCreate_v3]
    (out: *mut u64, affinity: usize, count: i32, flags: u32, device: i32) |real| {
        make(real(out, affinity, count, flags, device), out, device)
    }

    [cuCtxCreate_v4] (out: *mut u64, how: usize, flags: u32, device: i32) |real| {
        make(real(out, how, flags, device), out, device)
    }

    [cuCtxDestroy, cuCtxDestroy_v2] (context: u64) |real| {
        end(context, || real(context))
    }

    [cuDevicePrimaryCtxRetain] (out: *mut u64, device: i32) |real| {
        let result = real(out, device);
        if result == 0 && !overhead::settle(device) {
            truth::primary_release(device);
            overhead::settle(device);
            return memory::OUT_OF_MEMORY;
        }
        result
    }

    [cuDevicePrimaryCtxRelease, cuDevicePrimaryCtxRelease_v2] (device: i32) |real| {
        released(device, || real(device))
    }

    [cuDevicePrimaryCtxReset, cuDevicePrimaryCtxReset_v2] (device: i32) |real| {
        released(device, || real(device))
    }
}
