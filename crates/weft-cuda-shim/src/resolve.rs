//! `cuGetProcAddress`: the driver answers, and an answer that is hooked is exchanged.
//!
//! Which revision a name means at a version stays the driver's to say. The exchange is by the
//! address it gives, so that whatever leads to a hooked function leads to its hook.

use crate::export::stand_in;
use std::ffi::c_char;

/// Exchanges an answer.
fn exchange(out: *mut usize) {
    if out.is_null() {
        return;
    }
    // SAFETY: the driver has just answered there.
    let code = unsafe { out.read_unaligned() };
    if code != 0 {
        // SAFETY: as above.
        unsafe { out.write_unaligned(stand_in(code)) };
    }
}

hooks! {
    [cuGetProcAddress] (name: *const c_char, out: *mut usize, version: i32, flags: u64) |real| {
        let result = real(name, out, version, flags);
        if result == 0 {
            exchange(out);
        }
        result
    }

    [cuGetProcAddress_v2]
    (name: *const c_char, out: *mut usize, version: i32, flags: u64, status: *mut u32) |real| {
        let result = real(name, out, version, flags, status);
        if result == 0 {
            exchange(out);
        }
        result
    }
}
