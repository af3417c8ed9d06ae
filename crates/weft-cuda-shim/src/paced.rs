//! Launches that wait for their share of the device's time; in containers that have a part of it.
//!
//! A launch pays with the time its kernel is known to take. Where there is nothing to pay with it
//! waits as long as the bucket takes to fill, to the microsecond. While a stream is captured
//! nothing runs, so nothing is paid: a graph pays when it is launched, as one. A launch on several
//! devices at once is refused: it would have to wait for all of them.

use crate::cost::{self, Key};
use crate::{graph, pool, tenant, truth};
use std::time::Duration;
use weft_cuda_abi::share::PERIOD_NS;

/// `CUDA_ERROR_LAUNCH_FAILED`: without a ledger or a rate there is no time to wait for.
const NO_TIME: u32 = 719;

/// The public structure `CUlaunchConfig`, as far as it says how large a launch is, and where.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct Launch {
    grid: [u32; 3],
    block: [u32; 3],
    shared_bytes: u32,
    stream: usize,
}

/// `CUDA_ERROR_NOT_SUPPORTED`.
const NOT_SUPPORTED: u32 = 801;

/// What tells the first version's launches from each other is the function alone: the sizes were
/// set before.
const FIRST_VERSION: u64 = u64::MAX;

/// A moment, by the system's steady clock, the same in all processes of the machine.
fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: room for the answer; the clock is always there.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    time.tv_sec.unsigned_abs() * 1_000_000_000 + time.tv_nsec.unsigned_abs()
}

/// Waits for its time, then launches.
fn pace(key: Key, stream: usize, call: impl FnOnce() -> u32) -> u32 {
    let mut device = -1;
    if truth::current_device(&raw mut device) != 0 {
        return call();
    }
    let Some(share) = tenant::share(device) else { return call() };
    let Some(bucket) = share.bucket.filter(|_| share.least > 0) else { return NO_TIME };
    let mut capturing = 0;
    if truth::is_capturing(stream, &raw mut capturing) == 0 && capturing != 0 {
        return call();
    }
    cost::harvest();
    let (expected, measured) = cost::expected(key);
    loop {
        let now = now();
        let Err(wait) = bucket.pay(now, expected, share.rate(now)) else { break };
        std::thread::sleep(Duration::from_nanos(wait.min(PERIOD_NS)));
    }
    let result = match measured {
        true => cost::measure(key, stream, expected, bucket, call),
        false => call(),
    };
    if result != 0 {
        // Nothing was launched.
        bucket.correct(expected, 0);
    }
    result
}

/// How large a launch is, by its blocks and their threads: mixed, so that other sizes are others.
fn size(grid: [u32; 3], block: [u32; 3]) -> u64 {
    let mix = |sum: u64, n: u32| (sum ^ u64::from(n)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    grid.into_iter().chain(block).fold(0, mix)
}

hooks! {
    [cuLaunchKernel, cuLaunchKernel_ptsz] (
        function: usize, gx: u32, gy: u32, gz: u32, bx: u32, by: u32, bz: u32,
        shared_bytes: u32, stream: usize, arguments: usize, extra: usize,
    ) |real| {
        let key = (function, size([gx, gy, gz], [bx, by, bz]));
        pace(key, stream, || {
            real(function, gx, gy, gz, bx, by, bz, shared_bytes, stream, arguments, extra)
        })
    }

    [cuLaunchCooperativeKernel, cuLaunchCooperativeKernel_ptsz] (
        function: usize, gx: u32, gy: u32, gz: u32, bx: u32, by: u32, bz: u32,
        shared_bytes: u32, stream: usize, arguments: usize,
    ) |real| {
        let key = (function, size([gx, gy, gz], [bx, by, bz]));
        pace(key, stream, || {
            real(function, gx, gy, gz, bx, by, bz, shared_bytes, stream, arguments)
        })
    }

    [cuLaunchKernelEx, cuLaunchKernelEx_ptsz]
    (how: *const Launch, function: usize, arguments: usize, extra: usize) |real| {
        if how.is_null() {
            return real(how, function, arguments, extra);
        }
        // SAFETY: the caller's to give, as for the driver.
        let Launch { grid, block, stream, .. } = unsafe { how.read_unaligned() };
        pace((function, size(grid, block)), stream, || real(how, function, arguments, extra))
    }

    [cuLaunch] (function: usize) |real| {
        pace((function, FIRST_VERSION), 0, || real(function))
    }

    [cuLaunchGrid] (function: usize, width: u32, height: u32) |real| {
        let key = (function, size([width, height, 1], [0; 3]));
        pace(key, 0, || real(function, width, height))
    }

    [cuLaunchGridAsync] (function: usize, width: u32, height: u32, stream: usize) |real| {
        let key = (function, size([width, height, 1], [0; 3]));
        pace(key, stream, || real(function, width, height, stream))
    }

    [cuLaunchCooperativeKernelMultiDevice] (_what: usize, _count: u32, _flags: u32) |_real| {
        NOT_SUPPORTED
    }

    [cuMemBatchDecompressAsync, cuMemBatchDecompressAsync_ptsz]
    (what: usize, count: usize, flags: u32, wrong: usize, stream: usize) |real| {
        // The work of a device's own engine, by the number of its parts.
        pace((0, count as u64), stream, || real(what, count, flags, wrong, stream))
    }

    [cuGraphLaunch] (exec: usize, stream: usize) |real| {
        pace((exec, 0), stream, || graph::launch(exec, stream, || real(exec, stream)))
    }

    [cuGraphLaunch_ptsz] (exec: usize, stream: usize) |real| {
        let own = pool::by_thread(stream);
        pace((exec, 0), own, || graph::launch(exec, own, || real(exec, stream)))
    }
}

#[cfg(test)]
mod tests {
    use super::HOOKS;
    use crate::export::SYMBOLS;
    use weft_cuda_abi::{Class, class_of};

    #[test]
    fn every_form_of_launch_is_paced_or_refused() {
        let paced = |place: usize| HOOKS.iter().any(|hook| hook.place == place);
        let launches = SYMBOLS
            .iter()
            .enumerate()
            .filter(|(_, symbol)| symbol.to_str().map(class_of) == Ok(Class::Launch));
        let free: Vec<_> = launches.filter(|(place, _)| !paced(*place)).collect();
        assert!(free.is_empty(), "{free:?}");
    }
}
