//! The supervisor: the small process that owns one run from its start to its exit record.

use std::path::Path;

/// Entry of `weft __supervise <dir>`: runs one launch to its end and exits. Called by `main`
/// before anything else: the process has one thread and no runtime.
pub fn supervise(dir: &Path) -> ! {
    let _ = dir;
    std::process::exit(1)
}
