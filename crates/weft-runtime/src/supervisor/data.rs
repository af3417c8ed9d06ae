//! The datasets of a run: each mount served by a thread of this process, as long as the run lasts,
//! and its way to them in S3's words (`network/server.rs`).
//!
//! The server is asked for every list and every range, and knows this process by its number: there
//! is no credential that a program could find. A run that reads data cannot be looked into by other
//! processes of its user, and leaves no core behind.

use super::log::Log;
use super::record::Orders;
use crate::launch::DataMount;
use crate::network::server::{self, For};
use crate::sandbox::message::{Line, Say};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use weft_mount::{From, Nodes, Serving};
use weft_types::Bytes;

/// Bytes that are fetched ahead for a run and held at most, for all its mounts together. It is the
/// supervisor's memory, outside of the workload's limit; what the kernel keeps of what was read is
/// the workload's.
const AHEAD: u64 = 64 << 20;

/// The mounts of a run, in the order of its launch.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    serving: Vec<Serving>,
    /// Whether it was said that the server is away.
    said: bool,
    /// Bytes that came over S3.
    over_s3: Arc<AtomicU64>,
}

impl Mounts {
    /// Serves each, by what comes for it once it is mounted. Waits for that. `init`: a process that
    /// sees them.
    pub(super) fn serve(orders: &Orders, line: &Line, init: i32) -> io::Result<Mounts> {
        let data = &orders.launch.data;
        let (mut mounts, nodes) = (Mounts::default(), Nodes::default());
        if !data.is_empty() {
            set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
        }
        for mount in data {
            let fuse = match line.receive::<Say>()? {
                Some((Say::Mounted, mut fds)) if fds.len() == 1 => fds.remove(0),
                Some((Say::Failed { step }, _)) => return Err(io::Error::other(step)),
                _ => return Err(io::Error::other("its first process ended at once")),
            };
            let from = From {
                socket: orders.server.clone(),
                run: orders.launch.key.to_string(),
                dataset: mount.dataset.clone(),
                version: mount.version.clone(),
            };
            let ahead = AHEAD / data.len() as u64;
            mounts.serving.push(weft_mount::serve(fuse, from, nodes.clone(), ahead)?);
        }
        if !data.is_empty() {
            weft_mount::widen(init);
        }
        Ok(mounts)
    }

    /// Serves its programs that know S3, or track what they do, on listeners of the sandbox.
    pub(super) fn serve_clients(&self, of: For, orders: &Orders, listeners: Vec<OwnedFd>) {
        for listener in listeners {
            let came = match of {
                For::Datasets => Arc::clone(&self.over_s3),
                // No data: nobody wants to know how much.
                For::Tracking => Arc::default(),
            };
            let socket = orders.server.with_file_name(server::RUN_SOCKET);
            let run = orders.launch.key.to_string();
            server::serve(listener, server::Way { of, socket, run, came });
        }
    }

    /// Says in the log that reads wait, and that they go on.
    pub(super) fn look(&mut self, log: &mut Log) {
        let away = self.serving.iter().any(Serving::waits);
        if away != self.said {
            self.said = away;
            log.say(match away {
                true => "data: the server is away; what is read waits for it",
                false => "data: the server is back",
            });
        }
    }

    /// Ends them all, and says what was read.
    pub(super) fn end(&mut self, data: &[DataMount], log: &mut Log) {
        for (serving, data) in self.serving.drain(..).zip(data) {
            let DataMount { dataset, version, .. } = data;
            let (read, hidden) = (serving.read(), serving.hidden());
            if read > 0 {
                log.say(&format!("data: {} of {dataset}@{version} were read", Bytes(read)));
            }
            if hidden > 0 {
                log.say(&format!(
                    "data: {hidden} objects of {dataset}@{version} are not shown: their paths \
                     cannot be those of files"
                ));
            }
        }
        let over_s3 = self.over_s3.load(Ordering::Relaxed);
        if over_s3 > 0 {
            log.say(&format!("data: {} were read over S3", Bytes(over_s3)));
        }
    }
}
