//! Control groups: one per run, for its limits, its usage and its certain end.
//!
//! Speaks version 2, version 1 and the hybrid of both, whichever the machine has; each
//! controller is used where it lies. What cannot be had (no right, no delegation) is left out
//! and named, and the supervisor falls back to limits per process.
//!
//! The path is `weft/<state id>-<run>`, below the mount or, without rights there, below the
//! supervisor's own group.

mod hierarchy;

use crate::launch::{Limits, Usage};
pub(crate) use hierarchy::Controller;
use hierarchy::Hierarchy;
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use weft_types::Bytes;

/// Scheduling period of the processor limit, the kernel's default.
const CPU_PERIOD_US: u64 = 100_000;
/// Least processor share in a period the kernel takes.
const CPU_LEAST_US: u64 = 1_000;
/// How long a killed group may take to become empty: a process in uninterruptible IO.
const EMPTY_PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks whether it is empty; there is no event for it in version 1.
const EMPTY_LOOK: Duration = Duration::from_millis(2);
/// Character devices every sandbox may use: null, zero, full, random, urandom, tty, ptmx, pts.
const BASIC_DEVICES: [&str; 8] =
    ["c 1:3", "c 1:5", "c 1:7", "c 1:8", "c 1:9", "c 5:0", "c 5:2", "c 136:*"];

/// One run's group: a folder in each hierarchy of the machine. Kept in the run's directory, so
/// that whoever comes after a lost supervisor can empty and remove it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Group {
    folders: Vec<Folder>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Folder {
    path: PathBuf,
    unified: bool,
    controllers: Vec<Controller>,
}

impl Group {
    /// Where the group named so is or will be; nothing is made yet.
    pub(crate) fn named(name: &Path) -> Group {
        let folders = hierarchy::mounted().into_iter().filter_map(|hierarchy| {
            let Hierarchy { base, unified, controllers } = hierarchy;
            Some(Folder { path: hierarchy::usable(&base)?.join(name), unified, controllers })
        });
        Group { folders: folders.collect() }
    }

    /// Makes the version 2 folder, the one a process can be born into.
    pub(crate) fn make_unified(&self) -> Option<OwnedFd> {
        let folder = self.folders.iter().find(|folder| folder.unified)?;
        folder.make().ok()?;
        rustix::fs::open(&folder.path, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()
    }

    /// Makes every folder, and narrows the devices to the basic ones: version 1 can do that only
    /// by denying all of them first, so it is done before a process is in it that could meet
    /// that instant. What cannot be made shows when it is limited.
    pub(crate) fn make(&self) {
        for folder in &self.folders {
            let _ = folder.make();
            if !folder.unified && folder.controllers.contains(&Controller::Devices) {
                let _ = folder.narrow_devices();
            }
        }
    }

    /// Sets the limits of a group that was made. What could not be set is returned, by name.
    pub(crate) fn limit(&self, limits: &Limits, devices: &[PathBuf]) -> Vec<&'static str> {
        let mut missing = Vec::new();
        for (controller, name) in Controller::LIMITING {
            let folder = self.folder_of(controller);
            let set =
                folder.is_some_and(|folder| folder.limit(controller, limits, devices).is_ok());
            // Where no hierarchy holds devices the mounts alone decide: nothing is missing.
            let needless = controller == Controller::Devices && folder.is_none();
            if !set && !needless {
                missing.push(name);
            }
        }
        missing
    }

    /// Lets the group use a device node for a moment, or no longer. Where no version 1 hierarchy
    /// holds devices there is nothing to let.
    pub(crate) fn lend(&self, device: &Path, lent: bool) -> io::Result<()> {
        use std::os::unix::fs::MetadataExt;
        let holds =
            |folder: &&Folder| !folder.unified && folder.controllers.contains(&Controller::Devices);
        let Some(folder) = self.folders.iter().find(holds) else { return Ok(()) };
        let number = fs::metadata(device)?.rdev();
        let (major, minor) = (rustix::fs::major(number), rustix::fs::minor(number));
        let file = if lent { "devices.allow" } else { "devices.deny" };
        fs::write(folder.path.join(file), format!("c {major}:{minor} rwm"))
    }

