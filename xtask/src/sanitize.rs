//! `cargo xtask sanitize`: the library before the driver and the stand-in for the driver, through
//! their tests, under the address sanitizer.
//!
//! Both are loaded by programs that were not built for it and load its own library first: GCC's,
//! since the compiler brings one for programs only. The compiler's flag is not among the stable
//! ones. Leaks are not looked for: Python keeps what it took. Not part of `ci`: it builds both
//! libraries and what they stand on once more.

use crate::{Outcome, process, workspace};
use std::process::Command;

const PACKAGES: [&str; 4] = ["-p", "weft-cuda-shim", "-p", "weft-fakecuda"];

/// Named, so that the flag does not reach build scripts.
const PLATFORM: &str = "x86_64-unknown-linux-gnu";

/// Builds the libraries, then runs the tests on them.
pub(crate) fn run(_: &[String]) -> Outcome {
    let mut gcc = Command::new("gcc");
    let library = process::quiet(gcc.arg("-print-file-name=libasan.so")).unwrap_or_default();
    let library = library.trim();
    if !library.starts_with('/') {
        return Err("gcc has no libasan.so: install gcc, as Debian's package is called".to_owned());
    }
    let built = workspace::target().join("sanitized");
    let mut build = process::cargo(&["build", "--locked", "--target", PLATFORM]);
    build.args(PACKAGES).arg("--target-dir").arg(&built);
    build.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", "-Zsanitizer=address");
    process::show(&mut build)?;
    let mut tests = process::cargo(&["test", "--locked", "--no-fail-fast", "--test", "it"]);
    let first = format!("env LD_PRELOAD={library} ASAN_OPTIONS=detect_leaks=0");
    tests.args(PACKAGES).env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER", first);
    process::show(tests.env("WEFT_SANITIZED", built.join(PLATFORM).join("debug")))
}
