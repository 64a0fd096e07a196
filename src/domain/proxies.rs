//! Proxies whose word about the client's address and scheme is taken.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;

/// Addresses and networks of trusted proxies; by default none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

/// A text that is neither an address nor a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither an IP address nor a network such as 10.0.0.0/8")]
pub struct NotANetwork(String);

impl TrustedProxies {
    /// Where a request came from: the peer, or what a trusted peer says in all its lines of
    /// `X-Forwarded-For`. Of a chain of addresses the last one counts that no trusted proxy added.
    #[must_use]
    pub fn client(&self, peer: IpAddr, forwarded_for: &str) -> IpAddr {
        let mut client = peer;
        for hop in forwarded_for.rsplit(',') {
            if !self.contains(client) {
                break;
            }
            let Some(address) = hop_address(hop.trim()) else { break };
            client = address;
        }
        client
    }

    /// Whether the `X-Forwarded-*` headers of this peer count.
    #[must_use]
    pub fn contains(&self, peer: IpAddr) -> bool {
        // A socket that takes both families shows IPv4 peers as mapped IPv6 addresses.
        let peer = peer.to_canonical();
        self.0.iter().any(|network| network.contains(&peer))
    }
}

impl FromStr for TrustedProxies {
    type Err = NotANetwork;

    /// Reads addresses and networks, separated by commas or blanks.
    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let parts = text.split([',', ' ']).filter(|part| !part.is_empty());
        parts.map(network).collect::<Result<_, _>>().map(Self)
    }
}

/// The address of a hop; some proxies add the port that the client came from.
fn hop_address(hop: &str) -> Option<IpAddr> {
    hop.parse().ok().or_else(|| hop.parse().ok().map(|address: SocketAddr| address.ip()))
}

fn network(text: &str) -> Result<IpNet, NotANetwork> {
    let address = text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
    address.or_else(|_| text.parse()).map_err(|_| NotANetwork(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_trusted_by_address_and_by_network() {
        let proxies: TrustedProxies = "127.0.0.1, 10.0.0.0/8,fd00::/8".parse().unwrap();
        for (peer, trusted) in [
            ("127.0.0.1", true),
            ("127.0.0.2", false),
            ("10.9.8.7", true),
            ("::ffff:10.9.8.7", true),
            ("fd00::1", true),
            ("2001:db8::1", false),
        ] {
            assert_eq!(proxies.contains(peer.parse().unwrap()), trusted, "{peer}");
        }
        let client = |peer: &str, forwarded: &str| proxies.client(peer.parse().unwrap(), forwarded).to_string();
        assert_eq!(client("127.0.0.1", "203.0.113.9"), "203.0.113.9");
        assert_eq!(client("127.0.0.1", "1.2.3.4, 203.0.113.9, 10.0.0.7"), "203.0.113.9");
        assert_eq!(client("203.0.113.9", "1.2.3.4"), "203.0.113.9");
        assert_eq!(client("127.0.0.1", "1.2.3.4,203.0.113.9:4711"), "203.0.113.9");
        assert_eq!(client("127.0.0.1", "[2001:db8::9]:4711"), "2001:db8::9");
        assert_eq!(client("127.0.0.1", "1.2.3.4,,"), "127.0.0.1");
        assert_eq!(client("127.0.0.1", "unknown"), "127.0.0.1");
        for bad in ["localhost", "10.0.0.0/33", "10.0.0", "10.0.0.1:80"] {
            assert_eq!(bad.parse::<TrustedProxies>(), Err(NotANetwork(bad.to_owned())));
        }
    }
}
