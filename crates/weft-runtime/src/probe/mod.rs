//! What this machine can and cannot do for sandboxes, and what to do about it; for `weft doctor`.
//!
//! Everything is tried, not looked up: namespaces are entered by a child process, groups are
//! made and removed again. Nothing is changed that outlives the look.

mod attempt;

use crate::cgroup::{self, Controller};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;
use std::fs;
use std::io;
use std::path::Path;

/// One capability of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProbeFinding {
    /// What was looked at: `user namespaces`.
    pub what: String,
    /// Whether it is there.
    pub ok: bool,
    /// What its absence costs; empty when it is there.
    pub cost: String,
    /// What the operator can do; empty when there is nothing to do.
    pub fix: String,
}

/// Looks at everything the runtime makes use of, most important first.
pub(crate) fn probe() -> Vec<ProbeFinding> {
    let mut findings = vec![sandbox()];
    findings.extend(namespaces());
    findings.extend(groups());
    findings.extend([seccomp(), landlock(), pidfd(), mount_attributes()]);
    findings.extend([limits_raised(), oom_score(), host_users(), data()]);
    findings.extend(accelerators());
    findings.extend(parts_of_accelerators());
    findings
}

fn finding(what: &str, ok: bool, cost: &str, fix: &str) -> ProbeFinding {
    let unless = |text: &str| if ok { String::new() } else { text.to_owned() };
    ProbeFinding { what: what.to_owned(), ok, cost: unless(cost), fix: unless(fix) }
}

/// The whole of it: does a sandbox start here?
fn sandbox() -> ProbeFinding {
    let failed = attempt::sandbox().err().map(|error| error.to_string());
    let cost = format!("no workload can run: {}", failed.as_deref().unwrap_or_default());
    finding("sandbox", failed.is_none(), &cost, "see the findings below")
}

fn namespaces() -> Vec<ProbeFinding> {
    let kinds = [
        ("user namespaces", libc::CLONE_NEWUSER),
        ("mount namespaces", libc::CLONE_NEWNS),
        ("pid namespaces", libc::CLONE_NEWPID),
        ("network namespaces", libc::CLONE_NEWNET),
        ("ipc namespaces", libc::CLONE_NEWIPC),
        ("host name namespaces", libc::CLONE_NEWUTS),
        ("cgroup namespaces", libc::CLONE_NEWCGROUP),
    ];
    kinds
        .map(|(what, flag)| {
            let fix = "allow it: sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone \
                       or kernel.apparmor_restrict_unprivileged_userns; in a container, run it \
                       with CAP_SYS_ADMIN or an outer profile that allows unshare";
            finding(what, attempt::namespace(flag), "no workload can run", fix)
        })
        .into()
}

fn groups() -> Vec<ProbeFinding> {
    let fix = "run Weft as root, or delegate a group to it: systemd-run --user --scope \
               -p Delegate=yes weft up";
    let kinds = [
        (Controller::Memory, "memory limit", "memory is limited per process and watched, loosely"),
        (Controller::Cpu, "processor limit", "workloads take more processor than they asked for"),
        (Controller::Pids, "process limit", "processes are limited per user, not per workload"),
        (Controller::CpuAccount, "processor accounting", "usage is summed over processes seen"),
    ];
    kinds
        .map(|(controller, what, cost)| finding(what, cgroup::can_use(controller), cost, fix))
        .into()
}

fn seccomp() -> ProbeFinding {
    let there = fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail")
        .is_ok_and(|actions| actions.contains("errno"));
    finding("system-call filter", there, "no workload can run", "use a kernel with CONFIG_SECCOMP")
}

fn landlock() -> ProbeFinding {
    let abi = crate::sandbox::kernel::landlock_abi();
    let what = match abi {
        0 => "Landlock".to_owned(),
        _ => format!("Landlock (version {abi})"),
    };
    let cost = "the second wall around the file system is missing; the mounts still hold";
    finding(&what, abi > 0, cost, "boot with lsm=landlock,… on a kernel of 5.13 or later")
}

