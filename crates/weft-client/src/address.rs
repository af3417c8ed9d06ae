//! Where a server is: a Unix socket of this machine, or a host and port.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The port a server takes unless told otherwise.
const PORT: u16 = 7433;

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A socket of this machine; the server knows the caller by its user id.
    Socket(PathBuf),
    /// A host and port; the caller is known by its token.
    Tcp {
        /// Name or address; of an IPv6 address without brackets.
        host: String,
        /// Port.
        port: u16,
        /// Whether TLS is spoken.
        tls: bool,
    },
}

/// Text that is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not the address of a server: write unix:/path, http://host:port or https://host:port"
)]
pub struct AddressError(String);

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let bad = || AddressError(text.to_owned());
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return (!path.is_empty()).then(|| Self::Socket(path.into())).ok_or_else(bad);
        }
        let (rest, tls) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
            (Some(rest), _) => (rest, false),
            (_, Some(rest)) => (rest, true),
            _ => return Err(bad()),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = split(authority).ok_or_else(bad)?;
        let port = match port {
            "" => PORT,
            port => port.parse().map_err(|_| bad())?,
        };
        let legal = |c: char| c.is_ascii_alphanumeric() || ".-_:".contains(c);
        if host.is_empty() || !host.chars().all(legal) {
            return Err(bad());
        }
        Ok(Self::Tcp { host: host.to_owned(), port, tls })
    }
}

/// Host and port of `host`, `host:port`, `[v6]` and `[v6]:port`.
fn split(authority: &str) -> Option<(&str, &str)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        return match rest {
            "" => Some((host, "")),
            _ => rest.strip_prefix(':').map(|port| (host, port)),
        };
    }
    match authority.split_once(':') {
        Some((_, port)) if port.contains(':') => None,
        Some((host, port)) => Some((host, port)),
        None => Some((authority, "")),
    }
}

impl Address {
    /// What stands in the `Host` header.
    pub(crate) fn host_header(&self) -> String {
        match self {
            Self::Socket(_) => "localhost".to_owned(),
            Self::Tcp { host, port, .. } if host.contains(':') => format!("[{host}]:{port}"),
            Self::Tcp { host, port, .. } => format!("{host}:{port}"),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Socket(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp { tls, .. } => {
                let scheme = if *tls { "https" } else { "http" };
                write!(f, "{scheme}://{}", self.host_header())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_back() {
        let same = ["unix:/run/weft/api.sock", "http://127.0.0.1:80", "https://[::1]:7433"];
        for text in same {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        let default = "https://weft.lab/".parse::<Address>().unwrap();
        assert_eq!(default.to_string(), "https://weft.lab:7433");
        for bad in ["", "weft.lab", "http://", "http://a:b", "http://a:1:2", "unix:", "http://a/b"]
        {
            assert!(bad.parse::<Address>().is_err(), "{bad}");
        }
    }
}
