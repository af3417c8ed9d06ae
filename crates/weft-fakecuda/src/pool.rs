//! Pools: memory that is taken in the order of a stream, and kept for the next that takes some.
//!
//! What is given back stays the pool's, and counts as the device's that is taken, until the pool
//! is trimmed or somebody waits: then what it keeps beyond its threshold goes. Memory is there at
//! once, which any stream allows. Absent on purpose: scattered parts, which keep a pool large.

use crate::arena::Arena;
use crate::call::{In, Out};
use crate::context::{current, current_device};
use crate::device::device;
use crate::driver::{State, with};
use crate::graph_memory::Takes;
use crate::memory::{Kind, free};
use crate::outcome::{INVALID_DEVICE, INVALID_VALUE, OUT_OF_MEMORY, Outcome};
use crate::work::{capture_of, captured};
use std::collections::BTreeMap;

/// A pool grows by multiples of this, as the driver's do; at the device's limit by what it needs.
const CHUNK: u64 = 32 << 20;

/// The attributes by their public numbers: up to here switches of 32 bits, which are on.
const LAST_SWITCH: u32 = 3;
/// Bytes that a pool keeps when somebody waits.
const THRESHOLD: u32 = 4;
/// Bytes of the device that it has, and of them those in use; each with the most there were.
const RESERVED: u32 = 5;
const RESERVED_MOST: u32 = 6;
const USED: u32 = 7;
const USED_MOST: u32 = 8;

/// The place of a pool that is a device.
const ON_DEVICE: u32 = 1;

/// A pool.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    device: usize,
    /// Whether it is the one a device has from the beginning.
    default: bool,
    /// Whether it was destroyed; what is still in use is waited for.
    ended: bool,
    /// By an amount's number: now.
    amounts: BTreeMap<u32, u64>,
    /// Attributes that were set, by their numbers.
    set: BTreeMap<u32, u64>,
}

impl Pool {
    /// The one that a device has from the beginning.
    pub(crate) fn of_device(device: usize) -> Self {
        Self { device, default: true, ..Self::default() }
    }

    fn amount(&self, number: u32) -> u64 {
        self.amounts.get(&number).copied().unwrap_or(0)
    }

    /// Sets what there is now, and the most there was.
    fn now(&mut self, number: u32, bytes: u64) {
        self.amounts.insert(number, bytes);
        let most = self.amounts.entry(number + 1).or_default();
        *most = bytes.max(*most);
    }

    /// What it keeps of what it has when nobody needs more than so much.
    fn kept(&self, threshold: u64) -> u64 {
        let threshold = if self.ended { 0 } else { threshold };
        self.amount(USED).max(self.amount(RESERVED).min(threshold))
    }
}

/// The beginning of the public structure `CUmemPoolProps`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct Properties {
    kind: u32,
    handles: u32,
    place: u32,
    device: i32,
}

impl State {
    /// The pool that a device has from the beginning.
    fn default_pool(&self, device: usize) -> Outcome<u64> {
        let is = |pool: &Pool| pool.default && pool.device == device;
        let found = self.pools.iter().find(|(_, pool)| is(pool));
        found.map(|(handle, _)| handle).ok_or(INVALID_DEVICE)
    }

    /// The pool that a device's streams take from.
    fn pool_of(&self, device: usize) -> Outcome<u64> {
        let chosen = self.chosen_pools.get(&device).copied();
        chosen.map_or_else(|| self.default_pool(device), Ok)
    }

    /// Takes memory of a pool; while the stream is captured, its graph is to take it.
    fn take_ordered(&mut self, pool: u64, bytes: u64, stream: u64) -> Outcome<u64> {
        let Some(graph) = captured(self, stream)? else { return self.take_pooled(pool, bytes) };
        let mut takes = Takes::answered(0, bytes, self.pools.get(pool)?.device);
        self.add_take(graph, &mut takes)?;
        Ok(takes.at())
    }

    /// Takes memory of a pool, which grows if it has to.
    fn take_pooled(&mut self, pool: u64, bytes: u64) -> Outcome<u64> {
        let context = current()?;
        let size = Arena::rounded(bytes)?;
        let found = self.pools.get(pool)?;
        let (device, have, used) = (found.device, found.amount(RESERVED), found.amount(USED));
        let need = used.checked_add(size).ok_or(OUT_OF_MEMORY)?;
        let room = crate::mps::limit_of(device)?.saturating_sub(self.used[device]);
        let more = need.saturating_sub(have);
        let grown = [more.next_multiple_of(CHUNK), more].into_iter().find(|more| *more <= room);
        let grown = grown.ok_or(OUT_OF_MEMORY)?;
        let at = self.place(device, context, Kind::Pooled(pool), bytes)?;
        self.used[device] += grown;
        let pool = self.pools.get_mut(pool)?;
        pool.now(RESERVED, have + grown);
        pool.now(USED, need);
        Ok(at)
    }

    /// Gives memory back to its pool.
    pub(crate) fn give_back_pooled(&mut self, pool: u64, size: u64) -> Outcome {
        let found = self.pools.get_mut(pool)?;
        found.now(USED, found.amount(USED) - size);
        if found.ended { self.shrink(pool, 0) } else { Ok(()) }
    }

