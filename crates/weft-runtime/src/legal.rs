//! What a launch must be before anything is made for it. Everything is refused by field name.
//!
//! The server has validated most of it; this is the last place that can say no, and the only
//! one that knows what the sandbox would make of it.

use crate::RuntimeError;
use crate::launch::Launch;
use std::path::{Component, Path};
use weft_types::Bytes;

/// Longest host name the kernel takes.
const HOSTNAME_MAX: usize = 64;
/// Least memory a shell needs beside init.
const MEMORY_LEAST: Bytes = Bytes(4 << 20);
/// Ports forwarded per run; each is a listening socket on the host.
const PORTS_MAX: usize = 64;

/// Refuses a launch the sandbox could not honour.
pub(crate) fn check(launch: &Launch) -> Result<(), RuntimeError> {
    let limits = &launch.limits;
    let rule = |holds: bool, field: &'static str, rule: &str| match holds {
        true => Ok(()),
        false => Err(RuntimeError::Invalid { field, rule: rule.to_owned() }),
    };
    let first = launch.command.first();
    rule(first.is_some_and(|name| !name.is_empty()), "command", "it names no program")?;
    rule(no_nul(&launch.command), "command", "it contains a NUL byte")?;
    rule(launch.env.keys().all(|name| is_env_name(name)), "env", "a name is empty or holds `=`")?;
    rule(no_nul(launch.env.values()), "env", "a value contains a NUL byte")?;
    rule(limits.cpu.0 > 0, "limits.cpu", "it is zero")?;
    rule(limits.memory >= MEMORY_LEAST, "limits.memory", "it is below 4 MiB")?;
    rule(limits.disk.0 > 0, "limits.disk", "it is zero")?;
    rule(limits.pids > 0, "limits.pids", "it is zero")?;
    rule(is_hostname(&launch.hostname), "hostname", "it is not a host name of 1 to 64 letters")?;
    rule(launch.devices.iter().all(|d| is_device(d)), "devices", "one is not a path below /dev")?;
    rule(launch.ports.len() <= PORTS_MAX, "ports", "there are more than 64")?;
    rule(!launch.ports.contains(&0), "ports", "0 is not a port")?;
    for (at, data) in launch.data.iter().enumerate() {
        let place = check_place(&data.to.to_string_lossy());
        place.map_err(|rule| RuntimeError::Invalid { field: "data.to", rule })?;
        let (to, before) = (&data.to, &launch.data[..at]);
        let apart = |other: &Path| !to.starts_with(other) && !other.starts_with(to);
        let others = before.iter().all(|other| apart(&other.to));
        rule(others, "data.to", "one lies in another")?;
        let environment = launch.environment.as_deref().is_none_or(apart);
        rule(environment, "data.to", "it would hide the workload's environment")?;
    }
    let absolute = launch.environment.as_ref().is_none_or(|path| is_plain(path));
    rule(absolute, "environment", "it is not an absolute path without `..`")
}

/// Folders at the top that are the sandbox's own, or those of its programs.
pub const PLACES_TAKEN: [&str; 19] = [
    "bin", "boot", "dev", "etc", "home", "lib", "lib32", "lib64", "libx32", "opt", "proc", "root",
    "run", "sbin", "sys", "tmp", "usr", "var", "work",
];

/// Longest place, and parts of it: the kernel's limits, far below what a person writes.
const PLACE_MAX: usize = 1_024;
const PART_MAX: usize = 255;

/// Says why a dataset cannot be mounted at a path: a rule, for people.
pub fn check_place(to: &str) -> Result<(), String> {
    let quoted: String = to.chars().take(80).flat_map(char::escape_debug).collect();
    let parts = to.strip_prefix('/').map(|rest| rest.split('/').collect::<Vec<_>>());
    let plain = |part: &&str| {
        let legal = (1..=PART_MAX).contains(&part.len()) && !part.contains(char::is_control);
        legal && *part != "." && *part != ".."
    };
    match parts {
        Some(parts) if to.len() <= PLACE_MAX && parts.iter().all(plain) => {
            match PLACES_TAKEN.contains(&parts[0]) {
                true => Err(format!(
                    "`{quoted}` lies in `/{}`, which the sandbox has itself; use `/data/…`",
                    parts[0]
                )),
                false => Ok(()),
            }
        }
        _ => Err(format!(
            "`{quoted}` is no absolute path without `.`, `..`, empty parts or control characters, \
             of at most {PLACE_MAX} bytes; use `/data/…`"
        )),
    }
}

fn no_nul<'a>(texts: impl IntoIterator<Item = &'a String>) -> bool {
    texts.into_iter().all(|text| !text.contains('\0'))
}

fn is_env_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0'])
}

fn is_hostname(name: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    (1..=HOSTNAME_MAX).contains(&name.len()) && name.bytes().all(legal)
}

fn is_device(path: &Path) -> bool {
    is_plain(path) && path.starts_with("/dev") && path != Path::new("/dev")
}

fn is_plain(path: &Path) -> bool {
    path.is_absolute()
        && path.components().all(|p| matches!(p, Component::RootDir | Component::Normal(_)))
}
