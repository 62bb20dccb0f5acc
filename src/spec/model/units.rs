//! Small values of the spec that TOML writes as strings: networks, sizes, modes.

use crate::spec::source::HINT;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A network: `172.16.0.0/16` or `2001:db8::/64`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Prefix {
    /// The first address, with no bit set behind the length.
    pub address: IpAddr,
    /// How many bits all addresses of the network share.
    pub length: u8,
}

impl Prefix {
    /// Whether `address` is of this network (never across versions).
    pub fn contains(&self, address: IpAddr) -> bool {
        let (own, bits) = number(self.address);
        let (other, other_bits) = number(address);
        bits == other_bits && (own ^ other) & mask(self.length, bits) == 0
    }

    /// Whether the two have an address in common.
    pub fn overlaps(&self, other: &Prefix) -> bool {
        self.contains(other.address) || other.contains(self.address)
    }

    /// What an address of the network is, if no machine can have it. Networks of two
    /// addresses and of one spare none (RFC 3021, RFC 6164).
    pub fn reserves(&self, address: IpAddr) -> Option<&'static str> {
        let (first, bits) = number(self.address);
        if u32::from(self.length) + 1 >= bits {
            return None;
        }
        let host = !mask(self.length, bits) & (u128::MAX >> (128 - bits));
        match number(address).0 {
            own if own == first => Some("the network's own address"),
            last if address.is_ipv4() && last == first | host => Some("the broadcast address"),
            _ => None,
        }
    }
}

/// The address as a number, and how many bits it has.
fn number(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)), Ipv4Addr::BITS),
        IpAddr::V6(v6) => (u128::from(v6), Ipv6Addr::BITS),
    }
}

fn mask(length: u8, bits: u32) -> u128 {
    let host_bits = bits - u32::from(length);
    u128::MAX.checked_shl(host_bits).unwrap_or(0)
}

/// A number as people write it: Rust would take `+8` and `08`.
fn plain(number: &str) -> Option<&str> {
    let is_plain = !number.starts_with(['+', '0']) || number == "0";
    is_plain.then_some(number)
}

impl FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Prefix, String> {
        let wrong = || format!("`{text}` is not a network such as 172.16.0.0/16 or 2001:db8::/64");
        let (address, length) = text.split_once('/').ok_or_else(wrong)?;
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let length = plain(length).and_then(|length| length.parse().ok()).ok_or_else(wrong)?;
        let (number, bits) = number(address);
        if u32::from(length) > bits {
            return Err(wrong());
        }
        if number & !mask(length, bits) & (u128::MAX >> (128 - bits)) != 0 {
            return Err(format!("`{text}` has bits set behind the prefix length {length}"));
        }
        Ok(Prefix { address, length })
    }
}

impl TryFrom<String> for Prefix {
    type Error = String;

    fn try_from(text: String) -> Result<Prefix, String> {
        text.parse()
    }
}

