//! What the library adds to a call: straight to the driver against through the library, in turns.
//!
//! Both ways end in a function of the stand-in that does nothing, so that what differs is the
//! library. A call that a program resolved by `cuGetProcAddress` and that has no hook costs nothing
//! more: it has the driver's own address.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::ffi::{CString, c_void};
use std::path::{Path, PathBuf};
use std::time::Instant;
use std::{env, fs};
use weft_cuda_abi::folder;
use weft_cuda_abi::ledger::{LAYOUT, Ledger, MAGIC};
use weft_cuda_abi::limits::{Limit, head};

/// Calls in a turn, and turns of each way: short ones, so that some are not interrupted.
const CALLS: u32 = 10_000;
const TURNS: usize = 4000;
/// Nanoseconds that may be added: to a call that is only passed on; to a launch, which is counted.
const PASS_NS: f64 = 3.0;
const LAUNCH_NS: f64 = 10.0;

type Function = extern "C" fn(usize, u32, u32) -> u32;

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let (true_driver, shim) = prepare(folder.path());
    let functions = |symbol: &str| [symbol_of(&true_driver, symbol), symbol_of(&shim, symbol)];
    let init: extern "C" fn(u32) -> u32 = {
        // SAFETY: the driver's function of that name.
        unsafe { std::mem::transmute(address(&shim, "cuInit")) }
    };
    assert_eq!(init(0), 0, "the stand-in is there");
    let mut missed = 0;
    for (what, symbol, bar) in [
        ("passed on", "cuCoredumpGetAttributeGlobal", PASS_NS),
        ("launch, counted", "cuLaunchGrid", LAUNCH_NS),
    ] {
        let [direct, through] = compare(functions(symbol));
        let added = through - direct;
        println!("{what:<16} {direct:5.2} to {through:5.2} ns a call: + {added:.2}, bar {bar}");
        missed += u32::from(added > bar);
    }
    // Behind the head: the first process's word, then its launches.
    let ledger = fs::read(folder.path().join("ledger")).expect("it is there");
    let counted = u64::from_le_bytes(ledger[136..144].try_into().expect("eight bytes"));
    assert_eq!(counted, u64::from(CALLS) * TURNS as u64, "every launch is counted");
    std::process::exit(i32::from(missed > 0));
}

/// What each way takes by call, of its best turn: whatever else the machine does only ever adds.
fn compare(ways: [Function; 2]) -> [f64; 2] {
    let turn = |function: Function| {
        let start = Instant::now();
        for call in 0..CALLS {
            std::hint::black_box(function(0, call, 1));
        }
        start.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS)
    };
    let mut best = [f64::INFINITY; 2];
    for _ in 0..TURNS {
        for (best, way) in best.iter_mut().zip(ways) {
            *best = best.min(turn(way));
        }
    }
    best
}

/// A container's folder with the stand-in as its driver, and a copy of the library for it.
fn prepare(folder: &Path) -> (PathBuf, PathBuf) {
    let it = |name: &str| folder.join(name);
    fs::create_dir(it("driver")).expect("a folder");
    let driver = it("driver/libcuda.so.1");
    fs::copy(built("libweft_fakecuda.so"), &driver).expect("copied");
    let limit = Limit { uuid: *b"weft-fakecuda\0\0\0", memory: 1 << 30, milli: 1000 };
    fs::write(it("limits"), [&head(1)[..], &limit.write()].concat()).expect("written");
    let mut ledger = vec![0; size_of::<Ledger>()];
    ledger[..8].copy_from_slice(&MAGIC.to_le_bytes());
    ledger[8..12].copy_from_slice(&LAYOUT.to_le_bytes());
    fs::write(it("ledger"), ledger).expect("written");
    let mut library = fs::read(built("libweft_cuda_shim.so")).expect("cargo has built it");
    assert!(folder::write(&mut library, folder.to_str().expect("a text").as_bytes()));
    fs::write(it("library.so"), library).expect("written");
    (driver, it("library.so"))
}

/// A library that cargo has built beside this bench.
fn built(name: &str) -> PathBuf {
    let bench = env::current_exe().expect("this program");
    let mut folders = bench.ancestors().skip(1).take(2).map(|folder| folder.join(name));
    folders.find(|path| path.exists()).unwrap_or_else(|| panic!("cargo has built {name}"))
}

fn symbol_of(library: &Path, symbol: &str) -> Function {
    // SAFETY: a function that looks at none of its arguments.
    unsafe { std::mem::transmute(address(library, symbol)) }
}

fn address(library: &Path, symbol: &str) -> *mut c_void {
    let path = CString::new(library.to_str().expect("a text")).expect("no zero");
    let symbol = CString::new(symbol).expect("no zero");
    // SAFETY: a path and a name; the library's constructors run.
    let found = unsafe {
        let library = libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL);
        assert!(!library.is_null(), "it opens");
        libc::dlsym(library, symbol.as_ptr())
    };
    assert!(!found.is_null(), "it has the symbol");
    found
}
