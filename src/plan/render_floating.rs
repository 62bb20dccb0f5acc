//! What templates know of the floating addresses that a server may hold: who else
//! may, what they lead to, how LVS tells their packets.

use crate::spec::{Addresses, Architecture, Floating, Purpose, Server, Via};
use serde::Serialize;

/// A floating address, as one of its holders sees it.
#[derive(Debug, Serialize)]
pub(crate) struct FloatingView<'a> {
    name: &'a str,
    purpose: Purpose,
    router_id: u8,
    v4: String,
    v6: String,
    /// IPv6 VRRP wants a link-local address first.
    link_local: String,
    interface: &'a str,
    /// VRRP's priority of this server: 100, 90, ...
    priority: usize,
    own: Addresses,
    peers: Vec<Addresses>,
    via: Via,
    /// The port that is reached through it.
    port: u16,
    /// For `direct-routing`: who answers.
    real_servers: Vec<RealServer<'a>>,
    /// For `direct-routing`: the firewall marks of packets that LVS hands on.
    mark: Marks,
}

/// One of LVS' real servers.
#[derive(Debug, Serialize)]
struct RealServer<'a> {
    name: &'a str,
    v4: String,
    v6: String,
}

/// A virtual server of LVS is one of an IP version.
#[derive(Debug, Serialize)]
struct Marks {
    v4: u16,
    v6: u16,
}

/// The floating addresses that `server` may hold.
pub(crate) fn views<'a>(
    architecture: &'a Architecture,
    server: &'a Server,
) -> Vec<FloatingView<'a>> {
    architecture.floating.values().filter_map(|one| view(one, architecture, server)).collect()
}

fn view<'a>(
    floating: &'a Floating,
    architecture: &'a Architecture,
    server: &'a Server,
) -> Option<FloatingView<'a>> {
    let network = architecture.networks.get(&floating.network)?;
    let place = floating.holders.iter().position(|holder| *holder == server.name)?;
    let others = floating.holders.iter().filter(|holder| **holder != server.name);
    let at = |name: &String| architecture.servers.get(name)?.addresses.get(&network.name).copied();
    let real = |name: &'a String| {
        let own = at(name)?;
        Some(RealServer { name, v4: own.v4.to_string(), v6: own.v6.to_string() })
    };
    let router = u16::from(floating.router_id);
    Some(FloatingView {
        name: &floating.name,
        purpose: floating.purpose,
        router_id: floating.router_id,
        v4: floating.addresses.v4.to_string(),
        v6: floating.addresses.v6.to_string(),
        link_local: format!("fe80::{:x}", 0xf000 + router),
        interface: &network.interface,
        priority: 100_usize.saturating_sub(place * 10),
        own: *server.addresses.get(&floating.network)?,
        peers: others.filter_map(at).collect(),
        via: floating.via,
        port: match floating.purpose {
            Purpose::Web => 80,
            Purpose::DatabaseReads | Purpose::DatabaseWrites => 3306,
        },
        real_servers: floating.real_servers.iter().filter_map(real).collect(),
        // Router numbers are unique, and so is the next one.
        mark: Marks { v4: router, v6: router + 1 },
    })
}
