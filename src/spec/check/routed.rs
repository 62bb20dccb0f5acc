//! Networks that are no Ethernet, as Hetzner Cloud's: all packets go through the gateway, which
//! alone answers ARP, and a server has its address by itself.

use crate::error::{Error, Result};
use crate::spec::check::context::Context;
use crate::spec::check::dhcp;
use crate::spec::model::architecture::{Architecture, Network};
use crate::spec::model::role::From;
use crate::spec::parse::architecture::{RawArchitecture, RawNetwork};
use std::ops::Range;
use toml::Spanned;

/// Whether the network is one.
pub(crate) fn is(raw: &RawNetwork) -> bool {
    raw.routed.as_ref().is_some_and(|routed| *routed.get_ref())
}

/// Checks what a routed network cannot do without.
pub(crate) fn check(name: &str, raw: &RawNetwork, context: &Context<'_>) -> Result<()> {
    let Some(routed) = raw.routed.as_ref().filter(|routed| *routed.get_ref()) else {
        return Ok(());
    };
    if raw.dhcp.as_ref().is_some_and(|dhcp| *dhcp.get_ref()) {
        let message = format!("the network {name} is `routed`, and gives its addresses by DHCP");
        return Err(context.sources.error(routed.span(), message).hint(
            "take out one of them: a routed network's addresses are known before, and written",
        ));
    }
    if raw.gateway_v4.is_none() {
        let message = format!("the network {name} is `routed`, and has no gateway");
        return Err(context.sources.error(routed.span(), message).hint(
            "add `gateway-v4`, through which all packets go; it may be outside the network, as Hetzner Cloud's 172.31.1.1",
        ));
    }
    if raw.v6.is_some() && raw.gateway_v6.is_none() {
        let message = format!("the network {name} is `routed`, and has no gateway for IPv6");
        return Err(context
            .sources
            .error(routed.span(), message)
            .hint("add `gateway-v6`, often \"fe80::1\", or write `v6 = \"none\"`"));
    }
    Ok(())
}

/// Checks that who lets a whole network in knows what that is.
pub(crate) fn check_prefixes(
    architecture: &Architecture,
    raw: &RawArchitecture,
    context: &Context<'_>,
) -> Result<()> {
    let nameless = |network: &&Network| network.routed && network.v4.is_none();
    for network in architecture.networks.values().filter(nameless) {
        let from = From::Network(network.name.clone());
        for server in architecture.servers.values() {
            let mut ports = dhcp::ports(server, architecture, context);
            let Some(port) = ports.find(|port| port.from.contains(&from)) else { continue };
            let message = format!("the routed network {} has no prefix", network.name);
            return Err(context
                .sources
                .error(written(&network.name, raw), message)
                .detail(format!("port `{}` of {} lets in all of it", port.name, server.name))
                .hint("add the provider's: `v4 = \"10.0.0.0/16\"`"));
        }
    }
    Ok(())
}

/// The error for a floating address in such a network.
pub(crate) fn moves(
    floating: &str,
    network: &Network,
    raw: &RawArchitecture,
    context: &Context<'_>,
) -> Error {
    let message = format!(
        "the floating address {floating} cannot move in {}, which is routed: nobody there learns of a new holder",
        network.name
    );
    // Architecture 5's databases share an address in private.
    let without = if network.name == "public" { "arch1, arch2, arch5" } else { "arch1, arch2" };
    context.sources.error(written(&network.name, raw), message).hint(format!(
        "the provider's API would have to move it, which imagebuild cannot ask for yet; use an architecture that needs none there: {without}"
    ))
}

/// Where `routed = true` is written.
fn written(network: &str, raw: &RawArchitecture) -> Range<usize> {
    let found = raw.networks.iter().find(|(name, _)| name.get_ref() == network);
    found.and_then(|(_, raw)| raw.routed.as_ref()).map_or(0..0, Spanned::span)
}
