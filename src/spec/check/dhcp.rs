//! Networks that give their addresses themselves: by DHCP and router advertisements.
//! Nobody knows those before, so whatever names an address there is refused.

use crate::error::{Error, Result};
use crate::spec::check::context::Context;
use crate::spec::model::architecture::{Architecture, Network, Server};
use crate::spec::model::role::{Bind, From, Port};
use crate::spec::parse::architecture::RawArchitecture;
use std::ops::Range;
use toml::Spanned;

/// Checks that nothing needs to know an address in such a network.
pub(crate) fn check(
    architecture: &Architecture,
    raw: &RawArchitecture,
    context: &Context<'_>,
) -> Result<()> {
    for network in architecture.networks.values().filter(|network| network.dhcp) {
        let in_it = |server: &&Server| server.addresses.contains_key(&network.name);
        for server in architecture.servers.values().filter(in_it) {
            if server.ssh.contains(&network.name) {
                let message = format!(
                    "SSH cannot be offered in {}, which gives its addresses by DHCP",
                    network.name
                );
                return Err(context.sources.error(written(&network.name, raw), message).hint("the firewall lets in a network that it knows: take this one out of `ssh` under [admin]"));
            }
            for port in ports(server, architecture, context) {
                if let Some(named) = names_servers(port, network, architecture) {
                    return Err(known_by_address(server, port, &named, network, raw, context));
                }
            }
        }
    }
    Ok(())
}

pub(super) fn ports<'a>(
    server: &'a Server,
    architecture: &'a Architecture,
    context: &'a Context<'_>,
) -> impl Iterator<Item = &'a Port> {
    let roles = server.roles.iter().filter_map(|role| context.roles.get(role));
    roles.flat_map(|role| &role.ports).filter(|port| port.applies(architecture))
}

/// Whom a port lets in by address, if it listens in `network`.
fn names_servers(port: &Port, network: &Network, of: &Architecture) -> Option<String> {
    let here = match &port.bind {
        Bind::Network(name) => *name == network.name,
        Bind::All => true,
        // A server's SSH is checked by itself; floating addresses are elsewhere.
        Bind::Loopback | Bind::Access | Bind::Floating(_) => false,
    };
    let named = |from: &From| match from {
        From::Any | From::Access => None,
        From::Peers => Some("the other servers of the role".to_owned()),
        // Without a floating address here there is nobody to hold it with.
        From::CoHolders => None,
        From::Network(name) => Some(format!("the network {name}")),
        From::Role(role) if of.with_role(role).next().is_none() => None,
        From::Role(role) => Some(format!("servers with the role `{role}`")),
        From::Server(name) => Some(name.clone()),
    };
    port.from.iter().filter(|_| here).find_map(named)
}

fn known_by_address(
    server: &Server,
    port: &Port,
    named: &str,
    network: &Network,
    raw: &RawArchitecture,
    context: &Context<'_>,
) -> Error {
    let message = format!("the network {} cannot give its addresses by DHCP", network.name);
    context
        .sources
        .error(written(&network.name, raw), message)
        .detail(format!("port `{}` of {} lets in {named}, by address", port.name, server.name))
        .hint("write the addresses that the provider gives; or ask for a network of your own for this one")
}

/// The error for a floating address in such a network.
pub(crate) fn moves(
    floating: &str,
    network: &Network,
    raw: &RawArchitecture,
    context: &Context<'_>,
) -> Error {
    let message = format!(
        "the floating address {floating} cannot be in {}, which gives its addresses by DHCP",
        network.name
    );
    context.sources.error(written(&network.name, raw), message).hint(
        "ask the provider for fixed addresses; or use an architecture that needs none: arch1, arch2, arch5",
    )
}

/// The error for an address written where the network gives them.
pub(crate) fn gives(network: &str, what: &str, span: Range<usize>, context: &Context<'_>) -> Error {
    context
        .sources
        .error(span, format!("the network {network} gives its {what} by DHCP"))
        .hint("take this line out, or `dhcp = true`")
}

/// Where `dhcp = true` is written.
fn written(network: &str, raw: &RawArchitecture) -> Range<usize> {
    let found = raw.networks.iter().find(|(name, _)| name.get_ref() == network);
    found.and_then(|(_, raw)| raw.dhcp.as_ref()).map_or(0..0, Spanned::span)
}
