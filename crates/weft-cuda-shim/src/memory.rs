//! Memory that is taken and given back: reserved before the call, given back if that fails.
//!
//! Memory that is taken in the order of a stream is in `pool.rs`, what graphs take by themselves in
//! `graph.rs`. What is taken in a way that is not counted is refused: memory that several devices
//! share.

use crate::tenant::{refund, reserve};
use crate::{overhead, pool, truth};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

/// `CUDA_ERROR_OUT_OF_MEMORY`.
pub(crate) const OUT_OF_MEMORY: u32 = 2;
/// `CUDA_ERROR_NOT_SUPPORTED`.
const NOT_SUPPORTED: u32 = 801;
/// Rows of a pitched allocation are rounded to this at least; what the driver took more is added.
const PITCH: u64 = 512;
/// Parts of the table of what was taken, so that threads seldom meet.
const SHARDS: usize = 16;

/// Memory that was taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken {
    /// On which device.
    pub(crate) device: i32,
    /// In which context.
    pub(crate) context: u64,
    bytes: u64,
    /// The how manieth that this process took.
    serial: u64,
}

/// How many times this process has taken memory.
static SERIAL: AtomicU64 = AtomicU64::new(0);

/// What was taken, by address or handle.
type Table = HashMap<u64, Taken>;

static TAKEN: LazyLock<[Mutex<Table>; SHARDS]> =
    LazyLock::new(|| std::array::from_fn(|_| Mutex::default()));

fn shard(key: u64) -> MutexGuard<'static, Table> {
    // Addresses end with zeros; multiplying brings the others up.
    let at = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60;
    TAKEN[at as usize % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
}

/// The current context and its device; none where there is no context.
fn current() -> Option<(u64, i32)> {
    let (mut context, mut device) = (0, -1);
    let found = truth::current_device(&raw mut device) == 0
        && truth::current_context(&raw mut context) == 0;
    found.then_some((context, device))
}

/// Reserves memory of a device; pools may have shrunk since they were looked at.
pub(crate) fn room(device: i32, bytes: u64) -> bool {
    reserve(device, bytes) || {
        pool::settle_all();
        reserve(device, bytes)
    }
}

/// Takes memory of the current device: `call` takes it, and `answer` reads its address then.
///
/// Without a context, with nothing to take or nowhere to answer, the driver says what is wrong.
pub(crate) fn take<T>(
    out: *mut T,
    bytes: u64,
    call: impl FnOnce() -> u32,
    answer: fn(*mut T) -> u64,
) -> u32 {
    let wanted = current().filter(|_| bytes > 0 && !out.is_null());
    let Some((_, device)) = wanted else { return call() };
    overhead::now_and_then(device);
    if !room(device, bytes) {
        return OUT_OF_MEMORY;
    }
    let result = call();
    if result == 0 {
        note(answer(out), device, bytes);
    } else {
        refund(device, bytes);
    }
    result
}

/// An answer of 64 bits.
pub(crate) fn long(out: *mut u64) -> u64 {
    // SAFETY: the driver has just answered there.
    unsafe { out.read_unaligned() }
}

/// An answer of 32 bits: what the first revisions gave.
fn short(out: *mut u32) -> u64 {
    // SAFETY: the driver has just answered there.
    u64::from(unsafe { out.read_unaligned() })
}

/// Notes memory that is counted already, of the current context.
pub(crate) fn note(at: u64, device: i32, bytes: u64) {
    let context = current().map_or(0, |(context, _)| context);
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    shard(at).insert(at, Taken { device, context, bytes, serial });
}

/// A moment in the order in which this process takes memory.
pub(crate) fn moment() -> u64 {
    SERIAL.load(Ordering::Relaxed)
}

/// Ends what was taken before a moment in contexts that are gone since: another thread may have
/// been given the same context anew.
pub(crate) fn end(before: u64, gone: impl Fn(&Taken) -> bool) {
    let gone = |taken: &Taken| taken.serial < before && gone(taken);
    let mut ended = Vec::new();
    for shard in TAKEN.iter() {
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        ended.extend(shard.extract_if(|_, taken| gone(taken)).map(|(_, taken)| taken));
    }
    ended.into_iter().for_each(|taken| refund(taken.device, taken.bytes));
}

/// Gives memory back. Its entry goes first: the driver may give the address to another thread as
/// soon as it has it.
pub(crate) fn give_back(key: u64, call: impl FnOnce() -> u32) -> u32 {
    let entry = shard(key).remove(&key);
    let result = call();
    match entry {
        Some(taken) if result == 0 => refund(taken.device, taken.bytes),
        Some(taken) => _ = shard(key).insert(key, taken),
        None => {}
    }
    result
}

