//! Limits the kernel does not keep by itself: disk always, memory where no cgroup bounds it, and
//! the length of what a run shares with the agent.
//!
//! The main loop looks twice a second. A look is cheap while nothing changes: the working
//! directory is only walked again when the file system's free space has moved.

use super::disk;
use super::record::{self, Orders, USAGE, WORK};
use crate::gpu::Delivery;
use crate::launch::{End, Limits, Usage};
use crate::sandbox::kernel;
use rustix::fs::statvfs;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use weft_cuda_abi::reading;
use weft_types::Bytes;

/// Free space that moved less is noise of other programs; bytes.
const NOISE: u64 = 1 << 20;
/// The directory is walked at least so often, as files may shrink while others grow.
const AT_LEAST: Duration = Duration::from_secs(30);
/// A walk may take this part of the time: one tenth.
const WALK_SHARE: u32 = 10;
/// Blocks of 512 bytes that a ledger may take: two huge pages, where the machine gives memory
/// files such.
const LEDGER_BLOCKS_MAX: u64 = (4 << 20) / 512;

/// A limit was crossed.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) end: End,
    pub(super) why: String,
}

/// What was seen of one run so far.
#[derive(Debug)]
pub(super) struct Watch {
    dir: PathBuf,
    /// Counts as the working directory does.
    kept: Option<PathBuf>,
    /// What it shares with the agent and may write; none: it has no part of a device.
    ledger: Option<PathBuf>,
    limits: Limits,
    reserve: u64,
    init: i32,
    /// Whether memory is watched here, for want of a cgroup.
    memory_too: bool,
    free: u64,
    disk: Bytes,
    memory_peak: Bytes,
    walk_after: Instant,
    walk_before: Instant,
}

impl Watch {
    pub(super) fn new(dir: &Path, orders: &Orders, init: i32, memory_too: bool) -> Watch {
        let now = Instant::now();
        Watch {
            dir: dir.to_owned(),
            kept: orders.kept.clone(),
            ledger: orders.gpu.as_ref().and_then(Delivery::ledger).map(Path::to_owned),
            limits: orders.launch.limits,
            reserve: orders.reserve,
            init,
            memory_too,
            free: u64::MAX,
            disk: Bytes(0),
            memory_peak: Bytes(0),
            walk_after: now,
            walk_before: now,
        }
    }

    /// One look. `oom_kills` is the kernel's count for the run.
    pub(super) fn look(&mut self, oom_kills: u64) -> Option<Verdict> {
        if oom_kills > 0 {
            // One of several processes was killed: what is left would only wait for it.
            return Some(Verdict { end: End::OutOfMemory, why: memory_full(self.limits.memory) });
        }
        if fs::metadata(&self.dir).is_ok_and(|dir| dir.nlink() == 0) {
            let why = "its directory was removed".to_owned();
            return Some(Verdict { end: End::Lost, why });
        }
        if let Some(verdict) = self.look_at_ledger() {
            return Some(verdict);
        }
        let grown = self.look_at_disk();
        if self.disk > self.limits.disk {
            return Some(Verdict { end: End::OutOfDisk, why: disk_full(self.limits.disk) });
        }
        if grown && self.free < self.reserve {
            let why = "the machine's disk is nearly full, and this run was filling it";
            return Some(Verdict { end: End::OutOfDisk, why: why.to_owned() });
        }
        self.look_at_memory()
    }

    /// The size of the working directory and the kept folder, measured now.
    pub(super) fn measure(&mut self) -> Bytes {
        let kept = self.kept.as_deref().map_or(0, disk::of_tree);
        self.disk = Bytes(disk::of_tree(&self.dir.join(WORK)).saturating_add(kept));
        self.disk
    }

    /// The most memory seen where it was watched.
    pub(super) fn memory_peak(&self) -> Bytes {
        self.memory_peak
    }

    /// Measures if there is a reason to. Whether the run has grown since the last time.
    fn look_at_disk(&mut self) -> bool {
        let Ok(stat) = statvfs(&self.dir) else { return false };
        let (free, now) = (stat.f_bavail * stat.f_frsize, Instant::now());
        let moved = free.abs_diff(self.free) > NOISE;
        if now < self.walk_after || !(moved || now >= self.walk_before) {
            return false;
        }
        let before = self.disk;
        self.measure();
        self.disk += Bytes(disk::of_removed(&self.dir.join(WORK), &processes(self.init)));
        self.free = free;
        self.walk_after = now + now.elapsed() * WALK_SHARE;
        self.walk_before = now + AT_LEAST;
        let _ = record::write(&self.dir, USAGE, &Usage { disk: self.disk, ..self.watched() });
        self.disk > before
    }

    /// Its ledger is memory of the machine: as long as it was made, and no more behind its end.
    fn look_at_ledger(&self) -> Option<Verdict> {
        let about = fs::metadata(self.ledger.as_ref()?).ok()?;
        let beyond = about.len() > reading::BYTES as u64 || about.blocks() > LEDGER_BLOCKS_MAX;
        beyond.then(|| {
            let why = "killed: it wrote beyond the end of what it shares of its accelerator's use";
            Verdict { end: End::OutOfMemory, why: why.to_owned() }
        })
    }

    fn look_at_memory(&mut self) -> Option<Verdict> {
        if !self.memory_too {
            return None;
        }
        let seen = self.watched();
        let _ = record::write(&self.dir, USAGE, &Usage { disk: self.disk, ..seen });
        self.memory_peak = self.memory_peak.max(seen.memory);
        (seen.memory > self.limits.memory)
            .then(|| Verdict { end: End::OutOfMemory, why: memory_full(self.limits.memory) })
    }

    /// Memory, processor time and processes as `/proc` shows them; zero where a cgroup counts.
    fn watched(&self) -> Usage {
        if !self.memory_too {
            return Usage::default();
        }
        let mut usage = Usage { memory_peak: self.memory_peak, ..Usage::default() };
        for pid in processes(self.init) {
            let Some((cpu_us, memory)) = stat_of(pid) else { continue };
            usage.cpu_us += cpu_us;
            usage.memory += Bytes(memory);
            usage.pids += 1;
        }
        usage
    }
}

/// For people.
pub(super) fn memory_full(limit: Bytes) -> String {
    format!("killed: used more than its {limit} of memory; ask for more with `resources.memory`")
}

/// For people.
pub(super) fn disk_full(limit: Bytes) -> String {
    format!("ended: filled its {limit} of scratch disk; ask for more with `resources.disk`")
}

/// Processor microseconds and resident bytes of one process.
fn stat_of(pid: i32) -> Option<(u64, u64)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let ticks = number(14)? + number(15)? + number(16)? + number(17)?;
    let per_second = kernel::ticks_per_second();
    let page = kernel::page_size();
    Some((ticks * (1_000_000 / per_second.max(1)), number(24)? * page))
}

/// A process and all it started, that is still there.
fn processes(init: i32) -> Vec<i32> {
    let (mut found, mut next) = (vec![init], 0);
    while let Some(pid) = found.get(next) {
        let children = children_of(*pid);
        found.extend(children);
        next += 1;
    }
    found
}

fn children_of(pid: i32) -> Vec<i32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|t| fs::read_to_string(t.path().join("children")).ok());
    lists
        .flat_map(|l| l.split_whitespace().filter_map(|p| p.parse().ok()).collect::<Vec<_>>())
        .collect()
}
