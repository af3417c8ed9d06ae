//! Memory of others: of another process by a handle of 64 bytes, and of another library.
//!
//! It stays on the device for as long as anybody has it, also when whoever took it is gone. So it
//! counts for everyone who has it: handing memory over does not pay for more. Memory that is
//! created apart from its addresses is in `mapped.rs`.

use crate::memory::{self, OUT_OF_MEMORY};
use crate::tenant::reserve;
use crate::truth;

/// The attribute by its public number: the device that memory is of.
const DEVICE: u32 = 9;

/// The public structure `CUipcMemHandle`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct Handle([u64; 8]);

/// Counts memory of another process; it is closed again where there is no room.
fn opened(result: u32, out: *mut u64) -> u32 {
    if result != 0 || out.is_null() {
        return result;
    }
    // SAFETY: the driver has just answered there.
    let at = unsafe { out.read_unaligned() };
    let (mut base, mut bytes, mut device) = (0, 0, -1);
    let known = truth::address_range(&raw mut base, &raw mut bytes, at) == 0
        && truth::pointer_number(&raw mut device, DEVICE, at) == 0;
    if known && reserve(device, bytes) {
        memory::note(at, device, bytes);
        return result;
    }
    truth::close_handle(at);
    OUT_OF_MEMORY
}

/// The beginning of the public structure `CUDA_EXTERNAL_MEMORY_HANDLE_DESC`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct External {
    kind: u32,
    handle: [u64; 2],
    bytes: u64,
}

hooks! {
    [cuIpcOpenMemHandle, cuIpcOpenMemHandle_v2] (out: *mut u64, handle: Handle, flags: u32) |real| {
        opened(real(out, handle, flags), out)
    }

    [cuIpcCloseMemHandle] (at: u64) |real| {
        memory::give_back(at, || real(at))
    }

    [cuImportExternalMemory] (out: *mut u64, what: *const External) |real| {
        if what.is_null() {
            return real(out, what);
        }
        // SAFETY: the caller's to give, as for the driver.
        let bytes = unsafe { what.read_unaligned() }.bytes;
        memory::take(out, bytes, || real(out, what), memory::long)
    }

    [cuDestroyExternalMemory] (memory: u64) |real| {
        memory::give_back(memory, || real(memory))
    }
}
