//! Memory that is taken in the order of a stream, from pools: what counts is what a pool has.
//!
//! What is given back stays its pool's, which is the driver's to keep or to shrink, so the pool is
//! asked after each call that may have changed it; where memory is short, all are asked again. A
//! pool that has grown by more than there was room for loses what it grew by. It counts for the
//! device of the pool, or of the stream, whichever context is current.

use crate::memory::OUT_OF_MEMORY;
use crate::place::Properties;
use crate::tenant::{self, refund, reserve};
use crate::{graph, truth};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// `CUDA_ERROR_NOT_SUPPORTED`.
const NOT_SUPPORTED: u32 = 801;
/// The attributes by their public numbers: bytes that a pool has, and those of them in use.
const RESERVED: u32 = 5;
const USED: u32 = 7;
/// The same number for graphs.
const RESERVED_GRAPHS: u32 = 2;
/// How often it is asked what a pool has, when others are counting it at the same time.
const TURNS: u32 = 64;
/// The last number that means a default stream.
const LAST_DEFAULT: usize = 2;

/// Where the driver keeps memory that was given back, for who takes some next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Store {
    /// A pool.
    Pool(u64),
    /// What graphs have of a device.
    Graphs(i32),
}

/// What this process has of pools.
#[derive(Debug)]
struct Pools {
    all: BTreeMap<Store, Pool>,
    /// The pool of what was taken, and its bytes.
    taken: BTreeMap<u64, (u64, u64)>,
}

/// A pool.
#[derive(Debug, Default)]
struct Pool {
    /// Its device; none where it is of the host's memory.
    device: Option<i32>,
    /// What is counted of what it has.
    counted: u64,
    /// What is reserved by calls that are on their way.
    pending: u64,
    /// What it has to spare and calls on their way were promised.
    promised: u64,
    /// How often it was counted: who has asked for what it has before that asks again.
    turns: u64,
    /// Whether it is gone but for what was taken from it.
    ended: bool,
}

static POOLS: Mutex<Pools> = Mutex::new(Pools { all: BTreeMap::new(), taken: BTreeMap::new() });

fn pools() -> MutexGuard<'static, Pools> {
    POOLS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The device that a stream is of.
fn device_of(stream: usize) -> Option<i32> {
    let (mut context, mut device) = (0, -1);
    if stream <= LAST_DEFAULT {
        return (truth::current_device(&raw mut device) == 0).then_some(device);
    }
    if truth::stream_context(stream, &raw mut context) != 0 || truth::push(context) != 0 {
        return None;
    }
    let found = truth::current_device(&raw mut device) == 0;
    truth::pop(&raw mut context);
    found.then_some(device)
}

/// The device that has a pool from the beginning; of another pool that was not made here it is the
/// current one.
fn device_with(pool: u64) -> Option<i32> {
    let mut count = 0;
    truth::device_count(&raw mut count);
    let first = (0..count).find(|device| {
        let mut first = 0;
        truth::first_pool(&raw mut first, *device) == 0 && first == pool
    });
    first.or_else(|| device_of(0))
}

/// Notes a pool that is met the first time.
fn meet(pool: u64, device: impl FnOnce() -> Option<i32>) {
    let store = Store::Pool(pool);
    if !pools().all.contains_key(&store) {
        let device = device();
        pools().all.entry(store).or_insert(Pool { device, ..Pool::default() });
    }
}

fn attribute(pool: u64, number: u32) -> Option<u64> {
    let mut bytes = 0;
    (truth::pool_attribute(pool, number, &raw mut bytes) == 0).then_some(bytes)
}

/// Bytes of the device that the driver has there.
fn has(store: Store) -> Option<u64> {
    match store {
        Store::Pool(pool) => attribute(pool, RESERVED),
        Store::Graphs(device) => {
            let mut bytes = 0;
            (truth::graph_memory(device, RESERVED_GRAPHS, &raw mut bytes) == 0).then_some(bytes)
        }
    }
}

/// What counts of what graphs have of a device.
pub(crate) fn counted_of_graphs(device: i32) -> u64 {
    pools().all.get(&Store::Graphs(device)).map_or(0, |found| found.counted)
}

/// Notes what is reserved for a graph that is about to take memory of a device.
pub(crate) fn expect_of_graphs(device: i32, bytes: u64) {
    let mut pools = pools();
    let found = pools.all.entry(Store::Graphs(device));
    let new = || Pool { device: Some(device), ..Pool::default() };
    found.or_insert_with(new).pending += bytes;
}

