//! Where the roles' ports listen, and the nftables rules that let others in.
//!
//! One walk over the ports gives both, so a daemon cannot listen where the
//! firewall does not expect it.

use crate::spec::{
    Addresses, Architecture, Bind, From, Network, Port, Prefix, Protocol, Role, Server, Spec,
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// An address and port on which something listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Listen {
    /// As in a URL: IPv6 in brackets.
    host: String,
    /// Bare.
    address: String,
    /// The number.
    port: u16,
    /// 4 or 6.
    version: u8,
}

impl Listen {
    fn new(address: IpAddr, port: u16) -> Listen {
        let bare = address.to_string();
        let (host, version) =
            if address.is_ipv4() { (bare.clone(), 4) } else { (format!("[{bare}]"), 6) };
        Listen { host, address: bare, port, version }
    }
}

/// Where each port of `server` listens, and the rules for the input chain.
pub(crate) fn ports<'a>(
    spec: &'a Spec,
    architecture: &'a Architecture,
    server: &'a Server,
) -> (BTreeMap<&'a str, Vec<Listen>>, Vec<String>) {
    let mut listens: BTreeMap<&str, Vec<Listen>> = BTreeMap::new();
    let mut rules = Vec::new();
    for role in spec.roles_of(server) {
        for port in role.ports.iter().filter(|port| port.applies(architecture)) {
            let walk = Walk { spec, architecture, server, role, port };
            let own = listens.entry(&port.name).or_default();
            let addresses = walk.addresses().into_iter();
            own.extend(addresses.map(|address| Listen::new(address, port.number)));
            rules.extend(walk.rules());
        }
    }
    (listens, rules)
}

/// Where a program listens for one place; on every address, where only the network
/// knows the server's (the firewall then tells the interface).
fn listening(network: &Network, own: &Addresses) -> Vec<IpAddr> {
    if network.dhcp {
        return vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    }
    own.all().collect()
}

/// All TCP and UDP sockets on which something listens at `server`, and nothing else.
pub fn sockets(
    spec: &Spec,
    architecture: &Architecture,
    server: &Server,
) -> BTreeSet<(Protocol, SocketAddr)> {
    let mut sockets = BTreeSet::new();
    for role in spec.roles_of(server) {
        let own = role.ports.iter().filter(|port| port.applies(architecture));
        for port in own.filter(|port| port.protocol != Protocol::Vrrp) {
            let addresses = Walk { spec, architecture, server, role, port }.addresses().into_iter();
            sockets.extend(addresses.map(|at| (port.protocol, SocketAddr::new(at, port.number))));
        }
    }
    sockets
}

/// One port of one server.
struct Walk<'a> {
    spec: &'a Spec,
    architecture: &'a Architecture,
    server: &'a Server,
    role: &'a Role,
    port: &'a Port,
}

impl<'a> Walk<'a> {
    /// The networks and addresses on which the port is reachable from outside.
    fn places(&self) -> Vec<(&'a Network, Addresses)> {
        let own = |name: &String| {
            let network = self.architecture.networks.get(name)?;
            Some((network, *self.server.addresses.get(name)?))
        };
        match &self.port.bind {
            Bind::All => self.server.addresses.keys().filter_map(own).collect(),
            Bind::Loopback => Vec::new(),
            Bind::Access => self.server.ssh.iter().filter_map(own).collect(),
            Bind::Network(name) => own(name).into_iter().collect(),
            Bind::Floating(purpose) => self
                .architecture
                .floating_for(*purpose)
                .filter(|floating| floating.is_at(&self.server.name))
                .filter_map(|floating| {
                    let network = self.architecture.networks.get(&floating.network)?;
                    Some((network, floating.addresses))
                })
                .collect(),
        }
    }

    /// Where the program listens.
    fn addresses(&self) -> Vec<IpAddr> {
        let outside = self.places().into_iter().flat_map(|(network, own)| listening(network, &own));
        let loopback = (self.port.bind == Bind::Loopback).then(|| IpAddr::from([127, 0, 0, 1]));
        outside.chain(loopback).filter(|address| self.port.speaks(address)).collect()
    }

    fn rules(&self) -> Vec<String> {
        let mut rules = Vec::new();
        for (network, own) in self.places() {
            if network.dhcp {
                rules.extend(self.port.from.contains(&From::Any).then(|| self.open(network)));
            }
            for address in own.all().filter(|address| self.port.speaks(address)) {
                let ip = if address.is_ipv4() { "ip" } else { "ip6" };
                if let Some(sources) = self.sources(network, ip) {
                    rules.push(self.rule(network, ip, address, &sources));
                }
            }
        }
        rules
    }

