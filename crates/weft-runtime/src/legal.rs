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
    let absolute = launch.environment.as_ref().is_none_or(|path| is_plain(path));
    rule(absolute, "environment", "it is not an absolute path without `..`")
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
