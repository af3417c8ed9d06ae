//! Giving up every right: user, groups, capabilities, keys, limits.
//!
//! Runs in the child after the mounts stand. A privileged supervisor's child becomes an
//! unprivileged host user first and then enters a user namespace, so that even inside that
//! namespace it owns none of the mounts, networks or processes made before.

use super::kernel::{limit, own_keyring, set_limit};
use super::{INNER_ID, Plan, Step};
use rustix::process::{
    DumpableBehavior, Signal, set_dumpable_behavior, set_parent_process_death_signal, umask,
};
use rustix::thread::{
    CapabilitiesSecureBits, CapabilitySet, CapabilitySets, UnshareFlags, capabilities,
    clear_ambient_capability_set, remove_capability_from_bounding_set, set_capabilities,
    set_capabilities_secure_bits, set_keep_capabilities, set_no_new_privs, set_thread_groups,
    set_thread_res_gid, set_thread_res_uid, unshare_unsafe,
};
use std::fs;
use std::io;

/// Open files: room for data loaders, small enough that a leak ends the leaker only.
const FILES: u64 = 65_536;

/// The user and group of this process, to be taken before a user namespace hides them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outer {
    uid: u32,
    gid: u32,
}

impl Outer {
    pub(super) fn current() -> Outer {
        let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
        Outer { uid: uid.as_raw(), gid: gid.as_raw() }
    }
}

/// Maps root of the user namespace this process was born into to the user it came from.
pub(super) fn map_root(outer: Outer) -> io::Result<()> {
    write_maps(0, outer)
}

fn write_maps(inner: u32, outer: Outer) -> io::Result<()> {
    let Outer { uid, gid } = outer;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("{inner} {uid} 1"))?;
    fs::write("/proc/self/gid_map", format!("{inner} {gid} 1"))
}

/// Becomes the sandbox's user, in a user namespace that owns nothing.
pub(super) fn become_nobody(plan: &Plan) -> Result<(), Step> {
    if let Some(id) = plan.host_id {
        let (uid, gid) = (rustix::fs::Uid::from_raw(id), rustix::fs::Gid::from_raw(id));
        set_thread_groups(&[]).map_err(Step::of("groups"))?;
        // Kept over the change of user for the one call below, which some hosts allow to root
        // only; the namespace entered there ends them.
        set_keep_capabilities(true).map_err(Step::of("capabilities"))?;
        set_thread_res_gid(gid, gid, gid).map_err(Step::of("group"))?;
        set_thread_res_uid(uid, uid, uid).map_err(Step::of("user"))?;
        let mut sets = capabilities(None).map_err(Step::of("capabilities"))?;
        sets.effective = sets.permitted;
        set_capabilities(None, sets).map_err(Step::of("capabilities"))?;
    }
    let outer = Outer::current();
    // SAFETY: new user namespaces share no memory or descriptors with anybody.
    unsafe { unshare_unsafe(UnshareFlags::NEWUSER) }.map_err(Step::of("user namespace"))?;
    // The change of user took the process's own /proc entries away from it.
    set_dumpable_behavior(DumpableBehavior::Dumpable).map_err(Step::of("dumpable"))?;
    write_maps(INNER_ID, outer).map_err(Step::of("user map"))?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(Step::of("dumpable"))
}

/// Gives up what is left, for this process and all it will start.
pub(super) fn give_up_rights(plan: &Plan) -> Result<(), Step> {
    // SAFETY: a new cgroup namespace shares no memory or descriptors with anybody.
    unsafe { unshare_unsafe(UnshareFlags::NEWCGROUP) }.map_err(Step::of("cgroup namespace"))?;
    // Without keyrings in the kernel there are no keys to lose.
    let _ = own_keyring();
    limits(plan).map_err(Step::of("limits"))?;
    umask(rustix::fs::Mode::from_raw_mode(0o022));
    set_capabilities_secure_bits(locked_bits()).map_err(Step::of("secure bits"))?;
    for bit in 0..u64::BITS {
        let capability = CapabilitySet::from_bits_retain(1 << bit);
        if remove_capability_from_bounding_set(capability).is_err() {
            break; // Past the last one the kernel knows.
        }
    }
    clear_ambient_capability_set().map_err(Step::of("capabilities"))?;
    let none = CapabilitySet::empty();
    let sets = CapabilitySets { effective: none, permitted: none, inheritable: none };
    set_capabilities(None, sets).map_err(Step::of("capabilities"))?;
    set_no_new_privs(true).map_err(Step::of("no new privileges"))?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(Step::of("dumpable"))?;
    // Last: every change of identity clears it. If the supervisor went before, the line says so.
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(Step::of("death signal"))
}

fn locked_bits() -> CapabilitiesSecureBits {
    CapabilitiesSecureBits::NO_ROOT
        | CapabilitiesSecureBits::NO_ROOT_LOCKED
        | CapabilitiesSecureBits::NO_SETUID_FIXUP
        | CapabilitiesSecureBits::NO_SETUID_FIXUP_LOCKED
        | CapabilitiesSecureBits::KEEP_CAPS_LOCKED
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED
}

/// Only ever lowers: raising a hard limit needs a right even root may lack.
fn limits(plan: &Plan) -> io::Result<()> {
    let lower = |resource: u32, wanted: u64| {
        let (_, hard) = limit(resource);
        let value = wanted.min(hard);
        set_limit(resource, value, value)
    };
    lower(libc::RLIMIT_CORE, 0)?;
    lower(libc::RLIMIT_NOFILE, FILES)?;
    lower(libc::RLIMIT_FSIZE, plan.disk)?;
    // One more: init.
    lower(libc::RLIMIT_NPROC, u64::from(plan.pids) + 1)?;
    if let Some(bytes) = plan.data_limit {
        lower(libc::RLIMIT_DATA, bytes)?;
    }
    Ok(())
}
