//! `site.toml`: the user's facts laid over the architectures, before any check.
//!
//! What is replaced takes its span along, so an address that does not fit is
//! reported where the user wrote it.

use crate::error::Result;
use crate::spec::model::units::Prefix;
use crate::spec::parse::architecture::{
    Named, RawAddresses, RawArchitecture, RawDisk, RawDiskChange, RawNetwork, RawTimers,
};
use crate::spec::parse::site::{RawNetworkChange, RawOverride, RawSite};
use crate::spec::site::additions;
use crate::spec::source::{Sources, unknown};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use toml::Spanned;

/// What `v6` of a network is when it has none.
const NO_IPV6: &str = "none";

/// Lays the site over `architectures`.
pub(crate) fn apply(
    site: &RawSite,
    architectures: &mut BTreeMap<String, RawArchitecture>,
    sources: &Sources,
) -> Result<()> {
    for architecture in architectures.values_mut() {
        everywhere(site, architecture);
    }
    for (name, change) in &site.architectures {
        let known: Vec<String> = architectures.keys().cloned().collect();
        let architecture = architectures
            .get_mut(name.get_ref())
            .ok_or_else(|| unknown("architecture", name, &known, sources))?;
        additions::servers((name, change), architecture, sources)?;
        networks(change, architecture, sources)?;
        addresses(change, architecture, sources)?;
        additions::cache(change, architecture);
        nat(change, architecture, sources)?;
    }
    for architecture in architectures.values_mut() {
        additions::database(site, architecture);
    }
    Ok(())
}

fn everywhere(site: &RawSite, architecture: &mut RawArchitecture) {
    for server in architecture.servers.values_mut() {
        server.packages.extend(site.packages.iter().cloned());
    }
    if let Some(dns) = &site.dns {
        architecture.dns.clone_from(dns);
    }
    if let Some(ntp) = &site.ntp {
        architecture.ntp.clone_from(ntp);
    }
    if let Some(timers) = site.timers {
        architecture.timers = laid_over(architecture.timers, timers);
    }
    if let Some(disk) = &site.disk {
        sizes(disk, architecture);
    }
    let Some(admin) = &site.admin else { return };
    if let Some(user) = &admin.user {
        architecture.access.admin.clone_from(user);
    }
    if let Some(ssh) = &admin.ssh {
        architecture.access.ssh.clone_from(ssh);
        for server in architecture.servers.values_mut() {
            server.ssh = None;
        }
    }
}

fn laid_over(below: RawTimers, above: RawTimers) -> RawTimers {
    RawTimers {
        vrrp_advert_ms: above.vrrp_advert_ms.or(below.vrrp_advert_ms),
        check_ms: above.check_ms.or(below.check_ms),
        check_fall: above.check_fall.or(below.check_fall),
        check_rise: above.check_rise.or(below.check_rise),
        connect_ms: above.connect_ms.or(below.connect_ms),
    }
}

/// Sizes for all servers. Those that have some of their own have these as well: an error
/// about what no longer fits is one of the site's.
fn sizes(disk: &Spanned<RawDiskChange>, architecture: &mut RawArchitecture) {
    let whole = disk_over(*architecture.disk.get_ref(), *disk.get_ref());
    architecture.disk = Spanned::new(disk.span(), whole);
    for own in architecture.servers.values_mut().filter_map(|server| server.disk.as_mut()) {
        *own = Spanned::new(disk.span(), *own.get_ref());
    }
}

fn disk_over(below: RawDisk, above: RawDiskChange) -> RawDisk {
    RawDisk {
        esp: above.esp.unwrap_or(below.esp),
        packages: above.packages.unwrap_or(below.packages),
        configuration: above.configuration.unwrap_or(below.configuration),
        seed: above.seed.unwrap_or(below.seed),
        state: above.state.unwrap_or(below.state),
        smallest: above.smallest.unwrap_or(below.smallest),
    }
}

