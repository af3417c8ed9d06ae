//! Code that is brought onto a device, and what kernels may take for themselves: measured after the
//! call, and taken away again where there is no room for it.

use crate::memory::OUT_OF_MEMORY;
use crate::{overhead, truth};

/// The current device; none without a context.
fn current() -> Option<i32> {
    let mut device = -1;
    (truth::current_device(&raw mut device) == 0).then_some(device)
}

/// Counts what a call has brought; it is undone where there is no room.
fn brought(result: u32, out: *mut u64, undo: fn(u64) -> u32) -> u32 {
    if result != 0 || out.is_null() || current().is_none_or(overhead::settle) {
        return result;
    }
    // SAFETY: the driver has just answered there.
    undo(unsafe { out.read_unaligned() });
    OUT_OF_MEMORY
}

fn ended(result: u32) -> u32 {
    current().into_iter().for_each(|device| _ = overhead::settle(device));
    result
}

hooks! {
    [cuModuleLoad, cuModuleLoadData, cuModuleLoadFatBinary] (out: *mut u64, image: usize) |real| {
        brought(real(out, image), out, truth::module_unload)
    }

    [cuModuleLoadDataEx]
    (out: *mut u64, image: usize, count: u32, options: usize, values: usize) |real| {
        brought(real(out, image, count, options, values), out, truth::module_unload)
    }

    [cuLibraryLoadData, cuLibraryLoadFromFile] (
        out: *mut u64, image: usize, options: usize, values: usize, count: u32,
        library_options: usize, library_values: usize, library_count: u32,
    ) |real| {
        let result = real(
            out, image, options, values, count, library_options, library_values, library_count,
        );
        brought(result, out, truth::library_unload)
    }

    [cuModuleUnload, cuLibraryUnload] (image: u64) |real| {
        ended(real(image))
    }

    [cuCtxSetLimit] (limit: u32, value: u64) |real| {
        let mut before = 0;
        let known = truth::context_limit(&raw mut before, limit) == 0;
        let result = real(limit, value);
        if result == 0 && known && !current().is_none_or(overhead::settle) {
            real(limit, before);
            return OUT_OF_MEMORY;
        }
        result
    }
}