/// How a pool's count is to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Change {
    counted: u64,
    more: u64,
    less: u64,
}

/// How the count changes of a pool that has so much, when a call ends for which so much was
/// reserved: what others on their way have reserved is theirs to count.
fn change(counted: u64, others: u64, own: u64, has: u64) -> Change {
    let grown = has.saturating_sub(counted);
    if grown <= own {
        return Change { counted: has, more: 0, less: own - grown + counted.saturating_sub(has) };
    }
    let more = (grown - own).saturating_sub(others);
    Change { counted: counted + own + more, more, less: 0 }
}

/// Counts what a pool has, when a call ends for which so much was reserved; false where it has
/// grown by more than there is room for.
///
/// What it has is asked without the lock, so it may be of before another call that was counted
/// meanwhile: then it is asked again, or all counts that was reserved, until the next time.
pub(crate) fn settle(store: Store, own: u64) -> bool {
    settle_by(store, Ahead { reserved: own, promised: 0 }, || has(store))
}

fn settle_by(store: Store, ahead: Ahead, mut ask: impl FnMut() -> Option<u64>) -> bool {
    let own = ahead.reserved;
    for turn in 0..=TURNS {
        let Some(before) = pools().all.get(&store).map(|found| found.turns) else { return true };
        let has = if turn < TURNS { ask() } else { None };
        let mut pools = pools();
        let Some(found) = pools.all.get_mut(&store) else { return true };
        if found.turns != before && turn < TURNS {
            continue;
        }
        found.turns += 1;
        found.pending -= own.min(found.pending);
        found.promised -= ahead.promised.min(found.promised);
        let Some(device) = found.device else { return true };
        let all = found.counted + own;
        let has = has.filter(|_| !found.ended).unwrap_or(all);
        // Whoever was promised what is spare may find it gone, and then the pool grows: as long as
        // one is on the way nothing that was reserved is given back.
        let has = if found.promised > 0 { has.max(all) } else { has };
        let change = change(found.counted, found.pending, own, has);
        let fits = change.more == 0 || reserve(device, change.more);
        found.counted = if fits { change.counted } else { change.counted - change.more };
        drop(pools);
        refund(device, change.less);
        return fits;
    }
    true
}

/// The same of what cannot be undone: where it has grown by more than there is room for, what is
/// left counts, and nothing else is to be had.
pub(crate) fn count(store: Store, own: u64) {
    if settle(store, own) {
        return;
    }
    let Some(device) = pools().all.get(&store).and_then(|found| found.device) else { return };
    let left = left(device);
    if reserve(device, left) {
        let mut pools = pools();
        match pools.all.get_mut(&store) {
            Some(found) => found.counted += left,
            None => refund(device, left),
        }
    }
}

/// What the container has left of a device.
pub(crate) fn left(device: i32) -> u64 {
    tenant::uuid(device).map_or(0, |uuid| {
        let (limit, held) = tenant::memory(&uuid);
        limit.saturating_sub(held)
    })
}

/// Counts what all pools have, and what is kept for graphs: those that were idle may have shrunk.
pub(crate) fn settle_all() {
    let all: Vec<Store> = pools().all.keys().copied().collect();
    all.into_iter().for_each(|store| count(store, 0));
}

/// What a call has ahead of it: memory that was reserved for it, or that its pool has to spare.
#[derive(Debug, Clone, Copy)]
struct Ahead {
    reserved: u64,
    promised: u64,
}

/// Finds memory for a call that takes it of a pool; none where it is not to be had.
fn prepare(pool: u64, device: i32, bytes: u64) -> Option<Ahead> {
    let mut ready = reserve(device, bytes);
    if !ready {
        settle_all();
        ready = reserve(device, bytes);
    }
    if !ready {
        return promise(pool, bytes).then_some(Ahead { reserved: 0, promised: bytes });
    }
    if let Some(found) = pools().all.get_mut(&Store::Pool(pool)) {
        found.pending += bytes;
    }
    Some(Ahead { reserved: bytes, promised: 0 })
}

/// Promises a call what a pool has to spare, and nobody else was promised.
fn promise(pool: u64, bytes: u64) -> bool {
    let store = Store::Pool(pool);
    for _ in 0..TURNS {
        let before = pools().all.get(&store).map(|found| found.turns);
        let spare = attribute(pool, RESERVED).zip(attribute(pool, USED));
        let spare = spare.map_or(0, |(has, used)| has.saturating_sub(used));
        let mut pools = pools();
        let Some(found) = pools.all.get_mut(&store) else { return false };
        if Some(found.turns) == before {
            let fits = found.promised.saturating_add(bytes) <= spare;
            found.promised += if fits { bytes } else { 0 };
            return fits;
        }
    }
    false
}

