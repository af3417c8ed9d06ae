//! Which hierarchies of control groups the machine has mounted, and where we may make groups.

use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// A resource the kernel counts or limits per group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Controller {
    /// Processor share.
    Cpu,
    /// Processor time; part of `Cpu` in version 2.
    CpuAccount,
    /// Memory.
    Memory,
    /// Processes and threads.
    Pids,
    /// Device nodes; version 1 only.
    Devices,
    /// Stopping all at once; part of every group in version 2.
    Freezer,
}

impl Controller {
    /// Those whose absence costs a limit, and what people call them.
    pub(super) const LIMITING: [(Controller, &'static str); 4] = [
        (Controller::Cpu, "processor share"),
        (Controller::Memory, "memory"),
        (Controller::Pids, "number of processes"),
        (Controller::Devices, "device nodes"),
    ];

    /// The kernel's name in version 2.
    pub(super) fn name(self) -> &'static str {
        match self {
            Controller::Cpu | Controller::CpuAccount => "cpu",
            Controller::Memory => "memory",
            Controller::Pids => "pids",
            Controller::Devices => "devices",
            Controller::Freezer => "freezer",
        }
    }

    /// Version 1's mount option, or version 2's word in `cgroup.controllers`.
    fn parse(word: &str, unified: bool) -> &'static [Controller] {
        match word {
            "cpu" if unified => &[Controller::Cpu, Controller::CpuAccount],
            "cpu" => &[Controller::Cpu],
            "cpuacct" => &[Controller::CpuAccount],
            "memory" => &[Controller::Memory],
            "pids" => &[Controller::Pids],
            "devices" if !unified => &[Controller::Devices],
            "freezer" if !unified => &[Controller::Freezer],
            _ => &[],
        }
    }
}

/// One mounted hierarchy we have a use for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hierarchy {
    /// Where it is mounted.
    pub(crate) base: PathBuf,
    /// Version 2.
    pub(crate) unified: bool,
    /// What it controls; in version 2 possibly nothing, it still kills.
    pub(crate) controllers: Vec<Controller>,
}

/// Every hierarchy of use, one per controller.
pub(crate) fn mounted() -> Vec<Hierarchy> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    parse(&table, |base| fs::read_to_string(base.join("cgroup.controllers")).unwrap_or_default())
}

fn parse(table: &str, unified_controllers: impl Fn(&Path) -> String) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = Vec::new();
    for line in table.lines() {
        let Some((front, back)) = line.split_once(" - ") else { continue };
        let Some(base) = front.split(' ').nth(4).map(PathBuf::from) else { continue };
        let mut back = back.split(' ');
        let (kind, options) = (back.next(), back.nth(1).unwrap_or_default());
        let (unified, words) = match kind {
            Some("cgroup2") => (true, unified_controllers(&base)),
            Some("cgroup") => (false, options.replace(',', " ")),
            _ => continue,
        };
        let taken = |c: &Controller| found.iter().any(|h| h.controllers.contains(c));
        let controllers: Vec<Controller> = words
            .split_whitespace()
            .flat_map(|word| Controller::parse(word, unified))
            .copied()
            .filter(|controller| !taken(controller))
            .collect();
        let second = unified && found.iter().any(|h| h.unified);
        if !second && (unified || !controllers.is_empty()) {
            found.push(Hierarchy { base, unified, controllers });
        }
    }
    found
}

/// The folder below which groups can be made: the mount itself, else our own group.
pub(super) fn usable(base: &Path) -> Option<PathBuf> {
    let own = || {
        let text = fs::read_to_string("/proc/self/cgroup").ok()?;
        let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
        Some(base.join(path))
    };
    let writable = |path: &PathBuf| rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok();
    Some(base.to_owned()).filter(writable).or_else(|| own().filter(writable))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hybrid_machine_has_one_folder_per_controller() {
        let table = "\
30 25 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
33 30 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
34 30 0:30 / /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio
35 30 0:31 / /elsewhere/memory rw - cgroup cgroup rw,memory";
        let found = parse(table, |_| String::new());
        let bases: Vec<&str> = found.iter().filter_map(|h| h.base.to_str()).collect();
        let wanted = ["unified", "cpu,cpuacct", "memory"];
        assert_eq!(bases, wanted.map(|name| format!("/sys/fs/cgroup/{name}")));
        assert_eq!(found[1].controllers, [Controller::Cpu, Controller::CpuAccount]);
    }

    #[test]
    fn a_unified_machine_says_what_it_controls() {
        let table = "31 30 0:27 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate";
        let found = parse(table, |_| "cpuset cpu io memory pids\n".to_owned());
        assert_eq!(found.len(), 1);
        let wanted =
            [Controller::Cpu, Controller::CpuAccount, Controller::Memory, Controller::Pids];
        assert_eq!(found[0].controllers, wanted);
    }
}
