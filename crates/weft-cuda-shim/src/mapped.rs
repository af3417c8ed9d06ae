//! Memory that is created apart from its addresses: PyTorch's expandable segments, and NCCL's.
//!
//! What is created counts until its last handle is released and its last mapping is gone, as it
//! stays on the device so long. What is imported was charged to whoever created it.

use crate::memory::OUT_OF_MEMORY;
use crate::tenant::{refund, reserve};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What this process has created, and where it is mapped.
#[derive(Debug, Default)]
struct Created {
    /// By handle.
    handles: BTreeMap<u64, Memory>,
    /// By the first address of a mapping: its bytes and its handle.
    maps: BTreeMap<u64, (u64, u64)>,
}

/// Memory that was created.
#[derive(Debug)]
struct Memory {
    device: i32,
    bytes: u64,
    /// Handles that were created or retained, and not released.
    references: u64,
    /// Mappings of it.
    maps: u64,
}

static CREATED: Mutex<Created> =
    Mutex::new(Created { handles: BTreeMap::new(), maps: BTreeMap::new() });

fn created() -> MutexGuard<'static, Created> {
    CREATED.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Created {
    /// Takes memory that nobody has any more out of the list; its device and bytes.
    fn end_if_unheld(&mut self, handle: u64) -> Option<(i32, u64)> {
        let memory = self.handles.get(&handle)?;
        let unheld = memory.references == 0 && memory.maps == 0;
        let memory = if unheld { self.handles.remove(&handle)? } else { return None };
        Some((memory.device, memory.bytes))
    }

    /// The handle of what is mapped at an address.
    fn at(&self, address: u64) -> Option<u64> {
        let (start, (bytes, handle)) = self.maps.range(..=address).next_back()?;
        (address < start + bytes).then_some(*handle)
    }
}

/// The beginning of the public structure `CUmemAllocationProp`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
struct Properties {
    kind: u32,
    handles: u32,
    place: u32,
    device: i32,
}

/// The kind of place that is a device; others are the host's memory.
const ON_DEVICE: u32 = 1;

hooks! {
    [cuMemCreate]
    (out: *mut u64, bytes: u64, properties: *const Properties, flags: u64) |real| {
        if out.is_null() || properties.is_null() {
            return real(out, bytes, properties, flags);
        }
        // SAFETY: the caller's to give, as for the driver.
        let Properties { place, device, .. } = unsafe { properties.read_unaligned() };
        if place != ON_DEVICE || bytes == 0 {
            return real(out, bytes, properties, flags);
        }
        if !reserve(device, bytes) {
            return OUT_OF_MEMORY;
        }
        let result = real(out, bytes, properties, flags);
        if result == 0 {
            // SAFETY: the driver has just answered there.
            let handle = unsafe { out.read_unaligned() };
            let memory = Memory { device, bytes, references: 1, maps: 0 };
            created().handles.insert(handle, memory);
        } else {
            refund(device, bytes);
        }
        result
    }

    [cuMemRelease] (handle: u64) |real| {
        let result = real(handle);
        if result == 0 {
            let ended = {
                let mut created = created();
                if let Some(memory) = created.handles.get_mut(&handle) {
                    memory.references = memory.references.saturating_sub(1);
                }
                created.end_if_unheld(handle)
            };
            ended.into_iter().for_each(|(device, bytes)| refund(device, bytes));
        }
        result
    }

    [cuMemRetainAllocationHandle] (out: *mut u64, address: u64) |real| {
        let result = real(out, address);
        if result == 0 && !out.is_null() {
            // SAFETY: the driver has just answered there.
            let handle = unsafe { out.read_unaligned() };
            let mut created = created();
            let known = created.at(address);
            if let Some(memory) = known.and_then(|known| created.handles.get_mut(&known)) {
                memory.references += 1;
            }
            debug_assert!(known.is_none_or(|known| known == handle), "one handle for one memory");
        }
        result
    }

    [cuMemMap] (at: u64, bytes: u64, offset: u64, handle: u64, flags: u64) |real| {
        let result = real(at, bytes, offset, handle, flags);
        if result == 0 {
            let mut created = created();
            if let Some(memory) = created.handles.get_mut(&handle) {
                memory.maps += 1;
                created.maps.insert(at, (bytes, handle));
            }
        }
        result
    }

    [cuMemUnmap] (at: u64, bytes: u64) |real| {
        let result = real(at, bytes);
        if result == 0 {
            let mut ended = Vec::new();
            {
                let mut created = created();
                let gone: Vec<_> = created
                    .maps
                    .range(at..at.saturating_add(bytes))
                    .map(|(at, (_, handle))| (*at, *handle))
                    .collect();
                for (at, handle) in gone {
                    created.maps.remove(&at);
                    if let Some(memory) = created.handles.get_mut(&handle) {
                        memory.maps = memory.maps.saturating_sub(1);
                    }
                    ended.extend(created.end_if_unheld(handle));
                }
            }
            ended.into_iter().for_each(|(device, bytes)| refund(device, bytes));
        }
        result
    }
}
