//! Which addresses a run may reach through the proxy: public ones, and hosts named in `allow`.
//!
//! Checked on the very address that is then connected to: a name that resolves differently a
//! moment later gains nothing. Ranges are the special-purpose registries of IANA (RFC 6890 and
//! its updates); forms of IPv6 that carry an IPv4 address are judged by that address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

/// Whether an address is on the public internet.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match carried(address) {
            Some(inner) => is_public_v4(inner),
            None => is_public_v6(address),
        },
    }
}

/// Whether an address is one of this machine's own, public or not: a firewall that keeps others
/// from its services does not keep its own processes.
pub(super) fn is_own(address: IpAddr) -> bool {
    let binds = |address: IpAddr| UdpSocket::bind((address, 0)).is_ok();
    // Nobody's: where it can be bound, so can everything, and nothing is learned.
    let nobodys = match address {
        IpAddr::V4(_) => Ipv4Addr::new(192, 0, 2, 1).into(),
        IpAddr::V6(_) => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
    };
    binds(address) && !binds(nobodys)
}

/// Whether a host is a number in some notation rather than a name: `0x7f.1`, `10.0.0.1.`. The
/// WHATWG URL standard, "ends in a number checker".
pub(super) fn ends_in_number(host: &str) -> bool {
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    let hex = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    match hex {
        Some(digits) => digits.bytes().all(|b| b.is_ascii_hexdigit()),
        None => !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()),
    }
}

/// Whether a host, as it was asked for, is one of those allowed by name or address.
pub(super) fn is_allowed(host: &str, allow: &[String]) -> bool {
    let plain = |text: &str| text.trim_matches(['[', ']']).trim_end_matches('.').to_lowercase();
    allow.iter().any(|allowed| plain(allowed) == plain(host))
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = matches!(
        (a, b, c),
        (0 | 10 | 127, ..)
            | (100, 64..=127, _) // Carrier-grade NAT, also clouds' metadata services.
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (192, 168, _)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
            | (224..=255, ..)
    );
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    // Only global unicast, 2000::/3, without documentation, benchmarking and ORCHID ranges.
    let special = matches!((a, b), (0x2001, 0x0000..=0x01ff | 0x0db8) | (0x3fff, 0x0000..=0x0fff));
    a & 0xe000 == 0x2000 && !special
}

/// The IPv4 address an IPv6 address stands for: mapped, compatible, NAT64, 6to4.
fn carried(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = address.segments();
    let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match s {
        [0, 0, 0, 0, 0, 0xffff | 0, high, low] => Some(v4(high, low)),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(v4(high, low)),
        // Local-use NAT64 (RFC 8215): who carries what is a site's secret.
        [0x64, 0xff9b, 1, ..] => Some(Ipv4Addr::LOCALHOST),
        [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_reached() {
        for public in ["1.1.1.1", "100.63.0.1", "100.128.0.1", "172.32.0.1", "2606:4700::1111"] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
        let private = [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "172.16.0.1",
            "192.168.1.1",
            "192.0.0.192",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
        ];
        for private in private {
            assert!(!is_public(private.parse().unwrap()), "{private}");
        }
    }

    #[test]
    fn this_machines_addresses_are_known() {
        assert!(is_own(Ipv4Addr::LOCALHOST.into()));
        assert!(!is_own("192.0.2.7".parse().unwrap()));
        assert!(!is_own("1.1.1.1".parse().unwrap()));
    }

    #[test]
    fn numbers_are_no_names() {
        for number in ["10.0.0.1.", "0x7f.1", "2130706433", "0X7f000001", "a.0x"] {
            assert!(ends_in_number(number), "{number}");
        }
        for name in ["example.org", "1password.com", "a.b1", "x0.y0x1z", ""] {
            assert!(!ends_in_number(name), "{name}");
        }
    }

    #[test]
    fn an_allowed_host_is_matched_as_a_whole() {
        let allow = ["db.lab.internal".to_owned(), "10.0.0.5".to_owned(), "[fd00::1]".to_owned()];
        for host in ["db.lab.internal", "DB.lab.internal.", "10.0.0.5", "fd00::1"] {
            assert!(is_allowed(host, &allow), "{host}");
        }
        for host in ["lab.internal", "evil-db.lab.internal", "10.0.0.50"] {
            assert!(!is_allowed(host, &allow), "{host}");
        }
    }
}
