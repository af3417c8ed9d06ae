//! Placements: who holds what now, in rows that a trigger guards, and since when, for ever.
//!
//! Called only by `workloads.rs`, when a saved workload's placements changed.

use crate::column::{int, parsed, small, uint};
use crate::{Read, StoreError, Write};
use rusqlite::{Row, params};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use weft_meter::WHOLE;
use weft_sched::{DeviceMode, Grant, MigPlacement, Placement};
use weft_types::{Attempt, Bytes, DeviceId, Member, MilliCpu, MilliGpu, Timestamp, WorkloadId};

impl Read<'_> {
    /// What one workload holds, in member order.
    pub fn placements(&self, workload: WorkloadId) -> Result<Vec<Placement>, StoreError> {
        Ok(self.placements_in(workload..=workload)?.remove(&workload).unwrap_or_default())
    }

    /// What the workloads of a range of ids hold.
    pub(crate) fn placements_in(
        &self,
        ids: RangeInclusive<WorkloadId>,
    ) -> Result<BTreeMap<WorkloadId, Vec<Placement>>, StoreError> {
        let mut grants = self.grants_in(&ids)?;
        let mut query = self.conn.prepare_cached(
            "SELECT workload, member, node, cpu, memory, disk FROM placements
             WHERE workload BETWEEN ?1 AND ?2 ORDER BY workload, member",
        )?;
        let mut found = query.query([int(ids.start().0), int(ids.end().0)])?;
        let mut out: BTreeMap<WorkloadId, Vec<Placement>> = BTreeMap::new();
        while let Some(row) = found.next()? {
            let (id, member) = (WorkloadId(uint(row, 0)?), Member(small(row, 1)?));
            out.entry(id).or_default().push(Placement {
                member,
                node: parsed(row, 2)?,
                cpu: MilliCpu(uint(row, 3)?),
                memory: Bytes(uint(row, 4)?),
                disk: Bytes(uint(row, 5)?),
                grants: grants.remove(&(id, member)).unwrap_or_default(),
            });
        }
        Ok(out)
    }

    fn grants_in(
        &self,
        ids: &RangeInclusive<WorkloadId>,
    ) -> Result<BTreeMap<(WorkloadId, Member), Vec<Grant>>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT workload, member, node, device, sort, milli, memory, profile, start, size
             FROM grants WHERE workload BETWEEN ?1 AND ?2 ORDER BY workload, member, ordinal",
        )?;
        let mut found = query.query([int(ids.start().0), int(ids.end().0)])?;
        let mut out: BTreeMap<_, Vec<Grant>> = BTreeMap::new();
        while let Some(row) = found.next()? {
            let key = (WorkloadId(uint(row, 0)?), Member(small(row, 1)?));
            out.entry(key).or_default().push(grant(row)?);
        }
        Ok(out)
    }

    /// Compute and memory a grant takes of its device. MIG instances count by their compute
    /// slices, rounded down, so that a full set never counts more than the device.
    fn weight(&self, grant: &Grant) -> Result<(u64, u64), StoreError> {
        let device = self.device(grant.device())?.ok_or_else(|| StoreError::NotFound {
            what: "device",
            id: grant.device().to_string(),
        })?;
        Ok(match grant {
            Grant::Whole { .. } => (WHOLE, device.class.memory.0),
            Grant::Share { milli, memory, .. } => (milli.0, memory.0),
            Grant::Mig { placement, .. } => {
                let all = match device.mode {
                    DeviceMode::Mig { compute_slices, .. } => u64::from(compute_slices.max(1)),
                    DeviceMode::Whole => {
                        return Err(StoreError::DoubleAllocation(format!(
                            "{} is not divided in MIG instances",
                            device.id
                        )));
                    }
                };
                let milli = WHOLE * u64::from(placement.profile.slices) / all;
                (milli.max(1), placement.memory.0)
            }
        })
    }
}

