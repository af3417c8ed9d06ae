//! Parts of devices: the library that stands before the driver, and what it needs in a container.
//!
//! A run that was given parts of devices finds, under the driver's names, a library that shows it
//! its part and keeps it to that. A run that was given whole devices finds the driver itself. In
//! both, `/run/weft/gpu` is where it all lies:
//!
//! ```text
//! driver/…             the driver's own files, read-only
//! lib/libcuda.so.1     the library, and lib/libnvidia-ml.so.1: the same; only with parts
//! limits, rates        what the agent says, read-only
//! ledger               what its processes hold: shared memory
//! check-…              programs that see whether the library answers
//! variables            what its programs' environment has for MPS, one a line
//! mps/…                the pipes of its device's MPS, where that keeps its part
//! ```
//!
//! | to | read |
//! |--|--|
//! | know where the machine's driver is | `driver.rs` |
//! | see which library is delivered, and which is refused | `library.rs` |
//! | see how programs come to it | `cache.rs`, `names.rs` |
//! | see what is checked before the command | `check.rs` |
//! | follow what a run and the agent share | `shared.rs` |
//! | see how MPS is started, found again and ended | `mps.rs` |
//! | see all of it put together for one run | `delivery.rs` |
//!
//! Absent on purpose: hooks that run with a tenant's environment, `LD_PRELOAD`, and anything that
//! a run could change and the agent would believe.

mod cache;
mod check;
mod delivery;
mod driver;
mod library;
mod mps;
mod names;
mod shared;

pub(crate) use check::answer;
pub(crate) use delivery::{Delivery, For, Gpus, open_inside};
pub use driver::Driver;
pub use shared::RunLedger;
use shared::Shared;

use std::io;
use std::path::PathBuf;
use weft_cuda_abi::ledger::DEVICES_MAX;

/// Where all of it lies in a run's file system.
pub(crate) const FOLDER: &str = "/run/weft/gpu";

/// Where a run finds its ledger.
pub(crate) fn ledger() -> String {
    format!("{FOLDER}/{}", shared::LEDGER)
}

/// Where a run finds the pipes of its device's MPS.
pub(crate) fn mps() -> String {
    format!("{FOLDER}/{}", delivery::MPS)
}

/// Whether parts of devices can be kept here, on a machine with a driver; for `weft doctor`.
pub(crate) fn can_keep() -> Option<Result<(), GpuError>> {
    Driver::of_machine()?;
    Some(keeps_parts())
}

/// Whether what keeps parts of devices is here, and of this build.
pub fn keeps_parts() -> Result<(), GpuError> {
    let library = library::Library::of_this_program(std::path::Path::new("/"));
    library.check().and_then(|()| shared::is_memory())
}

/// Why a part of a device, or its driver, cannot be given to a run.
#[derive(Debug, thiserror::Error)]
pub enum GpuError {
    /// The library is not where it comes with the program.
    #[error(
        "{} is missing, without which no part of a device is given; install it beside weft",
        .0.display()
    )]
    LibraryMissing(PathBuf),
    /// A file that is not the library.
    #[error("{} is not the library that keeps parts of devices; install weft's own", .0.display())]
    NoLibrary(PathBuf),
    /// The library of another build.
    #[error(
        "{} is of {found}; this weft needs the one of {wanted}: install both together",
        path.display()
    )]
    LibraryOther {
        /// Which file.
        path: PathBuf,
        /// Its build.
        found: String,
        /// This program's.
        wanted: String,
    },
    /// There is no memory to share.
    #[error(
        "{} is not a file system in memory, which a run shares its figures through; \
         mount a tmpfs there",
        .0.display()
    )]
    NotMemory(PathBuf),
    /// There is too little of it left.
    #[error(
        "{} is full: a run with parts of devices shares its figures there, in {} KiB; \
         remove what is not needed from it, or mount a larger one",
        memory.display(),
        bytes.div_ceil(1024)
    )]
    Full {
        /// The file system in memory.
        memory: PathBuf,
        /// What a run needs of it.
        bytes: usize,
    },
    /// The folder in it belongs to somebody else.
    #[error("{} is another user's; remove it", .0.display())]
    Taken(PathBuf),
    /// A device without an identifier.
    #[error("`{0}` does not identify a device: expected `GPU-` and 32 hexadecimal digits")]
    Uuid(String),
    /// More devices than the library knows.
    #[error("parts of {0} devices were given; at most {DEVICES_MAX} can be")]
    TooMany(usize),
    /// MPS does not start or does not answer.
    #[error("MPS does not serve the device: {why}")]
    Mps {
        /// What was seen.
        why: String,
    },
    /// Parts of several devices, of which MPS is to keep some.
    #[error("MPS keeps a part of one device for a run; this one was given parts of {0}")]
    MpsDevices(usize),
    /// A file operation failed.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

impl GpuError {
    fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> GpuError {
        let what = what.into();
        move |source| GpuError::Io { what, source }
    }
}
