//! Memory of one process in another, by a handle of 64 bytes.
//!
//! A handle says where the memory's file is open, and which part of it is meant; whoever opens it
//! maps that part. It counts for the process that took it, and stays as long as it is mapped.
//! Absent so far: events of other processes.

use crate::call::Out;
use crate::context::current;
use crate::driver::with;
use crate::memory::{Block, Kind};
use crate::outcome::{INVALID_HANDLE, INVALID_VALUE, Outcome, UNKNOWN};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// What a handle begins with.
const MARK: u64 = u64::from_le_bytes(*b"weftipc\0");
const PAGE: u64 = 4096;

/// The public structure `CUipcMemHandle`: 64 bytes that only we look into.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct Handle {
    mark: u64,
    process: u64,
    descriptor: u64,
    /// Where in the file the memory begins, and its bytes.
    offset: u64,
    bytes: u64,
    device: u64,
    rest: [u64; 2],
}

fn handle(address: u64) -> Outcome<Handle> {
    with(|state| {
        let (at, block) = state.block(address).ok_or(INVALID_VALUE)?;
        if block.kind != Kind::Device {
            return Err(INVALID_VALUE);
        }
        let arena = state.arenas[block.device].as_ref().ok_or(INVALID_VALUE)?;
        let (descriptor, offset) = arena.place(at);
        Ok(Handle {
            mark: MARK,
            process: u64::from(std::process::id()),
            descriptor: u64::from(descriptor.cast_unsigned()),
            offset,
            bytes: block.bytes,
            device: block.device as u64,
            rest: [0; 2],
        })
    })
}

fn open(handle: Handle) -> Outcome<u64> {
    let context = current()?;
    if handle.mark != MARK || handle.process == u64::from(std::process::id()) {
        return Err(INVALID_VALUE);
    }
    let path = format!("/proc/{}/fd/{}", handle.process, handle.descriptor);
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path);
    let file = file.map_err(|_| INVALID_HANDLE)?;
    let first = handle.offset / PAGE * PAGE;
    let span = (handle.offset + handle.bytes - first).next_multiple_of(PAGE);
    with(|state| {
        let device = handle.device as usize;
        let wanted = state.window(span);
        let access = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::SHARED | MapFlags::NORESERVE | MapFlags::FIXED_NOREPLACE;
        // SAFETY: nothing is replaced: the kernel refuses where it is not free.
        let at = unsafe { mmap(wanted as *mut _, span as usize, access, flags, &file, first) };
        let at = at.map_err(|_| UNKNOWN)? as u64 + handle.offset - first;
        let (kind, bytes) = (Kind::Opened, handle.bytes);
        state.blocks.insert(at, Block { kind, bytes, device, context });
        Ok(at)
    })
}

fn close(at: u64) -> Outcome {
    with(|state| {
        let block = state.blocks.get(&at).filter(|block| block.kind == Kind::Opened);
        let first = at / PAGE * PAGE;
        let span = at + block.ok_or(INVALID_VALUE)?.bytes - first;
        state.blocks.remove(&at);
        // SAFETY: a mapping of `open`, which the caller has no more use for.
        unsafe { munmap(first as *mut _, span as usize) }.map_err(|_| UNKNOWN)
    })
}

calls! {
    fn cuIpcGetMemHandle(out: Out<Handle>, address: u64) {
        out.put(handle(address)?)
    }

    fn cuIpcOpenMemHandle_v2(out: Out<u64>, handle: Handle, flags: u32) {
        if out.is_null() || flags > 1 {
            return Err(INVALID_VALUE);
        }
        out.put(open(handle)?)
    }

    fn cuIpcCloseMemHandle(at: u64) {
        close(at)
    }
}
