//! A version of a dataset as a read-only folder, for programs that know files only.
//!
//! The sandbox opens `/dev/fuse` and mounts it (`open`, `options`), the run's supervisor serves
//! the descriptor ([`serve`]): it asks the server for lists and ranges, which decides about each.
//! Nothing of it is ever on the machine's disk in clear.
//!
//! ```text
//! program ─► kernel (page cache) ─► /dev/fuse ─► session ─► blocks ─► source ─► server's socket
//! ```
//!
//! | to | read |
//! |--|--|
//! | see what is spoken with the kernel | `protocol.rs` |
//! | see which objects are shown under which names | `tree.rs` |
//! | see what is fetched ahead, and what is kept | `blocks.rs` |
//! | see how far the kernel reads ahead | `ahead.rs` |
//! | see what happens while the server is away | `source.rs` |
//!
//! Absent on purpose: writing, a cache on disk, any key, any decision about who may read.

mod ahead;
mod blocks;
mod protocol;
mod session;
mod source;
mod tree;

pub use ahead::widen;
pub use source::{From, RUN_HEADER};
pub use tree::Nodes;

use rustix::fs::{Mode, OFlags};
use session::Session;
use source::Source;
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use tokio::sync::watch;

/// The kernel's door.
pub const DEVICE: &str = "/dev/fuse";

/// What mount(2) calls it.
pub const FILE_SYSTEM: &str = "fuse.weft";

/// Opens the kernel's door, for one mount. In a user namespace it must be opened where it is
/// mounted: the kernel wants both of one.
pub fn open() -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK;
    Ok(rustix::fs::open(DEVICE, flags, Mode::empty())?)
}

/// The options of its mount: the kernel itself looks at modes, and lets others than root read.
pub fn options(fuse: &OwnedFd) -> String {
    let fd = fuse.as_raw_fd();
    format!("fd={fd},rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other")
}

/// A mount that is served, by a thread of its own.
pub struct Serving {
    counts: Arc<Counts>,
    closing: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

/// What is known of a mount from outside.
#[derive(Debug, Default)]
struct Counts {
    /// Bytes fetched.
    read: AtomicU64,
    /// Objects that are not shown.
    hidden: AtomicU64,
    /// Whether something waits for a server that does not answer.
    waits: AtomicBool,
}

/// Serves a mount until it is gone, or [`Serving`] is dropped. `budget`: bytes fetched ahead that
/// are held at most; `nodes`: what all mounts of the run share.
///
/// # Errors
/// No thread, or the kernel's door cannot be waited for.
pub fn serve(fuse: OwnedFd, from: From, nodes: Nodes, budget: u64) -> io::Result<Serving> {
    let counts = Arc::new(Counts::default());
    let (closing, told) = watch::channel(false);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let own = Arc::clone(&counts);
    let (begun, has_begun) = std::sync::mpsc::sync_channel(1);
    let work = move || {
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, async move {
            let source = Source::new(from, nodes.clone(), Arc::clone(&own));
            match Session::new(fuse, source, nodes, budget, own) {
                Ok(session) => {
                    let _ = begun.send(Ok(()));
                    session.serve(told).await;
                }
                Err(error) => {
                    let _ = begun.send(Err(error));
                }
            }
        });
        // Before the runtime, in which what they hold is registered.
        drop(local);
    };
    let thread = std::thread::Builder::new().name("data".to_owned()).spawn(work)?;
    // Otherwise nobody would say why nothing of it is ever answered.
    has_begun.recv().unwrap_or_else(|_| Err(io::Error::other("its thread ended at once")))?;
    Ok(Serving { counts, closing, thread: Some(thread) })
}

impl Serving {
    /// Bytes that were fetched for it.
    pub fn read(&self) -> u64 {
        self.counts.read.load(Ordering::Relaxed)
    }

    /// Objects of folders that were looked into, that cannot be shown as files.
    pub fn hidden(&self) -> u64 {
        self.counts.hidden.load(Ordering::Relaxed)
    }

    /// Whether something waits for a server that does not answer.
    pub fn waits(&self) -> bool {
        self.counts.waits.load(Ordering::Relaxed)
    }
}

impl Drop for Serving {
    /// Ends it: whoever still reads is told an error, and nobody hangs.
    fn drop(&mut self) {
        let _ = self.closing.send(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving").field("counts", &self.counts).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_door_that_cannot_be_waited_for_is_said_at_once() {
        // No file of a disk can be.
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        let from = From {
            socket: "/nowhere".into(),
            run: String::new(),
            dataset: String::new(),
            version: String::new(),
        };
        let error = serve(file.into(), from, Nodes::default(), 1).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
    }
}
