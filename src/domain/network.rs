//! Networks: who is counted together when somebody takes more than their share.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What one customer of a provider commonly gets, or can get by the hour: 256 IPv4 addresses (/24),
/// or an IPv6 site (/48).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network(IpAddr);

impl Network {
    const IPV4_BITS: u32 = 24;
    const IPV6_BITS: u32 = 48;

    /// The network of an address on the internet. There is none for loopback, private, shared and
    /// link-local addresses: behind such an address may stand a proxy, a tunnel or a whole company.
    #[must_use]
    pub fn of(address: IpAddr) -> Option<Self> {
        match address.to_canonical() {
            IpAddr::V4(address) if is_inside_v4(address) => None,
            IpAddr::V6(address) if is_inside_v6(address) => None,
            IpAddr::V4(address) => {
                Some(Self(Ipv4Addr::from_bits(address.to_bits() & (u32::MAX << (32 - Self::IPV4_BITS))).into()))
            }
            IpAddr::V6(address) => {
                Some(Self(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << (128 - Self::IPV6_BITS))).into()))
            }
        }
    }
}

fn is_inside_v4(address: Ipv4Addr) -> bool {
    // 100.64.0.0/10 is what providers put between their customers and the internet.
    let is_shared = address.octets()[0] == 100 && address.octets()[1] & 0xc0 == 64;
    address.is_loopback() || address.is_private() || address.is_link_local() || address.is_unspecified() || is_shared
}

fn is_inside_v6(address: Ipv6Addr) -> bool {
    address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local() || address.is_unspecified()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(address: &str) -> Option<Network> {
        Network::of(address.parse().unwrap())
    }

    #[test]
    fn neighbours_are_counted_together() {
        for (one, other) in [
            ("203.0.113.1", "203.0.113.254"),
            ("203.0.113.1", "::ffff:203.0.113.9"),
            ("2001:db8:1::1", "2001:db8:1:ffff::2"),
        ] {
            assert!(network(one).is_some() && network(one) == network(other), "{one} {other}");
        }
        for (one, other) in [("203.0.113.1", "203.0.114.1"), ("2001:db8:1::1", "2001:db8:2::1")] {
            assert_ne!(network(one), network(other), "{one} {other}");
        }
    }

    #[test]
    fn addresses_behind_which_many_stand_are_no_network() {
        for inside in [
            "127.0.0.1",
            "::1",
            "10.1.2.3",
            "172.31.0.1",
            "192.168.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "169.254.1.1",
            "fd00::1",
            "fe80::1",
            "::ffff:10.0.0.1",
        ] {
            assert_eq!(network(inside), None, "{inside}");
        }
        assert!(network("100.128.0.1").is_some());
    }
}
