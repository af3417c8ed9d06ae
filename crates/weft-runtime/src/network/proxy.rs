//! The HTTP proxy of a run: `CONNECT` for encrypted traffic, absolute-form requests for plain.
//!
//! It resolves names itself, refuses addresses that are not public, and connects to exactly the
//! address it checked. Where the machine itself goes out through a proxy, that one is used for
//! what it would be used for; the check comes first all the same.

use super::address::{ends_in_number, is_allowed, is_own, is_public};
use super::carry;
use base64::Engine;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Longest request head, as common servers allow.
const HEAD_MAX: usize = 32 << 10;
/// A requester sends its head, and a host takes a connection, within this.
const PATIENCE: Duration = Duration::from_secs(30);

/// The proxy's rules.
#[derive(Debug)]
pub(crate) struct Proxy {
    /// Hosts, `host` or `host:port`, that are reached whatever their address.
    allow: Vec<String>,
    /// The only hosts that are reached; none: any.
    only: Option<Vec<String>>,
    /// Why the last request was not carried.
    refused: Noted,
    /// The machine's own proxies, for plain and encrypted traffic.
    upstream: [Option<Upstream>; 2],
    /// Hosts the machine reaches without them.
    direct: Vec<String>,
}

/// A proxy of the machine's.
#[derive(Debug, PartialEq, Eq)]
struct Upstream {
    /// `host:port`.
    place: String,
    /// Header with the credentials its address has; they never go inside.
    auth: String,
}

/// A request's target and what is to be sent on.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    host: String,
    port: u16,
    tunnel: bool,
    /// The head to send on, in origin form; empty for a tunnel.
    head: Vec<u8>,
}

/// Why a request is refused: status line and a sentence.
pub(crate) type Refusal = (&'static str, String);

/// What was refused last, where that is noted.
pub(crate) type Noted = Arc<Mutex<Option<Refusal>>>;

impl Proxy {
    pub(crate) fn new(allow: Vec<String>, env: impl Iterator<Item = (String, String)>) -> Proxy {
        let (mut upstream, mut direct) = ([None, None], Vec::new());
        for (name, value) in env {
            match name.to_lowercase().as_str() {
                "http_proxy" => upstream[0] = authority(&value),
                "https_proxy" => upstream[1] = authority(&value),
                "no_proxy" => direct = value.split(',').map(|h| h.trim().to_owned()).collect(),
                _ => {}
            }
        }
        Proxy { allow, only: None, refused: Arc::default(), upstream, direct }
    }

    /// Reaches these hosts alone.
    pub(crate) fn only(self, hosts: Vec<String>) -> Proxy {
        Proxy { only: Some(hosts), ..self }
    }

    /// Where it notes why it last refused a request.
    pub(crate) fn refused(&self) -> Noted {
        self.refused.clone()
    }

    /// Serves one connection of the sandbox.
    pub(super) fn serve(&self, mut inside: TcpStream) -> io::Result<()> {
        inside.set_read_timeout(Some(PATIENCE))?;
        let (head, rest) = read_head(&mut inside)?;
        let ready = parse(&head).and_then(|target| Ok((self.connect(&target)?, target)));
        let (outside, target) = match ready {
            Ok(ready) => ready,
            Err((status, why)) => {
                let refusal = Some((status, why.clone()));
                *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = refusal;
                let length = why.len() + 1;
                // In one piece: a requester may take what it reads first for the whole head.
                let answer = format!(
                    "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\
                     Connection: close\r\n\r\n{why}\n"
                );
                return inside.write_all(answer.as_bytes());
            }
        };
        inside.set_read_timeout(None)?;
        let mut outside = outside;
        match target.tunnel {
            true => inside.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?,
            false => outside.write_all(&target.head)?,
        }
        outside.write_all(&rest)?;
        carry::both_ways(inside, outside)
    }

    fn connect(&self, target: &Target) -> Result<TcpStream, Refusal> {
        let Target { host, port, .. } = target;
        let place = format!("{host}:{port}");
        let named = |hosts: &[String]| is_allowed(host, hosts) || is_allowed(&place, hosts);
        if self.only.as_deref().is_some_and(|only| !named(only)) {
            let why = format!("weft: `{host}` is not a host the server's credentials may go to");
            return Err(("403 Forbidden", why));
        }
        let allowed = named(&self.allow);
        let upstream = self.upstream_for(host, target.tunnel).filter(|_| !allowed);
        let addresses = resolve(host, *port);
        let private = |address: &SocketAddr| !is_public(address.ip()) || is_own(address.ip());
        // The machine's proxy may read as an address what is none here.
        let local = host.eq_ignore_ascii_case("localhost")
            || host.ends_with(".localhost")
            || addresses.is_empty() && ends_in_number(host);
        if !allowed && (local || addresses.iter().any(private)) {
            let why = format!(
                "weft: `{host}` is an address of this machine or a private network, which \
                 workloads do not reach\nhint: the operator can allow it by name"
            );
            return Err(("403 Forbidden", why));
        }
        if let Some(upstream) = upstream {
            return through(upstream, target);
        }
        let mut why = format!("weft: `{host}` has no address");
        for address in addresses {
            match TcpStream::connect_timeout(&address, PATIENCE) {
                Ok(stream) => return Ok(stream),
                Err(error) => why = format!("weft: {host}: {error}"),
            }
        }
        Err(("502 Bad Gateway", why))
    }

    fn upstream_for(&self, host: &str, tunnel: bool) -> Option<&Upstream> {
        let direct = self.direct.iter().filter(|d| !d.is_empty()).any(|direct| {
            let suffix = direct.trim_start_matches('.');
            host == suffix || host.ends_with(&format!(".{suffix}")) || direct == "*"
        });
        self.upstream[usize::from(tunnel)].as_ref().filter(|_| !direct)
    }
}

/// Connects through the machine's own proxy, always by a tunnel.
fn through(upstream: &Upstream, target: &Target) -> Result<TcpStream, Refusal> {
    let Target { host, port, .. } = target;
    let Upstream { place, auth } = upstream;
    let failed = |error: io::Error| ("502 Bad Gateway", format!("weft: {place}: {error}"));
    let mut stream = TcpStream::connect(place).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    let ask = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n{auth}\r\n");
    stream.write_all(ask.as_bytes()).map_err(failed)?;
    let (head, _) = read_head(&mut stream).map_err(failed)?;
    stream.set_read_timeout(None).map_err(failed)?;
    let status = String::from_utf8_lossy(&head);
    let status = status.lines().next().unwrap_or_default().to_owned();
    match status.split(' ').nth(1) {
        Some("200") => Ok(stream),
        _ => Err(("502 Bad Gateway", format!("weft: {place} answered `{status}`"))),
    }
}

fn resolve(host: &str, port: u16) -> Vec<SocketAddr> {
    match host.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, port)],
        // A name this machine cannot resolve may be known to its own proxy.
        Err(_) => (host, port).to_socket_addrs().map(Iterator::collect).unwrap_or_default(),
    }
}

