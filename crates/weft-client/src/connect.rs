//! A connection to a server: Unix socket, TCP or TLS, ready to send one request.

use crate::{Address, ClientError};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// How long a connection may take: a server beyond it is as good as gone.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) type RequestBody = UnsyncBoxBody<Bytes, io::Error>;
pub(crate) type Sender = http1::SendRequest<RequestBody>;

/// Opens a connection.
pub(crate) async fn connect(
    address: &Address,
    tls: Option<&Arc<rustls::ClientConfig>>,
) -> Result<Sender, ClientError> {
    match tokio::time::timeout(CONNECT_TIMEOUT, open(address, tls)).await {
        Ok(sender) => sender,
        Err(_) => Err(unreachable(address, io::ErrorKind::TimedOut.into())),
    }
}

async fn open(
    address: &Address,
    tls: Option<&Arc<rustls::ClientConfig>>,
) -> Result<Sender, ClientError> {
    match address {
        Address::Socket(path) => {
            let stream = UnixStream::connect(path).await.map_err(|e| unreachable(address, e))?;
            handshake(address, stream).await
        }
        Address::Tcp { host, port, tls: false } => {
            let stream = TcpStream::connect((host.as_str(), *port)).await;
            let stream = stream.map_err(|e| unreachable(address, e))?;
            // Requests are small and wait for their answer: nothing is to be gained by delay.
            _ = stream.set_nodelay(true);
            handshake(address, stream).await
        }
        Address::Tcp { host, port, tls: true } => {
            let Some(config) = tls else {
                let reason = "no certificate to check it against".to_owned();
                return Err(ClientError::Tls { address: address.to_string(), reason });
            };
            let stream = TcpStream::connect((host.as_str(), *port)).await;
            let stream = stream.map_err(|e| unreachable(address, e))?;
            _ = stream.set_nodelay(true);
            let failed = |e: String| ClientError::Tls { address: address.to_string(), reason: e };
            let name = ServerName::try_from(host.clone()).map_err(|e| failed(e.to_string()))?;
            let stream = tokio_rustls::TlsConnector::from(config.clone()).connect(name, stream);
            handshake(address, stream.await.map_err(|e| failed(reason(&e)))?).await
        }
    }
}

/// Why no TLS came about, in words where rustls has a type's name.
fn reason(error: &io::Error) -> String {
    use rustls::{Error, InvalidMessage};
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match inner {
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            "what answers there speaks no TLS; is it http://?".to_owned()
        }
        _ => error.to_string(),
    }
}

async fn handshake<S>(address: &Address, stream: S) -> Result<Sender, ClientError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let made = http1::handshake(TokioIo::new(stream)).await;
    let (sender, connection) = made.map_err(|e| unreachable(address, io::Error::other(e)))?;
    // What fails in it shows at the request that waits for it.
    tokio::spawn(connection.with_upgrades());
    Ok(sender)
}

pub(crate) fn unreachable(address: &Address, source: io::Error) -> ClientError {
    ClientError::Unreachable { address: address.to_string(), source }
}

/// TLS that trusts exactly the certificates of a PEM file.
pub(crate) fn tls(address: &Address, ca: &Path) -> Result<Arc<rustls::ClientConfig>, ClientError> {
    let failed = |reason: String| ClientError::Tls { address: address.to_string(), reason };
    let mut roots = rustls::RootCertStore::empty();
    let certificates =
        CertificateDer::pem_file_iter(ca).map_err(|e| failed(format!("{}: {e}", ca.display())))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|e| failed(format!("{}: {e}", ca.display())))?;
        roots.add(certificate).map_err(|e| failed(format!("{}: {e}", ca.display())))?;
    }
    if roots.is_empty() {
        return Err(failed(format!("{} holds no certificate", ca.display())));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| failed(e.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
