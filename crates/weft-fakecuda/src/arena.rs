//! A device's memory: one sparse file in memory, mapped once, and who holds which part of it.
//!
//! An address on the device is the address in this process, so that copies are copies. Parts begin
//! at multiples of [`GRAIN`]; a part that is given back is empty again, and joins its neighbours.
//! The window is wider than the device, because the real one maps scattered memory to addresses in
//! a row: what is limited is the amount, never the room for addresses.

use crate::outcome::{INVALID_VALUE, OUT_OF_MEMORY, Outcome, UNKNOWN};
use rustix::fs::{
    FallocateFlags, MemfdFlags, Mode, OFlags, fallocate, ftruncate, memfd_create, open,
};
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, mmap_anonymous};
use rustix::process::{Resource, getrlimit};
use std::collections::BTreeMap;
use std::os::fd::{AsRawFd, OwnedFd};

/// Parts begin at multiples of so many bytes, as the driver's do.
const GRAIN: u64 = 512;

/// The window in which addresses of devices lie, and its part for each: below what the system gives
/// out by itself, and the same in each run.
const WINDOW: u64 = 0x2000_0000_0000;
const WINDOW_PER_DEVICE: u64 = 0x0200_0000_0000;

/// So many times the device's memory are addresses.
const SLACK: u64 = 4;

const PAGE: u64 = 4096;

/// A device's memory.
#[derive(Debug)]
pub(crate) struct Arena {
    file: OwnedFd,
    base: u64,
    /// Parts in use, by address, and their sizes.
    used: BTreeMap<u64, u64>,
    /// Parts that are free, likewise; neighbours are one.
    free: BTreeMap<u64, u64>,
}

impl Arena {
    /// Of a device, by its place, with so many bytes.
    pub(crate) fn new(device: usize, bytes: u64) -> Outcome<Self> {
        let span = (bytes * SLACK).min(WINDOW_PER_DEVICE);
        let base = WINDOW + device as u64 * WINDOW_PER_DEVICE;
        let (base_at, length) = (base as *mut _, span as usize);
        let access = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::SHARED | MapFlags::NORESERVE | MapFlags::FIXED_NOREPLACE;
        let (file, at) = if limited(span) {
            // Nobody can be handed what is not a file: whoever maps this one is refused.
            let none = open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
            // SAFETY: as below.
            (none, unsafe { mmap_anonymous(base_at, length, access, flags) })
        } else {
            let file = memfd_create("weft-fakecuda", MemfdFlags::CLOEXEC).map_err(|_| UNKNOWN)?;
            ftruncate(&file, span).map_err(|_| UNKNOWN)?;
            // SAFETY: nothing is replaced: the kernel refuses where the window is not free.
            let at = unsafe { mmap(base_at, length, access, flags, &file, 0) };
            (Ok(file), at)
        };
        let (file, at) = (file.map_err(|_| UNKNOWN)?, at.map_err(|_| UNKNOWN)? as u64);
        let (used, free) = (BTreeMap::new(), BTreeMap::from([(at, span)]));
        Ok(Self { file, base: at, used, free })
    }

    /// The file.
    pub(crate) fn file(&self) -> &OwnedFd {
        &self.file
    }

    /// Where an address lies in the file, and the file's descriptor.
    pub(crate) fn place(&self, at: u64) -> (i32, u64) {
        (self.file.as_raw_fd(), at - self.base)
    }

    /// What so many bytes count.
    pub(crate) fn rounded(bytes: u64) -> Outcome<u64> {
        bytes.checked_next_multiple_of(GRAIN).ok_or(OUT_OF_MEMORY)
    }

    /// Takes a part: the first that is wide enough.
    pub(crate) fn take(&mut self, bytes: u64) -> Outcome<u64> {
        let size = Self::rounded(bytes)?;
        let wide = self.free.iter().find(|(_, free)| **free >= size);
        let (at, free) = wide.map(|(at, free)| (*at, *free)).ok_or(OUT_OF_MEMORY)?;
        self.free.remove(&at);
        if free > size {
            self.free.insert(at + size, free - size);
        }
        self.used.insert(at, size);
        Ok(at)
    }

    /// Gives a part back, by its first address; its size.
    pub(crate) fn give_back(&mut self, at: u64) -> Outcome<u64> {
        let size = self.used.remove(&at).ok_or(INVALID_VALUE)?;
        self.empty(at, size);
        let (mut start, mut end) = (at, at + size);
        if let Some(after) = self.free.remove(&end) {
            end += after;
        }
        let before = self.free.range(..start).next_back().map(|(at, size)| (*at, *size));
        if let Some((before, size)) = before.filter(|(at, size)| at + size == start) {
            self.free.remove(&before);
            start = before;
            debug_assert!(start + size == at, "neighbours are one");
        }
        self.free.insert(start, end - start);
        Ok(size)
    }

    /// Gives whole pages of a part back to the system.
    fn empty(&self, at: u64, size: u64) {
        let start = (at - self.base).next_multiple_of(PAGE);
        let end = (at - self.base + size) / PAGE * PAGE;
        if end > start {
            let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            if fallocate(&self.file, flags, start, end - start).is_err() {
                let (from, length) = ((self.base + start) as *mut _, (end - start) as usize);
                // What stays is only kept longer.
                // SAFETY: whole pages of a part that nobody holds any more.
                let _ = unsafe { madvise(from, length, Advice::LinuxRemove) };
            }
        }
    }
}

/// Whether this process may not make a file so long: one in a container that limits its disk.
fn limited(bytes: u64) -> bool {
    getrlimit(Resource::Fsize).current.is_some_and(|most| most < bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_never_overlap_and_join_again() {
        // A device beyond those that a test in this process would make.
        let mut arena = Arena::new(30, 1 << 20).expect("the window is free");
        let whole = arena.free.clone();
        let mut held = Vec::new();
        let mut seed = 7u64;
        for _ in 0..2000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let number = seed >> 33;
            if number.is_multiple_of(3) && !held.is_empty() {
                let at = held.swap_remove(number as usize % held.len());
                arena.give_back(at).expect("it is held");
            } else if let Ok(at) = arena.take(number % 9000 + 1) {
                held.push(at);
            }
            let ends = arena.used.iter().chain(&arena.free).map(|(at, size)| (*at, at + size));
            let mut ends: Vec<_> = ends.collect();
            ends.sort_unstable();
            assert!(ends.windows(2).all(|pair| pair[0].1 == pair[1].0), "no gap, no overlap");
        }
        held.into_iter().for_each(|at| assert!(arena.give_back(at).is_ok()));
        assert_eq!(arena.free, whole);
        assert_eq!(arena.give_back(whole.keys().next().copied().unwrap_or(0)), Err(INVALID_VALUE));
    }
}
