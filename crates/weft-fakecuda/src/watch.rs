//! The trace of calls, and faults injected into them.
//!
//! A line of the trace is a symbol and its arguments by their letters in the driver's table:
//! numbers as they are, `&` for an address and `0` for none. Handles and device addresses are the
//! stand-in's own and the same in each run, and so are those of device memory; an address of the
//! host is `&` wherever it stands. Each thread has a file of its own, in the order of their first
//! calls, so two traces of a program are equal though its threads run as they like.

use crate::export::SYMBOLS;
use crate::settings::{Fault, Settings};
use std::cell::Cell;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The answer of [`seen`] to go on to the function.
pub(crate) const GO_ON: i64 = -1;

/// Arguments that are handed over in registers; the others lie on the stack.
const REGISTERS: usize = 6;

static SETTINGS: OnceLock<Settings> = OnceLock::new();
/// Threads that have called so far.
static THREADS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// This thread's trace; never closed, since libraries call until the process is gone.
    static TRACE: Cell<Option<&'static File>> = const { Cell::new(None) };
}

/// Where the system puts programs, libraries, heaps and stacks.
const HOST: std::ops::Range<u64> = 0x5000_0000_0000..0x8000_0000_0000;

static FAULTS: OnceLock<Vec<(Fault, AtomicU64)>> = OnceLock::new();

/// What the environment says; ends the process where that is not understood.
pub(crate) fn settings() -> &'static Settings {
    SETTINGS.get_or_init(|| {
        Settings::read().unwrap_or_else(|sentence| {
            let _ = writeln!(std::io::stderr(), "{sentence}");
            std::process::abort()
        })
    })
}

/// Whether calls are watched; opens the first thread's trace.
pub(crate) fn begin() -> bool {
    let settings = settings();
    if settings.trace.is_some() {
        // A file that cannot be written ends the process now, not at some call.
        trace();
    }
    let _ = FAULTS.set(settings.faults.iter().map(|f| (f.clone(), AtomicU64::new(0))).collect());
    settings.trace.is_some() || !settings.faults.is_empty()
}

/// This thread's trace, if there is one: the first thread's has the process's number behind the
/// path, the others' theirs behind it.
fn trace() -> Option<&'static File> {
    if let Some(file) = TRACE.get() {
        return Some(file);
    }
    let path = settings().trace.as_ref()?;
    let path = match THREADS.fetch_add(1, Ordering::Relaxed) {
        0 => format!("{path}.{}", std::process::id()),
        thread => format!("{path}.{}.{thread}", std::process::id()),
    };
    match OpenOptions::new().create(true).append(true).open(&path) {
        Ok(file) => TRACE.set(Some(Box::leak(Box::new(file)))),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "WEFT_FAKECUDA: trace {path}: {error}");
            std::process::abort()
        }
    }
    TRACE.get()
}

/// Notes a call: its symbol's place, the registers that hold arguments and the stack's. Answers
/// [`GO_ON`], or the number that the call is to come back with.
pub(crate) extern "C" fn seen(index: u32, registers: *const u64, stack: *const u64) -> i64 {
    let Some((symbol, letters)) = SYMBOLS.get(index as usize) else { return GO_ON };
    if let Some(mut file) = trace() {
        // SAFETY: both are the watcher's, and hold as many words as the call has arguments.
        let line = unsafe { line(symbol, letters, registers, stack) };
        let _ = file.write_all(line.as_bytes());
    }
    let faults = FAULTS.get().map_or(&[][..], Vec::as_slice);
    for (fault, calls) in faults.iter().filter(|(fault, _)| fault.symbol == *symbol) {
        if calls.fetch_add(1, Ordering::Relaxed) + 1 == fault.call {
            match fault.code {
                Some(code) => return i64::from(code),
                None => std::process::abort(),
            }
        }
    }
    GO_ON
}

/// `cuMemAlloc_v2 & 4096`.
///
/// # Safety
/// The registers and the stack hold a word for each letter but floats.
unsafe fn line(symbol: &str, letters: &str, registers: *const u64, stack: *const u64) -> String {
    let mut line = symbol.to_owned();
    let mut place = 0;
    for letter in letters.chars() {
        if matches!(letter, 'f' | 'm') {
            // In other registers, or a structure: not noted.
            let _ = write!(line, " {letter}");
            continue;
        }
        // SAFETY: by the caller.
        let word = unsafe {
            match place {
                0..REGISTERS => *registers.add(place),
                _ => *stack.add(place - REGISTERS),
            }
        };
        place += 1;
        let _ = match letter {
            'w' => write!(line, " {}", word as i32),
            'l' | 'h' if HOST.contains(&word) => write!(line, " &"),
            'l' | 'h' => write!(line, " {word:#x}"),
            _ if word == 0 => write!(line, " 0"),
            _ => write!(line, " &"),
        };
    }
    line.push('\n');
    line
}