    /// Gives the device what a pool has beyond what is used and a threshold.
    fn shrink(&mut self, handle: u64, threshold: u64) -> Outcome {
        let pool = self.pools.get_mut(handle)?;
        let kept = pool.kept(threshold);
        self.used[pool.device] -= pool.amount(RESERVED) - kept;
        pool.now(RESERVED, kept);
        if pool.ended && kept == 0 { self.pools.remove(handle).map(drop) } else { Ok(()) }
    }

    /// Somebody has waited: each pool keeps what it is to keep.
    pub(crate) fn shrink_pools(&mut self) -> Outcome {
        let set = |pool: &Pool| pool.set.get(&THRESHOLD).copied().unwrap_or(0);
        let all: Vec<_> = self.pools.iter().map(|(handle, pool)| (handle, set(pool))).collect();
        all.into_iter().try_for_each(|(pool, threshold)| self.shrink(pool, threshold))
    }
}

calls! {
    fn cuMemAllocAsync(out: Out<u64>, bytes: u64, stream: u64) {
        if out.is_null() || bytes == 0 {
            return Err(INVALID_VALUE);
        }
        let at = with(|state| {
            let device = match state.streams.get(stream) {
                Ok(stream) => state.contexts.get(stream.context)?.device as usize,
                Err(_) => current_device(state)?,
            };
            let pool = state.pool_of(device)?;
            state.take_ordered(pool, bytes, stream)
        })?;
        out.put(at)
    }

    fn cuMemAllocFromPoolAsync(out: Out<u64>, bytes: u64, pool: u64, stream: u64) {
        if out.is_null() || bytes == 0 {
            return Err(INVALID_VALUE);
        }
        out.put(with(|state| state.take_ordered(pool, bytes, stream))?)
    }

    fn cuMemFreeAsync(at: u64, stream: u64) {
        match capture_of(stream)? {
            Some(graph) => with(|state| state.add_give(graph, at).map(drop)),
            None => free(at, |kind| matches!(kind, Kind::Device | Kind::Pooled(_) | Kind::Graph)),
        }
    }

    fn cuMemPoolCreate(out: Out<u64>, properties: In<Properties>) {
        let Properties { kind, place, device: number, .. } = properties.get()?;
        if kind != 1 || place != ON_DEVICE {
            return Err(INVALID_VALUE);
        }
        device(number)?;
        let pool = Pool { device: number as usize, ..Pool::default() };
        out.put(with(|state| Ok(state.pools.add(pool)))?)
    }

    fn cuMemPoolDestroy(handle: u64) {
        with(|state| {
            let pool = state.pools.get_mut(handle)?;
            if pool.default || pool.ended {
                return Err(INVALID_VALUE);
            }
            pool.ended = true;
            state.chosen_pools.retain(|_, chosen| *chosen != handle);
            state.shrink(handle, 0)
        })
    }

    fn cuDeviceGetDefaultMemPool(out: Out<u64>, number: i32) {
        device(number)?;
        out.put(with(|state| state.default_pool(number as usize))?)
    }

    fn cuDeviceGetMemPool(out: Out<u64>, number: i32) {
        device(number)?;
        out.put(with(|state| state.pool_of(number as usize))?)
    }

    fn cuDeviceSetMemPool(number: i32, pool: u64) {
        device(number)?;
        with(|state| {
            if state.pools.get(pool)?.device != number as usize {
                return Err(INVALID_VALUE);
            }
            state.chosen_pools.insert(number as usize, pool);
            Ok(())
        })
    }

    fn cuMemPoolTrimTo(pool: u64, keep: u64) {
        with(|state| state.shrink(pool, keep))
    }

    fn cuMemPoolSetAccess(pool: u64, _access: usize, _count: u64) {
        with(|state| state.pools.get(pool).map(drop))
    }

    fn cuMemPoolGetAccess(flags: Out<u32>, pool: u64, _place: usize) {
        with(|state| state.pools.get(pool).map(drop))?;
        // Read and written from everywhere.
        flags.put(3)
    }

    fn cuMemPoolSetAttribute(pool: u64, attribute: u32, value: In<u8>) {
        let width = if attribute <= LAST_SWITCH { 4 } else { 8 };
        let mut bytes = [0; 8];
        for (at, byte) in bytes.iter_mut().enumerate().take(width) {
            *byte = value.at(at)?;
        }
        let value = u64::from_le_bytes(bytes);
        with(|state| {
            let pool = state.pools.get_mut(pool)?;
            match attribute {
                ..=THRESHOLD => _ = pool.set.insert(attribute, value),
                // The most there was may be set to zero: then it is what there is.
                RESERVED_MOST | USED_MOST if value == 0 => {
                    let now = pool.amount(attribute - 1);
                    pool.amounts.insert(attribute, now);
                }
                _ => return Err(INVALID_VALUE),
            }
            Ok(())
        })
    }

    fn cuMemPoolGetAttribute(pool: u64, attribute: u32, value: Out<u8>) {
        let found = with(|state| {
            let pool = state.pools.get(pool)?;
            let set = pool.set.get(&attribute).copied();
            match attribute {
                ..=LAST_SWITCH => Ok(set.unwrap_or(1)),
                THRESHOLD => Ok(set.unwrap_or(0)),
                RESERVED..=USED_MOST => Ok(pool.amount(attribute)),
                _ => Err(INVALID_VALUE),
            }
        })?;
        let width = if attribute <= LAST_SWITCH { 4 } else { 8 };
        value.put_all(found.to_le_bytes().into_iter().take(width))
    }
}
