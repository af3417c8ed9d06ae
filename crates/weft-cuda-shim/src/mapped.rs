//! Memory that is created apart from its addresses: PyTorch's expandable segments, and NCCL's.
//!
//! What is created counts until its last handle is released and its last mapping is gone, as it
//! stays on the device so long, also when whoever created it is gone: what is imported counts for
//! the importer too, from when it is mapped and its size is known. A handle that
//! was released may be given again for other memory while the first is still mapped, so memory has
//! a number of its own here. What a call gives back goes out of the list before the call: as soon
//! as the driver has it, another thread may be given the same handle.

use crate::memory::{self, OUT_OF_MEMORY};
use crate::place::Properties;
use crate::tenant::{self, refund};
use crate::{overhead, truth};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What this process has created, and where it is mapped.
#[derive(Debug)]
struct Created {
    next: u64,
    memory: BTreeMap<u64, Memory>,
    /// The memory of each handle that is held.
    handles: BTreeMap<u64, u64>,
    /// Handles that were imported and not mapped yet, and the device of each.
    imported: BTreeMap<u64, i32>,
    /// By the first address of a mapping: its bytes and its memory.
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

static CREATED: Mutex<Created> = Mutex::new(Created {
    next: 0,
    memory: BTreeMap::new(),
    handles: BTreeMap::new(),
    imported: BTreeMap::new(),
    maps: BTreeMap::new(),
});

fn created() -> MutexGuard<'static, Created> {
    CREATED.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Created {
    fn add(&mut self, handle: u64, device: i32, bytes: u64) {
        self.next += 1;
        self.memory.insert(self.next, Memory { device, bytes, references: 1, maps: 0 });
        self.handles.insert(handle, self.next);
    }

    /// The memory that is mapped at an address.
    fn at(&self, address: u64) -> Option<u64> {
        let (start, (bytes, memory)) = self.maps.range(..=address).next_back()?;
        (address - start < *bytes).then_some(*memory)
    }

    /// Counts a mapping of a handle's memory; the memory, if it is known.
    fn map(&mut self, at: u64, bytes: u64, handle: u64) -> Option<u64> {
        let number = *self.handles.get(&handle)?;
        self.memory.get_mut(&number)?.maps += 1;
        self.maps.insert(at, (bytes, number));
        Some(number)
    }

    /// Takes the mappings of a range out of the list.
    fn unmap(&mut self, at: u64, bytes: u64) -> Vec<(u64, (u64, u64))> {
        let range = at..at.saturating_add(bytes);
        let gone: Vec<_> = self.maps.range(range).map(|(at, map)| (*at, *map)).collect();
        for (at, (_, number)) in &gone {
            self.maps.remove(at);
            if let Some(memory) = self.memory.get_mut(number) {
                memory.maps = memory.maps.saturating_sub(1);
            }
        }
        gone
    }

    /// Takes one hold of a handle out of the list; its memory, if that is known.
    fn release(&mut self, handle: u64) -> Option<u64> {
        let number = *self.handles.get(&handle)?;
        let memory = self.memory.get_mut(&number)?;
        memory.references = memory.references.saturating_sub(1);
        if memory.references == 0 {
            self.handles.remove(&handle);
        }
        Some(number)
    }

    /// One more hold of a handle of this memory.
    fn hold(&mut self, handle: u64, number: u64) {
        if let Some(memory) = self.memory.get_mut(&number) {
            memory.references += 1;
            self.handles.insert(handle, number);
        }
    }

    /// Ends memory that nobody has any more; its device and bytes.
    fn end_if_unheld(&mut self, number: u64) -> Option<(i32, u64)> {
        let memory = self.memory.get(&number)?;
        if memory.references > 0 || memory.maps > 0 {
            return None;
        }
        self.memory.remove(&number).map(|memory| (memory.device, memory.bytes))
    }
}

/// Gives back what nobody has any more of this memory.
fn settle(number: u64) {
    let ended = created().end_if_unheld(number);
    if let Some((device, bytes)) = ended {
        refund(device, bytes);
    }
}

/// The device of memory; none where it is the host's.
fn place(handle: u64) -> Option<i32> {
    // The structure has 32 bytes so far; there is room for more.
    let mut words = [0_u64; 16];
    if truth::properties(&raw mut words, handle) != 0 {
        return None;
    }
    Properties::of([words[0], words[1]]).device()
}

hooks! {
    [cuMemCreate]
    (out: *mut u64, bytes: u64, properties: *const Properties, flags: u64) |real| {
        if out.is_null() || properties.is_null() {
            return real(out, bytes, properties, flags);
        }
        // SAFETY: the caller's to give, as for the driver.
        let device = unsafe { properties.read_unaligned() }.device();
        // Of a device that there is not, and before there are any, the driver says so.
        let device = device.filter(|device| bytes > 0 && tenant::uuid(*device).is_some());
        let Some(device) = device else { return real(out, bytes, properties, flags) };
        overhead::now_and_then(device);
        if !memory::room(device, bytes) {
            return OUT_OF_MEMORY;
        }
        let result = real(out, bytes, properties, flags);
        if result == 0 {
            // SAFETY: the driver has just answered there.
            created().add(unsafe { out.read_unaligned() }, device, bytes);
        } else {
            refund(device, bytes);
        }
        result
    }

    [cuMemRelease] (handle: u64) |real| {
        created().imported.remove(&handle);
        let number = created().release(handle);
        let result = real(handle);
        if let Some(number) = number {
            if result != 0 {
                created().hold(handle, number);
            }
            settle(number);
        }
        result
    }

    [cuMemImportFromShareableHandle] (out: *mut u64, handle: u64, kind: u32) |real| {
        let result = real(out, handle, kind);
        if result == 0 && !out.is_null() {
            // SAFETY: the driver has just answered there.
            let handle = unsafe { out.read_unaligned() };
            let device = place(handle);
            let mut created = created();
            match created.handles.get(&handle).copied() {
                Some(number) => created.hold(handle, number),
                None => device.into_iter().for_each(|device| {
                    created.imported.insert(handle, device);
                }),
            }
        }
        result
    }

    [cuMemRetainAllocationHandle] (out: *mut u64, address: u64) |real| {
        let result = real(out, address);
        if result == 0 && !out.is_null() {
            let mut created = created();
            if let Some(number) = created.at(address) {
                // SAFETY: the driver has just answered there.
                created.hold(unsafe { out.read_unaligned() }, number);
            }
        }
        result
    }

    [cuMemMap] (at: u64, bytes: u64, offset: u64, handle: u64, flags: u64) |real| {
        let imported = created().imported.get(&handle).copied();
        if let Some(device) = imported {
            if !memory::room(device, bytes) {
                return OUT_OF_MEMORY;
            }
            // It counts until it is released and unmapped, like what was created here.
            let mut created = created();
            created.imported.remove(&handle);
            created.add(handle, device, bytes);
        }
        // Where something is mapped already the driver refuses, and what is there stays.
        let free = created().at(at).is_none();
        let number = if free { created().map(at, bytes, handle) } else { None };
        let result = real(at, bytes, offset, handle, flags);
        if let Some(number) = number.filter(|_| result != 0) {
            created().unmap(at, 1);
            settle(number);
        }
        result
    }

    [cuMemUnmap] (at: u64, bytes: u64) |real| {
        let gone = created().unmap(at, bytes);
        let result = real(at, bytes);
        for (at, (bytes, number)) in gone {
            if result != 0 {
                let mut created = created();
                created.maps.insert(at, (bytes, number));
                if let Some(memory) = created.memory.get_mut(&number) {
                    memory.maps += 1;
                }
            }
            settle(number);
        }
        result
    }
}
