//! The ladder of isolation on a device: which rungs it has, and why the others are missing.
//!
//! A rung is offered only where it was tried and works. What stands here is what can be told
//! without trying; whether instances can be made is tried by `instances.rs`, and whether shares
//! are kept, by MPS or without it, is the agent's to say, which delivers what keeps them.
//!
//! Absent on purpose: a rung that nothing here tries, `kernel`. It is shown with what the machine
//! has of it, and nobody is given it.

use std::path::Path;
use weft_sched::DeviceMode;
use weft_types::{Isolation, Rung};

/// First branch of the driver with limits of device memory by control group, and MPS of the third
/// generation (release notes of CUDA 13.4).
const KERNEL_DRIVER: u32 = 615;

/// What a machine has of the rungs that need more than the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Host {
    /// The driver's branch; none where it does not say.
    pub(crate) driver: Option<u32>,
    /// Whether the kernel limits device memory for control groups.
    pub(crate) dmem: bool,
    /// Whether the MPS control program is installed.
    pub(crate) mps: bool,
}

impl Host {
    /// What is found below `root`, with this version of the driver.
    pub(crate) fn look(root: &Path, driver: &str) -> Self {
        let controllers = root.join("sys/fs/cgroup/cgroup.controllers");
        let controllers = std::fs::read_to_string(controllers).unwrap_or_default();
        let control = "usr/bin/nvidia-cuda-mps-control";
        Self {
            driver: driver.split('.').next().and_then(|branch| branch.parse().ok()),
            dmem: controllers.split_whitespace().any(|name| name == "dmem"),
            mps: root.join(control).exists(),
        }
    }

    fn kernel(&self) -> Rung {
        let mut lacks = Vec::new();
        match self.driver {
            Some(branch) if branch >= KERNEL_DRIVER => {}
            Some(branch) => {
                lacks.push(format!("driver {KERNEL_DRIVER} or later, this is {branch}"));
            }
            None => lacks.push(format!("driver {KERNEL_DRIVER} or later")),
        }
        if !self.dmem {
            lacks.push("a kernel with the dmem controller (6.14 or later)".to_owned());
        }
        if !self.mps {
            lacks.push("nvidia-cuda-mps-control".to_owned());
        }
        let why = "nothing in this version tries it, so nobody is given it";
        not_offered(Isolation::Kernel, &lacks, why)
    }

    fn mps(&self) -> Rung {
        let lacks = if self.mps { vec![] } else { vec!["nvidia-cuda-mps-control".to_owned()] };
        not_offered(Isolation::Mps, &lacks, "not tried")
    }
}

fn not_offered(isolation: Isolation, lacks: &[String], otherwise: &str) -> Rung {
    let why = match lacks {
        [] => otherwise.to_owned(),
        lacks => format!("the machine lacks {}", lacks.join(", ")),
    };
    Rung { isolation, offered: false, why }
}

/// The rungs of a device of the machine, before anything was tried on it. `can_divide`: whether
/// its kind has a MIG mode.
pub(crate) fn of_machine(
    host: &Host,
    mode: &DeviceMode,
    can_divide: bool,
    index: u32,
) -> Vec<Rung> {
    let mig = match (mode, can_divide) {
        (DeviceMode::Mig { .. }, _) => "not tried yet".to_owned(),
        (DeviceMode::Whole, true) => {
            format!("its MIG mode is off; `nvidia-smi -i {index} -mig 1` turns it on")
        }
        (DeviceMode::Whole, false) => "this kind has no MIG mode".to_owned(),
    };
    let shared = match mode {
        DeviceMode::Mig { .. } => "in MIG mode it is given in instances",
        DeviceMode::Whole => "nothing delivers what keeps shares apart",
    };
    vec![
        Rung { isolation: Isolation::Exclusive, offered: true, why: "one holder alone".to_owned() },
        Rung { isolation: Isolation::Mig, offered: false, why: mig },
        host.kernel(),
        host.mps(),
        Rung { isolation: Isolation::Shared, offered: false, why: shared.to_owned() },
    ]
}

/// The rungs of a declared device: nothing runs on it, so nothing has to be kept apart.
pub(crate) fn declared(mode: &DeviceMode) -> Vec<Rung> {
    let divided = matches!(mode, DeviceMode::Mig { .. });
    let rung = |isolation, offered| {
        let why = if offered { "declared, nothing runs on it" } else { "not declared" };
        Rung { isolation, offered, why: why.to_owned() }
    };
    vec![
        rung(Isolation::Exclusive, true),
        rung(Isolation::Mig, divided),
        rung(Isolation::Kernel, false),
        rung(Isolation::Mps, false),
        rung(Isolation::Shared, !divided),
    ]
}

/// Puts a finding in the place of the one that stands.
pub fn found(rungs: &mut [Rung], isolation: Isolation, offered: bool, why: &str) {
    for rung in rungs.iter_mut().filter(|rung| rung.isolation == isolation) {
        (rung.offered, rung.why) = (offered, why.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_never_tried_is_not_offered_whatever_the_machine_has() {
        let root = tempfile::tempdir().expect("a folder");
        let bare = Host::look(root.path(), "570.86.10");
        assert_eq!(bare, Host { driver: Some(570), dmem: false, mps: false });
        let said = bare.kernel().why;
        assert!(said.contains("615 or later, this is 570") && said.contains("dmem"), "{said}");
        for file in ["sys/fs/cgroup/cgroup.controllers", "usr/bin/nvidia-cuda-mps-control"] {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, "cpu memory dmem\n").expect("written");
        }
        let full = Host::look(root.path(), "615.10");
        assert_eq!(full, Host { driver: Some(615), dmem: true, mps: true });
        for (rung, why) in [(full.kernel(), "nothing in this version"), (full.mps(), "not tried")] {
            assert!(!rung.offered && rung.why.starts_with(why), "{rung:?}");
        }
    }

    #[test]
    fn every_rung_is_spoken_of_in_order() {
        let host = Host { driver: None, dmem: false, mps: false };
        let mode = DeviceMode::Whole;
        for rungs in [of_machine(&host, &mode, true, 0), declared(&mode)] {
            let words: Vec<_> = rungs.iter().map(|rung| rung.isolation).collect();
            assert_eq!(words, Isolation::LADDER);
        }
    }
}
