//! The words of the runtime: what to start, decided to the last detail, and how it ended.
//!
//! Everything here is written to the run's directory as JSON and read back by another process,
//! perhaps of another version: fields are added with a default, never renamed.

use crate::gpu::Driver;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use weft_types::{
    Attempt, Bytes, Epoch, Member, MilliCpu, MilliGpu, Millis, Timestamp, WorkloadId,
};

/// Everything decided about one member start. Written to `launch.json` of its directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// Which start of which member; done once, however often it is asked for.
    pub key: MemberKey,
    /// The server's epoch; an older one than was seen is refused.
    pub epoch: Epoch,
    /// The file system it sees, read-only.
    pub root: Root,
    /// A prepared environment, seen read-only at the same path; its `bin` comes first on `PATH`.
    pub environment: Option<PathBuf>,
    /// SHA-256 of the uploaded files, unpacked into the working directory before the start.
    pub bundle: Option<String>,
    /// Shell lines run before the command, in the same sandbox.
    pub setup: Vec<String>,
    /// The program and its arguments; the program is looked up on `PATH`.
    pub command: Vec<String>,
    /// Environment variables, over the built ones; nothing is inherited.
    pub env: BTreeMap<String, String>,
    /// Members of the gang it is one of, at least 1; each keeps its outputs in a folder named
    /// by its number where there are more.
    #[serde(default)]
    pub gang: u32,
    /// Paths in the working directory that are kept after the end.
    pub outputs: Vec<String>,
    /// What it may use.
    pub limits: Limits,
    /// Device nodes it sees, exactly these.
    pub devices: Vec<PathBuf>,
    /// The driver it sees, and what it may use of its devices; none: no driver is given.
    #[serde(default)]
    pub gpu: Option<Gpu>,
    /// What it can reach.
    pub network: Network,
    /// TCP ports it listens on, forwarded from the machine's loopback.
    pub ports: Vec<u16>,
    /// Its host name.
    pub hostname: String,
    /// Time between the request to end and the kill.
    pub stop_grace: Millis,
    /// Whether it has a folder that is kept from start to start, seen at [`CHECKPOINT`].
    #[serde(default)]
    pub kept: bool,
    /// Versions of datasets that it finds as read-only folders.
    #[serde(default)]
    pub data: Vec<DataMount>,
}

/// A version of a dataset as a read-only folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataMount {
    /// The dataset's name.
    pub dataset: String,
    /// Which version: `v7`.
    pub version: String,
    /// Where it is found: see [`check_place`](crate::check_place).
    pub to: PathBuf,
}

/// Where a run finds its kept folder.
pub const CHECKPOINT: &str = "/run/checkpoint";

/// Which start of which member: the name of the run's directory, `w42-1-0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MemberKey {
    /// The workload.
    pub workload: WorkloadId,
    /// Its start, counted from 1.
    pub attempt: Attempt,
    /// The member of the gang.
    pub member: Member,
}

/// The file system a run sees, read-only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Root {
    /// The machine's own `/usr` and a minimal `/etc`.
    HostUsr,
    /// An unpacked OCI image of the state directory.
    Image {
        /// Its manifest's digest, `sha256:…`.
        digest: String,
    },
}

/// What a run may use. Zero is refused: a limit that is not known is none at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Processor share.
    pub cpu: MilliCpu,
    /// Memory, shared memory and `/tmp` included.
    pub memory: Bytes,
    /// Working directory.
    pub disk: Bytes,
    /// Processes and threads.
    pub pids: u32,
}

/// The driver of a run's devices, and what it may use of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gpu {
    /// The driver's files on this machine.
    pub driver: Driver,
    /// Parts of devices, in the order they were given: a library of ours stands before the
    /// driver. Empty: whole devices, and nothing does.
    pub slices: Vec<Slice>,
    /// Whether MPS keeps its part apart, below the library: of one device, then.
    #[serde(default)]
    pub mps: bool,
}

/// A part of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    /// The device, as the driver writes it: `GPU-` and 32 digits in five groups.
    pub uuid: String,
    /// Bytes of its memory.
    pub memory: Bytes,
    /// Its share of the device's time.
    pub milli: MilliGpu,
}

/// What a run can reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// Its own loopback only.
    None,
    /// Out through an HTTP proxy that refuses the machine's own and private addresses.
    Outbound {
        /// Hosts reachable although their address is private: names or addresses.
        allow: Vec<String>,
    },
}

/// How a run ended. Written to `exit.json` once, durably, after its log is complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// What happened.
    pub end: End,
    /// When.
    pub at: Timestamp,
    /// More for people: what to do, which step failed; may be empty.
    pub detail: String,
    /// What it used in all.
    pub usage: Usage,
}

/// What ended a run. The words of `weft_lifecycle::End`, which the agent converts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// Its command exited with this code.
    Exited(i32),
    /// Its command was ended by this signal.
    Signalled(i32),
    /// It used more memory than its limit.
    OutOfMemory,
    /// It used more disk than its limit.
    OutOfDisk,
    /// Its sandbox or setup failed: the command did not run.
    NotStarted,
    /// Its supervisor went away; how it ended is not known.
    Lost,
    /// It was stopped on request.
    Stopped,
}

/// What a run uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// Processor time so far, in microseconds.
    pub cpu_us: u64,
    /// Memory now.
    pub memory: Bytes,
    /// The most memory at any time.
    pub memory_peak: Bytes,
    /// Working directory at the last look.
    pub disk: Bytes,
    /// Processes and threads now.
    pub pids: u32,
}

/// A further program in a running sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecRequest {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Rows and columns of the terminal; none: plain pipes.
    pub tty: Option<(u16, u16)>,
    /// Environment variables over the run's own.
    pub env: BTreeMap<String, String>,
}

/// Text that is not a member key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a run: expected workload, attempt and member, as in `w42-1-0`")]
pub struct MemberKeyError(String);

impl fmt::Display for MemberKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.workload, self.attempt, self.member)
    }
}

impl FromStr for MemberKey {
    type Err = MemberKeyError;

    fn from_str(text: &str) -> Result<Self, MemberKeyError> {
        let parse = || {
            let mut parts = text.split('-');
            let key = MemberKey {
                workload: parts.next()?.parse().ok()?,
                attempt: Attempt(parts.next()?.parse().ok()?),
                member: Member(parts.next()?.parse().ok()?),
            };
            // One spelling only: the key is a directory name, and two names must not be one run.
            (key.to_string() == text).then_some(key)
        };
        parse().ok_or_else(|| MemberKeyError(text.to_owned()))
    }
}

impl TryFrom<String> for MemberKey {
    type Error = MemberKeyError;

    fn try_from(text: String) -> Result<Self, MemberKeyError> {
        text.parse()
    }
}

impl From<MemberKey> for String {
    fn from(key: MemberKey) -> String {
        key.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_spelling() {
        let key: MemberKey = "w42-1-0".parse().unwrap();
        assert_eq!(key.to_string(), "w42-1-0");
        for bad in ["w42-1", "w42-1-0-0", "w042-1-0", "w42-+1-0", "../w1-1-0", "w42-01-0", ""] {
            assert!(bad.parse::<MemberKey>().is_err(), "{bad}");
        }
    }
}
