//! The table of ports that a stranger on a network may find open: worked out from the
//! roles, not from the firewall that was rendered from them.

use crate::spec::{Architecture, Bind, From, Port, Protocol, Server, Spec};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// For each address on `network`, the TCP ports that answer to anybody there.
pub(super) fn open_to(
    spec: &Spec,
    architecture: &Architecture,
    network: &str,
) -> BTreeMap<IpAddr, BTreeSet<u16>> {
    let mut table: BTreeMap<IpAddr, BTreeSet<u16>> = BTreeMap::new();
    let own = architecture.servers.values().filter_map(|server| server.addresses.get(network));
    let floating = architecture.floating.values().filter(|floating| floating.network == network);
    let all = own.copied().chain(floating.map(|floating| floating.addresses));
    for address in all.flat_map(|addresses| addresses.all()) {
        table.entry(address).or_default();
    }
    for server in architecture.servers.values() {
        let ports = spec.roles_of(server).flat_map(|role| &role.ports);
        for port in ports.filter(|port| port.applies(architecture)) {
            if port.protocol != Protocol::Tcp {
                continue;
            }
            let places = places(port, architecture, server, network).into_iter();
            let is_open = |address: &IpAddr| {
                let known = is_known(spec, architecture, network, *address);
                port.speaks(address) && is_open_to(port, server, network, known)
            };
            for address in places.filter(is_open) {
                table.entry(address).or_default().insert(port.number);
            }
        }
    }
    table
}

/// Whether the firewall knows somebody on `network` by his address, in the IP version of this
/// one: as one of the network's, or of those from where the admin may come.
fn is_known(spec: &Spec, architecture: &Architecture, network: &str, address: IpAddr) -> bool {
    let Some(network) = architecture.networks.get(network) else { return false };
    let prefix = if address.is_ipv4() { network.v4 } else { network.v6 };
    let clients = super::clients::addresses(network);
    let of_version = clients.into_iter().filter(|one| one.is_ipv4() == address.is_ipv4());
    let mut admins = spec.site.admin_from.iter();
    prefix.is_some()
        || of_version.into_iter().any(|client| admins.any(|prefix| prefix.contains(client)))
}

/// Whether somebody on `network` who is no server may use the port.
fn is_open_to(port: &Port, server: &Server, network: &str, is_known: bool) -> bool {
    port.from.iter().any(|from| match from {
        From::Any => true,
        From::Access => is_known && server.ssh.iter().any(|name| name == network),
        From::Network(name) => name == network,
        From::Peers | From::CoHolders | From::Role(_) | From::Server(_) => false,
    })
}

/// The addresses on `network` at which the port is.
fn places(port: &Port, architecture: &Architecture, server: &Server, network: &str) -> Vec<IpAddr> {
    let own = || server.addresses.get(network).map(|own| own.all().collect()).unwrap_or_default();
    match &port.bind {
        Bind::All => own(),
        Bind::Loopback => Vec::new(),
        Bind::Access if server.ssh.iter().any(|name| name == network) => own(),
        Bind::Network(name) if name == network => own(),
        Bind::Access | Bind::Network(_) => Vec::new(),
        Bind::Floating(purpose) => architecture
            .floating_for(*purpose)
            .filter(|one| one.network == network && one.is_at(&server.name))
            .flat_map(|one| one.addresses.all())
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Tree;

    fn table(architecture: &str, network: &str) -> Vec<String> {
        let spec = Spec::load(Tree::embedded()).unwrap();
        let architecture = spec.architecture(architecture).unwrap();
        let table = open_to(&spec, architecture, network);
        table.iter().map(|(address, ports)| format!("{address} {ports:?}")).collect()
    }

    #[test]
    fn architecture_4_as_the_book_has_it() {
        assert_eq!(
            table("arch4", "public"),
            [
                "172.16.0.10 {80, 443}",
                "172.16.0.11 {}",
                "172.16.0.12 {}",
                "2001:db8::ffff:10 {80, 443}",
                "2001:db8::ffff:11 {}",
                "2001:db8::ffff:12 {}",
            ]
        );
        assert_eq!(
            table("arch4", "private"),
            [
                "192.168.0.11 {22, 4949, 8443}",
                "192.168.0.12 {22, 4949}",
                "192.168.0.21 {22, 4949}",
                // munin-node speaks IPv4 only.
                "2001:db8:0:1::11 {22, 8443}",
                "2001:db8:0:1::12 {22}",
                "2001:db8:0:1::21 {22}",
            ]
        );
    }

    #[test]
    fn every_architecture_offers_its_website_once() {
        let spec = Spec::load(Tree::embedded()).unwrap();
        for architecture in spec.architectures.values() {
            let table = open_to(&spec, architecture, "public");
            let sites =
                table.iter().filter(|(address, ports)| address.is_ipv4() && ports.contains(&80));
            assert_eq!(sites.count(), 1, "{}", architecture.name);
        }
    }
}
