//! What a template may know: a server, its architecture, the site. Never a secret.
//!
//! The values are worked out here (who is a peer, where a port listens), so that
//! templates print and loop, and the firewall, the daemons and the tests of what
//! listens share one source.

use super::render_firewall::{self, Listen};
use crate::spec::{
    Addresses, Architecture, DataDisk, Endpoints, Floating, Network, Purpose, Server, Site, Spec,
    Target, Timers,
};
use serde::Serialize;
use std::collections::BTreeMap;

/// The variables of a template.
#[derive(Debug, Serialize)]
pub(crate) struct Context<'a> {
    server: ServerView<'a>,
    arch: ArchView<'a>,
    site: &'a Site,
    /// Role -> the other servers that have it.
    peers: BTreeMap<&'a str, Vec<&'a Server>>,
}

#[derive(Debug, Serialize)]
struct ServerView<'a> {
    name: &'a str,
    image_id: &'a str,
    image_version: &'a str,
    roles: &'a [String],
    server_id: Option<u32>,
    /// Network -> addresses.
    addresses: &'a BTreeMap<String, Addresses>,
    /// The networks it is attached to.
    networks: Vec<&'a Network>,
    /// Port name -> where it listens.
    listen: BTreeMap<&'a str, Vec<Listen>>,
    /// nftables rules for the input chain.
    firewall: Vec<String>,
    /// `none`, `rest` or a device.
    data: &'a str,
    /// The floating addresses that it may hold.
    floating: Vec<FloatingView<'a>>,
    reads: Vec<String>,
    writes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct FloatingView<'a> {
    name: &'a str,
    purpose: Purpose,
    router_id: u8,
    v4: String,
    v6: String,
    /// IPv6 VRRP wants a link-local address first.
    link_local: String,
    interface: &'a str,
    v4_length: u8,
    v6_length: u8,
    /// VRRP's priority of this server: 100, 90, ...
    priority: usize,
    own: Addresses,
    peers: Vec<Addresses>,
}

#[derive(Debug, Serialize)]
struct ArchView<'a> {
    name: &'a str,
    title: &'a str,
    admin: &'a str,
    dns: Vec<String>,
    ntp: &'a [String],
    timers: Timers,
    networks: &'a BTreeMap<String, Network>,
    servers: Vec<&'a Server>,
    floating: Vec<&'a Floating>,
    endpoints: &'a Endpoints,
    /// Role -> the servers that have it.
    roles: BTreeMap<&'a str, Vec<&'a Server>>,
    /// Host of each web address that users see, as in a URL.
    web_hosts: Vec<String>,
}

impl<'a> Context<'a> {
    /// The variables for `server`.
    pub(crate) fn new(spec: &'a Spec, architecture: &'a Architecture, server: &'a Server) -> Self {
        let other = |one: &&Server| one.name != server.name;
        let peers = server.roles.iter().map(|role| {
            (role.as_str(), architecture.with_role(role).filter(other).collect::<Vec<_>>())
        });
        Context {
            server: server_view(spec, architecture, server),
            arch: arch_view(spec, architecture),
            site: &spec.site,
            peers: peers.collect(),
        }
    }
}

fn server_view<'a>(
    spec: &'a Spec,
    architecture: &'a Architecture,
    server: &'a Server,
) -> ServerView<'a> {
    let (listen, firewall) = render_firewall::ports(spec, architecture, server);
    let holders = |floating: &&Floating| floating.holders.contains(&server.name);
    let held = architecture.floating.values().filter(holders);
    ServerView {
        name: &server.name,
        image_id: &server.image_id,
        image_version: &server.image_version,
        roles: &server.roles,
        server_id: server.server_id,
        addresses: &server.addresses,
        networks: server.addresses.keys().filter_map(|n| architecture.networks.get(n)).collect(),
        listen,
        firewall,
        data: match server.data.as_ref().map(|data| &data.disk) {
            None => "none",
            Some(DataDisk::Rest) => "rest",
            Some(DataDisk::Second(path)) => path,
        },
        floating: held.filter_map(|one| floating_view(one, architecture, server)).collect(),
        reads: hosts(&architecture.endpoints.reads.from, architecture),
        writes: hosts(&architecture.endpoints.writes.from, architecture),
    }
}

fn floating_view<'a>(
    floating: &'a Floating,
    architecture: &'a Architecture,
    server: &'a Server,
) -> Option<FloatingView<'a>> {
    let network = architecture.networks.get(&floating.network)?;
    let place = floating.holders.iter().position(|holder| *holder == server.name)?;
    let others = floating.holders.iter().filter(|holder| **holder != server.name);
    let address =
        |name: &String| architecture.servers.get(name)?.addresses.get(&floating.network).copied();
    Some(FloatingView {
        name: &floating.name,
        purpose: floating.purpose,
        router_id: floating.router_id,
        v4: floating.addresses.v4.to_string(),
        v6: floating.addresses.v6.to_string(),
        link_local: format!("fe80::{:x}", 0xf000 + u16::from(floating.router_id)),
        interface: &network.interface,
        v4_length: network.v4.length,
        v6_length: network.v6.length,
        priority: 100_usize.saturating_sub(place * 10),
        own: *server.addresses.get(&floating.network)?,
        peers: others.filter_map(address).collect(),
    })
}

/// The hosts that the application connects to, IPv4 (a socket is `localhost`).
fn hosts(targets: &[Target], architecture: &Architecture) -> Vec<String> {
    let host = |target: &Target| match target {
        Target::Local => Some("localhost".to_owned()),
        Target::Server(name) => {
            let addresses = &architecture.servers.get(name)?.addresses;
            let own = addresses.get("private").or_else(|| addresses.values().next())?;
            Some(own.v4.to_string())
        }
        Target::Floating(name) => Some(architecture.floating.get(name)?.addresses.v4.to_string()),
    };
    targets.iter().filter_map(host).collect()
}

fn arch_view<'a>(spec: &'a Spec, architecture: &'a Architecture) -> ArchView<'a> {
    let roles = spec
        .roles
        .keys()
        .map(|role| (role.as_str(), architecture.with_role(role).collect::<Vec<_>>()));
    let web = architecture.floating_for(Purpose::Web);
    ArchView {
        name: &architecture.name,
        title: &architecture.title,
        admin: &architecture.admin,
        dns: architecture.dns.iter().map(ToString::to_string).collect(),
        ntp: &architecture.ntp,
        timers: architecture.timers,
        networks: &architecture.networks,
        servers: architecture.servers.values().collect(),
        floating: architecture.floating.values().collect(),
        endpoints: &architecture.endpoints,
        roles: roles.collect(),
        web_hosts: web
            .flat_map(|one| [one.addresses.v4.to_string(), format!("[{}]", one.addresses.v6)])
            .collect(),
    }
}
