//! How far the kernel reads ahead of a program that reads one piece after another.
//!
//! ```text
//! as the kernel begins    128 KiB: eight requests for each MiB
//! widened                 1 MiB: one request, of one block
//! ```
//!
//! The protocol can only narrow the window; who may write it in `/sys` can widen it, which is root
//! of the machine. Elsewhere it stays as it is, and nothing but speed is lost.

use crate::FILE_SYSTEM;
use crate::blocks::BLOCK;
use std::path::Path;

/// The window, in bytes: the longest request, and one block. A file that is mapped and touched at
/// random is read in windows of that too, which is why it is not more.
pub(crate) const WINDOW: u64 = BLOCK;

/// Where the kernel has the windows, by the device's number.
const WINDOWS: &str = "/sys/class/bdi";

/// Widens the window of all datasets' folders that a process sees, as far as that is allowed.
pub fn widen(pid: i32) {
    let seen = std::fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
    for device in devices(&seen) {
        let window = Path::new(WINDOWS).join(device).join("read_ahead_kb");
        // Without root it cannot be written: programs read all the same, in smaller pieces.
        let _ = std::fs::write(window, (WINDOW >> 10).to_string());
    }
}

/// The devices of mounts of ours, from the kernel's list (proc_pid_mountinfo(5)).
fn devices(mounts: &str) -> impl Iterator<Item = &str> {
    mounts.lines().filter_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        let ours = kind.split(' ').next() == Some(FILE_SYSTEM);
        mount.split(' ').nth(2).filter(|_| ours)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_mounts_are_widened() {
        let mounts = "63 42 0:39 / / ro,nosuid - tmpfs tmpfs rw\n\
                      140 63 0:51 / /data/a ro,nosuid - fuse.weft weft ro,user_id=0\n\
                      141 63 0:52 / /data/fuse.weft ro - fuse.other weft ro\n\
                      142 63 0:53 / /data/b\\040c ro shared:1 - fuse.weft weft ro\nbroken\n";
        assert_eq!(devices(mounts).collect::<Vec<_>>(), ["0:51", "0:53"]);
    }
}
