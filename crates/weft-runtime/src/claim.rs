//! One builder per key, across tasks and processes: the lock behind every prepared artefact.
//!
//! A claim on `key` in a store is the exclusive lock on `<store>/.building/<key>/lock` together
//! with an empty folder beside it to build in. What was built is published by one rename, so a
//! reader finds all of it or nothing. The lock belongs to the open file, so it ends with the last
//! process that holds it: child processes inherit it as standard input ([`Claim::stdin`]), and a
//! builder that outlives a killed server still keeps others out of its folder.
//!
//! ```text
//! absent ─► claimed (lock held, tree empty) ─► built ─► published (renamed) ─► absent
//!              └────────── dropped or killed: swept at the next open ──────────┘
//! ```

use crate::failpoint;
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const BUILDING: &str = ".building";

/// Between two attempts at a lock that another holds: short beside any build, cheap to repeat.
const RETRY: Duration = Duration::from_millis(50);

/// Makes the names of dropped claims' folders differ.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// The right to build one key of one store; dropped, it takes the unfinished build with it.
#[derive(Debug)]
pub(crate) struct Claim {
    dir: PathBuf,
    lock: File,
}

impl Claim {
    /// Waits until this caller alone builds `key`. Dropping the future gives up the wait.
    pub(crate) async fn take(store: &Path, key: &str) -> io::Result<Self> {
        loop {
            if let Some(claim) = Self::attempt(store, key)? {
                return Ok(claim);
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// The claim, unless another holds it now.
    pub(crate) fn attempt(store: &Path, key: &str) -> io::Result<Option<Self>> {
        let dir = store.join(BUILDING).join(key);
        match fs::create_dir_all(&dir) {
            // It was there, and its holder moved it away before that could be looked at.
            Err(e) if e.kind() == ErrorKind::AlreadyExists => return Ok(None),
            other => other?,
        }
        let path = dir.join("lock");
        let lock = match File::options().create(true).append(true).read(true).open(&path) {
            // Its last holder removed the folder between the two calls.
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Err(e) if e == rustix::io::Errno::WOULDBLOCK => return Ok(None),
            other => other?,
        }
        // A lock on a file that is no longer the one at the path locks nobody out.
        match fs::metadata(&path) {
            Ok(there) if there.ino() == lock.metadata()?.ino() => {}
            Ok(_) => return Ok(None),
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e),
        }
        let claim = Self { dir, lock };
        crate::remove::tree(&claim.tree())?;
        fs::create_dir(claim.tree())?;
        Ok(Some(claim))
    }

    /// The folder to build in; empty when the claim is taken.
    pub(crate) fn tree(&self) -> PathBuf {
        self.dir.join("tree")
    }

    /// Standard input for a child process: empty, and it holds the lock while the child lives.
    pub(crate) fn stdin(&self) -> io::Result<Stdio> {
        Ok(Stdio::from(self.lock.try_clone()?))
    }

    /// Makes the folder built durable and gives it its final name. Blocks on the disk.
    pub(crate) fn publish(self, to: &Path) -> io::Result<()> {
        // One flush of the file system instead of one per file: an environment has thousands.
        rustix::fs::syncfs(File::open(self.tree())?)?;
        rename(&self.tree(), to)
    }

    /// As [`Claim::publish`], for one folder of the folder.
    pub(crate) fn publish_folder(&self, name: &str, to: &Path) -> io::Result<()> {
        let from = self.tree().join(name);
        rustix::fs::syncfs(File::open(&from)?)?;
        rename(&from, to)
    }

    /// As [`Claim::publish`], for one file of the folder, which replaces what is at `to`.
    pub(crate) fn publish_file(self, name: &str, to: &Path) -> io::Result<()> {
        let from = self.tree().join(name);
        File::open(&from)?.sync_all()?;
        rename(&from, to)
    }
}

impl Drop for Claim {
    /// Moved away before it is removed: once the lock file is gone, the next builder could lock
    /// a new one in a folder that is still being emptied.
    fn drop(&mut self) {
        let number = DROPPED.fetch_add(1, Ordering::Relaxed);
        let aside = self.dir.with_file_name(format!("dropped-{}-{number}", std::process::id()));
        let removed = fs::rename(&self.dir, &aside).and_then(|()| crate::remove::tree(&aside));
        if let Err(error) = removed {
            tracing::warn!(dir = %self.dir.display(), %error, "an unfinished build stays behind");
        }
    }
}

fn rename(from: &Path, to: &Path) -> io::Result<()> {
    failpoint::hit("artefact-before-rename");
    fs::rename(from, to)?;
    failpoint::hit("artefact-renamed");
    sync_parent(to)
}

/// Makes a rename into the folder of `path` durable.
pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

/// Removes what builders that were killed left in a store; those still at work keep theirs.
pub(crate) fn sweep(store: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(store.join(BUILDING)) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        if let Some(key) = entry?.file_name().to_str() {
            drop(Claim::attempt(store, key)?);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Claim {
        /// Ends as a killed process does: the lock goes, the folder stays.
        fn die(mut self) {
            self.dir = PathBuf::new();
        }
    }

    #[tokio::test]
    async fn a_second_builder_waits_for_the_first() {
        let store = tempfile::tempdir().unwrap();
        let first = Claim::take(store.path(), "k").await.unwrap();
        assert!(Claim::attempt(store.path(), "k").unwrap().is_none());
        assert!(Claim::attempt(store.path(), "other").unwrap().is_some());
        fs::write(first.tree().join("file"), "built").unwrap();
        let to = store.path().join("k");
        let waiting = Claim::take(store.path(), "k");
        first.publish(&to).unwrap();
        let second = waiting.await.unwrap();
        assert_eq!(fs::read_to_string(to.join("file")).unwrap(), "built");
        assert_eq!(fs::read_dir(second.tree()).unwrap().count(), 0);
        drop(second);
        assert_eq!(fs::read_dir(store.path().join(BUILDING)).unwrap().count(), 0);
    }

    #[test]
    fn a_builder_never_loses_its_folder_to_the_one_before() {
        let store = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        let Some(claim) = Claim::attempt(store.path(), "k").unwrap() else {
                            continue;
                        };
                        fs::write(claim.tree().join("alone"), "").unwrap();
                        assert_eq!(fs::read_dir(claim.tree()).unwrap().count(), 1);
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(store.path().join(BUILDING)).unwrap().count(), 0);
    }

    #[test]
    fn sweeping_takes_the_dead_and_spares_the_living() {
        let store = tempfile::tempdir().unwrap();
        let dead = store.path().join(BUILDING).join("dead/tree/deep");
        fs::create_dir_all(dead).unwrap();
        let living = Claim::attempt(store.path(), "living").unwrap().unwrap();
        sweep(store.path()).unwrap();
        assert!(living.tree().exists());
        assert!(!store.path().join(BUILDING).join("dead").exists());
    }

    #[test]
    fn a_child_holds_the_lock_until_it_ends() {
        let store = tempfile::tempdir().unwrap();
        let claim = Claim::attempt(store.path(), "k").unwrap().unwrap();
        let fifo = store.path().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
        let mut child = std::process::Command::new("/bin/sh")
            .args(["-c", "read word < \"$0\""])
            .arg(&fifo)
            .stdin(claim.stdin().unwrap())
            .spawn()
            .unwrap();
        // The builder is gone but not its child: as after a kill of the server.
        claim.die();
        assert!(Claim::attempt(store.path(), "k").unwrap().is_none(), "the child holds it");
        File::options().write(true).open(&fifo).unwrap();
        child.wait().unwrap();
        assert!(Claim::attempt(store.path(), "k").unwrap().is_some());
    }
}
