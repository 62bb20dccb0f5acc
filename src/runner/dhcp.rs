//! Networks that give their addresses by DHCP: nobody knows those from the spec, so the
//! tests choose them, and all other code sees them as if the spec had them.

use crate::netsim::of_mac;
use crate::netsim::{Leases, Mac};
use crate::qemu::mac_of;
use crate::spec::{Addresses, Architecture, Network, Prefix};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Networks that are nobody's: for benchmarks (RFC 2544), for examples (RFC 3849). A number in
/// them tells two of a server's apart.
const V4: [u8; 2] = [198, 18];
const V6: [u16; 3] = [0x2001, 0xdb8, 0xd4c9];
const V4_LENGTH: u8 = 24;
const V6_LENGTH: u8 = 64;

/// The architecture as its machines will be: those networks have prefixes, and the servers
/// the addresses that [`leases`] gives them.
pub fn leased(architecture: &Architecture) -> Architecture {
    let mut leased = architecture.clone();
    let interfaces: Vec<String> = interfaces(architecture).into_iter().map(str::to_owned).collect();
    for (number, name) in interfaces.iter().enumerate() {
        let Some(network) = leased.networks.get_mut(name).filter(|network| network.dhcp) else {
            continue;
        };
        let (v4, v6) = networks(number as u8);
        network.v4 = Some(Prefix { address: v4.into(), length: V4_LENGTH });
        network.v6 = Some(Prefix { address: v6.into(), length: V6_LENGTH });
        for (place, server) in (11..).zip(leased.servers.values_mut()) {
            let Some(own) = server.addresses.get_mut(name) else { continue };
            let mac = Mac(mac_of(&server.name, number));
            *own = Addresses { v4: Some(host(v4, place)), v6: Some(of_mac(v6, mac)) };
        }
    }
    leased
}

/// What a network of a [`leased`] architecture gives; nothing unless it does so.
pub(super) fn leases(architecture: &Architecture, network: &Network) -> Option<Leases> {
    let (IpAddr::V4(v4), IpAddr::V6(v6)) = (network.v4?.address, network.v6?.address) else {
        return None;
    };
    let netmask = Ipv4Addr::from(u32::MAX << (32 - V4_LENGTH));
    let mut leases = network.dhcp.then(|| Leases::new(host(v4, 1), netmask, v6))?;
    let interface = interfaces(architecture).iter().position(|name| *name == network.name)?;
    for server in architecture.servers.values() {
        let own = server.addresses.get(&network.name).and_then(|own| own.v4);
        if let Some(address) = own {
            leases.give(Mac(mac_of(&server.name, interface)), address);
        }
    }
    Some(leases)
}

/// The networks in the order of their interfaces.
pub(super) fn interfaces(architecture: &Architecture) -> Vec<&str> {
    let mut networks: Vec<_> = architecture.networks.values().collect();
    networks.sort_by(|a, b| a.interface.cmp(&b.interface));
    networks.into_iter().map(|network| network.name.as_str()).collect()
}

fn networks(number: u8) -> (Ipv4Addr, Ipv6Addr) {
    let [a, b, c] = V6;
    (Ipv4Addr::new(V4[0], V4[1], number, 0), Ipv6Addr::new(a, b, c, number.into(), 0, 0, 0, 0))
}

fn host(network: Ipv4Addr, number: u8) -> Ipv4Addr {
    let [a, b, c, _] = network.octets();
    Ipv4Addr::new(a, b, c, number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Spec, Tree};

    /// Architecture 2 whose public network is a DHCP one.
    fn architecture() -> Architecture {
        let spec = Spec::load(Tree::embedded()).unwrap();
        let mut architecture = spec.architecture("arch2").unwrap().clone();
        let network = architecture.networks.get_mut("public").unwrap();
        (network.dhcp, network.v4, network.v6) = (true, None, None);
        for server in architecture.servers.values_mut() {
            if let Some(own) = server.addresses.get_mut("public") {
                *own = Addresses { v4: None, v6: None };
            }
        }
        architecture
    }

    #[test]
    fn whoever_gets_addresses_gets_them_once() {
        let before = architecture();
        let after = leased(&before);
        let mut all: Vec<String> = Vec::new();
        for server in after.servers.values() {
            let own = server.addresses.get("public").into_iter().flat_map(Addresses::all);
            all.extend(own.map(|address| address.to_string()));
        }
        assert_eq!(all, ["198.18.0.11", "2001:db8:d4c9:0:5054:ff:fe9f:5d00"]);
        let private = |of: &Architecture| of.servers["web1"].addresses["private"];
        assert_eq!(private(&before), private(&after));
        assert!(leases(&after, &after.networks["public"]).is_some());
        assert!(leases(&after, &after.networks["private"]).is_none());
    }

    #[test]
    fn what_is_known_stays() {
        let spec = Spec::load(Tree::embedded()).unwrap();
        for architecture in spec.architectures.values() {
            assert_eq!(leased(architecture), *architecture);
        }
    }
}
