//! How a server is run: what the command line says, with its defaults.

use crate::Limits;
use std::path::PathBuf;
use weft_agent::Headroom;
use weft_types::NodeId;

/// Where clients find a server that nobody configured: a port without a registered use
/// (IANA, 2026), on the loopback.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:7433";

/// How a server is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServeConfig {
    /// Where its state is; made, with mode 0700, where it is not.
    pub state_dir: PathBuf,
    /// `host:port`. None: [`DEFAULT_LISTEN`], or any port where that one is taken.
    pub listen: Option<String>,
    /// Needed where `listen` is not a loopback address.
    pub tls: Option<TlsFiles>,
    /// Accelerators that do not exist, `8xH200-141`; none: the machine's own.
    pub simulate: Option<String>,
    /// The folder of the accelerators' driver; none: where the loader finds it.
    pub driver: Option<PathBuf>,
    /// Whether MPS is to be tried, and to keep shares apart where it does.
    pub mps: bool,
    /// This machine's name; none: the one it had, else the host's.
    pub node: Option<NodeId>,
    /// What is kept for the machine itself.
    pub headroom: Headroom,
    /// What one user may take of it.
    pub limits: Limits,
    /// Registries, `host` or `host:port`, that images are pulled from although their address is
    /// of a private network or this machine, and hosts that may be handed a registry's
    /// credentials for a token.
    pub registries: Vec<String>,
    /// A folder in which every plan is recorded with what it was made on; none: they are not.
    pub record: Option<PathBuf>,
    /// The program that is run as `<exe> __supervise <dir>` for each workload.
    pub supervisor_exe: PathBuf,
}

/// A certificate and its key, in PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, followed by those it was signed with.
    pub cert: PathBuf,
    /// Its private key: PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}

impl ServeConfig {
    /// The defaults, for this state directory.
    pub fn new(state_dir: impl Into<PathBuf>) -> Self {
        Self {
            state_dir: state_dir.into(),
            listen: None,
            tls: None,
            simulate: None,
            driver: None,
            mps: false,
            node: None,
            headroom: Headroom::default(),
            limits: Limits::default(),
            registries: Vec::new(),
            record: None,
            // The running program itself, even where its file was replaced by an upgrade.
            supervisor_exe: PathBuf::from("/proc/self/exe"),
        }
    }
}
