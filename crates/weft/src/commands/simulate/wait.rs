//! Long work beside the thread that shows how far it is and hears Ctrl-C.

use super::output::Bar;
use crate::failure::Failure;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How often the bar is drawn.
const TICK: Duration = Duration::from_millis(200);

/// What a shell gives a program that ended by Ctrl-C.
pub(super) const INTERRUPTED: u8 = 130;

/// Does `work` on a thread of its own. The first Ctrl-C, or a wish to end, sets `leave`, and the
/// work ends with what it has; the second ends the program.
pub(super) async fn watched<T: Send + 'static>(
    stage: &'static str,
    leave: impl Fn() -> bool,
    progress: impl Fn() -> (u64, u64),
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let bar = Bar::new(stage);
    let wrong = |error| Failure::local("signals", error);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(wrong)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(wrong)?;
    let mut work = tokio::task::spawn_blocking(work);
    let done = loop {
        tokio::select! {
            done = &mut work => break done,
            _ = either(&mut interrupt, &mut terminate) => {
                if leave() {
                    bar.finish();
                    std::process::exit(INTERRUPTED.into());
                }
            }
            () = tokio::time::sleep(TICK) => bar.show(progress()),
        }
    };
    bar.finish();
    done.map_err(|error| Failure::local(stage, error))
}

async fn either(a: &mut Signal, b: &mut Signal) -> Option<()> {
    tokio::select! {
        it = a.recv() => it,
        it = b.recv() => it,
    }
}

/// Sets a flag, and says whether it was set.
pub(super) fn set(flag: &AtomicBool) -> bool {
    flag.swap(true, Ordering::Relaxed)
}
