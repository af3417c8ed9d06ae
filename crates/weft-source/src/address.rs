//! Which addresses may be connected to: public ones, and what a source was allowed beside them.
//!
//! Whoever names a host must not reach by it what only the server's machine can reach. An address
//! is judged as the packet sees it: one version 4 address inside of a version 6 one is that one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A block of addresses: `10.1.0.0/16`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    bits: u8,
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rule = || format!("`{text}` is no network: write it as 10.1.0.0/16, or one address");
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address = address.parse::<IpAddr>().map_err(|_| rule())?.to_canonical();
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), str::parse::<u8>).map_err(|_| rule())?;
        let network = Self { first: address, bits };
        match bits <= most && network.has(address) && network.is_aligned() {
            true => Ok(network),
            false => Err(format!("{}, whose bits behind the first {bits} are 0", rule())),
        }
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.first, self.bits)
    }
}

impl Network {
    const fn new(first: IpAddr, bits: u8) -> Self {
        Self { first, bits }
    }

    /// Whether an address is of it.
    pub fn has(&self, address: IpAddr) -> bool {
        match (self.first, address) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0);
                first.to_bits() & mask == address.to_bits() & mask
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0);
                first.to_bits() & mask == address.to_bits() & mask
            }
            _ => false,
        }
    }

    fn is_aligned(&self) -> bool {
        match self.first {
            IpAddr::V4(first) => {
                first.to_bits() & !u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0) == 0
            }
            IpAddr::V6(first) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0);
                first.to_bits() & !mask == 0
            }
        }
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8, bits: u8) -> Network {
    Network::new(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), bits)
}

const fn v6(first: [u16; 4], bits: u8) -> Network {
    let [a, b, c, d] = first;
    Network::new(IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)), bits)
}

/// What nobody can allow: clouds' metadata, which gives a machine's credentials to whoever asks
/// from it, and what is no single host.
const NEVER: [(Network, &str); 11] = [
    (v4(0, 0, 0, 0, 8), "is no address of a host"),
    (v4(100, 100, 100, 200, 32), "is a cloud's metadata"),
    (v4(168, 63, 129, 16, 32), "is a cloud's metadata"),
    (v4(169, 254, 0, 0, 16), "is link-local, where clouds have their metadata"),
    (v4(192, 0, 0, 192, 32), "is a cloud's metadata"),
    (v4(224, 0, 0, 0, 4), "is multicast"),
    (v4(240, 0, 0, 0, 4), "is reserved"),
    (v6([0xfd00, 0xec2, 0, 0], 32), "is a cloud's metadata"),
    (v6([0xfe80, 0, 0, 0], 10), "is link-local, where clouds have their metadata"),
    (v6([0xfec0, 0, 0, 0], 10), "is reserved"),
    (v6([0xff00, 0, 0, 0], 8), "is multicast"),
];

/// What is not public (IANA's registries of special-purpose addresses, RFC 6890). Of version 6 all
/// is not that is outside of 2000::/3: loopback, unique local, NAT64.
const NOT_PUBLIC: [(Network, &str); 17] = [
    (v4(10, 0, 0, 0, 8), "is private"),
    (v4(100, 64, 0, 0, 10), "is shared by a carrier's customers"),
    (v4(127, 0, 0, 0, 8), "is the server's own machine"),
    (v4(172, 16, 0, 0, 12), "is private"),
    (v4(192, 0, 0, 0, 24), "is reserved"),
    (v4(192, 0, 2, 0, 24), "is for documents"),
    (v4(192, 88, 99, 0, 24), "is a relay's"),
    (v4(192, 168, 0, 0, 16), "is private"),
    (v4(198, 18, 0, 0, 15), "is for benchmarks"),
    (v4(198, 51, 100, 0, 24), "is for documents"),
    (v4(203, 0, 113, 0, 24), "is for documents"),
    (v6([0x2001, 0, 0, 0], 23), "is a protocol's: another address can be inside"),
    (v6([0x2001, 0xdb8, 0, 0], 32), "is for documents"),
    (v6([0x2002, 0, 0, 0], 16), "is 6to4: another address is inside"),
    (v6([0x3fff, 0, 0, 0], 20), "is for documents"),
    (v6([0x64, 0xff9b, 0, 0], 32), "is NAT64: another address is inside"),
    (v6([0xfc00, 0, 0, 0], 7), "is private"),
];

