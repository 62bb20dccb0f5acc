//! What a template may know: a server, its architecture, the site. Never a secret.
//!
//! The values are worked out here (who is a peer, where a port listens), so that
//! templates print and loop, and the firewall, the daemons and the tests of what
//! listens share one source.

use super::render_firewall::{self, Listen};
use super::render_floating::{self, FloatingView};
use crate::spec::{
    Addresses, Architecture, DataDisk, Endpoints, Floating, Network, Replication, SERVERCHECK,
    Server, Site, Spec, StaticFiles, Target, Timers,
};
use md5::{Digest, Md5};
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
    replication: Replication,
    static_files: &'a StaticFiles,
    /// MD5 of servercheck.txt's body, as keepalived compares it.
    servercheck_md5: String,
    /// Role -> the servers that have it.
    roles: BTreeMap<&'a str, Vec<&'a Server>>,
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
        floating: render_floating::views(architecture, server),
        reads: hosts(&architecture.endpoints.reads.from, architecture),
        writes: hosts(&architecture.endpoints.writes.from, architecture),
    }
}

/// The hosts that the application connects to, IPv4 (a socket is `localhost`).
fn hosts(targets: &[Target], architecture: &Architecture) -> Vec<String> {
    let host = |target: &Target| match target {
        Target::Local => Some("localhost".to_owned()),
        Target::Server(name) => {
            let addresses = &architecture.servers.get(name)?.addresses;
            let own = addresses.get("private").or_else(|| addresses.values().next())?;
            own.v4.map(|v4| v4.to_string())
        }
        Target::Floating(name) => {
            architecture.floating.get(name)?.addresses.v4.map(|v4| v4.to_string())
        }
    };
    targets.iter().filter_map(host).collect()
}

fn arch_view<'a>(spec: &'a Spec, architecture: &'a Architecture) -> ArchView<'a> {
    let roles = spec
        .roles
        .keys()
        .map(|role| (role.as_str(), architecture.with_role(role).collect::<Vec<_>>()));
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
        replication: architecture.replication,
        static_files: &architecture.static_files,
        servercheck_md5: servercheck_md5(spec),
        roles: roles.collect(),
    }
}

fn servercheck_md5(spec: &Spec) -> String {
    let body = spec.tree.get(SERVERCHECK).map_or(&[][..], |file| &file.content);
    hex::encode(Md5::digest(body))
}
