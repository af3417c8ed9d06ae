//! Bytes that are copied between the host and a device: what left it, and what came.
//!
//! Copies that say their direction are counted when the driver has accepted them. Those that do
//! not, and those within devices, are not.

use crate::tenant::slot;
use std::sync::atomic::Ordering;

/// Counts bytes that were moved if that went well.
fn count(result: u32, to_device: bool, bytes: u64) -> u32 {
    if let Some(slot) = slot().filter(|_| result == 0) {
        let word = if to_device { &slot.to_device } else { &slot.from_device };
        word.fetch_add(bytes, Ordering::Relaxed);
    }
    result
}

hooks! {
    [cuMemcpyHtoD_v2, cuMemcpyHtoD_v2_ptds] (to: u64, from: usize, bytes: u64) |real| {
        count(real(to, from, bytes), true, bytes)
    }

    [cuMemcpyHtoDAsync_v2, cuMemcpyHtoDAsync_v2_ptsz]
    (to: u64, from: usize, bytes: u64, stream: usize) |real| {
        count(real(to, from, bytes, stream), true, bytes)
    }

    [cuMemcpyDtoH_v2, cuMemcpyDtoH_v2_ptds] (to: usize, from: u64, bytes: u64) |real| {
        count(real(to, from, bytes), false, bytes)
    }

    [cuMemcpyDtoHAsync_v2, cuMemcpyDtoHAsync_v2_ptsz]
    (to: usize, from: u64, bytes: u64, stream: usize) |real| {
        count(real(to, from, bytes, stream), false, bytes)
    }
}
