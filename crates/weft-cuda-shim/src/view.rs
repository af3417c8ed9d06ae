//! How much memory there is: the slice's, and of it what the container has left.
//!
//! What a device is called, its identifier and its place on the bus stay true.

use crate::{pool, tenant, truth};

/// The result of a call that went well.
const SUCCESS: u32 = 0;
/// Room for a device's identifier as a text, by NVML's header.
const UUID_ROOM: u32 = 96;

/// The slice of the current device: what is free of it, and all.
fn slice() -> Option<(u64, u64)> {
    let mut device = -1;
    if truth::current_device(&raw mut device) != SUCCESS {
        return None;
    }
    pool::settle_all();
    let (limit, held) = tenant::memory(&tenant::uuid(device)?);
    Some((limit.saturating_sub(held), limit))
}

/// Writes over what the driver has answered; where that was less it stays, since others may hold
/// what the slice was promised.
fn lower<T: Copy + PartialOrd>(place: *mut T, value: T) {
    if place.is_null() {
        return;
    }
    // SAFETY: the driver has just answered there.
    let answered = unsafe { place.read_unaligned() };
    if value < answered {
        // SAFETY: as above.
        unsafe { place.write_unaligned(value) };
    }
}

fn short(bytes: u64) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// The identifier of a device of the management library.
fn managed(device: usize) -> Option<[u8; 16]> {
    let mut text = [0; UUID_ROOM as usize];
    if truth::management_uuid(device, text.as_mut_ptr(), UUID_ROOM) != SUCCESS {
        return None;
    }
    let digits: Vec<u8> =
        text.strip_prefix(b"GPU-")?.iter().copied().filter(u8::is_ascii_hexdigit).collect();
    let mut uuid = [0; 16];
    for (byte, pair) in uuid.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    (digits.len() == 32).then_some(uuid)
}

/// The public structures `nvmlMemory_t` and, with a version and what is reserved, its second form:
/// where total, free and used stand.
fn manage<const WORDS: usize>(device: usize, memory: *mut [u64; WORDS], at: [usize; 3]) {
    if memory.is_null() {
        return;
    }
    let (limit, held) = managed(device).map_or((0, 0), |uuid| tenant::memory(&uuid));
    // SAFETY: the library has just answered there.
    let mut words = unsafe { memory.read_unaligned() };
    // Where there is less than the slice was promised, that is what there is.
    words[at[0]] = limit.min(words[at[0]]);
    words[at[1]] = limit.saturating_sub(held).min(words[at[1]]);
    words[at[2]] = held;
    // SAFETY: as above.
    unsafe { memory.write_unaligned(words) };
}

/// The public structures `nvmlProcessInfo_v1_t`, and of the second and third revision: a process,
/// its bytes and, in the latter, its instances.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct Holder<const MORE: usize> {
    process: u32,
    bytes: u64,
    more: [u64; MORE],
}

/// `NVML_ERROR_NOT_SUPPORTED`.
const NOT_SUPPORTED: u32 = 3;

/// Whether the container may not use all memory of a device of the management library.
fn is_slice(device: usize) -> bool {
    let mut memory = [0; 3];
    let known = truth::management_memory(device, &raw mut memory) == SUCCESS;
    known && managed(device).is_none_or(|uuid| tenant::is_slice_of(&uuid, memory[0]))
}

/// Leaves those processes of a device in the list that are the container's: neighbours are nobody's
/// to see.
fn ours<const MORE: usize>(device: usize, count: *mut u32, all: *mut Holder<MORE>) {
    if !is_slice(device) || count.is_null() || all.is_null() {
        return;
    }
    // SAFETY: the library has just answered there.
    let listed = unsafe { count.read_unaligned() } as usize;
    let mut kept = 0;
    for at in 0..listed {
        // SAFETY: as above: so many stand there.
        let holder = unsafe { all.add(at).read_unaligned() };
        if tenant::is_ours(holder.process) {
            // SAFETY: as above.
            unsafe { all.add(kept).write_unaligned(holder) };
            kept += 1;
        }
    }
    // SAFETY: as above.
    unsafe { count.write_unaligned(kept as u32) };
}

hooks! {
    [
        nvmlDeviceGetComputeRunningProcesses_v2, nvmlDeviceGetComputeRunningProcesses_v3,
        nvmlDeviceGetGraphicsRunningProcesses_v2, nvmlDeviceGetGraphicsRunningProcesses_v3,
        nvmlDeviceGetMPSComputeRunningProcesses_v2, nvmlDeviceGetMPSComputeRunningProcesses_v3
    ] (device: usize, count: *mut u32, all: *mut Holder<1>) |real| {
        let result = real(device, count, all);
        if result == SUCCESS {
            ours(device, count, all);
        }
        result
    }

    [
        nvmlDeviceGetComputeRunningProcesses, nvmlDeviceGetGraphicsRunningProcesses,
        nvmlDeviceGetMPSComputeRunningProcesses
    ] (device: usize, count: *mut u32, all: *mut Holder<0>) |real| {
        let result = real(device, count, all);
        if result == SUCCESS {
            ours(device, count, all);
        }
        result
    }

    [cuMemGetInfo_v2] (free: *mut u64, total: *mut u64) |real| {
        let result = real(free, total);
        if let Some((left, limit)) = slice().filter(|_| result == SUCCESS) {
            lower(free, left);
            lower(total, limit);
        }
        result
    }

    [cuMemGetInfo] (free: *mut u32, total: *mut u32) |real| {
        let result = real(free, total);
        if let Some((left, limit)) = slice().filter(|_| result == SUCCESS) {
            lower(free, short(left));
            lower(total, short(limit));
        }
        result
    }

    [cuDeviceTotalMem_v2] (bytes: *mut u64, device: i32) |real| {
        let result = real(bytes, device);
        if result == SUCCESS {
            lower(bytes, tenant::uuid(device).map_or(0, |uuid| tenant::memory(&uuid).0));
        }
        result
    }

    [cuDeviceTotalMem] (bytes: *mut u32, device: i32) |real| {
        let result = real(bytes, device);
        if result == SUCCESS {
            lower(bytes, short(tenant::uuid(device).map_or(0, |uuid| tenant::memory(&uuid).0)));
        }
        result
    }

    [nvmlDeviceGetMemoryInfo] (device: usize, memory: *mut [u64; 3]) |real| {
        let result = real(device, memory);
        if result == SUCCESS {
            manage(device, memory, [0, 1, 2]);
        }
        result
    }

    [nvmlDeviceGetMemoryInfo_v2] (device: usize, memory: *mut [u64; 5]) |real| {
        let result = real(device, memory);
        if result == SUCCESS {
            manage(device, memory, [1, 3, 4]);
        }
        result
    }

    // What processes of a device do, and did, in forms that nobody asks for but to watch others.
    [nvmlDeviceGetRunningProcessDetailList, nvmlDeviceGetProcessesUtilizationInfo]
    (device: usize, all: usize) |real| {
        if is_slice(device) { NOT_SUPPORTED } else { real(device, all) }
    }

    [nvmlDeviceGetAccountingPids, nvmlDeviceGetAccountingStats]
    (device: usize, which: usize, all: usize) |real| {
        if is_slice(device) { NOT_SUPPORTED } else { real(device, which, all) }
    }

    [nvmlDeviceGetProcessUtilization]
    (device: usize, all: usize, count: usize, since: u64) |real| {
        if is_slice(device) { NOT_SUPPORTED } else { real(device, all, count, since) }
    }
}
