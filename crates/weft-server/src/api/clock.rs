//! The wall clock of the edge: the one place of the API that asks it.

use std::time::{SystemTime, UNIX_EPOCH};
use weft_types::Timestamp;

/// Now; zero on a machine whose clock stands before 1970.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
