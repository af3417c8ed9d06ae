//! `serve` as the command line calls it: its lock, its listeners, its end, and one workload.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::sync::oneshot;
use weft_server::{Ready, ServeConfig, ServeError, TlsFiles, read_note, serve};

/// How long an answer may take before the test fails.
const DEADLINE: Duration = Duration::from_secs(60);

struct Serving {
    config: ServeConfig,
    ready: Ready,
    runtime: tokio::runtime::Runtime,
    task: tokio::task::JoinHandle<Result<(), ServeError>>,
    _dir: TempDir,
}

fn serving(change: impl FnOnce(&mut ServeConfig)) -> Serving {
    let dir = tempfile::tempdir().unwrap();
    let mut config = ServeConfig::new(dir.path().join("state"));
    config.listen = Some("127.0.0.1:0".to_owned());
    change(&mut config);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (tell, told) = oneshot::channel();
    let task = runtime.spawn(serve(config.clone(), tell));
    let Ok(ready) = runtime.block_on(told) else {
        panic!("{:?}", runtime.block_on(task));
    };
    Serving { config, ready, runtime, task, _dir: dir }
}

impl Serving {
    /// A request over the socket: the status and the body.
    fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        exchange(UnixStream::connect(&self.ready.socket).unwrap(), method, path, "", body)
    }

    fn end(self) -> Result<(), ServeError> {
        let (status, body) = self.ask("POST", "/api/v1/admin/shutdown", r#"{"workloads":true}"#);
        assert!((200..300).contains(&status), "{status} {body}");
        self.runtime.block_on(self.task).unwrap()
    }
}

fn exchange(
    mut stream: impl std::io::Read + std::io::Write,
    method: &str,
    path: &str,
    more: &str,
    body: &str,
) -> (u16, String) {
    let (length, at) = (body.len(), weft_agent::now());
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{more}\
         idempotency-key: {path}-{at:?}\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).and_then(|word| word.parse().ok());
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status.unwrap_or_else(|| panic!("{answer:?}")), body.to_owned())
}

#[test]
fn a_server_lets_its_owner_in_and_nobody_twice() {
    let server = serving(|_| {});
    assert!(server.ready.token.as_deref().is_some_and(|token| !token.is_empty()));
    let mode = std::fs::metadata(&server.ready.socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let note = read_note(&server.config.state_dir).unwrap();
    assert_eq!((note.pid, &note.address), (std::process::id(), &server.ready.address));
    let (status, body) = server.ask("GET", "/api/v1/whoami", "");
    assert_eq!((status, body.contains("\"admin\"")), (200, true), "{body}");
    assert_eq!(server.ask("GET", "/healthz", "").0, 200);
    let tcp = || TcpStream::connect(server.ready.address.strip_prefix("http://").unwrap()).unwrap();
    assert_eq!(exchange(tcp(), "GET", "/api/v1/whoami", "", "").0, 401);
    let bearer = format!("authorization: Bearer {}\r\n", server.ready.token.as_ref().unwrap());
    assert_eq!(exchange(tcp(), "GET", "/api/v1/whoami", &bearer, "").0, 200);

    let (tell, _told) = oneshot::channel();
    let second = server.runtime.block_on(serve(server.config.clone(), tell));
    assert!(matches!(second, Err(ServeError::Running { note: Some(_), .. })), "{second:?}");
    assert!(second.unwrap_err().to_string().contains("runs on"));

    let (socket, state) = (server.ready.socket.clone(), server.config.state_dir.clone());
    server.end().unwrap();
    assert!(!socket.exists() && read_note(&state).is_none());
}

#[test]
fn a_workload_goes_from_the_door_to_its_end() {
    if crate::world::World::new().is_none() {
        return;
    }
    let server = serving(|_| {});
    let spec = r#"{"spec":{"type":"job","command":["/bin/sh","-c","exit 5"],
        "resources":{"cpu_milli":50,"memory_bytes":64000000,"disk_bytes":16000000}}}"#;
    let (status, body) = server.ask("POST", "/api/v1/workloads", spec);
    assert_eq!(status, 201, "{body}");
    let begun = Instant::now();
    let ended = loop {
        let (status, body) = server.ask("GET", "/api/v1/workloads/w1", "");
        assert_eq!(status, 200, "{body}");
        if body.contains("\"state\":\"failed\"") {
            break body;
        }
        assert!(begun.elapsed() < DEADLINE, "{body}");
    };
    assert!(ended.contains("\"code\":5"), "{ended}");
    server.end().unwrap();
}

#[test]
fn nothing_listens_in_the_clear_where_others_can_reach_it() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let refused = |config: ServeConfig| {
        let (tell, _told) = oneshot::channel();
        runtime.block_on(serve(config, tell)).unwrap_err().to_string()
    };
    let open = || ServeConfig {
        listen: Some("0.0.0.0:0".to_owned()),
        ..ServeConfig::new(dir.path().join("state"))
    };
    let said = refused(open());
    assert!(said.contains("clear text") && said.contains("--tls-cert"), "{said}");
    let files = TlsFiles { cert: Path::new("/nowhere").into(), key: Path::new("/nowhere").into() };
    let said = refused(ServeConfig { tls: Some(files), ..open() });
    assert!(said.contains("`/nowhere`"), "{said}");
}

#[test]
fn declared_accelerators_are_shown_as_such() {
    let server = serving(|config| config.simulate = Some("8xH200-141".to_owned()));
    let (status, body) = server.ask("GET", "/api/v1/devices", "");
    assert_eq!((status, body.matches("\"simulated\":true").count()), (200, 8), "{body}");
    assert!(server.ask("GET", "/api/v1/queues", "").1.contains("\"nominal\":8000"));
    server.end().unwrap();
}

#[test]
fn others_reach_it_by_tls_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (cert, key) = (dir.path().join("cert.pem"), dir.path().join("key.pem"));
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let files = TlsFiles { cert: cert.clone(), key };
    let server = serving(|config| {
        config.listen = Some("localhost:0".to_owned());
        config.tls = Some(files);
    });
    let address = server.ready.address.strip_prefix("https://").unwrap().to_owned();
    let bearer = format!("authorization: Bearer {}\r\n", server.ready.token.as_ref().unwrap());
    let tls = || encrypted(&cert, TcpStream::connect(&address).unwrap());
    assert_eq!(exchange(tls(), "GET", "/api/v1/whoami", &bearer, "").0, 200);
    // In the clear there is no answer but that, whatever is asked for.
    let mut clear = TcpStream::connect(&address).unwrap();
    clear.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = clear.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("speaks TLS"), "{answer:?}");
    server.end().unwrap();
}

/// A client's end that trusts this certificate alone.
fn encrypted(
    cert: &Path,
    stream: TcpStream,
) -> rustls::StreamOwned<rustls::ClientConnection, TcpStream> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(cert).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "localhost".try_into().unwrap();
    let client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    rustls::StreamOwned::new(client, stream)
}
