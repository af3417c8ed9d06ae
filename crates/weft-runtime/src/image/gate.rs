//! The gate of image pulls: a proxy on the loopback that every connection of a pull goes through.
//!
//! A reference is a user's text, and a registry's redirects and token addresses are a stranger's:
//! followed from the server's own network they would reach what only the server can. The gate
//! resolves each name itself, refuses addresses of private networks and of this machine, and
//! connects to the very address it checked. Where the server's credentials are sent, a second,
//! narrow gate leads to the registry's own host and its known token host, and nowhere else.

use crate::network::{Noted, Proxy, Refusal, serve_on};
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// Hosts that hand out tokens for a registry of another name, as their operators document.
const TOKEN_HOSTS: [(&str, &str); 3] = [
    ("docker.io", "auth.docker.io"),
    ("index.docker.io", "auth.docker.io"),
    ("registry.gitlab.com", "gitlab.com"),
];

/// Where images may be pulled from.
#[derive(Debug, Default)]
pub struct Registries {
    allow: Vec<String>,
    /// The folder with the `config.json` of `docker login`; none: where docker looks for it.
    login: Option<PathBuf>,
    /// Open gates by the registry whose credentials go through; empty: the one for all others.
    gates: Mutex<BTreeMap<String, Gate>>,
}

/// A gate that is open until the process ends.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    address: SocketAddr,
    refused: Noted,
}

impl Registries {
    /// Any with a public address, and the hosts named here: `host` or `host:port`, also those
    /// with private addresses, and those that may be sent a registry's credentials for a token.
    pub fn allowing(allow: Vec<String>) -> Self {
        Self { allow, login: None, gates: Mutex::default() }
    }

    /// With the credentials that `docker --config <folder> login` left there.
    #[must_use]
    pub fn logged_in(self, folder: PathBuf) -> Self {
        Self { login: Some(folder), ..self }
    }

    /// The folder with the credentials; none where there is no such place.
    pub(super) fn login(&self) -> Option<PathBuf> {
        let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".docker"));
        let docker = || std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
        self.login.clone().or_else(docker).or_else(home)
    }

    /// The gate for what needs no credentials.
    pub(super) fn open(&self) -> io::Result<Gate> {
        self.gate("", None)
    }

    /// The gate for this registry's credentials.
    pub(super) fn narrow(&self, registry: &str) -> io::Result<Gate> {
        let host = host_of(registry);
        let known = TOKEN_HOSTS.iter().filter(|(of, _)| *of == host);
        let mut only = vec![host.to_owned()];
        only.extend(known.map(|(_, token)| (*token).to_owned()));
        only.extend(self.allow.iter().cloned());
        self.gate(registry, Some(only))
    }

    /// Why a connection of this registry's pull was refused last: told once. Of several pulls at
    /// once, it may be another's.
    pub(super) fn refused(&self, registry: &str) -> Option<Refusal> {
        let gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        let gates = [registry, ""].into_iter().filter_map(|key| gates.get(key));
        let take = |gate: &Gate| gate.refused.lock().unwrap_or_else(PoisonError::into_inner).take();
        gates.map(take).find(Option::is_some).flatten()
    }

    fn gate(&self, key: &str, only: Option<Vec<String>>) -> io::Result<Gate> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gate) = gates.get(key) {
            return Ok(gate.clone());
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let proxy = Proxy::new(self.allow.clone(), std::env::vars());
        let proxy = match only {
            Some(only) => proxy.only(only),
            None => proxy,
        };
        let gate = Gate { address: listener.local_addr()?, refused: proxy.refused() };
        serve_on(listener, proxy);
        gates.insert(key.to_owned(), gate.clone());
        Ok(gate)
    }
}

impl Gate {
    /// As a proxy's address.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// The host of `host`, `host:port` or `[v6]:port`.
pub(super) fn host_of(registry: &str) -> &str {
    match registry.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => registry.split(':').next().unwrap_or_default(),
    }
}
