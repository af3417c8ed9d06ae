//! How far a transfer is: a bar on a terminal, a line now and then elsewhere.

use crate::show::{count, err_is_terminal, err_line, glyphs};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use weft_types::Bytes;

/// How often the wheel turns.
const TICK: Duration = Duration::from_millis(100);
/// Time between two lines where there is no terminal: a log of a long transfer stays readable.
const LINE: Duration = Duration::from_secs(10);

/// How far a transfer is. Clones speak of the same one.
#[derive(Clone)]
pub(super) struct Progress(Arc<Inner>);

struct Inner {
    /// `putting`, `fetching`, `reading`.
    doing: &'static str,
    files: u64,
    bytes: u64,
    done_files: AtomicU64,
    done_bytes: AtomicU64,
    bar: Option<ProgressBar>,
    /// When the last line was said; none: nothing is said.
    said: Option<Mutex<Instant>>,
}

impl Progress {
    /// Of so many files and bytes; nothing is shown where programs read.
    pub(super) fn new(doing: &'static str, files: u64, bytes: u64, json: bool) -> Self {
        let bar = (!json && err_is_terminal()).then(|| bar(bytes));
        let said = (!json && bar.is_none()).then(|| Mutex::new(Instant::now()));
        let (done_files, done_bytes) = (AtomicU64::new(0), AtomicU64::new(0));
        let progress = Inner { doing, files, bytes, done_files, done_bytes, bar, said };
        let progress = Self(Arc::new(progress));
        progress.show();
        progress
    }

    /// So many more bytes went by.
    pub(super) fn bytes(&self, more: u64) {
        self.0.done_bytes.fetch_add(more, Relaxed);
        self.show();
    }

    /// So many of those bytes did not count after all.
    pub(super) fn again(&self, bytes: u64) {
        self.0.done_bytes.fetch_sub(bytes, Relaxed);
    }

    /// One more file is done.
    pub(super) fn file(&self) {
        self.0.done_files.fetch_add(1, Relaxed);
        self.show();
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.0.bar {
            bar.finish_and_clear();
        }
    }

    fn show(&self) {
        let Inner { doing, files, bytes, .. } = *self.0;
        let (done_files, done) = (self.0.done_files.load(Relaxed), self.0.done_bytes.load(Relaxed));
        let line = || {
            let (now, all) = (count(done_files), count(files));
            format!("{doing} {now} of {all} files, {} of {}", Bytes(done), Bytes(bytes))
        };
        if let Some(bar) = &self.0.bar {
            bar.set_position(done.min(bytes));
            bar.set_message(line());
        }
        if let Some(said) = &self.0.said {
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            if said.elapsed() >= LINE {
                *said = Instant::now();
                err_line(&line());
            }
        }
    }
}

fn bar(bytes: u64) -> ProgressBar {
    let bar = ProgressBar::new(bytes.max(1));
    bar.set_draw_target(ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{spinner} {msg}  {bar:20}  {eta} left");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style.tick_chars(glyphs().wheel).progress_chars(glyphs().filling));
    bar.enable_steady_tick(TICK);
    bar
}