/// Takes memory of a pool.
fn take(out: *mut u64, bytes: u64, pool: u64, stream: usize, call: impl FnOnce() -> u32) -> u32 {
    let store = Store::Pool(pool);
    let device = pools().all.get(&store).and_then(|pool| pool.device);
    let Some(device) = device.filter(|_| bytes > 0 && !out.is_null()) else { return call() };
    let Some(ahead) = prepare(pool, device, bytes) else { return OUT_OF_MEMORY };
    let result = call();
    let fits = settle_by(store, ahead, || has(store));
    if result != 0 {
        return result;
    }
    // SAFETY: the driver has just answered there.
    let at = unsafe { out.read_unaligned() };
    if !fits {
        truth::free_ordered(at, stream);
        truth::stream_wait(stream);
        truth::pool_trim(pool, 0);
        settle(store, 0);
        return OUT_OF_MEMORY;
    }
    pools().taken.insert(at, (pool, bytes));
    result
}

/// Gives memory back that was taken of a pool; none where it was not.
pub(crate) fn give_back(at: u64, call: impl FnOnce() -> u32) -> Result<u32, impl FnOnce() -> u32> {
    let entry = pools().taken.remove(&at);
    let Some((pool, bytes)) = entry else { return Err(call) };
    let result = call();
    if result == 0 {
        finish(pool, bytes);
    } else {
        pools().taken.insert(at, (pool, bytes));
    }
    Ok(result)
}

/// Counts a pool from which something was given back.
fn finish(pool: u64, bytes: u64) {
    let mut all = pools();
    let ended = all.all.get_mut(&Store::Pool(pool)).filter(|found| found.ended);
    let Some(found) = ended else {
        drop(all);
        settle(Store::Pool(pool), 0);
        return;
    };
    let less = bytes.min(found.counted);
    found.counted -= less;
    let device = found.device;
    if found.counted == 0 {
        all.all.remove(&Store::Pool(pool));
    }
    drop(all);
    device.into_iter().for_each(|device| refund(device, less));
}

/// A pool that is destroyed keeps what was taken of it, and nothing else.
fn end(pool: u64) {
    let mut all = pools();
    let left = all.taken.values().filter(|(of, _)| *of == pool).map(|(_, bytes)| *bytes).sum();
    let Some(found) = all.all.get_mut(&Store::Pool(pool)) else { return };
    let less = found.counted.saturating_sub(left);
    found.counted -= less;
    found.ended = true;
    let device = found.device;
    if left == 0 {
        all.all.remove(&Store::Pool(pool));
    }
    drop(all);
    device.into_iter().for_each(|device| refund(device, less));
}

/// While a stream is captured its graph takes the memory, each time it is launched.
pub(crate) fn is_captured(stream: usize) -> bool {
    let mut capturing = 0;
    truth::is_capturing(stream, &raw mut capturing) == 0 && capturing != 0
}

/// The stream that null is in functions for which each thread has a default stream of its own.
const OF_THREAD: usize = 2;

/// A stream as those functions mean it.
pub(crate) fn by_thread(stream: usize) -> usize {
    if stream == 0 { OF_THREAD } else { stream }
}

/// Takes memory of the pool that a stream takes from; while it is captured, its graph does.
fn take_ordered(out: *mut u64, bytes: u64, stream: usize, call: impl FnOnce() -> u32) -> u32 {
    if is_captured(stream) {
        graph::seen();
        return call();
    }
    let mut pool = 0;
    let device = device_of(stream);
    if device.is_none_or(|device| truth::pool_of(&raw mut pool, device) != 0) {
        return call();
    }
    meet(pool, || device);
    take(out, bytes, pool, stream, call)
}

/// The same of a pool of the caller's choice.
fn take_pooled(
    out: *mut u64,
    bytes: u64,
    pool: u64,
    stream: usize,
    call: impl FnOnce() -> u32,
) -> u32 {
    if is_captured(stream) {
        graph::seen();
        return call();
    }
    meet(pool, || device_with(pool));
    take(out, bytes, pool, stream, call)
}

