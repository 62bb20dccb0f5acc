//! Which addresses a scenario's names mean.

use crate::error::{Error, Result};
use crate::scenario::{Cast, Families, Family, Host};
use crate::spec::{Addresses, Architecture};
use std::net::IpAddr;

/// A host's network, and its addresses of the wanted IP versions.
pub(super) fn of_host(
    architecture: &Architecture,
    cast: &Cast,
    host: &Host,
    families: Families,
) -> Result<(String, Vec<(Family, IpAddr)>)> {
    let lost = || Error::input(format!("nothing is called `{host}`"));
    match host {
        Host::Floating(name) => {
            let floating = architecture.floating.get(name).ok_or_else(lost)?;
            Ok((floating.network.clone(), of_versions(&floating.addresses, families)))
        }
        Host::Server { name, network } => {
            let server = architecture.server(cast.machine(name))?;
            let own = server.addresses.get(network).ok_or_else(lost)?;
            Ok((network.clone(), of_versions(own, families)))
        }
        Host::Address(address) => {
            let has = |prefixes: [crate::spec::Prefix; 2]| {
                prefixes.iter().any(|prefix| prefix.contains(*address))
            };
            let mut networks = architecture.networks.values();
            let network = networks.find(|network| has([network.v4, network.v6]));
            let family = if address.is_ipv4() { Family::V4 } else { Family::V6 };
            let network = network.map(|network| network.name.clone()).ok_or_else(lost)?;
            Ok((network, vec![(family, *address)]))
        }
    }
}

fn of_versions(own: &Addresses, families: Families) -> Vec<(Family, IpAddr)> {
    let of = |family: &Family| match family {
        Family::V4 => (*family, own.v4.into()),
        Family::V6 => (*family, own.v6.into()),
    };
    families.each().iter().map(of).collect()
}
