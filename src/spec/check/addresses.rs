//! Checks of addresses: each is in its network, there are as many as the network calls
//! for, and none is taken twice.

use crate::error::{Error, Result};
use crate::spec::check::context::Context;
use crate::spec::check::dhcp;
use crate::spec::check::routed;
use crate::spec::model::architecture::{Addresses, Network};
use crate::spec::model::units::Prefix;
use crate::spec::parse::architecture::{RawAddresses, RawArchitecture, RawNetwork};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use toml::Spanned;

/// Checks that the gateways of a network are in it.
pub(crate) fn gateways(
    name: &str,
    raw: &RawNetwork,
    dhcp: bool,
    context: &Context<'_>,
) -> Result<()> {
    let four = raw.gateway_v4.iter().map(|gateway| (v4(gateway), gateway.span(), &raw.v4));
    let six = raw.gateway_v6.iter().filter(|gateway| !gateway.get_ref().is_unicast_link_local());
    let six = six.map(|gateway| (v6(gateway), gateway.span(), &raw.v6));
    for (gateway, span, prefix) in four.chain(six) {
        if dhcp {
            return Err(dhcp::gives(name, "gateways", span, context));
        }
        // A routed network's gateway is on the link, whatever its address is.
        if routed::is(raw) {
            continue;
        }
        match prefix {
            Some(prefix) => inside(gateway, span, prefix.get_ref(), name, context)?,
            None => return Err(no_ipv6(name, span, context)),
        }
    }
    match &raw.gateway_v6 {
        Some(gateway) if raw.v6.is_none() && !dhcp && !routed::is(raw) => {
            Err(no_ipv6(name, gateway.span(), context))
        }
        _ => Ok(()),
    }
}

fn no_ipv6(network: &str, span: Range<usize>, context: &Context<'_>) -> Error {
    context
        .sources
        .error(span, format!("the network {network} has no IPv6"))
        .hint(format!("take the address out, or give {network} a `v6`"))
}

fn v4(address: &Spanned<Ipv4Addr>) -> IpAddr {
    (*address.get_ref()).into()
}

fn v6(address: &Spanned<Ipv6Addr>) -> IpAddr {
    (*address.get_ref()).into()
}

/// That an address written at `span` is one of a network's, for a machine.
fn inside(
    address: IpAddr,
    span: Range<usize>,
    prefix: &Prefix,
    network: &str,
    context: &Context<'_>,
) -> Result<()> {
    if !prefix.contains(address) {
        let message = format!("{address} is outside the network {network}");
        return Err(context.sources.error(span, message).hint(format!("{network} is {prefix}")));
    }
    let Some(what) = prefix.reserves(address) else { return Ok(()) };
    let message = format!("{address} is {what} in {network}: no machine can have it");
    Err(context.sources.error(span, message).hint(format!("{network} is {prefix}: take another")))
}

/// That an address of no network can be a machine's.
fn check_single(address: IpAddr, span: Range<usize>, context: &Context<'_>) -> Result<()> {
    match super::outside::nobody(address) {
        None => Ok(()),
        Some(why) => Err(context
            .sources
            .error(span, format!("{address} is no server's address: {why}"))
            .hint("write the address that the provider gave it")),
    }
}

/// Who has addresses, for errors about one that is missing.
pub(crate) struct Whose<'a> {
    /// `web1`, `the floating address web`.
    pub(crate) what: &'a str,
    /// Where it is written.
    pub(crate) span: Range<usize>,
}

/// The addresses, all that `network` calls for, and inside it.
pub(crate) fn of(
    ours: &RawAddresses,
    whose: &Whose<'_>,
    network: &Network,
    context: &Context<'_>,
) -> Result<Addresses> {
    let four = ours.v4.as_ref().map(|own| (v4(own), own.span()));
    let six = ours.v6.as_ref().map(|own| (v6(own), own.span()));
    // Without a prefix, each server's are its own, of the versions that have a gateway.
    let by_itself =
        |version: &str| network.routed && (version == "v4" || network.gateway_v6.is_some());
    for (version, own, prefix) in [("v4", four, &network.v4), ("v6", six, &network.v6)] {
        match (own, prefix) {
            (Some((address, span)), Some(prefix)) => {
                inside(address, span, prefix, &network.name, context)?;
            }
            (Some((_, span)), None) if network.dhcp => {
                return Err(dhcp::gives(&network.name, "addresses", span, context));
            }
            (Some((address, span)), None) if by_itself(version) => {
                check_single(address, span, context)?;
            }
            (None, None) if by_itself(version) => {
                let message = format!("{} has no `{version}` in {}", whose.what, network.name);
                let hint = format!("add the one that the provider gave it: `{version} = ...`");
                return Err(context.sources.error(whose.span.clone(), message).hint(hint));
            }
            (Some((_, span)), None) => return Err(no_ipv6(&network.name, span, context)),
            (None, Some(prefix)) => {
                let message = format!("{} has no `{version}` in {}", whose.what, network.name);
                let hint = format!("add one of {prefix}: `{version} = ...`");
                return Err(context.sources.error(whose.span.clone(), message).hint(hint));
            }
            (None, None) => {}
        }
    }
    let (own_v4, own_v6) = (ours.v4.as_ref(), ours.v6.as_ref());
    Ok(Addresses { v4: own_v4.map(|own| *own.get_ref()), v6: own_v6.map(|own| *own.get_ref()) })
}

/// Checks that no address belongs to two.
pub(crate) fn are_unique(raw: &RawArchitecture, context: &Context<'_>) -> Result<()> {
    let mut all: Vec<(IpAddr, Range<usize>, String)> = Vec::new();
    for (name, network) in &raw.networks {
        let whose = format!("{}'s gateway", name.get_ref());
        all.extend(network.gateway_v4.iter().map(|g| (v4(g), g.span(), whose.clone())));
        // A link-local gateway may be the same on every link.
        let global = network.gateway_v6.iter().filter(|g| !g.get_ref().is_unicast_link_local());
        all.extend(global.map(|g| (v6(g), g.span(), whose.clone())));
    }
    for (name, server) in &raw.servers {
        for (network, pair) in &server.addresses {
            let whose = format!("{} in the network {}", name.get_ref(), network.get_ref());
            all.extend(pair.v4.iter().map(|own| (v4(own), own.span(), whose.clone())));
            all.extend(pair.v6.iter().map(|own| (v6(own), own.span(), whose.clone())));
        }
    }
    for (name, floating) in &raw.floating {
        let whose = format!("the floating address {}", name.get_ref());
        all.extend(floating.v4.iter().map(|own| (v4(own), own.span(), whose.clone())));
        all.extend(floating.v6.iter().map(|own| (v6(own), own.span(), whose.clone())));
    }
    all.sort_by_key(|(_, span, _)| span.start);
    let mut seen: BTreeMap<IpAddr, String> = BTreeMap::new();
    for (address, span, whose) in all {
        if let Some(other) = seen.insert(address, whose) {
            let message = format!("{address} is taken already");
            return Err(context
                .sources
                .error(span, message)
                .hint(format!("it belongs to {other}")));
        }
    }
    Ok(())
}
