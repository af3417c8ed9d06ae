//! Nodes and devices: the pool as its agents report it.

use crate::column::{first, int, json, parsed, rows, to_json, uint};
use crate::{Read, StoreError, Write};
use rusqlite::{Row, params};
use weft_sched::{DeviceClass, DeviceMode};
use weft_types::{Bytes, DeviceId, MilliCpu, NodeId, Rung, Timestamp, WorkloadId};

/// What an agent says of its machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeReport {
    /// Its name.
    pub name: NodeId,
    /// Processor for the pool.
    pub cpu: MilliCpu,
    /// Memory for the pool.
    pub memory: Bytes,
    /// Scratch disk for the pool.
    pub disk: Bytes,
    /// What it lacks, in sentences.
    pub warnings: Vec<String>,
    /// Its accelerators.
    pub devices: Vec<DeviceRow>,
    /// When.
    pub at: Timestamp,
}

/// A machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRow {
    /// Its name.
    pub name: NodeId,
    /// Whether its agent answers.
    pub ready: bool,
    /// Whether new work is kept off it.
    pub drained: bool,
    /// Processor for the pool.
    pub cpu: MilliCpu,
    /// Memory for the pool.
    pub memory: Bytes,
    /// Scratch disk for the pool.
    pub disk: Bytes,
    /// What it lacks, in sentences.
    pub warnings: Vec<String>,
    /// When its agent last reported.
    pub seen_at: Timestamp,
    /// Grows with each change but `seen_at`.
    pub version: u64,
}

/// An accelerator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRow {
    /// Which.
    pub id: DeviceId,
    /// The driver's identity of it.
    pub uuid: String,
    /// Product name as the driver gives it.
    pub product: String,
    /// Kind and memory.
    pub class: DeviceClass,
    /// How it can be divided.
    pub mode: DeviceMode,
    /// What is wrong with it; none: it takes work.
    pub fault: Option<String>,
    /// Its health, of which the fault is what the planner needs to know.
    pub health: weft_lifecycle::Device,
    /// The rungs of isolation, as they were found on it; empty where nobody has looked.
    pub rungs: Vec<Rung>,
    /// Whether it is simulated.
    pub simulated: bool,
}

/// What is said of a device that its node no longer reports.
const GONE: &str = "no longer reported by its machine";

impl Read<'_> {
    /// Every machine, by name.
    pub fn nodes(&self) -> Result<Vec<NodeRow>, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT * FROM nodes ORDER BY name")?;
        rows(query.query([])?, node)
    }

    /// One machine.
    pub fn node(&self, name: &NodeId) -> Result<Option<NodeRow>, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT * FROM nodes WHERE name = ?1")?;
        first(query.query([name.as_str()])?, node)
    }

    /// Every accelerator, by machine and index.
    pub fn devices(&self) -> Result<Vec<DeviceRow>, StoreError> {
        let mut query = self.conn.prepare_cached("SELECT * FROM devices ORDER BY node, device")?;
        rows(query.query([])?, device)
    }

    /// One machine's accelerators, by index.
    pub fn devices_of(&self, node: &NodeId) -> Result<Vec<DeviceRow>, StoreError> {
        let mut query =
            self.conn.prepare_cached("SELECT * FROM devices WHERE node = ?1 ORDER BY device")?;
        rows(query.query([node.as_str()])?, device)
    }

    /// One accelerator.
    pub fn device(&self, id: &DeviceId) -> Result<Option<DeviceRow>, StoreError> {
        let mut query =
            self.conn.prepare_cached("SELECT * FROM devices WHERE node = ?1 AND device = ?2")?;
        first(query.query(params![id.node.as_str(), id.index])?, device)
    }
}

impl Read<'_> {
    /// Who holds any of an accelerator, by id.
    pub fn device_holders(&self, id: &DeviceId) -> Result<Vec<WorkloadId>, StoreError> {
        let mut query = self.conn.prepare_cached(
            "SELECT DISTINCT workload FROM grants WHERE node = ?1 AND device = ?2
             ORDER BY workload",
        )?;
        let found = query.query(params![id.node.as_str(), id.index])?;
        rows(found, |row| Ok(WorkloadId(uint(row, 0)?)))
    }
}

