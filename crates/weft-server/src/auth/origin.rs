//! A guard for TCP: is this request meant for us, and not sent by some web page?
//!
//! A page can make a browser call any loopback port, under its own name (`Origin`), or, by DNS
//! rebinding, under a name of the attacker's that resolves to 127.0.0.1 (`Host`). A bearer token
//! is never sent by a browser itself, so neither gets in; this refuses them before any look-up.
//! No CORS headers are ever sent, so that no page can read an answer either.

use axum::http::{HeaderMap, Uri, header};
use std::net::IpAddr;
use weft_api::problem::{Code, Problem};

/// Refuses a request that names another host, or that a foreign page sent.
pub(crate) fn check(headers: &HeaderMap, uri: &Uri, hosts: &[String]) -> Result<(), Problem> {
    let host = match (uri.authority(), one(headers, header::HOST)?) {
        (Some(authority), _) => authority.as_str().to_owned(),
        (None, Some(host)) => host,
        (None, None) => return Err(Problem::new(Code::BadRequest, "the request has no host")),
    };
    if !is_ours(&host, hosts) {
        let hint = "use the address that `weft up` printed, or start the server with --listen";
        return Err(Problem::new(Code::Forbidden, "the request is meant for another host")
            .hint(hint)
            .field("host"));
    }
    let Some(origin) = one(headers, header::ORIGIN)? else { return Ok(()) };
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    match authority {
        // Another port of this machine is another site.
        Some(authority) if authority.eq_ignore_ascii_case(&host) => Ok(()),
        _ => Err(Problem::new(Code::Forbidden, "the request comes from a foreign web page")
            .field("origin")),
    }
}

/// The header's only value, as text.
fn one(headers: &HeaderMap, name: header::HeaderName) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(&name).iter();
    let bad = || Problem::new(Code::BadRequest, format!("the header {name} is not legal"));
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(|v| Some(v.to_owned())).map_err(|_| bad()),
        (Some(_), Some(_)) => Err(bad()),
    }
}

fn is_ours(authority: &str, hosts: &[String]) -> bool {
    let host = host_of(authority);
    let loopback = host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    loopback
        || host.eq_ignore_ascii_case("localhost")
        || hosts.iter().any(|ours| ours.eq_ignore_ascii_case(host))
}

/// The host of `host:port`, `[v6]:port` or `host`.
fn host_of(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split_once(']').map_or("", |(host, _)| host);
    }
    authority.split_once(':').map_or(authority, |(host, _)| host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(pairs: &[(&'static str, &str)]) -> Result<(), Code> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        let uri = "/api/v1/info".parse().unwrap();
        check(&headers, &uri, &["weft.lab".to_owned()]).map_err(|problem| problem.code)
    }

    #[test]
    fn hosts() {
        for good in ["127.0.0.1:7433", "localhost:1", "LocalHost", "[::1]:7433", "weft.lab:443"] {
            assert_eq!(verdict(&[("host", good)]), Ok(()), "{good}");
        }
        let bad = [
            "evil.example:7433",
            "127.0.0.1.evil.example",
            "localhost.evil.example:80",
            "weft.lab.evil.example",
            "user@127.0.0.1",
            "10.0.0.1:7433",
            "[::2]:1",
            "[::1",
            "",
        ];
        for bad in bad {
            assert_eq!(verdict(&[("host", bad)]), Err(Code::Forbidden), "{bad}");
        }
        assert_eq!(verdict(&[]), Err(Code::BadRequest));
        let twice = [("host", "localhost"), ("host", "evil.example")];
        assert_eq!(verdict(&twice), Err(Code::BadRequest));
    }

    #[test]
    fn origins() {
        let host = ("host", "127.0.0.1:7433");
        assert_eq!(verdict(&[host, ("origin", "http://127.0.0.1:7433")]), Ok(()));
        for bad in ["http://evil.example", "null", "http://127.0.0.1:8888", "http://localhost:7433"]
        {
            assert_eq!(verdict(&[host, ("origin", bad)]), Err(Code::Forbidden), "{bad}");
        }
    }
}
