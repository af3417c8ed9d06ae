//! What of this machine the pool may give away: all of it but a headroom for the machine itself.

use std::io;
use std::path::Path;
use weft_types::{Bytes, MilliCpu};

/// What the pool may give away. Accelerators are the driver's to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// Processor: every core this process may run on. No headroom: shares are elastic, and an
    /// idle server wants next to none.
    pub cpu: MilliCpu,
    /// Memory.
    pub memory: Bytes,
    /// Scratch disk: what is free where the runs are.
    pub disk: Bytes,
}

/// What is kept for the machine itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headroom {
    /// Of memory, in thousandths.
    pub memory_permille: u64,
    /// Of memory, at least.
    pub memory_least: Bytes,
    /// Of the disk, in thousandths.
    pub disk_permille: u64,
    /// Of the disk, at least.
    pub disk_least: Bytes,
}

impl Default for Headroom {
    fn default() -> Self {
        Self {
            // Kernel and page tables grow with the machine; Kubernetes' providers keep 2 to 25 %,
            // the less the larger the machine. 5 % is theirs at 16 to 64 GB.
            memory_permille: 50,
            // The server (60 MB), supervisors (2 MB each), a login shell and the system's
            // daemons: a machine under pressure must stay reachable.
            memory_least: Bytes(512_000_000),
            // A file system that is nearly full becomes slow and refuses the store its commits.
            disk_permille: 50,
            // The store's WAL, logs and exit records of what runs.
            disk_least: Bytes(64_000_000),
        }
    }
}

/// What of this machine the pool may give away, with runs kept under `state_dir`.
pub fn capacity(state_dir: &Path, headroom: &Headroom) -> io::Result<Capacity> {
    let cores = std::thread::available_parallelism()?.get() as u64;
    let disk = rustix::fs::statvfs(state_dir)?;
    let free = Bytes(disk.f_bavail.saturating_mul(disk.f_frsize));
    let keep = |all: Bytes, permille: u64, least: Bytes| {
        all.saturating_sub(Bytes(all.0 / 1_000 * permille).max(least))
    };
    Ok(Capacity {
        cpu: MilliCpu(cores * 1_000),
        memory: keep(memory()?, headroom.memory_permille, headroom.memory_least),
        disk: keep(free, headroom.disk_permille, headroom.disk_least),
    })
}

/// The machine's memory, or the limit this process lives under where that is less.
fn memory() -> io::Result<Bytes> {
    let info = rustix::system::sysinfo();
    let all = info.totalram.saturating_mul(u64::from(info.mem_unit.max(1)));
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limit = own.lines().filter_map(cgroup_limit).min().unwrap_or(all);
    Ok(Bytes(all.min(limit)))
}

/// The memory limit that a line of `/proc/self/cgroup` leads to, v2 or v1 (cgroups(7)).
fn cgroup_limit(line: &str) -> Option<u64> {
    let (_, rest) = line.split_once(':')?;
    let (controllers, path) = rest.split_once(':')?;
    let path = path.trim_start_matches('/');
    let (mount, file) = match controllers {
        "" => ("/sys/fs/cgroup", "memory.max"),
        _ if controllers.split(',').any(|c| c == "memory") => {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        }
        _ => return None,
    };
    std::fs::read_to_string(Path::new(mount).join(path).join(file)).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headroom_is_kept() {
        let none = Headroom {
            memory_permille: 0,
            memory_least: Bytes::ZERO,
            disk_permille: 0,
            disk_least: Bytes::ZERO,
        };
        let dir = tempfile::tempdir().unwrap();
        let all = capacity(dir.path(), &none).unwrap();
        let kept = capacity(dir.path(), &Headroom::default()).unwrap();
        assert!(all.cpu >= MilliCpu(1_000) && all.cpu == kept.cpu);
        assert!(kept.memory + Bytes(512_000_000) <= all.memory || kept.memory == Bytes::ZERO);
        let half = Headroom { memory_permille: 500, ..none };
        let halved = capacity(dir.path(), &half).unwrap().memory;
        assert!(halved.0.abs_diff(all.memory.0 / 2) < 1_000);
    }

    #[test]
    fn a_small_machine_gives_nothing_rather_than_all() {
        let most = Headroom { memory_least: Bytes(u64::MAX), ..Headroom::default() };
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(capacity(dir.path(), &most).unwrap().memory, Bytes::ZERO);
    }
}
