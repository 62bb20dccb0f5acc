//! Which addresses a scenario's names mean.

use crate::error::{Error, Result};
use crate::scenario::{Aliases, Families, Family, Host};
use crate::spec::{Addresses, Architecture};
use std::net::IpAddr;

/// A host's network, and its addresses of the wanted IP versions: one at least, as nothing
/// is learnt of a host that is asked nowhere.
pub(super) fn of_host(
    architecture: &Architecture,
    aliases: &Aliases,
    host: &Host,
    families: Families,
) -> Result<(String, Vec<(Family, IpAddr)>)> {
    let (network, addresses) = all_of_host(architecture, aliases, host, families)?;
    if addresses.is_empty() {
        let wanted: Vec<String> = families.each().iter().map(Family::to_string).collect();
        let message = format!("`{host}` has no address of {}", wanted.join(" or "));
        return Err(Error::input(message).hint("say `over` for a version that it has"));
    }
    Ok((network, addresses))
}

fn all_of_host(
    architecture: &Architecture,
    aliases: &Aliases,
    host: &Host,
    families: Families,
) -> Result<(String, Vec<(Family, IpAddr)>)> {
    let lost = || Error::input(format!("nothing is called `{host}`"));
    match host {
        Host::Website => {
            let website = Host::website(architecture).ok_or_else(lost)?;
            of_host(architecture, aliases, &website, families)
        }
        Host::Floating(name) => {
            let floating = architecture.floating.get(name).ok_or_else(lost)?;
            Ok((floating.network.clone(), of_versions(&floating.addresses, families)))
        }
        Host::Server { name, network } => {
            let server = architecture.server(aliases.machine(name))?;
            let own = server.addresses.get(network).ok_or_else(lost)?;
            Ok((network.clone(), of_versions(own, families)))
        }
        Host::Address(address) => {
            let has = |network: &&crate::spec::Network| {
                let prefixes = network.v4.into_iter().chain(network.v6);
                prefixes.into_iter().any(|prefix| prefix.contains(*address))
            };
            let network = architecture.networks.values().find(has);
            let family = if address.is_ipv4() { Family::V4 } else { Family::V6 };
            let network = network.map(|network| network.name.clone()).ok_or_else(lost)?;
            Ok((network, vec![(family, *address)]))
        }
    }
}

fn of_versions(own: &Addresses, families: Families) -> Vec<(Family, IpAddr)> {
    let of = |family: &Family| match family {
        Family::V4 => own.v4.map(|address| (*family, address.into())),
        Family::V6 => own.v6.map(|address| (*family, address.into())),
    };
    families.each().iter().filter_map(of).collect()
}