    /// Puts a process into every folder it was not born into.
    pub(crate) fn attach(&self, pid: i32, born_unified: bool) -> io::Result<()> {
        let later = self.folders.iter().filter(|folder| !(folder.unified && born_unified));
        for folder in later.filter(|folder| folder.path.exists()) {
            fs::write(folder.path.join("cgroup.procs"), pid.to_string())?;
        }
        Ok(())
    }

    /// What it has used. The disk is not its business; memory is zero where it is not counted.
    pub(crate) fn usage(&self) -> Usage {
        let number = |controller, v2: &str, v1: &str| {
            let folder = self.folder_of(controller)?;
            folder.number(if folder.unified { v2 } else { v1 })
        };
        Usage {
            cpu_us: self.cpu_us().unwrap_or(0),
            memory: Bytes(
                number(Controller::Memory, "memory.current", "memory.usage_in_bytes").unwrap_or(0),
            ),
            memory_peak: Bytes(
                number(Controller::Memory, "memory.peak", "memory.max_usage_in_bytes").unwrap_or(0),
            ),
            disk: Bytes(0),
            pids: number(Controller::Pids, "pids.current", "pids.current")
                .map_or(0, |pids| u32::try_from(pids).unwrap_or(u32::MAX)),
        }
    }

    /// Whether any folder of it is there.
    #[cfg(test)]
    pub(crate) fn exists(&self) -> bool {
        self.folders.iter().any(|folder| folder.path.exists())
    }

    /// Whether it will bound memory. Asked before it is made.
    pub(crate) fn limits_memory(&self) -> bool {
        self.folder_of(Controller::Memory).is_some()
    }

    /// Whether memory and processor time are counted here.
    pub(crate) fn counts(&self) -> bool {
        self.folder_of(Controller::Memory).is_some_and(|folder| folder.path.exists())
            && self.cpu_us().is_some()
    }

    /// How often the kernel killed a process of it for want of memory.
    pub(crate) fn oom_kills(&self) -> u64 {
        let Some(folder) = self.folder_of(Controller::Memory) else { return 0 };
        let file = if folder.unified { "memory.events" } else { "memory.oom_control" };
        folder.field(file, "oom_kill").unwrap_or(0)
    }

    /// Kills everything in it, until it is empty.
    pub(crate) fn kill(&self) -> io::Result<()> {
        let deadline = Instant::now() + EMPTY_PATIENCE;
        loop {
            let pids = self.pids();
            if pids.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                let what = format!("{} processes of {self} do not die", pids.len());
                return Err(io::Error::other(what));
            }
            self.kill_once(&pids);
            std::thread::sleep(EMPTY_LOOK);
        }
    }

    fn kill_once(&self, pids: &[i32]) {
        let unified = self.folders.iter().find(|folder| folder.unified);
        if unified.is_some_and(|f| fs::write(f.path.join("cgroup.kill"), "1").is_ok()) {
            // It reaches only what was born there; the rest gets its signal below.
        }
        let freezer = self.folder_of(Controller::Freezer).map(|f| f.path.join("freezer.state"));
        if let Some(state) = &freezer {
            let _ = fs::write(state, "FROZEN");
        }
        for pid in pids.iter().filter_map(|pid| rustix::process::Pid::from_raw(*pid)) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        if let Some(state) = &freezer {
            let _ = fs::write(state, "THAWED");
        }
    }

    /// Removes its folders; they must be empty. What is not there is fine.
    pub(crate) fn remove(&self) -> io::Result<()> {
        for folder in &self.folders {
            match fs::remove_dir(&folder.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Every process in it, in any hierarchy.
    pub(crate) fn pids(&self) -> Vec<i32> {
        let mut pids: Vec<i32> = self
            .folders
            .iter()
            .filter_map(|folder| fs::read_to_string(folder.path.join("cgroup.procs")).ok())
            .flat_map(|text| text.lines().filter_map(|l| l.parse().ok()).collect::<Vec<i32>>())
            .filter(|pid| *pid > 0)
            .collect();
        pids.sort_unstable();
        pids.dedup();
        pids
    }

    fn cpu_us(&self) -> Option<u64> {
        let folder = self.folder_of(Controller::CpuAccount)?;
        match folder.unified {
            true => folder.field("cpu.stat", "usage_usec"),
            false => folder.number("cpuacct.usage").map(|nanos| nanos / 1_000),
        }
    }

    fn folder_of(&self, controller: Controller) -> Option<&Folder> {
        self.folders.iter().find(|folder| folder.controllers.contains(&controller))
    }
}

/// Whether a group with this controller can be made here; makes one and removes it.
pub(crate) fn can_use(controller: Controller) -> bool {
    let name = format!("weft/probe-{}-{controller:?}", std::process::id());
    let group = Group::named(Path::new(&name));
    let Some(folder) = group.folder_of(controller) else { return false };
    let made = folder.make().is_ok();
    fs::remove_dir(&folder.path).is_ok() && made
}

/// The groups below `parent` whose names begin so, in any hierarchy: what past runs left.
pub(crate) fn named_like(parent: &Path, prefix: &str) -> Vec<Group> {
    let mut names: Vec<String> = Group::named(parent)
        .folders
        .iter()
        .filter_map(|folder| fs::read_dir(&folder.path).ok())
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with(prefix))
        .collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(|name| Group::named(&parent.join(name))).collect()
}

impl std::fmt::Display for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.folders.first() {
            Some(folder) => write!(f, "{}", folder.path.display()),
            None => f.write_str("no control group"),
        }
    }
}

