//! The machine's clock, read at the edge and handed inward: the core has none.

use std::time::{SystemTime, UNIX_EPOCH};
use weft_types::Timestamp;

/// Now, by the machine's clock. It may jump; nothing durable is compared but by the store's
/// counters, and spans are taken with [`Timestamp::since`], which never goes below zero.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
