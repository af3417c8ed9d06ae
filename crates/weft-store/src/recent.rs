//! What the past says to the planner: what queues held of devices lately, for the share they get
//! over time, and what was asked for, for how it packs.
//!
//! The one is kept as averages now and then, and read with what was held since when a server
//! starts, whose loop then counts on; the other is read now and then.

use crate::column::{int, json, parsed, rows, small, uint, uint_opt, word};
use crate::{Read, StoreError, Write};
use rusqlite::params;
use std::collections::BTreeMap;
use weft_meter::Recent;
use weft_sched::{Asked, Request};
use weft_types::{Bytes, DeviceId, MilliCpu, MilliGpu, Phase, QueueName, Timestamp};

/// Workloads that say what is usual: the last ones, some weeks of a busy team.
const ASKED_LAST: u32 = 5_000;

/// What was held after a moment. Two questions, since SQLite walks the whole index for one with OR.
pub(crate) const HELD: &str = "SELECT queue, milli, from_ms, until_ms, node, device
     FROM holdings h INDEXED BY holdings_ended CROSS JOIN workloads w ON w.id = h.workload
     WHERE device IS NOT NULL AND until_ms > ?1
     UNION ALL
     SELECT queue, milli, from_ms, until_ms, node, device
     FROM holdings h INDEXED BY holdings_ended CROSS JOIN workloads w ON w.id = h.workload
     WHERE device IS NOT NULL AND until_ms IS NULL";

/// A part of a device that a queue's workload held or holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldLately {
    /// Whose.
    pub queue: QueueName,
    /// Of which device.
    pub device: DeviceId,
    /// Thousandths of the device.
    pub milli: MilliGpu,
    /// From when.
    pub from: Timestamp,
    /// Until when; none while it is held.
    pub until: Option<Timestamp>,
}

impl Read<'_> {
    /// Every part of a device that was held after a moment, in the order of their ends, and those
    /// that are held.
    pub fn held_lately(&self, since: Timestamp) -> Result<Vec<HeldLately>, StoreError> {
        let mut query = self.conn.prepare_cached(HELD)?;
        rows(query.query([int(since.0)])?, |row| {
            Ok(HeldLately {
                queue: parsed(row, 0)?,
                device: DeviceId { node: parsed(row, 4)?, index: row.get(5)? },
                milli: MilliGpu(uint(row, 1)?),
                from: Timestamp(uint(row, 2)?),
                until: uint_opt(row, 3)?.map(Timestamp),
            })
        })
    }

    /// What queues had held lately when it was kept last, all up to the same moment.
    pub fn recents(&self) -> Result<BTreeMap<QueueName, Recent>, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT queue, average, at_ms FROM recents")?;
        let found = rows(query.query([])?, |row| {
            let recent = Recent::from_kept(uint(row, 1)?, Timestamp(uint(row, 2)?));
            Ok((parsed(row, 0)?, recent))
        });
        Ok(found?.into_iter().collect())
    }

    /// What the members of the last workloads asked for, and how often: processor and devices
    /// alone.
    pub fn asked_lately(&self) -> Result<Vec<(Request, Phase, u64)>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT cpu, gpu, phase, sum(members) FROM
             (SELECT cpu, gpu, phase, members FROM workloads ORDER BY id DESC LIMIT ?1)
             GROUP BY cpu, gpu, phase",
        )?;
        rows(query.query([ASKED_LAST])?, |row| {
            let (cpu, gpu) = (MilliCpu(uint(row, 0)?), json(row, 1)?);
            let request = Request { cpu, gpu, ..Request::default() };
            Ok((request, word(row, 2)?, uint(row, 3)?))
        })
    }
}

impl Read<'_> {
    /// The last workloads that were there after a moment, with what each member asked for; and from
    /// when on they are known.
    pub fn present_since(
        &self,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<(Vec<Asked>, Timestamp), StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT queue, cpu, memory, disk, gpu, members, submitted_at, ended_at
             FROM workloads ORDER BY id DESC LIMIT ?1",
        )?;
        let last = rows(query.query([ASKED_LAST])?, |row| {
            let (cpu, memory) = (MilliCpu(uint(row, 1)?), Bytes(uint(row, 2)?));
            let (disk, gpu) = (Bytes(uint(row, 3)?), json(row, 4)?);
            Ok(Asked {
                queue: parsed(row, 0)?,
                request: Request { cpu, memory, disk, gpu, ..Request::default() },
                members: small(row, 5)?,
                from: Timestamp(uint(row, 6)?),
                until: uint_opt(row, 7)?.map_or(now, Timestamp),
            })
        })?;
        let first = last.iter().map(|asked| asked.from).min().unwrap_or(now);
        let present = last.into_iter().filter(|asked| asked.until > since);
        Ok((present.collect(), first.max(since)))
    }
}

impl Write<'_> {
    /// Keeps what queues have held lately, instead of what was kept. Those that are gone are left
    /// out.
    pub fn keep_recents(
        &mut self,
        recents: &BTreeMap<QueueName, Recent>,
    ) -> Result<(), StoreError> {
        self.conn.prepare_cached("DELETE FROM recents")?.execute([])?;
        let mut put = self.conn.prepare_cached(
            "INSERT INTO recents SELECT name, ?2, ?3 FROM queues WHERE name = ?1",
        )?;
        for (queue, recent) in recents {
            let (average, at) = recent.kept();
            put.execute(params![queue.as_str(), int(average), int(at.0)])?;
        }
        Ok(())
    }
}