/// Reads up to the empty line; what came after it is given apart.
fn read_head(from: &mut TcpStream) -> io::Result<(Vec<u8>, Vec<u8>)> {
    const END: &[u8] = b"\r\n\r\n";
    let (mut head, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let length = from.read(&mut chunk)?;
        if length == 0 || head.len() + length > HEAD_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
        head.extend_from_slice(&chunk[..length]);
        if let Some(at) = head.windows(END.len()).position(|window| window == END) {
            let rest = head.split_off(at + END.len());
            return Ok((head, rest));
        }
    }
}

fn parse(head: &[u8]) -> Result<Target, Refusal> {
    let bad = |why: &str| ("400 Bad Request", format!("weft: {why}"));
    let head = std::str::from_utf8(head).map_err(|_| bad("the request is not text"))?;
    let (line, headers) = head.split_once("\r\n").ok_or_else(|| bad("the request is empty"))?;
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(bad("the request line is not three words"));
    };
    if method == "CONNECT" {
        let (host, port) = split_authority(target, None).ok_or_else(|| bad("no host and port"))?;
        return Ok(Target { host, port, tunnel: true, head: Vec::new() });
    }
    let rest = target
        .strip_prefix("http://")
        .ok_or_else(|| bad("this is a proxy: ask for http:// addresses or CONNECT"))?;
    let (place, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (host, port) = split_authority(place, Some(80)).ok_or_else(|| bad("no host"))?;
    let path = if path.is_empty() { "/" } else { path };
    let mut onward = format!("{method} {path} {version}\r\n");
    // One request per connection: the next one may be for another host, unchecked.
    let dropped = ["proxy-connection", "proxy-authorization", "connection", "keep-alive"];
    for header in headers.split("\r\n").take_while(|header| !header.is_empty()) {
        let name = header.split(':').next().unwrap_or_default().to_lowercase();
        if !dropped.contains(&name.as_str()) {
            onward.push_str(header);
            onward.push_str("\r\n");
        }
    }
    onward.push_str("Connection: close\r\n\r\n");
    Ok(Target { host, port, tunnel: false, head: onward.into_bytes() })
}

