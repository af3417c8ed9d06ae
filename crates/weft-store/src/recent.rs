//! What queues held of devices lately, for the share they get over time.
//!
//! Read once, when a server starts; from then on its loop counts on.

use crate::column::{int, parsed, rows, uint, uint_opt};
use crate::{Read, StoreError};
use weft_types::{MilliGpu, QueueName, Timestamp};

/// A part of a device that a queue's workload held or holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldLately {
    /// Whose.
    pub queue: QueueName,
    /// Thousandths of the device.
    pub milli: MilliGpu,
    /// From when.
    pub from: Timestamp,
    /// Until when; none while it is held.
    pub until: Option<Timestamp>,
}

impl Read<'_> {
    /// Every part of a device that was held after a moment, or is.
    pub fn held_lately(&self, since: Timestamp) -> Result<Vec<HeldLately>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT queue, milli, from_ms, until_ms FROM holdings
             JOIN workloads ON workloads.id = holdings.workload
             WHERE device IS NOT NULL AND (until_ms IS NULL OR until_ms > ?1)",
        )?;
        rows(query.query([int(since.0)])?, |row| {
            Ok(HeldLately {
                queue: parsed(row, 0)?,
                milli: MilliGpu(uint(row, 1)?),
                from: Timestamp(uint(row, 2)?),
                until: uint_opt(row, 3)?.map(Timestamp),
            })
        })
    }
}
