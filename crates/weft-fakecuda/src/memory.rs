//! Taking, giving back and describing memory, of devices and of the host.
//!
//! What a program may take of a device is the kind's memory, for all contexts of the process
//! together; pools are in `pool.rs`, arrays in `array.rs`.

use crate::arena::Arena;
use crate::call::{In, Out};
use crate::context::{current, current_device};
use crate::driver::{State, driver, with};
use crate::outcome::{INVALID_VALUE, NOT_SUPPORTED, OUT_OF_MEMORY, Outcome};
use std::alloc::{Layout, alloc_zeroed, dealloc};

/// Rows of a pitched allocation begin at multiples of so many bytes.
const PITCH: u64 = 512;
/// Host memory begins at a page.
const PAGE: usize = 4096;

/// Memory that is held.
#[derive(Debug)]
pub(crate) struct Block {
    /// What it is.
    pub(crate) kind: Kind,
    /// Bytes, as asked for.
    pub(crate) bytes: u64,
    /// The device of whoever took it.
    pub(crate) device: usize,
    /// The context of whoever took it.
    pub(crate) context: u64,
}

/// What memory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A device's.
    Device,
    /// A device's, of a pool.
    Pooled(u64),
    /// A device's, that the host may use.
    Managed,
    /// A device's, created and mapped.
    Mapped,
    /// A device's, of a graph, which takes it when it is launched.
    Graph,
    /// A device's, of another process.
    Opened,
    /// The host's, taken by the driver.
    Host,
    /// The host's, shown to the driver.
    Registered,
}

impl State {
    /// Takes memory of a device, with its limit.
    pub(crate) fn take(
        &mut self,
        device: usize,
        context: u64,
        kind: Kind,
        bytes: u64,
    ) -> Outcome<u64> {
        if bytes == 0 {
            return Err(INVALID_VALUE);
        }
        let size = Arena::rounded(bytes)?;
        self.charge(device, size)?;
        let at = self.place(device, context, kind, bytes);
        if at.is_err() {
            self.used[device] -= size;
        }
        at
    }

    /// Counts bytes as taken of a device, within its memory.
    pub(crate) fn charge(&mut self, device: usize, bytes: u64) -> Outcome {
        let limit = crate::mps::limit_of(device)?;
        let used = self.used[device].checked_add(bytes).filter(|used| *used <= limit);
        self.used[device] = used.ok_or(OUT_OF_MEMORY)?;
        Ok(())
    }

    /// Finds addresses for memory that is counted.
    pub(crate) fn place(
        &mut self,
        device: usize,
        context: u64,
        kind: Kind,
        bytes: u64,
    ) -> Outcome<u64> {
        let limit = driver()?.devices[device].memory();
        let arena = &mut self.arenas[device];
        let arena = match arena {
            Some(arena) => arena,
            None => arena.insert(Arena::new(device, limit)?),
        };
        let at = arena.take(bytes)?;
        self.blocks.insert(at, Block { kind, bytes, device, context });
        Ok(at)
    }

    /// Gives memory back, by its first address.
    pub(crate) fn release(&mut self, at: u64) -> Outcome {
        let block = self.blocks.remove(&at).ok_or(INVALID_VALUE)?;
        match block.kind {
            Kind::Device | Kind::Managed => {
                let arena = self.arenas[block.device].as_mut().ok_or(INVALID_VALUE)?;
                self.used[block.device] -= arena.give_back(at)?;
            }
            Kind::Pooled(pool) => {
                let arena = self.arenas[block.device].as_mut().ok_or(INVALID_VALUE)?;
                let size = arena.give_back(at)?;
                self.give_back_pooled(pool, size)?;
            }
            Kind::Graph => {
                let arena = self.arenas[block.device].as_mut().ok_or(INVALID_VALUE)?;
                arena.give_back(at)?;
                self.forget_in_graphs(at);
            }
            Kind::Host => {
                let layout = layout(block.bytes)?;
                // SAFETY: taken by `host` with this layout, and in no other list any more.
                unsafe { dealloc(at as *mut u8, layout) };
            }
            // Unmapped in its own way; a context that ends leaves it.
            Kind::Registered | Kind::Mapped | Kind::Opened => {}
        }
        Ok(())
    }

