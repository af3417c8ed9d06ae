//! What the library adds to the start of a process: straight to the driver against through the
//! library, in turns. Instructions too, where `valgrind` is there to count them.
//!
//! A start is this program again, which opens the driver, initialises it and asks for as many
//! functions as PyTorch does while it is imported. What is measured is the whole process.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

#[expect(dead_code, reason = "the tests use all of it")]
#[path = "../tests/it/container.rs"]
mod container;
#[expect(dead_code, reason = "the tests use all of it")]
#[path = "../../weft-fakecuda/tests/it/trial.rs"]
mod trial;

use container::Container;
use std::env;
use std::ffi::{CString, c_char, c_void};
use std::process::Command;
use std::time::Instant;
use trial::{Trial, built};
use weft_cuda_abi::{DefaultStream, revisions};

/// Milliseconds that may be added.
const BAR_MS: f64 = 5.0;
/// Starts of each way: short ones, so that some are not interrupted.
const TURNS: usize = 40;
/// Functions that PyTorch 2.15 with cuBLAS and cuDNN asks for until its first step.
const LOOKUPS: usize = 2300;

fn main() {
    if env::args().nth(1).as_deref() == Some("start") {
        start();
        return;
    }
    let container = Container::new(&[1 << 30]);
    let direct = Trial::new(&built("libweft_fakecuda.so"));
    let ways = [&direct, &container.trial];
    let mut best = [f64::INFINITY; 2];
    for _ in 0..TURNS {
        for (best, way) in best.iter_mut().zip(ways) {
            let begun = Instant::now();
            assert!(starting(way, &[]).status().expect("it starts").success());
            *best = best.min(begun.elapsed().as_secs_f64() * 1e3);
        }
    }
    let added = best[1] - best[0];
    println!("start {:.2} to {:.2} ms: + {added:.2}, bar {BAR_MS}", best[0], best[1]);
    match ways.map(instructions) {
        [Some(direct), Some(through)] => println!(
            "instructions {:.2} to {:.2} million: + {:.2}, x {:.2}",
            direct as f64 / 1e6,
            through as f64 / 1e6,
            (through as f64 - direct as f64) / 1e6,
            through as f64 / direct as f64,
        ),
        _ => println!("instructions not counted: no valgrind"),
    }
    std::process::exit(i32::from(added > BAR_MS));
}

/// This program again, as one that starts.
fn starting(way: &Trial, before: &[&str]) -> Command {
    let this = env::current_exe().expect("this program").to_string_lossy().into_owned();
    let words: Vec<&str> = before.iter().copied().chain([this.as_str(), "start"]).collect();
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).env("LD_LIBRARY_PATH", way.path(""));
    command.env("WEFT_FAKECUDA", "devices=1xH100-80");
    command
}

/// Instructions of a start.
fn instructions(way: &Trial) -> Option<u64> {
    let counter = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"];
    let output = starting(way, &counter).output().ok()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = said.lines().find(|line| line.contains("Collected"))?;
    line.rsplit(' ').next()?.parse().ok()
}

/// Opens the driver by its name, initialises it and asks for functions.
fn start() {
    type Ask = extern "C" fn(*const c_char, *mut usize, i32, u64, *mut u32) -> u32;
    let [init, ask] = {
        // SAFETY: a name; the library's constructors run.
        let library = unsafe { libc::dlopen(c"libcuda.so.1".as_ptr(), libc::RTLD_NOW) };
        assert!(!library.is_null(), "the driver is there");
        // SAFETY: an open library and names.
        [c"cuInit", c"cuGetProcAddress_v2"].map(|n| unsafe { libc::dlsym(library, n.as_ptr()) })
    };
    // SAFETY: the driver's functions of those names.
    let (init, ask) = unsafe {
        (
            std::mem::transmute::<*mut c_void, extern "C" fn(u32) -> u32>(init),
            std::mem::transmute::<*mut c_void, Ask>(ask),
        )
    };
    assert_eq!(init(0), 0, "the stand-in is there");
    let legacy = revisions().iter().filter(|r| r.stream == DefaultStream::Legacy);
    for revision in legacy.cycle().take(LOOKUPS) {
        let name = CString::new(revision.name).expect("no zero");
        let (mut code, mut status) = (0, 0);
        let version = i32::try_from(revision.since).expect("small");
        let found = ask(name.as_ptr(), &raw mut code, version, 1, &raw mut status);
        assert!(found == 0 && code != 0, "{}", revision.symbol);
    }
}