/// Gives back memory that may be a pool's.
fn free(at: u64, call: impl FnOnce() -> u32) -> u32 {
    pool::give_back(at, call).unwrap_or_else(|call| give_back(at, call))
}

/// The public structures `CUDA_ARRAY_DESCRIPTOR` and `CUDA_ARRAY3D_DESCRIPTOR`; the second has a
/// depth after the height.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct Array<const DIMENSIONS: usize> {
    extent: [u64; DIMENSIONS],
    format: u32,
    channels: u32,
}

impl<const DIMENSIONS: usize> Array<DIMENSIONS> {
    /// Bytes of all elements; a dimension of zero is none. Saturating: what overflows is too much.
    fn bytes(&self) -> u64 {
        let elements = self.extent.iter().map(|n| (*n).max(1)).fold(1, u64::saturating_mul);
        // By the public numbers of formats: 8, 16 and 32 bits; what is not known is the widest.
        let width = match self.format {
            0x01 | 0x08 => 1,
            0x02 | 0x09 | 0x10 => 2,
            _ => 4,
        };
        elements.saturating_mul(u64::from(self.channels.max(1))).saturating_mul(width)
    }
}

/// An array; `levels` of halved extents are less than twice the first.
fn array<const N: usize>(
    out: *mut u64,
    descriptor: *const Array<N>,
    levels: u32,
    call: impl FnOnce() -> u32,
) -> u32 {
    if descriptor.is_null() {
        return call();
    }
    // SAFETY: the caller's to give, as for the driver.
    let bytes = unsafe { descriptor.read_unaligned() }.bytes();
    take(out, if levels > 1 { bytes.saturating_mul(2) } else { bytes }, call, long)
}

hooks! {
    [cuMemAlloc_v2] (out: *mut u64, bytes: u64) |real| {
        take(out, bytes, || real(out, bytes), long)
    }

    [cuMemAlloc] (out: *mut u32, bytes: u32) |real| {
        take(out, u64::from(bytes), || real(out, bytes), short)
    }

    [cuMemAllocManaged] (out: *mut u64, bytes: u64, flags: u32) |real| {
        take(out, bytes, || real(out, bytes, flags), long)
    }

    [cuMemAllocPitch_v2]
    (out: *mut u64, pitch: *mut u64, width: u64, height: u64, element: u32) |real| {
        let row = width.checked_next_multiple_of(PITCH).unwrap_or(u64::MAX);
        let bytes = row.saturating_mul(height);
        let result = take(out, bytes, || real(out, pitch, width, height, element), long);
        if let Some((_, device)) = current().filter(|_| result == 0 && !pitch.is_null()) {
            // SAFETY: the driver has just answered there.
            let (at, pitch) = unsafe { (out.read_unaligned(), pitch.read_unaligned()) };
            let more = pitch.saturating_mul(height).saturating_sub(bytes);
            // What the rows are longer than expected is small; it counts where it fits.
            if more > 0 && reserve(device, more) {
                match shard(at).get_mut(&at) {
                    Some(taken) => taken.bytes += more,
                    None => refund(device, more),
                }
            }
        }
        result
    }

    [cuMemAllocPitch]
    (out: *mut u32, pitch: *mut u32, width: u32, height: u32, element: u32) |real| {
        let row = width.checked_next_multiple_of(PITCH as u32).unwrap_or(u32::MAX);
        let bytes = row.saturating_mul(height);
        take(out, u64::from(bytes), || real(out, pitch, width, height, element), short)
    }

    [cuMemFree_v2] (at: u64) |real| {
        free(at, || real(at))
    }

    [cuMemFree] (at: u32) |real| {
        give_back(u64::from(at), || real(at))
    }

    [cuMemFreeAsync, cuMemFreeAsync_ptsz] (at: u64, stream: usize) |real| {
        free(at, || real(at, stream))
    }

    [cuArrayCreate_v2] (out: *mut u64, descriptor: *const Array<2>) |real| {
        array(out, descriptor, 1, || real(out, descriptor))
    }

    [cuArray3DCreate_v2] (out: *mut u64, descriptor: *const Array<3>) |real| {
        array(out, descriptor, 1, || real(out, descriptor))
    }

    [cuMipmappedArrayCreate] (out: *mut u64, descriptor: *const Array<3>, levels: u32) |real| {
        array(out, descriptor, levels, || real(out, descriptor, levels))
    }

    [cuArrayDestroy, cuMipmappedArrayDestroy] (array: u64) |real| {
        give_back(array, || real(array))
    }

    // Not counted, so not had: 32-bit descriptors of arrays, memory that several devices share.
    [cuArrayCreate, cuArray3DCreate, cuMulticastCreate] (_out: usize, _what: usize) |_real| {
        NOT_SUPPORTED
    }
}