impl Folder {
    /// Makes it and its parents; in version 2 each parent must hand its controllers down.
    fn make(&self) -> io::Result<()> {
        if !self.unified || self.controllers.is_empty() {
            return fs::create_dir_all(&self.path);
        }
        let mut above: Vec<&Path> = self.path.ancestors().skip(1).take(2).collect();
        above.reverse();
        for parent in above {
            fs::create_dir_all(parent)?;
            for controller in &self.controllers {
                // One by one: a machine may lack one of them.
                let _ = fs::write(
                    parent.join("cgroup.subtree_control"),
                    format!("+{}", controller.name()),
                );
            }
        }
        fs::create_dir_all(&self.path)
    }

    fn limit(&self, which: Controller, limits: &Limits, devices: &[PathBuf]) -> io::Result<()> {
        let set = |file: &str, value: String| fs::write(self.path.join(file), value);
        let quota = (limits.cpu.0 * (CPU_PERIOD_US / 1_000)).max(CPU_LEAST_US);
        match (which, self.unified) {
            (Controller::Cpu, true) => set("cpu.max", format!("{quota} {CPU_PERIOD_US}")),
            (Controller::Cpu, false) => {
                set("cpu.cfs_period_us", CPU_PERIOD_US.to_string())?;
                set("cpu.cfs_quota_us", quota.to_string())
            }
            (Controller::Memory, true) => {
                // Without swap accounting the file is not there, and nothing is swapped.
                let _ = set("memory.swap.max", "0".to_owned());
                let _ = set("memory.oom.group", "1".to_owned());
                set("memory.max", limits.memory.0.to_string())
            }
            (Controller::Memory, false) => {
                set("memory.limit_in_bytes", limits.memory.0.to_string())?;
                let _ = set("memory.memsw.limit_in_bytes", limits.memory.0.to_string());
                Ok(())
            }
            // One more: the sandbox's own first process.
            (Controller::Pids, _) => set("pids.max", (u64::from(limits.pids) + 1).to_string()),
            (Controller::Devices, _) => self.allow_devices(devices),
            (Controller::Freezer | Controller::CpuAccount, _) => Ok(()),
        }
    }

    /// Version 1 only: leaves the basic devices. For an instant nothing is allowed, `/dev/null`
    /// included.
    fn narrow_devices(&self) -> io::Result<()> {
        fs::write(self.path.join("devices.deny"), "a")?;
        BASIC_DEVICES.iter().try_for_each(|device| self.allow_device(device))
    }

    /// Version 1 only; in version 2 the sandbox's mounts alone decide, as nothing inside can
    /// make a device node. Only ever adds: there is a process in it.
    fn allow_devices(&self, devices: &[PathBuf]) -> io::Result<()> {
        use std::os::unix::fs::MetadataExt;
        if self.unified {
            return Ok(());
        }
        if fs::read_to_string(self.path.join("devices.list"))?.starts_with('a') {
            return Err(io::Error::other("its devices could not be narrowed"));
        }
        devices.iter().try_for_each(|device| {
            let number = fs::metadata(device)?.rdev();
            let (major, minor) = (rustix::fs::major(number), rustix::fs::minor(number));
            self.allow_device(&format!("c {major}:{minor}"))
        })
    }

