//! What a world left behind: processes, mounts, control groups and shared memory of its directory.

use sha2::{Digest as _, Sha256};
use std::fs;
use std::path::{Path, PathBuf};

/// Everything left of a world, in words; empty is as it should be.
pub(crate) fn of(dir: &Path) -> Vec<String> {
    let mut left = Vec::new();
    for (pid, line) in processes(dir) {
        left.push(format!("process {pid}: {line}"));
    }
    let needle = dir.display().to_string();
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    left.extend(mounts.lines().filter(|line| line.contains(&needle)).map(|l| format!("mount {l}")));
    left.extend(groups(dir).into_iter().map(|group| format!("control group {}", group.display())));
    let shared = name(dir).map(|name| Path::new("/dev/shm").join(format!("weft-{name}")));
    let shared = shared.filter(|folder| folder.exists());
    left.extend(shared.map(|folder| format!("shared memory {}", folder.display())));
    left
}

/// What `weft-runtime` calls the world's runs: a digest of their directory.
fn name(dir: &Path) -> Option<String> {
    let runs = dir.join("state/runs").canonicalize().ok()?;
    let digest = Sha256::digest(runs.as_os_str().as_encoded_bytes());
    Some(digest[..6].iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Control groups of the world's runs: their names begin with that.
fn groups(dir: &Path) -> Vec<PathBuf> {
    let Some(prefix) = name(dir) else { return Vec::new() };
    let read = |path: PathBuf| fs::read_dir(path).into_iter().flatten().flatten();
    let hierarchies = read("/sys/fs/cgroup".into()).map(|entry| entry.path());
    let all = hierarchies.chain(["/sys/fs/cgroup".into()]);
    let groups = all.flat_map(|root| read(root.join("weft")));
    let own = groups.filter(|group| group.file_name().to_string_lossy().starts_with(&prefix));
    own.map(|group| group.path()).collect()
}

/// Processes whose command line or working directory lies in the world: the server and every
/// supervisor are started with a path below it.
pub(crate) fn processes(dir: &Path) -> Vec<(i32, String)> {
    let own = std::process::id() as i32;
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| *pid != own)
        .filter_map(|pid| {
            let proc = PathBuf::from(format!("/proc/{pid}"));
            let line = fs::read(proc.join("cmdline")).ok()?;
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            let there = fs::read_link(proc.join("cwd")).is_ok_and(|cwd| cwd.starts_with(dir));
            (there || line.contains(&dir.display().to_string())).then_some((pid, line))
        })
        .collect()
}
