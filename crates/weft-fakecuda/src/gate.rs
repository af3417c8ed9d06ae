//! Who is inside a call, and whether calls are let in: the lock that a checkpoint takes.
//!
//! ```text
//! running ──lock──► locked ──checkpoint──► checkpointed
//!    ▲                │ ▲                       │
//!    └─────unlock─────┘ └────────restore────────┤
//!                                 failed ◄──────┘ what cannot be restored
//! ```
//!
//! A lock waits until everybody is out and lets nobody in: calls wait until it is opened again. The
//! calls that work the lock itself, and the management library's, are let in always. Armed only
//! where `WEFT_FAKECUDA` says so, since each call counts itself in and out then.

use crate::outcome::{ILLEGAL_STATE, NOT_READY, Outcome};
use std::cell::Cell;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The state of a process, by the public header's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Stage {
    /// Calls are let in.
    Running = 0,
    /// Calls wait.
    Locked = 1,
    /// Calls wait, and no memory of a device is held.
    Checkpointed = 2,
    /// Nothing brings it back.
    Failed = 3,
}

/// Calls under way, and the stage.
#[derive(Debug)]
struct Gate {
    inside: u32,
    stage: Stage,
}

static GATE: Mutex<Gate> = Mutex::new(Gate { inside: 0, stage: Stage::Running });
/// Told whenever somebody leaves or the stage changes.
static MOVED: Condvar = Condvar::new();

thread_local! {
    /// Calls of this thread under way: one that calls back in is inside already.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Whether a symbol's calls pass the gate.
const fn passes(symbol: &str) -> bool {
    let symbol = symbol.as_bytes();
    !starts(symbol, b"nvml") && !starts(symbol, b"cuCheckpoint")
}

const fn starts(text: &[u8], with: &[u8]) -> bool {
    let mut at = 0;
    while at < with.len() {
        if at >= text.len() || text[at] != with[at] {
            return false;
        }
        at += 1;
    }
    true
}

fn gate() -> MutexGuard<'static, Gate> {
    GATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A call under way.
struct Inside;

impl Inside {
    fn enter() -> Self {
        if DEPTH.replace(DEPTH.get() + 1) == 0 {
            let mut gate = gate();
            while gate.stage != Stage::Running {
                gate = MOVED.wait(gate).unwrap_or_else(PoisonError::into_inner);
            }
            gate.inside += 1;
        }
        Self
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get() - 1);
        if DEPTH.get() == 0 {
            gate().inside -= 1;
            MOVED.notify_all();
        }
    }
}

/// Makes a call of a symbol, when it is let in.
pub(crate) fn through(symbol: &str, call: impl FnOnce() -> Outcome) -> Outcome {
    if !crate::watch::settings().checkpoint || !passes(symbol) {
        return call();
    }
    let _inside = Inside::enter();
    call()
}

/// The stage.
pub(crate) fn stage() -> Stage {
    gate().stage
}

/// Locks: nobody is inside when this returns. Zero waits as long as it takes; where the time is
/// over first, nothing has changed.
pub(crate) fn lock(milliseconds: u32) -> Outcome {
    let limit = Duration::from_millis(milliseconds.into());
    let until = (milliseconds > 0).then(|| Instant::now() + limit);
    let mut gate = gate();
    if gate.stage != Stage::Running {
        return Err(ILLEGAL_STATE);
    }
    gate.stage = Stage::Locked;
    while gate.inside > 0 {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            gate.stage = Stage::Running;
            MOVED.notify_all();
            return Err(NOT_READY);
        }
        let wait = left.unwrap_or(Duration::from_secs(1));
        gate = MOVED.wait_timeout(gate, wait).unwrap_or_else(PoisonError::into_inner).0;
    }
    Ok(())
}

/// From one stage to another, by what is done meanwhile; where that fails, to the stage it says.
pub(crate) fn pass_on(
    from: Stage,
    to: Stage,
    what: impl FnOnce() -> Result<(), (Stage, crate::outcome::Code)>,
) -> Outcome {
    let mut gate = gate();
    if gate.stage != from {
        return Err(ILLEGAL_STATE);
    }
    let (stage, outcome) = match what() {
        Ok(()) => (to, Ok(())),
        Err((stage, code)) => (stage, Err(code)),
    };
    gate.stage = stage;
    MOVED.notify_all();
    outcome
}