    fn allow_device(&self, device: &str) -> io::Result<()> {
        fs::write(self.path.join("devices.allow"), format!("{device} rwm"))
    }

    fn number(&self, file: &str) -> Option<u64> {
        fs::read_to_string(self.path.join(file)).ok()?.trim().parse().ok()
    }

    fn field(&self, file: &str, name: &str) -> Option<u64> {
        let text = fs::read_to_string(self.path.join(file)).ok()?;
        let value = |line: &str| Some(line.strip_prefix(name)?.strip_prefix(' ')?.to_owned());
        text.lines().find_map(value)?.trim().parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weft_types::MilliCpu;

    const LIMITS: Limits =
        Limits { cpu: MilliCpu(1_500), memory: Bytes(1 << 30), disk: Bytes(1), pids: 10 };

    /// A group whose folders are ordinary ones: what would be told to the kernel can be read.
    fn group(dir: &Path, unified: bool) -> Group {
        use Controller::{Cpu, CpuAccount, Memory, Pids};
        let folder = |name: &str, controllers: Vec<Controller>| {
            fs::create_dir(dir.join(name)).unwrap();
            Folder { path: dir.join(name), unified, controllers }
        };
        let folders = match unified {
            true => vec![folder("all", vec![Cpu, CpuAccount, Memory, Pids])],
            false => vec![
                folder("cpu", vec![Cpu, CpuAccount]),
                folder("memory", vec![Memory]),
                folder("pids", vec![Pids]),
            ],
        };
        Group { folders }
    }

    #[test]
    fn both_versions_are_told_the_same_limits() {
        for (unified, wanted) in [
            (true, [("all/cpu.max", "150000 100000"), ("all/memory.max", "1073741824")]),
            (
                false,
                [
                    ("cpu/cpu.cfs_quota_us", "150000"),
                    ("memory/memory.limit_in_bytes", "1073741824"),
                ],
            ),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let missing = group(dir.path(), unified).limit(&LIMITS, &[]);
            assert_eq!(missing, Vec::<&str>::new());
            for (file, value) in wanted {
                assert_eq!(fs::read_to_string(dir.path().join(file)).unwrap(), value, "{file}");
            }
        }
    }

    /// Denying everything while the sandbox's first process is in the group refuses it
    /// `/dev/null`, once in some hundred starts.
    #[test]
    fn nothing_is_denied_to_a_group_that_may_have_a_process() {
        let dir = tempfile::tempdir().unwrap();
        let controllers = vec![Controller::Devices];
        let folder = Folder { path: dir.path().join("devices"), unified: false, controllers };
        let (deny, list) = (folder.path.join("devices.deny"), folder.path.join("devices.list"));
        let group = Group { folders: vec![folder] };
        group.make();
        assert_eq!(fs::read_to_string(&deny).unwrap(), "a");
        fs::remove_file(&deny).unwrap();
        fs::write(&list, "c 1:3 rwm\n").unwrap();
        let devices = [PathBuf::from("/dev/null")];
        assert!(!group.limit(&LIMITS, &devices).contains(&"device nodes"));
        assert!(!deny.exists());
        fs::write(&list, "a *:* rwm\n").unwrap();
        assert!(group.limit(&LIMITS, &devices).contains(&"device nodes"));
    }

    #[test]
    fn usage_is_read_in_both_versions() {
        let files = [
            (true, [("all/cpu.stat", "usage_usec 42\nuser_usec 40"), ("all/memory.peak", "7")]),
            (false, [("cpu/cpuacct.usage", "42000"), ("memory/memory.max_usage_in_bytes", "7")]),
        ];
        for (unified, files) in files {
            let dir = tempfile::tempdir().unwrap();
            let group = group(dir.path(), unified);
            for (file, text) in files {
                fs::write(dir.path().join(file), text).unwrap();
            }
            let usage = group.usage();
            assert_eq!((usage.cpu_us, usage.memory_peak), (42, Bytes(7)), "unified: {unified}");
        }
    }
}
