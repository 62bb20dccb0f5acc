//! What templates know of the floating addresses that a server may hold: who else
//! may, what they lead to, how LVS tells their packets.

use crate::spec::{Addresses, Architecture, Floating, HTTPS_ROLE, Purpose, Server, Via};
use serde::Serialize;
use std::net::{Ipv4Addr, Ipv6Addr};

/// A floating address, as one of its holders sees it.
#[derive(Debug, Serialize)]
pub(crate) struct FloatingView<'a> {
    name: &'a str,
    purpose: Purpose,
    router_id: u8,
    v4: Option<Ipv4Addr>,
    v6: Option<Ipv6Addr>,
    /// Of which of them there is one: `v4`, `v6`.
    versions: Vec<&'static str>,
    interface: &'a str,
    /// VRRP's priority of this server: the first of the holders has the highest.
    priority: usize,
    own: Addresses,
    peers: Vec<Addresses>,
    via: Via,
    /// The ports that are reached through it; balancers ask at the first.
    ports: Vec<u16>,
    /// For `direct-routing`: who answers.
    real_servers: Vec<RealServer<'a>>,
    /// For `direct-routing`: the firewall marks of packets that LVS hands on.
    mark: Marks,
}

/// One of LVS' real servers.
#[derive(Debug, Serialize)]
struct RealServer<'a> {
    name: &'a str,
    v4: Option<Ipv4Addr>,
    v6: Option<Ipv6Addr>,
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
        Some(RealServer { name, v4: own.v4, v6: own.v6 })
    };
    let Addresses { v4, v6 } = floating.addresses;
    let router = u16::from(floating.router_id);
    Some(FloatingView {
        name: &floating.name,
        purpose: floating.purpose,
        router_id: floating.router_id,
        v4,
        v6,
        versions: [v4.map(|_| "v4"), v6.map(|_| "v6")].into_iter().flatten().collect(),
        interface: &network.interface,
        priority: priority(place, floating.holders.len()),
        own: *server.addresses.get(&floating.network)?,
        peers: others.filter_map(at).collect(),
        via: floating.via,
        ports: match floating.purpose {
            Purpose::Web if architecture.with_role(HTTPS_ROLE).next().is_some() => vec![80, 443],
            Purpose::Web => vec![80],
            Purpose::DatabaseReads | Purpose::DatabaseWrites => vec![3306],
        },
        real_servers: floating.real_servers.iter().filter_map(real).collect(),
        // Router numbers are unique.
        mark: Marks { v4: router, v6: 0x100 + router },
    })
}

/// VRRP's priority of the holder in this place, the first being 0. Who hears no advert any
/// more waits (256 - priority)/256 of an interval before he takes the address:
/// <https://www.rfc-editor.org/rfc/rfc9568#section-6.1>. Where several wait, they are as
/// far apart as can be, so that a busy machine is not overtaken by the one behind it.
fn priority(place: usize, holders: usize) -> usize {
    match holders {
        0..=2 => 100 - 10 * place,
        several => 250 - place * (200 / (several - 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn priorities_fall_and_are_ones() {
        let all = |holders| (0..holders).map(|place| priority(place, holders)).collect::<Vec<_>>();
        assert_eq!(all(1), [100]);
        assert_eq!(all(2), [100, 90]);
        assert_eq!(all(3), [250, 150, 50]);
        assert_eq!(all(4), [250, 184, 118, 52]);
        // 255 is for a router whose own address it is, 0 for one that leaves.
        for holders in 1..100 {
            let all = all(holders);
            assert!(all.iter().all(|one| (1..=254).contains(one)), "{all:?}");
            assert!(all.windows(2).all(|two| two[0] > two[1]), "{all:?}");
        }
    }
}