impl Write<'_> {
    /// Gives `placements` to a workload that holds nothing; the history starts at `at`.
    pub(crate) fn place(
        &mut self,
        workload: WorkloadId,
        attempt: Attempt,
        placements: &[Placement],
        at: Timestamp,
    ) -> Result<(), StoreError> {
        crate::failpoint::hit("store.place")?;
        for placement in placements {
            self.conn
                .prepare_cached("INSERT INTO placements VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
                .execute(params![
                    int(workload.0),
                    placement.member.0,
                    placement.node.as_str(),
                    int(placement.cpu.0),
                    int(placement.memory.0),
                    int(placement.disk.0),
                ])?;
            self.conn.prepare_cached(HOLD)?.execute(params![
                int(workload.0),
                attempt.0,
                placement.member.0,
                placement.node.as_str(),
                None::<u32>,
                int(placement.cpu.0),
                int(placement.memory.0),
                int(at.0),
            ])?;
            for (ordinal, grant) in (0u32..).zip(&placement.grants) {
                self.give(workload, attempt, placement.member, ordinal, grant, at)?;
            }
        }
        Ok(())
    }

    fn give(
        &mut self,
        workload: WorkloadId,
        attempt: Attempt,
        member: Member,
        ordinal: u32,
        grant: &Grant,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let (milli, memory) = self.weight(grant)?;
        let device = grant.device();
        let mig = match grant {
            Grant::Mig { placement, .. } => Some(placement),
            _ => None,
        };
        self.conn
            .prepare_cached(
                "INSERT INTO grants VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            )?
            .execute(params![
                int(workload.0),
                member.0,
                ordinal,
                device.node.as_str(),
                device.index,
                sort(grant),
                int(milli),
                int(memory),
                mig.map(|m| m.profile.to_string()),
                mig.map(|m| m.start),
                mig.map(|m| m.size),
            ])?;
        self.conn.prepare_cached(HOLD)?.execute(params![
            int(workload.0),
            attempt.0,
            member.0,
            device.node.as_str(),
            device.index,
            int(milli),
            int(memory),
            int(at.0),
        ])?;
        Ok(())
    }

    /// Takes back everything a workload holds; its history ends at `at`, and never before it
    /// began, whatever the clock did.
    pub(crate) fn release(
        &mut self,
        workload: WorkloadId,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.conn
            .prepare_cached("DELETE FROM placements WHERE workload = ?1")?
            .execute([int(workload.0)])?;
        self.conn
            .prepare_cached(
                "UPDATE holdings SET until_ms = max(from_ms, ?2, coalesce(
                     (SELECT settled_ms FROM ledger_devices d
                      WHERE d.node = holdings.node AND d.device = holdings.device), 0))
                 WHERE workload = ?1 AND until_ms IS NULL",
            )?
            .execute(params![int(workload.0), int(at.0)])?;
        Ok(())
    }
}

/// A device's time that is settled already stays as it was accounted, so that the history and
/// the ledger agree to the millisecond: what begins, begins after it, and what ends, likewise.
const HOLD: &str = "INSERT INTO holdings
    (workload, attempt, member, node, device, milli, memory, from_ms)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, max(?8, coalesce(
        (SELECT settled_ms FROM ledger_devices WHERE node = ?4 AND device = ?5), 0)))";

fn sort(grant: &Grant) -> &'static str {
    match grant {
        Grant::Whole { .. } => "whole",
        Grant::Share { .. } => "share",
        Grant::Mig { .. } => "mig",
    }
}

/// Columns 2 to 9 of the query above.
fn grant(row: &Row<'_>) -> Result<Grant, StoreError> {
    let device = DeviceId { node: parsed(row, 2)?, index: row.get(3)? };
    let memory = Bytes(uint(row, 6)?);
    let sort = row.get_ref(4)?.as_str().unwrap_or_default();
    Ok(match sort {
        "whole" => Grant::Whole { device },
        "share" => Grant::Share { device, milli: MilliGpu(uint(row, 5)?), memory },
        _ => Grant::Mig {
            device,
            placement: MigPlacement {
                profile: parsed(row, 7)?,
                start: small(row, 8)?,
                size: small(row, 9)?,
                memory,
            },
        },
    })
}
