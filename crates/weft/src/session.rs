//! Which server a command talks to: named, configured, or the one of this machine, started
//! when nothing runs.
//!
//! ```text
//! --server / WEFT_SERVER ─► that one, never started
//! --state / WEFT_STATE_DIR ─► the one of that directory
//! client file's address ─► that one
//! otherwise ─► the one of the default state directory
//! ```

use crate::autostart;
use crate::exit::Code;
use crate::failure::Failure;
use crate::place;
use clap::Args;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use weft_client::{Address, Client, ClientFile};

/// What every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct Session {
    /// Print JSON, in the form of the API
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// State directory of the server on this machine
    #[arg(long, global = true, value_name = "DIR", env = "WEFT_STATE_DIR", hide_env_values = true)]
    pub(crate) state: Option<PathBuf>,
    /// Server to talk to: unix:/path, http://host:port or https://host:port
    #[arg(
        long,
        global = true,
        value_name = "ADDRESS",
        env = "WEFT_SERVER",
        hide_env_values = true
    )]
    pub(crate) server: Option<String>,
}

/// Where a server is, and whether it is ours to start.
pub(crate) enum Target {
    /// The server of a state directory on this machine.
    Here(PathBuf),
    /// Another one.
    There { address: Address, file: ClientFile },
}

impl Session {
    /// A client of the server, which is started when it is this machine's and does not run.
    pub(crate) fn client(&self) -> Result<Client, Failure> {
        let target = self.target()?;
        if let Target::Here(state_dir) = &target
            && !answers(state_dir)
        {
            autostart::start(state_dir)?;
        }
        connect(target)
    }

    /// A client of the server, if there is one.
    pub(crate) fn client_if_running(&self) -> Result<Option<Client>, Failure> {
        let target = self.target()?;
        match &target {
            Target::Here(state_dir) if !answers(state_dir) => Ok(None),
            _ => connect(target).map(Some),
        }
    }

    /// Where the server is.
    pub(crate) fn target(&self) -> Result<Target, Failure> {
        let file = match place::client_file() {
            // A file that nothing is needed from must not be in the way.
            Some(_) if self.server.is_none() && self.state.is_some() => ClientFile::default(),
            Some(path) => ClientFile::load(&path)?.unwrap_or_default(),
            None => ClientFile::default(),
        };
        let named = match (&self.server, &self.state) {
            (Some(server), _) => Some(server.clone()),
            (None, Some(_)) => None,
            (None, None) => file.address.clone(),
        };
        if let Some(named) = named {
            let address: Address = named.parse().map_err(|e| Failure::usage(format!("{e}")))?;
            // The file's own socket is a server of this machine: it may be started.
            if self.server.is_none()
                && let Address::Socket(path) = &address
                && let (Some(dir), Some("api.sock")) =
                    (path.parent(), path.file_name().and_then(|name| name.to_str()))
            {
                return Ok(Target::Here(dir.to_owned()));
            }
            return Ok(Target::There { address, file });
        }
        self.state_dir().map(Target::Here)
    }

    /// The state directory of the server on this machine.
    pub(crate) fn state_dir(&self) -> Result<PathBuf, Failure> {
        let dir = self.state.clone().or_else(place::default_state_dir).ok_or_else(|| {
            Failure::usage("no place for the state: neither HOME nor XDG_STATE_HOME is set")
                .hint("name a directory with --state")
        })?;
        std::path::absolute(&dir).map_err(|e| Failure::local(dir.display(), e))
    }
}

fn connect(target: Target) -> Result<Client, Failure> {
    Ok(match target {
        Target::Here(state_dir) => {
            Client::new(Address::Socket(place::socket(&state_dir)), None, None)?
        }
        Target::There { address, file } => {
            if matches!(address, Address::Tcp { .. }) && file.token.is_none() {
                let path = place::client_file().unwrap_or_default();
                return Err(Failure::new(Code::Denied, format!("no token for {address}"))
                    .hint(format!("write `token = \"…\"` into {}", path.display())));
            }
            Client::new(address, file.token, file.ca.as_deref())?
        }
    })
}

/// How long a server may take to say a word and be taken for there all the same: it is busy.
const BUSY: Duration = Duration::from_secs(2);

/// Whether a server answers on the socket of a state directory. That it takes a connection is not
/// enough: the socket of one that was killed does so until its process is gone.
pub(crate) fn answers(state_dir: &Path) -> bool {
    let Ok(mut socket) = UnixStream::connect(place::socket(state_dir)) else { return false };
    let _ = socket.set_read_timeout(Some(BUSY));
    let question = b"GET /healthz HTTP/1.1\r\nHost: weft\r\nConnection: close\r\n\r\n";
    match socket.write_all(question).and_then(|()| socket.read(&mut [0])) {
        Ok(bytes) => bytes > 0,
        Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
    }
}