    /// The block that an address lies in, and its first address.
    pub(crate) fn block(&self, address: u64) -> Option<(u64, &Block)> {
        let (at, block) = self.blocks.range(..=address).next_back()?;
        (address < at + block.bytes).then_some((*at, block))
    }
}

fn layout(bytes: u64) -> Outcome<Layout> {
    Layout::from_size_align(bytes as usize, PAGE).map_err(|_| OUT_OF_MEMORY)
}

fn on_device(out: Out<u64>, kind: Kind, bytes: u64) -> Outcome {
    let at = with(|state| {
        let device = current_device(state)?;
        state.take(device, current()?, kind, bytes)
    })?;
    out.put(at)
}

fn host(out: Out<u64>, bytes: u64) -> Outcome {
    let (context, layout) = (current()?, layout(bytes)?);
    if bytes == 0 {
        return Err(INVALID_VALUE);
    }
    // SAFETY: the size is not zero.
    let at = unsafe { alloc_zeroed(layout) } as u64;
    if at == 0 {
        return Err(OUT_OF_MEMORY);
    }
    with(|state| {
        let device = current_device(state)?;
        state.blocks.insert(at, Block { kind: Kind::Host, bytes, device, context });
        Ok(())
    })?;
    out.put(at)
}

/// Gives memory back, of a kind that may be given back so.
pub(crate) fn free(at: u64, may: impl Fn(Kind) -> bool) -> Outcome {
    if at == 0 {
        return Ok(());
    }
    with(|state| match state.blocks.get(&at) {
        Some(block) if may(block.kind) && block.kind == Kind::Graph => state.free_of_graph(at),
        Some(block) if may(block.kind) => state.release(at),
        _ => Err(INVALID_VALUE),
    })
}

/// An attribute of an address, as a number; none where the address is nobody's.
fn pointer_attribute(state: &State, attribute: u32, address: u64) -> Outcome<Option<u64>> {
    let Some((at, block)) = state.block(address) else { return Ok(None) };
    let on_device = !matches!(block.kind, Kind::Host | Kind::Registered);
    let shown = matches!(block.kind, Kind::Managed | Kind::Host | Kind::Registered);
    Ok(Some(match attribute {
        1 => block.context,
        2 => 1 + u64::from(on_device),
        3 => address,
        4 if shown => address,
        4 => return Err(INVALID_VALUE),
        6 => 0,
        7 => at,
        8 => u64::from(block.kind == Kind::Managed),
        9 => block.device as u64,
        // Whether it can be had by another process by a handle.
        10 => u64::from(matches!(block.kind, Kind::Device | Kind::Opened)),
        11 => at,
        12 => block.bytes,
        13 => 1,
        17 => match block.kind {
            Kind::Pooled(pool) => pool,
            _ => 0,
        },
        _ => return Err(NOT_SUPPORTED),
    }))
}

/// Writes an attribute in the width that its number has.
fn put_attribute(data: Out<u8>, attribute: u32, value: u64) -> Outcome {
    let width = match attribute {
        1 | 3 | 4 | 7 | 11 | 12 | 17 => 8,
        8 | 10 | 13 | 6 => 1,
        _ => 4,
    };
    // A flag is a C bool, but the caller's room is at least an int for those of `sync memops`.
    let width = if attribute == 6 { 4 } else { width };
    data.put_all(value.to_le_bytes().into_iter().take(width))
}

