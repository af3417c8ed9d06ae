//! The one way out: a name is resolved once, each of its addresses is judged, and the connection
//! goes to an address that was judged, never to the name again.
//!
//! So a name that points elsewhere a moment later (DNS rebinding) gains nothing. A name with one
//! address that is refused is refused: a mix of both is a trick. Absent on purpose: proxies.

use crate::address::{ANYWHERE, Network, refused};
use crate::error::SourceError;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// For a name to be resolved and an address to answer: a slow line and two lost packets.
pub(crate) const CONNECT: Duration = Duration::from_secs(15);
/// Nothing comes for so long: the other side is gone.
pub(crate) const IDLE: Duration = Duration::from_secs(120);
/// How long a database may take from the first byte to the snapshot, over all of its steps.
pub(crate) const LOGIN: Duration = Duration::from_secs(30);
/// Longest name of a host, of DNS.
const HOST_MAX: usize = 253;

/// A connection, whatever it goes over.
pub(crate) trait Line: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Line for T {}

/// How far a source may reach, and whom it trusts.
#[derive(Clone, Default)]
pub struct Outbound {
    allowed: Vec<Network>,
    trust: Option<Arc<ClientConfig>>,
}

impl std::fmt::Debug for Outbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbound").field("allowed", &self.allowed).finish_non_exhaustive()
    }
}

impl Outbound {
    /// To public addresses and to these; trusting who the machine trusts, or these certificates
    /// alone (PEM).
    ///
    /// # Errors
    /// There is no certificate in the text.
    pub fn new(allowed: Vec<Network>, authorities: Option<&str>) -> Result<Self, SourceError> {
        let trust = authorities.map(|pem| {
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                let added = certificate.ok().map(|certificate| roots.add(certificate));
                if !matches!(added, Some(Ok(()))) {
                    roots = RootCertStore::empty();
                    break;
                }
            }
            let rule = "must be certificates in PEM form, as `-----BEGIN CERTIFICATE-----`";
            let none = || SourceError::named("the certificates", rule);
            if roots.is_empty() { Err(none()) } else { Ok(config(roots)) }
        });
        Ok(Self { allowed, trust: trust.transpose()? })
    }

    /// The same, to public addresses alone.
    pub(crate) fn public(&self) -> Self {
        Self { allowed: Vec::new(), ..self.clone() }
    }

    /// A connection to a host, by an address that was judged.
    pub(crate) async fn dial(&self, host: &str, port: u16) -> Result<TcpStream, SourceError> {
        let dialled = tokio::time::timeout(CONNECT, self.dial_unbounded(host, port)).await;
        dialled.map_err(|_| SourceError::Silent { host: host.to_owned(), after: CONNECT })?
    }

    async fn dial_unbounded(&self, host: &str, port: u16) -> Result<TcpStream, SourceError> {
        let failed = |why: String| SourceError::Connect { host: host.to_owned(), why };
        let addresses = self.judged(host, port).await?;
        let mut last = "it has no address".to_owned();
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Err(error) => last = error.to_string(),
            }
        }
        Err(failed(last))
    }

    /// The addresses of a host, all of which may be connected to.
    async fn judged(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, SourceError> {
        let bare = check_host(host)?;
        let found = tokio::net::lookup_host((bare, port)).await;
        let failed =
            |e: std::io::Error| SourceError::Connect { host: host.into(), why: e.to_string() };
        let found: Vec<SocketAddr> = found.map_err(failed)?.collect();
        for address in &found {
            if let Some(why) = refused(address.ip(), &self.allowed) {
                let (host, address) = (host.to_owned(), address.ip());
                let never = refused(address, &ANYWHERE).is_some();
                return Err(SourceError::Address { host, address, why, never });
            }
        }
        Ok(found)
    }

    /// TLS over a connection, to whom the host's certificate names.
    pub(crate) async fn tls(
        &self,
        host: &str,
        line: TcpStream,
    ) -> Result<Box<dyn Line>, SourceError> {
        let failed = |why: String| SourceError::Connect { host: host.to_owned(), why };
        let name = ServerName::try_from(check_host(host)?.to_owned());
        let name = name.map_err(|e| failed(e.to_string()))?;
        let config = self.trust.clone().unwrap_or_else(machines);
        let shake = TlsConnector::from(config).connect(name, line);
        let shaken = tokio::time::timeout(CONNECT, shake).await;
        let shaken = shaken
            .map_err(|_| SourceError::Silent { host: host.to_owned(), after: CONNECT })?
            .map_err(|e| failed(format!("TLS: {e}")))?;
        Ok(Box::new(shaken))
    }
}

/// A host's name or address; an address of version 6 without its brackets.
///
/// # Errors
/// It is neither.
pub(crate) fn check_host(host: &str) -> Result<&str, SourceError> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._:".contains(c);
    match (1..=HOST_MAX).contains(&bare.len()) && bare.chars().all(fits) {
        true => Ok(bare),
        false => Err(SourceError::named(host, "is no host: write a name or an address")),
    }
}

/// Host and port of a database's address: `host`, `host:port`, `[::1]:port`.
///
/// # Errors
/// It is none.
pub fn host(text: &str, usual: u16) -> Result<(String, u16), SourceError> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if host.ends_with(']') || !host.contains(':') => {
            let rule = "has no port behind its `:`: write host or host:port";
            (host, port.parse().map_err(|_| SourceError::named(text, rule))?)
        }
        _ => (text, usual),
    };
    check_host(host).map(|host| (host.to_owned(), port))
}

fn config(roots: RootCertStore) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring speaks the usual versions");
    Arc::new(config.with_root_certificates(roots).with_no_client_auth())
}

/// Whom the machine trusts, read once.
fn machines() -> Arc<ClientConfig> {
    static MACHINES: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    let read = || {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        config(roots)
    };
    MACHINES.get_or_init(read).clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_and_old_spellings_of_what_is_refused_are_refused() {
        let out = Outbound::default();
        for host in ["localhost", "127.1", "0x7f000001", "2130706433", "017700000001", "[::1]"] {
            let refused = out.dial(host, 80).await;
            assert!(
                matches!(refused, Err(SourceError::Address { .. } | SourceError::Connect { .. })),
                "{host}: {refused:?}"
            );
        }
        for host in ["", "a b", "a/b", "a@b", "127.0.0.1%eth0", "a\r\nb", &"a".repeat(254)] {
            assert!(matches!(out.dial(host, 80).await, Err(SourceError::Named { .. })), "{host}");
        }
    }

    #[test]
    fn what_is_no_certificate_is_not_trusted() {
        for text in ["", "junk", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            assert!(Outbound::new(Vec::new(), Some(text)).is_err(), "{text}");
        }
    }
}