/// Networks as the user has them. The book's addresses of a kind that a network does
/// not have any more go; those that the user writes there are refused later.
fn networks(
    change: &RawOverride,
    architecture: &mut RawArchitecture,
    sources: &Sources,
) -> Result<()> {
    for (name, network) in &change.networks {
        let own = find("network", name, &mut architecture.networks, sources)?;
        replace_network(network, own, sources)?;
        let dhcp = own.dhcp.as_ref().is_some_and(|dhcp| *dhcp.get_ref());
        // Where each server has addresses of its own, the book's are nobody's.
        let (v4, v6) = match own.routed.as_ref().is_some_and(|routed| *routed.get_ref()) {
            true => (own.v4.is_some(), own.v6.is_some()),
            false => (!dhcp, !dhcp && own.v6.is_some()),
        };
        let in_it = architecture.servers.values_mut();
        for own in in_it.filter_map(|server| server.addresses.get_mut(name.get_ref().as_str())) {
            own.v4 = own.v4.take().filter(|_| v4);
            own.v6 = own.v6.take().filter(|_| v6);
        }
        for floating in architecture.floating.values_mut() {
            if floating.network.get_ref() == name.get_ref() {
                floating.v6 = floating.v6.take().filter(|_| v6);
            }
        }
    }
    Ok(())
}

fn addresses(
    change: &RawOverride,
    architecture: &mut RawArchitecture,
    sources: &Sources,
) -> Result<()> {
    for (server, networks) in &change.addresses {
        let server = find("server", server, &mut architecture.servers, sources)?;
        for (network, addresses) in networks {
            let own = find("network", network, &mut server.addresses, sources)?;
            replace_addresses(addresses, (&mut own.v4, &mut own.v6));
        }
    }
    for (name, addresses) in &change.floating {
        let floating = find("floating address", name, &mut architecture.floating, sources)?;
        replace_addresses(addresses, (&mut floating.v4, &mut floating.v6));
    }
    Ok(())
}

type Own<'a, T> = &'a mut Option<Spanned<T>>;

fn replace_addresses(new: &RawAddresses, own: (Own<'_, Ipv4Addr>, Own<'_, Ipv6Addr>)) {
    if new.v4.is_some() {
        own.0.clone_from(&new.v4);
    }
    if new.v6.is_some() {
        own.1.clone_from(&new.v6);
    }
}

fn nat(change: &RawOverride, architecture: &mut RawArchitecture, sources: &Sources) -> Result<()> {
    match (&change.nat, &mut architecture.nat) {
        (Some(wanted), Some(nat)) => nat.enabled = *wanted.get_ref(),
        (Some(wanted), None) => {
            return Err(sources
                .error(wanted.span(), "this architecture has no way out to turn on or off")
                .hint(
                    "only arch1 has one; elsewhere write `[nat]` into a copy of its images/*.toml",
                ));
        }
        (None, _) => {}
    }
    Ok(())
}

fn replace_network(
    change: &RawNetworkChange,
    network: &mut RawNetwork,
    sources: &Sources,
) -> Result<()> {
    // The book's prefixes are of an Ethernet.
    if change.routed.as_ref().is_some_and(|routed| *routed.get_ref()) {
        (network.v4, network.v6) = (None, None);
    }
    if change.v4.is_some() {
        network.v4.clone_from(&change.v4);
    }
    match &change.v6 {
        None => {}
        Some(none) if none.get_ref() == NO_IPV6 => {
            network.v6 = None;
            network.gateway_v6 = None;
        }
        Some(written) => {
            let prefix: Prefix = written.get_ref().parse().map_err(|why: String| {
                sources
                    .error(written.span(), why)
                    .hint("or write \"none\": the network has no IPv6")
            })?;
            network.v6 = Some(Spanned::new(written.span(), prefix));
        }
    }
    network.routed = change.routed.clone().or(network.routed.take());
    network.dhcp = change.dhcp.clone().or(network.dhcp.take());
    network.gateway_v4 = change.gateway_v4.clone().or(network.gateway_v4.take());
    network.gateway_v6 = change.gateway_v6.clone().or(network.gateway_v6.take());
    network.mtu = change.mtu.or(network.mtu);
    Ok(())
}

fn find<'a, T>(
    what: &str,
    name: &Spanned<String>,
    among: &'a mut Named<T>,
    sources: &Sources,
) -> Result<&'a mut T> {
    let known: Vec<String> = among.keys().map(|key| key.get_ref().clone()).collect();
    among.get_mut(name).ok_or_else(|| unknown(what, name, &known, sources))
}