hooks! {
    [cuMemAllocAsync] (out: *mut u64, bytes: u64, stream: usize) |real| {
        take_ordered(out, bytes, stream, || real(out, bytes, stream))
    }

    [cuMemAllocAsync_ptsz] (out: *mut u64, bytes: u64, stream: usize) |real| {
        take_ordered(out, bytes, by_thread(stream), || real(out, bytes, stream))
    }

    [cuMemAllocFromPoolAsync] (out: *mut u64, bytes: u64, pool: u64, stream: usize) |real| {
        take_pooled(out, bytes, pool, stream, || real(out, bytes, pool, stream))
    }

    [cuMemAllocFromPoolAsync_ptsz] (out: *mut u64, bytes: u64, pool: u64, stream: usize) |real| {
        take_pooled(out, bytes, pool, by_thread(stream), || real(out, bytes, pool, stream))
    }

    [cuMemPoolCreate] (out: *mut u64, properties: *const Properties) |real| {
        let result = real(out, properties);
        if result == 0 && !out.is_null() && !properties.is_null() {
            // SAFETY: the caller's to give, as for the driver, which has just answered.
            let (pool, said) = unsafe { (out.read_unaligned(), properties.read_unaligned()) };
            let device = said.device();
            pools().all.insert(Store::Pool(pool), Pool { device, ..Pool::default() });
        }
        result
    }

    [cuMemPoolDestroy] (pool: u64) |real| {
        let result = real(pool);
        if result == 0 {
            end(pool);
        }
        result
    }

    [cuMemPoolTrimTo] (pool: u64, keep: u64) |real| {
        let result = real(pool, keep);
        settle(Store::Pool(pool), 0);
        result
    }

    // Whose memory an imported pool has is not to be known; it may outlive whoever pays for it.
    [cuMemPoolImportFromShareableHandle] (_out: usize, _handle: usize, _kind: u32, _flags: u64)
    |_real| {
        NOT_SUPPORTED
    }
}

#[cfg(test)]
mod tests {
    use super::{Ahead, Change, Store, change, counted_of_graphs, expect_of_graphs, settle_by};

    #[test]
    fn what_was_said_before_another_call_was_counted_is_asked_again() {
        // A device of no machine, of which nothing is to be had: all that counts was expected.
        let (device, mut asked) = (1 << 20, 0);
        expect_of_graphs(device, 32);
        expect_of_graphs(device, 32);
        let store = Store::Graphs(device);
        let ahead = Ahead { reserved: 32, promised: 0 };
        let fits = settle_by(store, ahead, || {
            asked += 1;
            if asked == 1 {
                // Another call takes as much and is counted before the answer is looked at.
                assert!(settle_by(store, ahead, || Some(64)));
            }
            Some(if asked == 1 { 32 } else { 64 })
        });
        assert_eq!((fits, asked, counted_of_graphs(device)), (true, 2, 64));
    }

    #[test]
    fn nothing_is_given_back_while_somebody_was_promised_what_is_spare() {
        let (device, reserved) = (1 << 21, Ahead { reserved: 32, promised: 0 });
        let store = Store::Graphs(device);
        expect_of_graphs(device, 32);
        super::pools().all.get_mut(&store).expect("just made").promised = 32;
        // It took what was spare, so the other one has the pool grow.
        assert!(settle_by(store, reserved, || Some(0)));
        assert_eq!(counted_of_graphs(device), 32);
        assert!(settle_by(store, Ahead { reserved: 0, promised: 32 }, || Some(32)));
        assert_eq!(counted_of_graphs(device), 32);
        assert!(settle_by(store, Ahead { reserved: 0, promised: 0 }, || Some(0)));
        assert_eq!(counted_of_graphs(device), 0);
    }

    #[test]
    fn what_a_pool_has_is_counted_once_whoever_asks_first() {
        let is = |counted, more, less| Change { counted, more, less };
        assert_eq!(change(0, 0, 40, 64), is(64, 24, 0), "it grew by whole parts");
        assert_eq!(change(64, 0, 20, 64), is(64, 0, 20), "it had enough");
        assert_eq!(change(64, 0, 0, 0), is(0, 0, 64), "it shrank");
        assert_eq!(change(64, 0, 20, 32), is(32, 0, 52));
        // Two on their way, each with its reservation: the first leaves the other's to it.
        assert_eq!(change(0, 30, 30, 60), is(30, 0, 0));
        assert_eq!(change(30, 0, 30, 60), is(60, 0, 0));
        assert_eq!(change(0, 30, 30, 64), is(34, 4, 0));
    }
}
