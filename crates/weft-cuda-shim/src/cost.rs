//! How long kernels take, measured by the driver's own events around some of them.
//!
//! What a kernel does follows from its code and the size of its launch, so the time is kept by
//! both. The least of the last [`KEPT`] is taken: whatever else the device does between two events
//! only ever adds. A kernel is measured until it is known, then now and then.

use crate::truth;
use std::collections::{HashMap, VecDeque};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use weft_cuda_abi::share::Bucket;

/// What a launch is taken for that was never measured, in nanoseconds: a middling one.
const UNKNOWN_NS: u64 = 50_000;
/// Measured times of which the least counts.
const KEPT: usize = 8;
/// A kernel that is known is measured once in so many launches.
const EACH: u64 = 64;
/// Measurements on their way at most: each holds two events of the driver.
const PENDING_MAX: usize = 64;
/// Kernels that are kept at most; a program with more pays for the others as for unknown ones.
const KERNELS_MAX: usize = 65_536;

/// `CUDA_ERROR_NOT_READY`.
const NOT_READY: u32 = 600;

/// `CU_STREAM_CAPTURE_MODE_RELAXED`.
const RELAXED: u32 = 2;

/// A kernel and the size of its launch, or a graph.
pub(crate) type Key = (usize, u64);

/// What is known of a kernel.
#[derive(Debug, Default)]
struct Known {
    times: VecDeque<u64>,
    launches: u64,
}

/// A measurement on its way.
#[derive(Debug)]
struct Pending {
    key: Key,
    start: usize,
    end: usize,
    paid: u64,
    bucket: &'static Bucket,
}

#[derive(Debug, Default)]
struct Costs {
    known: HashMap<Key, Known>,
    pending: VecDeque<Pending>,
}

static COSTS: LazyLock<Mutex<Costs>> = LazyLock::new(Mutex::default);

fn costs() -> MutexGuard<'static, Costs> {
    COSTS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a launch is expected to take, in nanoseconds, and whether it is to be measured.
pub(crate) fn expected(key: Key) -> (u64, bool) {
    let mut costs = costs();
    let room = costs.pending.len() < PENDING_MAX;
    if costs.known.len() >= KERNELS_MAX && !costs.known.contains_key(&key) {
        return (UNKNOWN_NS, false);
    }
    let known = costs.known.entry(key).or_default();
    known.launches += 1;
    let measured = known.times.is_empty() || known.launches.is_multiple_of(EACH);
    (known.times.iter().min().copied().unwrap_or(UNKNOWN_NS), measured && room)
}

/// Calls of our own, which must not break the capture of a stream by another thread: held to it
/// strictly, a question for an event would.
pub(crate) fn apart<T>(calls: impl FnOnce() -> T) -> T {
    let mut mode = RELAXED;
    let exchanged = truth::exchange_capture_mode(&raw mut mode) == 0;
    let outcome = calls();
    if exchanged {
        truth::exchange_capture_mode(&raw mut mode);
    }
    outcome
}

/// Launches between two events, to be looked at later.
pub(crate) fn measure(
    key: Key,
    stream: usize,
    paid: u64,
    bucket: &'static Bucket,
    call: impl FnOnce() -> u32,
) -> u32 {
    let (mut start, mut end) = (0, 0);
    let made = apart(|| {
        truth::event_create(&raw mut start, 0) == 0
            && truth::event_create(&raw mut end, 0) == 0
            && truth::event_record(start, stream) == 0
    });
    let result = call();
    if made && result == 0 && apart(|| truth::event_record(end, stream)) == 0 {
        costs().pending.push_back(Pending { key, start, end, paid, bucket });
    } else {
        apart(|| discard(start, end));
    }
    result
}

fn discard(start: usize, end: usize) {
    [start, end].into_iter().filter(|event| *event != 0).for_each(|event| {
        truth::event_destroy(event);
    });
}

/// Takes in what is over: the first of those on their way, and then the next.
pub(crate) fn harvest() {
    if costs().pending.is_empty() {
        return;
    }
    apart(|| {
        while let Some(pending) = over() {
            let mut milliseconds = 0.0;
            let Pending { start, end, .. } = pending;
            let known = truth::event_elapsed(&raw mut milliseconds, start, end) == 0;
            discard(start, end);
            if known {
                take_in(&pending, (f64::from(milliseconds) * 1e6) as u64);
            }
        }
    });
}

/// The first measurement on its way, if nothing more will come of it.
fn over() -> Option<Pending> {
    let first = costs().pending.pop_front()?;
    // Whatever else it answers, the next question would be answered alike: its context is gone.
    if truth::event_query(first.end) != NOT_READY {
        return Some(first);
    }
    costs().pending.push_front(first);
    None
}

fn take_in(pending: &Pending, nanoseconds: u64) {
    let mut costs = costs();
    let known = costs.known.entry(pending.key).or_default();
    if known.times.len() == KEPT {
        known.times.pop_front();
    }
    known.times.push_back(nanoseconds);
    let least = known.times.iter().min().copied().unwrap_or(nanoseconds);
    pending.bucket.correct(pending.paid, least);
}