/// All of version 6 that is given to hosts of the Internet.
const GLOBAL: Network = v6([0x2000, 0, 0, 0], 3);

/// All there are.
pub(crate) const ANYWHERE: [Network; 2] = [v4(0, 0, 0, 0, 0), v6([0, 0, 0, 0], 0)];

/// Why an address is not to be connected to; none: it may be.
pub(crate) fn refused(address: IpAddr, allowed: &[Network]) -> Option<&'static str> {
    let address = address.to_canonical();
    let of = |list: &[(Network, &'static str)]| {
        list.iter().find(|(network, _)| network.has(address)).map(|(_, why)| *why)
    };
    if let Some(why) = of(&NEVER) {
        return Some(why);
    }
    if let IpAddr::V6(six) = address
        && let Some(four) = compatible(six)
        && refused(IpAddr::V4(four), &[]).is_some()
    {
        return Some("has an address inside that is not public");
    }
    if allowed.iter().any(|network| network.has(address)) {
        return None;
    }
    match address {
        IpAddr::V6(six) if six.is_loopback() => Some("is the server's own machine"),
        IpAddr::V6(_) => of(&NOT_PUBLIC).or((!GLOBAL.has(address)).then_some("is not public")),
        IpAddr::V4(_) => of(&NOT_PUBLIC),
    }
}

/// The version 4 address in one of the old form `::10.0.0.1`.
fn compatible(six: Ipv6Addr) -> Option<Ipv4Addr> {
    let four = six.to_bits();
    (four > 0xffff && four <= u128::from(u32::MAX)).then(|| Ipv4Addr::from_bits(four as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(address: &str, allowed: &[&str]) -> Option<&'static str> {
        let allowed: Vec<Network> = allowed.iter().map(|text| text.parse().unwrap()).collect();
        refused(address.parse().unwrap(), &allowed)
    }

    #[test]
    fn only_public_addresses_are_connected_to() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.169.254",
            "169.254.170.2",
            "168.63.129.16",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::7f00:1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::a00:1",
            "100::1",
            "2001::1",
            "2001:0:53aa::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "3fff::1",
            "fc00::1",
            "fd12:3456::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "4000::1",
            "::ffff:0:127.0.0.1",
        ] {
            assert!(why(address, &[]).is_some(), "{address} is connected to");
        }
        for address in ["1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8"]
        {
            assert_eq!(why(address, &[]), None, "{address}");
        }
    }

    #[test]
    fn what_is_allowed_is_allowed_and_metadata_never_is() {
        assert_eq!(why("10.1.2.3", &["10.1.0.0/16"]), None);
        assert_eq!(why("::ffff:10.1.2.3", &["10.1.0.0/16"]), None);
        assert!(why("10.2.2.3", &["10.1.0.0/16"]).is_some());
        assert_eq!(why("127.0.0.1", &["127.0.0.1"]), None);
        assert!(why("127.0.0.2", &["127.0.0.1"]).is_some());
        assert_eq!(why("fd12::1", &["fd12::/16"]), None);
        for address in ["169.254.169.254", "168.63.129.16", "100.100.100.200", "224.0.0.1"] {
            assert!(why(address, &["0.0.0.0/0"]).is_some(), "{address}");
        }
        for address in ["fe80::1", "ff02::1", "fd00:ec2::254", "::10.0.0.1"] {
            assert!(why(address, &["::/0"]).is_some(), "{address}");
        }
    }

    #[test]
    fn networks_are_written_as_they_are_meant() {
        for text in ["10.0.0.0/33", "10.0.0.1/8", "::1/129", "10.0.0.0/", "lab", "", "10.0.0.0/-1"]
        {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
        for text in ["10.0.0.0/8", "127.0.0.1/32", "0.0.0.0/0", "fd00::/8", "::/0"] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), text);
        }
    }
}