fn pidfd() -> ProbeFinding {
    let own = rustix::process::getpid();
    let flags = rustix::process::PidfdFlags::empty();
    let there = rustix::process::pidfd_open(own, flags).is_ok();
    finding("process descriptors", there, "no workload can run", "use a kernel of 5.12 or later")
}

fn mount_attributes() -> ProbeFinding {
    // An impossible path tells the call's absence (ENOSYS) from its presence (ENOENT).
    let tried = crate::sandbox::kernel::restrict_mount(c"/nonexistent", 0, false);
    let there = !tried.is_err_and(|e| e.raw_os_error() == Some(libc::ENOSYS));
    finding("mount attributes", there, "no workload can run", "use a kernel of 5.12 or later")
}

fn limits_raised() -> ProbeFinding {
    let now = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: now.current, maximum: now.maximum.map(|most| most + 1) };
    let raised =
        setrlimit(Resource::Nofile, wanted).is_ok() && setrlimit(Resource::Nofile, now).is_ok();
    let most = now.maximum.map_or_else(|| "unlimited".to_owned(), |most| most.to_string());
    let cost = format!("a workload can open at most {most} files");
    let fix = "give CAP_SYS_RESOURCE, or a higher LimitNOFILE to the service";
    finding("raising limits", raised || now.maximum.is_none(), &cost, fix)
}

fn oom_score() -> ProbeFinding {
    const OWN: &str = "/proc/self/oom_score_adj";
    let before = fs::read_to_string(OWN).unwrap_or_default();
    let lower = before.trim().parse::<i32>().map_or(0, |score| score.saturating_sub(1));
    let lowered = fs::write(OWN, lower.to_string()).is_ok();
    let _ = fs::write(OWN, before.trim());
    let cost = "when the machine runs out of memory the kernel may end the server; workloads are \
                marked to go first, and outlive it";
    finding("keeping the server from the OOM killer", lowered, cost, "give CAP_SYS_RESOURCE")
}

fn host_users() -> ProbeFinding {
    let there = crate::runs::a_host_user().is_some();
    let cost = "workloads run as the server's own user: two of them are apart by namespaces only";
    finding("a host user per workload", there, cost, "run Weft as root")
}

/// What stands against mounting datasets, and what to do about it.
pub(crate) fn data_refused() -> Option<String> {
    let error = weft_mount::open().err()?;
    let device = weft_mount::DEVICE;
    Some(match error.kind() {
        io::ErrorKind::PermissionDenied => format!(
            "{device} is not this user's to open: `chmod 0666 {device}` (as most systems have it), \
             or run Weft as root"
        ),
        io::ErrorKind::NotFound => format!(
            "there is no {device}: `modprobe fuse`; in a container, give it the device: \
             `--device {device}`"
        ),
        _ => format!("{device}: {error}; load the kernel's module, `modprobe fuse`"),
    })
}

fn data() -> ProbeFinding {
    let refused = data_refused();
    let cost = "workloads with `data:` are refused";
    finding("datasets as folders", refused.is_none(), cost, &refused.unwrap_or_default())
}

fn accelerators() -> Option<ProbeFinding> {
    let driver = Path::new("/proc/driver/nvidia/version").exists();
    let nodes = Path::new("/dev/nvidiactl").exists();
    driver.then(|| {
        let fix = "run nvidia-modprobe -u -c 0";
        finding("accelerator device nodes", nodes, "no workload sees an accelerator", fix)
    })
}

fn parts_of_accelerators() -> Option<ProbeFinding> {
    let kept = crate::gpu::can_keep()?;
    let why = kept.as_ref().err().map(ToString::to_string).unwrap_or_default();
    let cost = "whole accelerators only: a workload that asks for a part of one does not start";
    Some(finding("keeping parts of accelerators", kept.is_ok(), cost, &why))
}
