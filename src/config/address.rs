//! Addresses: where to listen, and whom to trust.

use super::reference::{Show, Shown};
use serde::{Deserialize, Deserializer, de};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// Where to listen: an IP address and a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bind(pub SocketAddr);

/// The addresses that share their first bits with one: `10.0.0.0/8`, `2001:db8::/32` or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// The first bits, the rest of no meaning.
    address: IpAddr,
    /// How many bits count: up to 32, or 128 for IPv6.
    bits: u8,
}

impl Bind {
    /// A port of the loopback.
    pub const fn loopback(port: u16) -> Bind {
        Bind(SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), port))
    }

    /// Whether the internet can reach it, as far as the address tells; all addresses count as such.
    pub fn is_public(self) -> bool {
        let networks = NOT_PUBLIC.iter().filter_map(|network| network.parse::<Network>().ok());
        !networks.into_iter().any(|network| network.contains(self.0.ip()))
    }

    /// Whether not both can be listened on: equal, or one is all addresses of the other's kind. Port
    /// 0 asks for any free one, so that meets nothing.
    pub fn meets(self, other: Bind) -> bool {
        let (own, other) = (self.0, other.0);
        let all = own.ip().is_unspecified() || other.ip().is_unspecified();
        own.port() != 0
            && own.port() == other.port()
            && (own.ip() == other.ip() || all && own.is_ipv4() == other.is_ipv4())
    }
}

/// Networks that the internet does not reach: this machine, private, carrier's and link-local ones.
const NOT_PUBLIC: [&str; 9] = [
    "127.0.0.0/8",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "::1/128",
    "fc00::/7",
    "fe80::/10",
];

impl Network {
    /// Whether `address` is in it. An IPv4 address inside IPv6 counts as the IPv4 address it is.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                (u32::from(own) ^ u32::from(other)).leading_zeros() >= u32::from(self.bits)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                (u128::from(own) ^ u128::from(other)).leading_zeros() >= u32::from(self.bits)
            }
            _ => false,
        }
    }
}

impl FromStr for Bind {
    type Err = String;
    fn from_str(text: &str) -> Result<Bind, String> {
        let address = text.parse().map_err(|_| format!("`{text}` is no address; write 127.0.0.1:8080 or [::]:8080"))?;
        Ok(Bind(address))
    }
}

impl FromStr for Network {
    type Err = String;
    fn from_str(text: &str) -> Result<Network, String> {
        let parse = || {
            let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
            let address: IpAddr = address.parse().ok()?;
            let most = if address.is_ipv4() { 32 } else { 128 };
            let bits = bits.map_or(Some(most), |bits| bits.parse().ok().filter(|bits| *bits <= most))?;
            Some(Network { address, bits })
        };
        parse().ok_or_else(|| format!("`{text}` is no network; write 10.0.0.7 or 10.0.0.0/8"))
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

macro_rules! as_text {
    ($type:ty) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
        impl Show for $type {
            fn show(&self) -> Shown {
                Shown::text(self)
            }
        }
    };
}
as_text!(Bind);
as_text!(Network);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_internet_reaches_some_addresses() {
        for (bind, public) in [
            ("127.0.0.1:80", false),
            ("10.1.2.3:80", false),
            ("172.31.0.1:80", false),
            ("172.32.0.1:80", true),
            ("192.168.1.1:80", false),
            ("[::1]:80", false),
            ("[fd00::1]:80", false),
            ("[fe80::1]:80", false),
            ("[::ffff:10.0.0.1]:80", false),
            ("0.0.0.0:80", true),
            ("[::]:80", true),
            ("203.0.113.1:80", true),
            ("[2001:db8::1]:80", true),
        ] {
            assert_eq!(bind.parse::<Bind>().unwrap().is_public(), public, "{bind}");
        }
    }

    #[test]
    fn all_addresses_leave_no_room_for_one() {
        for (one, other, meet) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("0.0.0.0:80", "127.0.0.1:80", true),
            ("[::]:80", "[::1]:80", true),
            ("0.0.0.0:80", "[::]:80", false),
            ("127.0.0.1:80", "127.0.0.2:80", false),
            ("0.0.0.0:80", "127.0.0.1:81", false),
            ("0.0.0.0:0", "0.0.0.0:0", false),
        ] {
            let (one, other): (Bind, Bind) = (one.parse().unwrap(), other.parse().unwrap());
            assert_eq!((one.meets(other), other.meets(one)), (meet, meet), "{one} {other}");
        }
    }

    #[test]
    fn networks_hold_their_addresses() {
        for (network, address, inside) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.7", "10.0.0.7", true),
            ("10.0.0.7", "10.0.0.6", false),
            ("0.0.0.0/0", "255.255.255.255", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::1", "::1", true),
        ] {
            let network: Network = network.parse().unwrap();
            assert_eq!(network.contains(address.parse().unwrap()), inside, "{network} {address}");
        }
        for bad in ["", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0/8", "10.0.0.0/-1", "host"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }
}
