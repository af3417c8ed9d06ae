//! Launches, and how many blocks of one there is room for.
//!
//! A kernel keeps the device for the time that the settings say; one that `golden.rs` knows is
//! computed, all others do nothing.

use crate::call::{In, Out};
use crate::code::{BLOCK_MAX, described};
use crate::context::current;
use crate::driver::{driver, with};
use crate::golden::{Arguments, Golden};
use crate::outcome::{INVALID_VALUE, Outcome};
use crate::work::{Work, submit};

/// Blocks in the first direction, and in the others.
const GRID_MAX: (u32, u32) = (i32::MAX as u32, 65_535);
/// Blocks of a processor at most.
const RESIDENT_MAX: i32 = 32;
/// Threads of a processor, as far as occupancy is asked for.
const RESIDENT_THREADS: i32 = 2048;

/// The public structure `CUlaunchConfig`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct Launch {
    grid: [u32; 3],
    block: [u32; 3],
    shared_bytes: u32,
    stream: u64,
    attributes: usize,
    count: u32,
}

impl Launch {
    fn new(grid: [u32; 3], block: [u32; 3], shared_bytes: u32, stream: u64) -> Self {
        Self { grid, block, shared_bytes, stream, attributes: 0, count: 0 }
    }
}

/// Has the device compute.
fn launch(function: u64, how: Launch, arguments: In<In<u8>>, extra: usize) -> Outcome {
    current()?;
    let threads = how.block.iter().try_fold(1u32, |all, n| all.checked_mul(*n));
    let blocks = how.grid[0] <= GRID_MAX.0 && how.grid[1..].iter().all(|n| *n <= GRID_MAX.1);
    let none = how.grid.iter().chain(&how.block).any(|n| *n == 0);
    if none || !blocks || threads.is_none_or(|threads| threads > BLOCK_MAX) {
        return Err(INVALID_VALUE);
    }
    let name = described(function, |name, _| name.to_string_lossy().into_owned())?;
    let golden = match extra {
        0 => Golden::of(&name, Arguments(arguments))?,
        _ => None,
    };
    let nanoseconds = driver()?.settings.kernel_ns(&name);
    submit(how.stream, Work::Kernel { nanoseconds, golden })
}

/// How many blocks of so many threads a processor holds.
fn resident(count: Out<i32>, function: u64, threads: i32) -> Outcome {
    described(function, |_, _| ())?;
    match threads {
        ..=0 => Err(INVALID_VALUE),
        _ => count.put((RESIDENT_THREADS / threads).clamp(1, RESIDENT_MAX)),
    }
}

/// Processors of the current device.
fn processors() -> Outcome<u16> {
    let place = with(|state| crate::context::current_device(state))?;
    Ok(driver()?.devices[place].kind.sms)
}

calls! {
    fn cuLaunchKernel(
        function: u64,
        grid_x: u32,
        grid_y: u32,
        grid_z: u32,
        block_x: u32,
        block_y: u32,
        block_z: u32,
        shared_bytes: u32,
        stream: u64,
        arguments: In<In<u8>>,
        extra: usize,
    ) {
        let (grid, block) = ([grid_x, grid_y, grid_z], [block_x, block_y, block_z]);
        launch(function, Launch::new(grid, block, shared_bytes, stream), arguments, extra)
    }

    fn cuLaunchCooperativeKernel(
        function: u64,
        grid_x: u32,
        grid_y: u32,
        grid_z: u32,
        block_x: u32,
        block_y: u32,
        block_z: u32,
        shared_bytes: u32,
        stream: u64,
        arguments: In<In<u8>>,
    ) {
        let (grid, block) = ([grid_x, grid_y, grid_z], [block_x, block_y, block_z]);
        launch(function, Launch::new(grid, block, shared_bytes, stream), arguments, 0)
    }

    fn cuLaunchKernelEx(how: In<Launch>, function: u64, arguments: In<In<u8>>, extra: usize) {
        launch(function, how.get()?, arguments, extra)
    }

    fn cuOccupancyMaxActiveBlocksPerMultiprocessor(
        count: Out<i32>,
        function: u64,
        threads: i32,
        _shared: u64,
    ) {
        resident(count, function, threads)
    }

    fn cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
        count: Out<i32>,
        function: u64,
        threads: i32,
        _shared: u64,
        _flags: u32,
    ) {
        resident(count, function, threads)
    }

    fn cuOccupancyAvailableDynamicSMemPerBlock(
        bytes: Out<u64>,
        function: u64,
        blocks: i32,
        threads: i32,
    ) {
        described(function, |_, _| ())?;
        if blocks <= 0 || threads <= 0 {
            return Err(INVALID_VALUE);
        }
        bytes.put(crate::device::SHARED_BYTES / u64::from(blocks.unsigned_abs()))
    }

    fn cuOccupancyMaxPotentialBlockSize(
        blocks: Out<i32>,
        threads: Out<i32>,
        function: u64,
        _shared: usize,
        _fixed: u64,
        limit: i32,
    ) {
        described(function, |_, _| ())?;
        let most = BLOCK_MAX as i32;
        threads.put(if limit > 0 { limit.min(most) } else { most })?;
        blocks.put(i32::from(processors()?))
    }

    fn cuOccupancyMaxPotentialClusterSize(blocks: Out<i32>, function: u64, how: In<Launch>) {
        described(function, |_, _| ())?;
        how.get()?;
        // The most that any program may count on, by the programming guide.
        blocks.put(8)
    }

    fn cuOccupancyMaxActiveClusters(count: Out<i32>, function: u64, how: In<Launch>) {
        described(function, |_, _| ())?;
        how.get()?;
        count.put(i32::from(processors()?))
    }
}
