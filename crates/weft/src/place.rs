//! Where things are: the state directory of a server here, and the client file.

use std::path::{Path, PathBuf};

/// The state directory that is used when none is named.
pub(crate) fn default_state_dir() -> Option<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Some(PathBuf::from("/var/lib/weft"));
    }
    base("XDG_STATE_HOME", ".local/state").map(|base| base.join("weft"))
}

/// The client file.
pub(crate) fn client_file() -> Option<PathBuf> {
    base("XDG_CONFIG_HOME", ".config").map(|base| base.join("weft/client.toml"))
}

/// A directory of the XDG base directory specification: relative values are to be ignored.
fn base(variable: &str, below_home: &str) -> Option<PathBuf> {
    let absolute =
        |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    absolute(variable).or_else(|| absolute("HOME").map(|home| home.join(below_home)))
}

/// The socket of the server whose state is there.
pub(crate) fn socket(state_dir: &Path) -> PathBuf {
    state_dir.join("api.sock")
}