impl From<Prefix> for String {
    fn from(prefix: Prefix) -> String {
        prefix.to_string()
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// A size in bytes: `512M`, `1G` (powers of two).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Size(pub u64);

impl Size {
    /// One mebibyte.
    pub const MIB: u64 = 1 << 20;
    /// The largest one that makes sense here: 64 tebibytes.
    pub const MOST: Size = Size(64 << 40);

    /// The size in bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl TryFrom<String> for Size {
    type Error = String;

    fn try_from(text: String) -> Result<Size, String> {
        let wrong = || format!("`{text}` is not a size such as 512M or 4G");
        let (number, shift) = match text.strip_suffix('M') {
            Some(number) => (number, 20),
            None => (text.strip_suffix('G').ok_or_else(wrong)?, 30),
        };
        let number: u64 = plain(number).and_then(|it| it.parse().ok()).ok_or_else(wrong)?;
        let size = number.checked_mul(1 << shift).filter(|bytes| *bytes > 0).map(Size);
        let size = size.ok_or_else(wrong)?;
        if size > Size::MOST {
            return Err(format!(
                "`{text}` is larger than {}{HINT}that is 64T, more than any disk that a VPS has",
                Size::MOST
            ));
        }
        Ok(size)
    }
}

impl From<Size> for String {
    fn from(size: Size) -> String {
        size.to_string()
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = self.0 / Size::MIB;
        if mib.is_multiple_of(1024) { write!(f, "{}G", mib / 1024) } else { write!(f, "{mib}M") }
    }
}

/// A file mode, written in octal: `"0440"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mode(pub u32);

impl TryFrom<String> for Mode {
    type Error = String;

    fn try_from(text: String) -> Result<Mode, String> {
        let mode = u32::from_str_radix(&text, 8).ok().filter(|mode| *mode <= 0o7777);
        mode.filter(|_| text.starts_with('0'))
            .map(Mode)
            .ok_or_else(|| format!("`{text}` is not an octal mode such as \"0640\""))
    }
}

impl From<Mode> for String {
    fn from(mode: Mode) -> String {
        format!("{:04o}", mode.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_knows_its_own() {
        let network: Prefix = "172.16.0.0/16".parse().unwrap();
        assert!(network.contains("172.16.255.1".parse().unwrap()));
        assert!(!network.contains("172.17.0.1".parse().unwrap()));
        assert!(!network.contains("::ac10:1".parse().unwrap()));
        assert!("0.0.0.0/0".parse::<Prefix>().unwrap().contains("9.9.9.9".parse().unwrap()));
        assert_eq!(
            "172.16.0.1/16".parse::<Prefix>().unwrap_err(),
            "`172.16.0.1/16` has bits set behind the prefix length 16"
        );
        for bad in ["1.2.3.4/33", "10.0.0.0/08", "10.0.0.0/+8", "10.0.0.0/", "10.0.0.0"] {
            assert!(bad.parse::<Prefix>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_network_spares_two_addresses() {
        let reserves = |network: &str, address: &str| {
            network.parse::<Prefix>().unwrap().reserves(address.parse().unwrap())
        };
        assert_eq!(reserves("10.0.0.0/24", "10.0.0.0"), Some("the network's own address"));
        assert_eq!(reserves("10.0.0.0/24", "10.0.0.255"), Some("the broadcast address"));
        assert_eq!(reserves("10.0.0.0/23", "10.0.0.255"), None);
        assert_eq!(reserves("10.0.0.0/31", "10.0.0.0"), None);
        assert_eq!(reserves("10.0.0.1/32", "10.0.0.1"), None);
        assert_eq!(reserves("2001:db8::/64", "2001:db8::"), Some("the network's own address"));
        assert_eq!(reserves("2001:db8::/64", "2001:db8::ffff:ffff:ffff:ffff"), None);
        assert_eq!(reserves("2001:db8::/127", "2001:db8::"), None);
    }

    #[test]
    fn networks_overlap_where_one_is_in_the_other() {
        let overlap = |one: &str, other: &str| {
            let (one, other): (Prefix, Prefix) = (one.parse().unwrap(), other.parse().unwrap());
            assert_eq!(one.overlaps(&other), other.overlaps(&one));
            one.overlaps(&other)
        };
        assert!(overlap("10.0.0.0/8", "10.1.0.0/16") && overlap("0.0.0.0/0", "10.1.0.0/16"));
        assert!(!overlap("10.0.0.0/16", "10.1.0.0/16") && !overlap("0.0.0.0/0", "::/0"));
    }

    #[test]
    fn sizes_and_modes_read_back() {
        for text in ["512M", "1G", "1536M"] {
            assert_eq!(Size::try_from(text.to_owned()).unwrap().to_string(), text);
        }
        assert!(Size::try_from("99999999999G".to_owned()).is_err());
        assert_eq!(Size::try_from("65536G".to_owned()).unwrap(), Size::MOST);
        assert!(Size::try_from("65537G".to_owned()).is_err());
        assert_eq!(String::from(Mode::try_from("0440".to_owned()).unwrap()), "0440");
        assert!(Mode::try_from("440".to_owned()).is_err());
    }
}
