//! Points at which a test may end the process, to see what the next one makes of it.
//!
//! `WEFT_FAILPOINT=<name>:abort` in the environment of a debug build; nothing in a release.

/// Ends the process here if the environment says so.
#[cfg(debug_assertions)]
pub(crate) fn hit(name: &str) {
    let Ok(wanted) = std::env::var("WEFT_FAILPOINT") else { return };
    if wanted.strip_suffix(":abort") == Some(name) {
        // Nothing is flushed or unwound, as after `kill -9`.
        std::process::abort();
    }
}

/// Nothing, in a release build.
#[cfg(not(debug_assertions))]
pub(crate) fn hit(_name: &str) {}
