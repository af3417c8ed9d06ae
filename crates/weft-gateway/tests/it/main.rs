//! Data at rest as attackers, crashes and full disks meet it.

mod away;
mod branches;
mod commits;
mod cuts;
mod datasets;
mod forgets;
mod keys;
mod manifests;
mod packs;
mod power;
mod replaces;
mod rotations;
mod scrubs;
mod seals;

use weft_gateway::Key;

fn key() -> Key {
    Key::fresh().expect("random numbers")
}

/// A directory where a sync costs nothing: for tests that are not about the disk.
fn fast_dir() -> tempfile::TempDir {
    let memory = std::path::Path::new("/dev/shm");
    match memory.is_dir() {
        true => tempfile::tempdir_in(memory).expect("a folder in memory"),
        false => tempfile::tempdir().expect("a folder"),
    }
}

/// Bytes without a pattern, the same for the same seed (xorshift64*, G. Marsaglia 2003).
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend(state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// A file system in memory, a part of which is taken by something else; none where it cannot be
/// mounted.
struct Small(tempfile::TempDir);

impl Small {
    fn mount(size: usize, ballast: usize) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "weft-test"]).arg(folder.path());
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        if !mounted {
            let skipped = b"SKIPPED a test of a full disk: mounting a tmpfs needs root\n";
            let _ = std::io::Write::write_all(&mut std::io::stderr(), skipped);
            return None;
        }
        let small = Self(folder);
        std::fs::write(small.ballast(), vec![1; ballast]).expect("room for the ballast");
        Some(small)
    }

    fn path(&self) -> &std::path::Path {
        self.0.path()
    }

    /// What can be removed to make room.
    fn ballast(&self) -> std::path::PathBuf {
        self.path().join("ballast")
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(self.path()).status();
    }
}
