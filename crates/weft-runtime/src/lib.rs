//! Containers without a daemon: sandbox, supervisor, images, environments.
//!
//! The agent holds a [`Runtime`] and asks it to `prepare`, `start`, `wait`, `stop`. Each run has
//! a directory and a supervisor process of its own ([`supervise`]), so that the server may die
//! at any instruction: what runs goes on, and its end is kept on disk.
//!
//! ```text
//! server ── Runtime::start ──► supervisor (outlives the server, owns the run's directory)
//!                                 │ cgroup, log, disk limit, proxy, outputs, exit record
//!                                 └─► init (pid 1 of the sandbox, no rights at all)
//!                                        └─► the command, and what `exec` adds
//! ```
//!
//! Absent on purpose: a daemon, a network bridge, an overlay of writable layers, and any choice
//! about *what* to run: a [`Launch`] has everything decided.

mod archive;
mod bundle;
mod cgroup;
mod claim;
mod environment;
mod failpoint;
mod gpu;
mod image;
mod kept;
mod launch;
mod legal;
mod network;
pub mod outputs;
mod parking;
mod prepare;
mod probe;
mod process;
mod remove;
mod room;
mod runs;
mod runtime;
mod sandbox;
mod supervisor;

pub use archive::ArchiveError;
pub use bundle::{
    BUNDLE_BYTES_MAX, BUNDLE_ENTRIES_MAX, BundleError, Bundles, CheckedBundle, Upload,
};
pub use environment::{EnvironmentError, Environments, check_requirements};
pub use gpu::{Driver, GpuError, RunLedger, keeps_parts};
pub use image::{
    IMAGE_BYTES_MAX, IMAGE_ENTRIES_MAX, Image, ImageConfig, ImageError, Images, Registries,
};
pub use launch::{
    CHECKPOINT, DataMount, End, ExecRequest, ExitRecord, Gpu, Launch, Limits, MemberKey,
    MemberKeyError, Network, Root, Slice, Usage,
};
pub use legal::{PLACES_TAKEN, check_place};
pub use network::PROXY_PORT;
pub use network::server::{KEYS_PATH, RUN_SOCKET, S3_REGION};
pub use prepare::{Prepare, PrepareError, Prepared, Progress, Stage};
pub use probe::ProbeFinding;
pub use room::{ROOM_STEP, Room};
pub use runs::SERVER_SOCKET;
pub use runtime::{Runtime, RuntimeError, Started};
pub use supervisor::supervise;
pub use weft_mount::RUN_HEADER;