impl Write<'_> {
    /// Takes in an agent's report: the machine is ready, and its inventory is this one. Devices
    /// it no longer names stay, unhealthy, while something holds them, and are dropped else.
    pub fn report_node(&mut self, report: &NodeReport) -> Result<(), StoreError> {
        let old = self.node(&report.name)?;
        let new = NodeRow {
            name: report.name.clone(),
            ready: true,
            drained: old.as_ref().is_some_and(|n| n.drained),
            cpu: report.cpu,
            memory: report.memory,
            disk: report.disk,
            warnings: report.warnings.clone(),
            seen_at: report.at,
            version: old.as_ref().map_or(0, |n| n.version),
        };
        self.save_node(old.as_ref(), new)?;
        self.save_devices(report)
    }

    /// Keeps new work off a machine or lets it come; gives the new version. `expected` is the
    /// version the caller read; none overwrites.
    pub fn drain_node(
        &mut self,
        name: &NodeId,
        drained: bool,
        expected: Option<u64>,
    ) -> Result<u64, StoreError> {
        let old = self.node(name)?.ok_or_else(|| not_found(name))?;
        if let Some(expected) = expected.filter(|expected| *expected != old.version) {
            let (id, found) = (name.to_string(), old.version);
            return Err(StoreError::Conflict { what: "node", id, expected, found });
        }
        let new = NodeRow { drained, ..old.clone() };
        self.save_node(Some(&old), new)
    }

    /// Notes whether a machine's agent answers.
    pub fn set_node_ready(&mut self, name: &NodeId, ready: bool) -> Result<(), StoreError> {
        let old = self.node(name)?.ok_or_else(|| not_found(name))?;
        let new = NodeRow { ready, ..old.clone() };
        self.save_node(Some(&old), new)?;
        Ok(())
    }

    /// Notes that a machine's agent answered; nothing else changes, nobody is woken.
    pub fn node_seen(&mut self, name: &NodeId, at: Timestamp) -> Result<(), StoreError> {
        self.conn
            .prepare_cached("UPDATE nodes SET seen_at = ?2 WHERE name = ?1")?
            .execute(params![name.as_str(), int(at.0)])?;
        Ok(())
    }

    fn save_node(&mut self, old: Option<&NodeRow>, new: NodeRow) -> Result<u64, StoreError> {
        let unchanged = |o: &NodeRow| NodeRow { seen_at: new.seen_at, ..o.clone() } == new;
        if old.is_some_and(unchanged) {
            self.node_seen(&new.name, new.seen_at)?;
            return Ok(new.version);
        }
        let mut put = self.conn.prepare_cached(
            "INSERT INTO nodes VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT (name) DO UPDATE SET ready = ?2, drained = ?3, cpu = ?4, memory = ?5,
             disk = ?6, warnings = ?7, seen_at = ?8, version = ?9",
        )?;
        put.execute(params![
            new.name.as_str(),
            new.ready,
            new.drained,
            int(new.cpu.0),
            int(new.memory.0),
            int(new.disk.0),
            to_json(&new.warnings)?,
            int(new.seen_at.0),
            int(new.version + 1),
        ])?;
        self.planner_saw |= old.is_none_or(|old| planner_view(old) != planner_view(&new));
        Ok(new.version + 1)
    }

    fn save_devices(&mut self, report: &NodeReport) -> Result<(), StoreError> {
        for old in self.devices_of(&report.name)? {
            if report.devices.iter().any(|new| new.id == old.id) {
                continue;
            }
            let at = params![old.id.node.as_str(), old.id.index];
            let held = "SELECT 1 FROM grants WHERE node = ?1 AND device = ?2";
            if self.conn.prepare_cached(held)?.exists(at)? {
                self.save_device(&DeviceRow { fault: Some(GONE.to_owned()), ..old })?;
            } else {
                self.conn
                    .prepare_cached("DELETE FROM devices WHERE node = ?1 AND device = ?2")?
                    .execute(at)?;
                self.planner_saw = true;
            }
        }
        report.devices.iter().try_for_each(|new| self.save_device(new))
    }

    /// Notes what is known of a device; it must be known.
    pub fn put_device(&mut self, device: &DeviceRow) -> Result<(), StoreError> {
        let known = self.device(&device.id)?;
        known.ok_or(StoreError::NotFound { what: "device", id: device.id.to_string() })?;
        self.save_device(device)
    }

    fn save_device(&mut self, new: &DeviceRow) -> Result<(), StoreError> {
        if self.device(&new.id)?.as_ref() == Some(new) {
            return Ok(());
        }
        let mut put = self.conn.prepare_cached(
            "INSERT INTO devices VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
             ON CONFLICT (node, device) DO UPDATE SET uuid = ?3, product = ?4, class = ?5,
             mode = ?6, memory = ?7, fault = ?8, simulated = ?9, rungs = ?10,
             health = ?11",
        )?;
        put.execute(params![
            new.id.node.as_str(),
            new.id.index,
            new.uuid,
            new.product,
            to_json(&new.class)?,
            to_json(&new.mode)?,
            int(new.class.memory.0),
            new.fault,
            new.simulated,
            to_json(&new.rungs)?,
            to_json(&new.health)?,
        ])?;
        self.planner_saw = true;
        Ok(())
    }
}

/// What the planner can see of a machine.
fn planner_view(row: &NodeRow) -> (bool, MilliCpu, Bytes, Bytes) {
    (row.ready && !row.drained, row.cpu, row.memory, row.disk)
}

fn not_found(name: &NodeId) -> StoreError {
    StoreError::NotFound { what: "node", id: name.to_string() }
}

fn node(row: &Row<'_>) -> Result<NodeRow, StoreError> {
    Ok(NodeRow {
        name: parsed(row, "name")?,
        ready: row.get("ready")?,
        drained: row.get("drained")?,
        cpu: MilliCpu(uint(row, "cpu")?),
        memory: Bytes(uint(row, "memory")?),
        disk: Bytes(uint(row, "disk")?),
        warnings: json(row, "warnings")?,
        seen_at: Timestamp(uint(row, "seen_at")?),
        version: uint(row, "version")?,
    })
}

fn device(row: &Row<'_>) -> Result<DeviceRow, StoreError> {
    Ok(DeviceRow {
        id: DeviceId { node: parsed(row, "node")?, index: row.get("device")? },
        uuid: row.get("uuid")?,
        product: row.get("product")?,
        class: json(row, "class")?,
        mode: json(row, "mode")?,
        fault: row.get("fault")?,
        rungs: json(row, "rungs")?,
        health: json(row, "health")?,
        simulated: row.get("simulated")?,
    })
}
