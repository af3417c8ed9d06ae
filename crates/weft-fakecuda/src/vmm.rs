//! Addresses and memory apart: reserved, created, mapped, opened, and the same backwards.
//!
//! Memory is a file of its own, so that it can be handed to another process as a descriptor. It
//! counts as taken until its last handle and its last mapping are gone, as with the driver: who
//! releases the handle of what is mapped still holds it.

use crate::call::{In, Out};
use crate::driver::{State, driver, with};
use crate::memory::{Block, Kind};
use crate::outcome::{
    INVALID_HANDLE, INVALID_VALUE, NOT_SUPPORTED, OUT_OF_MEMORY, Outcome, UNKNOWN,
};
use rustix::fs::{MemfdFlags, fstat, ftruncate, memfd_create};
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap, mmap_anonymous, mprotect, munmap};
use std::os::fd::{BorrowedFd, IntoRawFd, OwnedFd};

/// Memory is created, and addresses reserved, in multiples of this.
pub(crate) const GRANULE: u64 = 2 << 20;
/// Where reserved addresses begin; the same in each run.
const WINDOW: u64 = 0x4000_0000_0000;
/// The kind of handle that is a file's descriptor.
const DESCRIPTOR: u32 = 1;

/// Memory without an address of its own.
#[derive(Debug)]
pub(crate) struct Physical {
    file: OwnedFd,
    bytes: u64,
    /// Where it is, as the creator said it.
    properties: Properties,
    /// Handles that were created, imported or retained and not released.
    handles: u32,
    /// Where it is mapped.
    maps: Vec<u64>,
    /// Whether it was taken here, and counts here.
    own: bool,
}

/// The beginning of the public structure `CUmemAllocationProp`.
#[derive(Debug, Clone, Copy, Default)]
#[repr(C)]
pub(crate) struct Properties {
    kind: u32,
    handles: u32,
    place: u32,
    device: i32,
    rest: [u64; 2],
}

/// The public structure `CUmemAccessDesc`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct Access {
    place: u32,
    device: i32,
    flags: u32,
}

fn system<T>(result: rustix::io::Result<T>) -> Outcome<T> {
    result.map_err(|_| UNKNOWN)
}

/// A size or an address that memory can have here.
fn is_whole(number: u64) -> bool {
    number > 0 && number.is_multiple_of(GRANULE)
}

fn reserve(bytes: u64, wanted: u64) -> Outcome<u64> {
    if !is_whole(bytes) {
        return Err(INVALID_VALUE);
    }
    let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED_NOREPLACE;
    with(|state| {
        let next = state.reserved.max(WINDOW);
        let tries = [wanted, next].into_iter().filter(|at| *at > 0);
        for at in tries {
            // SAFETY: nothing is replaced: the kernel refuses where it is not free.
            let got =
                unsafe { mmap_anonymous(at as *mut _, bytes as usize, ProtFlags::empty(), flags) };
            if let Ok(got) = got {
                state.reserved = state.reserved.max(got as u64 + bytes);
                return Ok(got as u64);
            }
        }
        Err(OUT_OF_MEMORY)
    })
}

fn create(bytes: u64, properties: Properties) -> Outcome<u64> {
    let device = usize::try_from(properties.device).map_err(|_| INVALID_VALUE)?;
    driver()?.devices.get(device).ok_or(INVALID_VALUE)?;
    let limit = crate::mps::limit_of(device)?;
    if !is_whole(bytes) || properties.kind != 1 || properties.place != 1 {
        return Err(INVALID_VALUE);
    }
    with(|state| {
        if state.used[device].checked_add(bytes).is_none_or(|used| used > limit) {
            return Err(OUT_OF_MEMORY);
        }
        let file = system(memfd_create("weft-fakecuda-vmm", MemfdFlags::CLOEXEC))?;
        system(ftruncate(&file, bytes))?;
        state.used[device] += bytes;
        let (handles, maps) = (1, Vec::new());
        Ok(state.physical.add(Physical { file, bytes, properties, handles, maps, own: true }))
    })
}

impl Physical {
    /// The memory.
    pub(crate) fn file(&self) -> &OwnedFd {
        &self.file
    }

    /// Whether it was taken here, and counts here.
    pub(crate) fn is_own(&self) -> bool {
        self.own
    }
}

impl State {
    /// Addresses that nobody has, for something else that is mapped.
    pub(crate) fn window(&mut self, bytes: u64) -> u64 {
        let at = self.reserved.max(WINDOW);
        self.reserved = (at + bytes).next_multiple_of(GRANULE);
        at
    }

    /// Ends memory that nobody has any more.
    fn end_if_unheld(&mut self, handle: u64) -> Outcome {
        let physical = self.physical.get(handle)?;
        if physical.handles == 0 && physical.maps.is_empty() {
            if physical.own {
                self.used[physical.properties.device as usize] -= physical.bytes;
            }
            self.physical.remove(handle)?;
        }
        Ok(())
    }

    /// The memory that is mapped at an address, and where it begins.
    fn mapped(&self, address: u64) -> Outcome<(u64, u64)> {
        let covers = |at: u64, bytes: u64| (at..at + bytes).contains(&address);
        let found = self.physical.iter().find_map(|(handle, physical)| {
            let at = physical.maps.iter().find(|at| covers(**at, physical.bytes))?;
            Some((handle, *at))
        });
        found.ok_or(INVALID_VALUE)
    }
}

