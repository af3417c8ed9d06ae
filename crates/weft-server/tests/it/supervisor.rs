//! Makes the test binary its own supervisor, as `weft` is: `<exe> __supervise <dir>`.
//!
//! A supervisor forks and must be alone in its process, and by the time a test runs the harness
//! has its threads. So this is asked before `main` is.

use std::path::Path;

// SAFETY: the section holds pointers to functions that the C library calls once, on the only
// thread there is, before `main`; the standard library takes its arguments in the same way.
#[unsafe(link_section = ".init_array")]
#[used]
static BEFORE_MAIN: extern "C" fn() = before_main;

extern "C" fn before_main() {
    let mut args = std::env::args_os().skip(1);
    if args.next().is_some_and(|arg| arg == "__supervise")
        && let Some(dir) = args.next()
    {
        weft_runtime::supervise(Path::new(&dir));
    }
}