calls! {
    fn cuMemAlloc_v2(out: Out<u64>, bytes: u64) {
        on_device(out, Kind::Device, bytes)
    }

    fn cuMemAllocManaged(out: Out<u64>, bytes: u64, flags: u32) {
        match flags {
            1 | 2 => on_device(out, Kind::Managed, bytes),
            _ => Err(INVALID_VALUE),
        }
    }

    fn cuMemAllocPitch_v2(out: Out<u64>, pitch: Out<u64>, width: u64, height: u64, element: u32) {
        if !matches!(element, 4 | 8 | 16) {
            return Err(INVALID_VALUE);
        }
        let row = width.checked_next_multiple_of(PITCH).ok_or(OUT_OF_MEMORY)?;
        on_device(out, Kind::Device, row.checked_mul(height).ok_or(OUT_OF_MEMORY)?)?;
        pitch.put(row)
    }

    fn cuMemFree_v2(at: u64) {
        free(at, |kind| {
            matches!(kind, Kind::Device | Kind::Managed | Kind::Pooled(_) | Kind::Graph)
        })
    }

    fn cuMemGetInfo_v2(free: Out<u64>, total: Out<u64>) {
        let (left, all) = with(|state| {
            let device = current_device(state)?;
            let all = driver()?.devices[device].memory();
            Ok((all - state.used[device], all))
        })?;
        free.put(left)?;
        total.put(all)
    }

    fn cuMemGetAddressRange_v2(base: Out<u64>, bytes: Out<u64>, address: u64) {
        let found = with(|state| Ok(state.block(address).map(|(at, block)| (at, block.bytes))))?;
        let (at, size) = found.ok_or(crate::outcome::NOT_FOUND)?;
        base.offer(at);
        bytes.offer(size);
        Ok(())
    }

    fn cuMemAllocHost_v2(out: Out<u64>, bytes: u64) {
        host(out, bytes)
    }

    fn cuMemHostAlloc(out: Out<u64>, bytes: u64, flags: u32) {
        if flags < 8 { host(out, bytes) } else { Err(INVALID_VALUE) }
    }

    fn cuMemFreeHost(at: u64) {
        free(at, |kind| kind == Kind::Host)
    }

    fn cuMemHostRegister_v2(at: u64, bytes: u64, _flags: u32) {
        let context = current()?;
        if at == 0 || bytes == 0 {
            return Err(INVALID_VALUE);
        }
        with(|state| {
            let device = current_device(state)?;
            state.blocks.insert(at, Block { kind: Kind::Registered, bytes, device, context });
            Ok(())
        })
    }

    fn cuMemHostUnregister(at: u64) {
        free(at, |kind| kind == Kind::Registered)
    }

    fn cuMemHostGetDevicePointer_v2(out: Out<u64>, at: u64, flags: u32) {
        let known = with(|state| Ok(state.block(at).is_some_and(|(_, b)| b.kind != Kind::Device)))?;
        if known && flags == 0 { out.put(at) } else { Err(INVALID_VALUE) }
    }

    fn cuMemHostGetFlags(flags: Out<u32>, at: u64) {
        let known = with(|state| Ok(state.block(at).is_some_and(|(_, b)| b.kind == Kind::Host)))?;
        if known { flags.put(0) } else { Err(INVALID_VALUE) }
    }

    fn cuPointerGetAttribute(data: Out<u8>, attribute: u32, address: u64) {
        let value = with(|state| pointer_attribute(state, attribute, address))?;
        put_attribute(data, attribute, value.ok_or(INVALID_VALUE)?)
    }

    fn cuPointerGetAttributes(count: u32, which: In<u32>, data: In<Out<u8>>, address: u64) {
        for at in 0..count as usize {
            let attribute = which.at(at)?;
            let value = with(|state| pointer_attribute(state, attribute, address))?;
            // Of an address that is nobody's every attribute is zero, and the device none.
            let nobody = if attribute == 9 { u64::from((-2_i32).cast_unsigned()) } else { 0 };
            put_attribute(data.at(at)?, attribute, value.unwrap_or(nobody))?;
        }
        Ok(())
    }
}
