//! The store's limits, each with its reason.

use weft_types::Millis;

/// Most rows one call returns: a page stays below a few megabytes and holds a reader briefly.
pub const PAGE_MAX: u32 = 1_000;

/// Longest detail of an event, in bytes: it is a sentence for people; longer ones are cut.
pub const EVENT_DETAIL_MAX: usize = 1_024;

/// Longest detail of an audit row, in bytes: longer is refused, since a cut one proves nothing.
pub const AUDIT_DETAIL_MAX: usize = 16 * 1_024;

/// Longest spec kept with a workload, in bytes: a hundred times what the largest example needs.
pub const SPEC_MAX: usize = 256 * 1_024;

/// Longest response kept for a repeated request, in bytes: no mutation answers with more.
pub const IDEMPOTENCY_BODY_MAX: usize = 512 * 1_024;

/// How long a repeated request gets the first one's response: a day covers every retry of a
/// client, and a night's network outage.
pub const KEEP_RESPONSES: Millis = Millis(24 * 3_600_000);

/// How long curves and device time keep their full resolution before they are folded to hours.
pub(crate) const KEEP_FINE: Millis = Millis(24 * 3_600_000);

/// Transactions waiting for the writer: beyond it callers wait, which is the back-pressure.
pub(crate) const WRITE_QUEUE: usize = 1_024;

/// Closures in one commit at most: bounds how long the first one waits for the last (p99), at
/// a rate far beyond the bar of 500/s even on a disk that syncs in 50 ms.
pub(crate) const BATCH_MAX: usize = 128;

/// Read-only connections: readers never wait for the writer, so a few serve many callers; each
/// costs a page cache of up to 2 MB.
pub(crate) const READERS: usize = 4;

/// How long a connection waits for a lock that only a checkpoint or a backup can hold.
pub(crate) const BUSY_MS: u64 = 10_000;

/// How long the writer waits for readers to let go of the log when it is to be ended: writers wait
/// behind it, and who asked can ask again.
pub(crate) const FOLD_MS: u64 = 100;

/// Pages in the WAL before SQLite copies them back, which costs a commit two more syncs: 16 MB
/// is seconds of a busy server, and read back in milliseconds after a crash.
pub(crate) const WAL_PAGES: u32 = 4_000;

/// Bytes of the WAL's file that stay after it was copied back: a burst's room is given back.
pub(crate) const WAL_KEEP: u32 = 16 << 20;

/// `text`, at most `limit` bytes of it, cut at a character.
pub(crate) fn cut(text: &str, limit: usize) -> &str {
    let mut end = text.len().min(limit);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