    /// For everyone, to whatever address the network has given.
    fn open(&self, network: &Network) -> String {
        let (interface, role, name) = (&network.interface, &self.role.name, &self.port.name);
        let to = self.destination();
        format!("iifname \"{interface}\" {to} accept comment \"{role}: {name}\"")
    }

    fn destination(&self) -> String {
        match self.port.protocol {
            Protocol::Tcp => format!("tcp dport {}", self.port.number),
            Protocol::Udp => format!("udp dport {}", self.port.number),
            Protocol::Vrrp => "meta l4proto vrrp".to_owned(),
        }
    }

    fn rule(&self, network: &Network, ip: &str, own: IpAddr, sources: &[String]) -> String {
        let from = match sources {
            [] => String::new(),
            sources => format!("{ip} saddr {{ {} }} ", sources.join(", ")),
        };
        let to = self.destination();
        let (interface, role, name) = (&network.interface, &self.role.name, &self.port.name);
        format!(
            "iifname \"{interface}\" {from}{ip} daddr {own} {to} accept comment \"{role}: {name}\""
        )
    }

    /// The allowed source addresses of one IP version: none at all (no rule), or
    /// a list, empty when everyone may.
    fn sources(&self, network: &Network, ip: &str) -> Option<Vec<String>> {
        let mut all = Vec::new();
        for from in &self.port.from {
            match from {
                From::Any => return Some(Vec::new()),
                From::Access => {
                    let admins = self.admins(ip);
                    if admins.iter().any(|prefix| prefix.length == 0) {
                        return Some(Vec::new());
                    }
                    all.extend(admins.iter().map(Prefix::to_string));
                }
                From::Network(name) => {
                    all.extend(self.prefixes([name], ip).iter().map(Prefix::to_string));
                }
                From::Peers => all.extend(self.with_role(&self.role.name, network, ip)),
                From::CoHolders => all.extend(self.co_holders(network, ip)),
                From::Role(role) => all.extend(self.with_role(role, network, ip)),
                From::Server(name) => {
                    let one = self.architecture.servers.get(name).into_iter();
                    all.extend(one.filter_map(|server| address(server, network, ip)));
                }
            }
        }
        all.sort_unstable();
        all.dedup();
        (!all.is_empty()).then_some(all)
    }

    fn prefixes<'n>(&self, names: impl IntoIterator<Item = &'n String>, ip: &str) -> Vec<Prefix> {
        let networks = names.into_iter().filter_map(|name| self.architecture.networks.get(name));
        let prefix = |one: &Network| if ip == "ip" { one.v4 } else { one.v6 };
        networks.filter_map(prefix).collect()
    }

    /// Where the admin may come from; nftables wants no prefix within another.
    fn admins(&self, ip: &str) -> Vec<Prefix> {
        let of_version = |prefix: &&Prefix| prefix.address.is_ipv4() == (ip == "ip");
        let mut all = self.prefixes(&self.server.ssh, ip);
        all.extend(self.spec.site.admin_from.iter().filter(of_version));
        all.sort_by_key(|prefix| prefix.length);
        let mut wide: Vec<Prefix> = Vec::new();
        for prefix in all {
            if !wide.iter().any(|one| one.contains(prefix.address)) {
                wide.push(prefix);
            }
        }
        wide
    }

    fn co_holders(&self, network: &Network, ip: &str) -> Vec<String> {
        let own = &self.server.name;
        let floating = self.architecture.floating.values();
        let shared =
            floating.filter(|one| one.network == network.name && one.holders.contains(own));
        let others = shared.flat_map(|one| &one.holders).filter(|holder| *holder != own);
        let servers = others.filter_map(|name| self.architecture.servers.get(name));
        servers.filter_map(|server| address(server, network, ip)).collect()
    }

    fn with_role(&self, role: &str, network: &Network, ip: &str) -> Vec<String> {
        let others = self
            .architecture
            .servers
            .values()
            .filter(|server| server.has_role(role) && server.name != self.server.name);
        others.filter_map(|server| address(server, network, ip)).collect()
    }
}

fn address(server: &Server, network: &Network, ip: &str) -> Option<String> {
    let own = server.addresses.get(&network.name)?;
    let all = own.all().find(|address| address.is_ipv4() == (ip == "ip"));
    all.map(|address| address.to_string())
}
