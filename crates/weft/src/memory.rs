//! How the server's process takes memory of the kernel, and gives it back.
//!
//! Bodies of objects pass through it in pieces of one to four megabytes, on whichever thread is
//! free. Left to itself, the C library keeps an arena for each of those, as large as its largest
//! moment: a third of what the server had.

/// Arenas of the allocator: two, so that threads seldom wait for each other. What is small comes
/// from a cache of each thread's own.
#[cfg(target_env = "gnu")]
const ARENAS: i32 = 2;
/// Free bytes at the end of an arena that are kept: the largest piece of a body. With a quarter of
/// it pages are given back and taken again for each piece, which makes large puts a third dearer.
#[cfg(target_env = "gnu")]
const KEPT: i32 = 4 << 20;
/// From so many bytes on each has pages of its own: the most that can be said. Pieces of bodies are
/// below it, since pages cost more to be had than to be filled.
#[cfg(target_env = "gnu")]
const OWN_PAGES: i32 = 32 << 20;

/// Keeps little of what is free. Called once, before there are threads.
pub(crate) fn keep_little() {
    #[cfg(target_env = "gnu")]
    for (what, value) in [
        (libc::M_ARENA_MAX, ARENAS),
        (libc::M_TRIM_THRESHOLD, KEPT),
        (libc::M_MMAP_THRESHOLD, OWN_PAGES),
    ] {
        // SAFETY: it takes two numbers; one that it does not like changes nothing.
        let _ = unsafe { libc::mallopt(what, value) };
    }
}
