//! The machines of a study: written as `80x8` or `80x8:h100,20x4:a100`, or read from a file.
//!
//! The file is a CSV with `machines` and `devices`, and `model` where it matters; a list of
//! machines
//! as openb or Philly publish it is read too.

use crate::trace::{Machine, Table, TraceError, openb_machines, philly_machines};
use std::fmt;

/// Most machines: a hundred times the largest pool the planner is measured on; beyond it a typing
/// error would take all memory.
const MACHINES_MAX: usize = 100_000;

/// Most devices of a machine: four times what the largest single machine has today.
const DEVICES_MAX: u32 = 64;

/// Machines with accelerators.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cluster {
    /// In the order in which they are dealt out; the last are the first to be left out.
    pub machines: Vec<Machine>,
}

/// Why something is no cluster.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClusterError {
    /// Not of the form `80x8`.
    #[error("`{0}` is no list of machines; write machines x devices, as in 80x8 or 80x8:h100,20x4")]
    Text(String),
    /// Too many.
    #[error("{0} machines; at most {MACHINES_MAX}")]
    Machines(usize),
    /// Too many devices in one machine.
    #[error("{0} devices in a machine; 1 to {DEVICES_MAX}")]
    Devices(u32),
    /// None has an accelerator.
    #[error("no machine has an accelerator")]
    Empty,
    /// A line of a file.
    #[error(transparent)]
    Line(#[from] TraceError),
}

impl Cluster {
    /// From `80x8`, `80x8:h100,20x4`.
    ///
    /// # Errors
    ///
    /// If it is not of that form, or beyond a limit.
    pub fn parse(text: &str) -> Result<Self, ClusterError> {
        let wrong = || ClusterError::Text(text.to_owned());
        let mut machines = Vec::new();
        for part in text.split(',') {
            let (shape, model) = part.trim().split_once(':').unwrap_or((part.trim(), ""));
            let (count, devices) = shape.split_once(['x', 'X', '×']).ok_or_else(wrong)?;
            let count: usize = count.trim().parse().map_err(|_| wrong())?;
            let devices: u32 = devices.trim().parse().map_err(|_| wrong())?;
            if machines.len().saturating_add(count) > MACHINES_MAX {
                return Err(ClusterError::Machines(machines.len().saturating_add(count)));
            }
            let model = model.trim().to_owned();
            machines.extend(vec![Machine { devices, model, ..Machine::default() }; count]);
        }
        Self::new(machines)
    }

    /// From a file's text.
    ///
    /// # Errors
    ///
    /// The first line that is none, or a limit.
    pub fn read(text: &str) -> Result<Self, ClusterError> {
        let table = Table::read(text, ',')?;
        if table.has("machineId") {
            return Self::new(philly_machines(text)?);
        }
        if table.has("sn") {
            return Self::new(openb_machines(text)?);
        }
        let mut machines = Vec::new();
        for row in table.rows() {
            let row = row?;
            let count: usize = row.number("machines")?;
            let devices = row.number("devices")?;
            let model = row.maybe("model").unwrap_or_default().to_owned();
            if machines.len().saturating_add(count) > MACHINES_MAX {
                return Err(ClusterError::Machines(machines.len().saturating_add(count)));
            }
            machines.extend(vec![Machine { devices, model, ..Machine::default() }; count]);
        }
        Self::new(machines)
    }

    /// Of these machines; those without accelerators are left out.
    ///
    /// # Errors
    ///
    /// If none is left, or beyond a limit.
    pub fn new(mut machines: Vec<Machine>) -> Result<Self, ClusterError> {
        machines.retain(|machine| machine.devices > 0);
        if let Some(large) = machines.iter().find(|machine| machine.devices > DEVICES_MAX) {
            return Err(ClusterError::Devices(large.devices));
        }
        match machines.len() {
            0 => Err(ClusterError::Empty),
            1..=MACHINES_MAX => Ok(Self { machines }),
            more => Err(ClusterError::Machines(more)),
        }
    }

    /// All devices.
    #[must_use]
    pub fn devices(&self) -> u64 {
        self.machines.iter().map(|machine| u64::from(machine.devices)).sum()
    }

    /// The first so many machines.
    #[must_use]
    pub fn first(&self, machines: usize) -> Self {
        Self { machines: self.machines.iter().take(machines).cloned().collect() }
    }
}

impl fmt::Display for Cluster {
    /// As [`Cluster::parse`] reads it; runs of equal machines together.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let same = |a: &Machine, b: &Machine| a.devices == b.devices && a.model == b.model;
        for (at, run) in self.machines.chunk_by(same).enumerate() {
            let comma = if at > 0 { "," } else { "" };
            write!(f, "{comma}{}x{}", run.len(), run[0].devices)?;
            if !run[0].model.is_empty() {
                write!(f, ":{}", run[0].model)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_and_read() {
        let cluster = Cluster::parse("80x8, 2x4:A100").expect("machines");
        assert_eq!((cluster.machines.len(), cluster.devices()), (82, 648));
        assert_eq!(cluster.to_string(), "80x8,2x4:A100");
        let file = Cluster::read("machines,devices,model\n80,8,\n2,4,A100\n").expect("a file");
        assert_eq!(file, cluster);
        assert_eq!(Cluster::parse("0x8"), Err(ClusterError::Empty));
        assert_eq!(Cluster::parse("2x80"), Err(ClusterError::Devices(80)));
        assert_eq!(Cluster::parse("eighty"), Err(ClusterError::Text("eighty".to_owned())));
        assert!(matches!(Cluster::parse("9999999x8"), Err(ClusterError::Machines(_))));
        assert_eq!(cluster.first(3).to_string(), "3x8");
    }

    #[test]
    fn published_lists_are_clusters() {
        let philly = ",machineId,number of GPUs\n0,m1,8\n1,m2,0\n2,m3,4\n";
        assert_eq!(Cluster::read(philly).expect("machines").to_string(), "1x8,1x4");
    }
}