/// Host and port of `host:port`, `[v6]:port`, or `host` where a port is implied.
fn split_authority(text: &str, implied: Option<u16>) -> Option<(String, u16)> {
    let text = text.rsplit_once('@').map_or(text, |(_, place)| place);
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']')?;
            (host, after.strip_prefix(':'))
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = match port {
        Some(port) => port.parse().ok()?,
        None => implied?,
    };
    // Nothing that would end a line, or a word, of the head sent to the machine's own proxy.
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    let is_host = host.bytes().all(legal) || host.parse::<IpAddr>().is_ok();
    (!host.is_empty() && is_host).then(|| (host.to_owned(), port))
}

/// The proxy of a variable's URL. One behind TLS is not used.
fn authority(url: &str) -> Option<Upstream> {
    let rest = url.strip_prefix("http://").unwrap_or(url);
    let rest = rest.split('/').next()?;
    let (login, rest) = rest.rsplit_once('@').map_or((None, rest), |(l, r)| (Some(l), r));
    let (host, port) = split_authority(rest, Some(80))?;
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let auth = login.map_or_else(String::new, |login| {
        let login = base64::engine::general_purpose::STANDARD.encode(unescaped(login));
        format!("Proxy-Authorization: Basic {login}\r\n")
    });
    Some(Upstream { place: format!("{host}:{port}"), auth })
}

/// The bytes that a URL's text with `%40` and the like stands for.
fn unescaped(text: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        let escaped = after
            .get(..2)
            .filter(|_| *first == b'%')
            .and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_in_both_forms() {
        let tunnel =
            parse(b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n").unwrap();
        assert_eq!((tunnel.host.as_str(), tunnel.port, tunnel.tunnel), ("example.org", 443, true));
        let plain = parse(
            b"GET http://[2606:4700::1]/a?b HTTP/1.1\r\nHost: x\r\nProxy-Connection: keep-alive\
              \r\nConnection: keep-alive\r\n\r\n",
        )
        .unwrap();
        assert_eq!((plain.host.as_str(), plain.port), ("2606:4700::1", 80));
        let head = String::from_utf8(plain.head).unwrap();
        assert_eq!(head, "GET /a?b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    }

    #[test]
    fn what_is_no_proxy_request_is_refused() {
        for bad in [
            "GET / HTTP/1.1\r\n\r\n",
            "CONNECT host HTTP/1.1\r\n\r\n",
            "\r\n\r\n",
            "GET\r\n",
            "CONNECT 10.0.0.1\n:80 HTTP/1.1\r\n\r\n",
            "CONNECT h\nX-A:80 HTTP/1.1\r\n\r\n",
            "CONNECT [::1\n]:80 HTTP/1.1\r\n\r\n",
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_machines_own_proxy_is_read_and_its_exceptions_kept() {
        let env = [
            ("HTTPS_PROXY", "http://out.lab:8080/"),
            ("http_proxy", "out.lab"),
            ("no_proxy", "lab,.inner.org"),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let proxy = Proxy::new(Vec::new(), env.into_iter());
        let place = |tunnel| Some(proxy.upstream_for("example.org", tunnel)?.place.as_str());
        assert_eq!((place(true), place(false)), (Some("out.lab:8080"), Some("out.lab:80")));
        assert_eq!(proxy.upstream_for("a.inner.org", true), None);
        assert_eq!(proxy.upstream_for("x.lab", true), None);
    }

    #[test]
    fn the_machines_own_proxy_is_shown_its_credentials() {
        let upstream = authority("http://us%40er:p%3Ass%zz@[::1]:3128/").unwrap();
        assert_eq!(upstream.place, "[::1]:3128");
        // `us@er:p:ss%zz`
        assert_eq!(upstream.auth, "Proxy-Authorization: Basic dXNAZXI6cDpzcyV6eg==\r\n");
        assert_eq!(authority("https://out.lab:8080"), None);
    }
}