fn map(at: u64, bytes: u64, handle: u64) -> Outcome {
    with(|state| {
        let physical = state.physical.get_mut(handle)?;
        if physical.bytes != bytes || !at.is_multiple_of(GRANULE) || at < WINDOW {
            return Err(INVALID_VALUE);
        }
        let flags = MapFlags::SHARED | MapFlags::NORESERVE | MapFlags::FIXED;
        // SAFETY: what is replaced is a reservation of the caller, as it says.
        let got = unsafe {
            mmap(at as *mut _, bytes as usize, ProtFlags::empty(), flags, &physical.file, 0)
        };
        system(got)?;
        physical.maps.push(at);
        let device = physical.properties.device as usize;
        state.blocks.insert(at, Block { kind: Kind::Mapped, bytes, device, context: 0 });
        Ok(())
    })
}

fn unmap(at: u64, bytes: u64) -> Outcome {
    with(|state| {
        let end = at.checked_add(bytes).ok_or(INVALID_VALUE)?;
        let mut next = at;
        while next < end {
            let (handle, start) = state.mapped(next)?;
            let physical = state.physical.get_mut(handle)?;
            if start != next || start + physical.bytes > end {
                return Err(INVALID_VALUE);
            }
            let size = physical.bytes;
            let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED;
            // SAFETY: a mapping of `map`, which becomes a reservation again.
            system(unsafe {
                mmap_anonymous(start as *mut _, size as usize, ProtFlags::empty(), flags)
            })?;
            physical.maps.retain(|map| *map != start);
            state.blocks.remove(&start);
            state.end_if_unheld(handle)?;
            next += size;
        }
        Ok(())
    })
}

fn import(descriptor: i32) -> Outcome<u64> {
    if descriptor < 0 {
        return Err(INVALID_VALUE);
    }
    // SAFETY: the caller's, open at least until this call is over.
    let file = unsafe { BorrowedFd::borrow_raw(descriptor) };
    let file = file.try_clone_to_owned().map_err(|_| INVALID_VALUE)?;
    let bytes = system(fstat(&file))?.st_size as u64;
    let properties = Properties { kind: 1, handles: DESCRIPTOR, place: 1, ..Default::default() };
    let physical = Physical { file, bytes, properties, handles: 1, maps: Vec::new(), own: false };
    with(|state| Ok(state.physical.add(physical)))
}

calls! {
    fn cuMemGetAllocationGranularity(out: Out<u64>, properties: In<Properties>, _option: u32) {
        properties.get()?;
        out.put(GRANULE)
    }

    fn cuMemAddressReserve(out: Out<u64>, bytes: u64, _alignment: u64, wanted: u64, _flags: u64) {
        out.put(reserve(bytes, wanted)?)
    }

    fn cuMemAddressFree(at: u64, bytes: u64) {
        if at < WINDOW || !is_whole(bytes) {
            return Err(INVALID_VALUE);
        }
        // SAFETY: a reservation of the caller, as it says.
        system(unsafe { munmap(at as *mut _, bytes as usize) })
    }

    fn cuMemCreate(out: Out<u64>, bytes: u64, properties: In<Properties>, _flags: u64) {
        out.put(create(bytes, properties.get()?)?)
    }

    fn cuMemRelease(handle: u64) {
        with(|state| {
            let physical = state.physical.get_mut(handle)?;
            physical.handles = physical.handles.checked_sub(1).ok_or(INVALID_HANDLE)?;
            state.end_if_unheld(handle)
        })
    }

    fn cuMemMap(at: u64, bytes: u64, offset: u64, handle: u64, _flags: u64) {
        if offset == 0 { map(at, bytes, handle) } else { Err(INVALID_VALUE) }
    }

    fn cuMemUnmap(at: u64, bytes: u64) {
        unmap(at, bytes)
    }

    fn cuMemSetAccess(at: u64, bytes: u64, access: In<Access>, count: u64) {
        let Access { flags, .. } = access.get()?;
        if count == 0 || !is_whole(bytes) || at < WINDOW {
            return Err(INVALID_VALUE);
        }
        let access = match flags {
            0 => MprotectFlags::empty(),
            1 => MprotectFlags::READ,
            _ => MprotectFlags::READ | MprotectFlags::WRITE,
        };
        // SAFETY: a mapping of the caller, as it says.
        system(unsafe { mprotect(at as *mut _, bytes as usize, access) })
    }

    fn cuMemRetainAllocationHandle(out: Out<u64>, at: u64) {
        let handle = with(|state| {
            let (handle, _) = state.mapped(at)?;
            state.physical.get_mut(handle)?.handles += 1;
            Ok(handle)
        })?;
        out.put(handle)
    }

    fn cuMemGetAllocationPropertiesFromHandle(out: Out<Properties>, handle: u64) {
        out.put(with(|state| Ok(state.physical.get(handle)?.properties))?)
    }

    fn cuMemExportToShareableHandle(out: Out<i32>, handle: u64, kind: u32, _flags: u64) {
        if kind != DESCRIPTOR {
            return Err(NOT_SUPPORTED);
        }
        let file = with(|state| {
            state.physical.get(handle)?.file.try_clone().map_err(|_| UNKNOWN)
        })?;
        out.put(file.into_raw_fd())
    }

    fn cuMemImportFromShareableHandle(out: Out<u64>, descriptor: u64, kind: u32) {
        if kind != DESCRIPTOR {
            return Err(NOT_SUPPORTED);
        }
        out.put(import(descriptor as i32)?)
    }
}
