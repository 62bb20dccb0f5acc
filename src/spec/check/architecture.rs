//! Checks of one architecture: names resolve, addresses fit, nothing is taken twice.

use crate::error::Result;
use crate::names;
use crate::spec::check::addresses::{self, Whose};
use crate::spec::check::admin;
use crate::spec::check::context::{Context, look_up};
use crate::spec::check::dhcp;
use crate::spec::check::outside;
use crate::spec::check::pairs;
use crate::spec::check::prefixes;
use crate::spec::check::routed;
use crate::spec::check::server;
use crate::spec::check::settings;
use crate::spec::model::architecture::{
    Architecture, Endpoints, Floating, Network, Server, Target, Via,
};
use crate::spec::model::settings::StaticFiles;
use crate::spec::model::units::Prefix;
use crate::spec::parse::architecture::{
    Named, RawAddresses, RawArchitecture, RawFloating, RawNetwork,
};
use std::collections::BTreeMap;
use toml::Spanned;

/// Turns `raw`, the architecture `name`, into its checked form.
pub(crate) fn architecture(
    name: &str,
    raw: &RawArchitecture,
    context: &Context<'_>,
) -> Result<Architecture> {
    let networks = networks(raw, context)?;
    prefixes::check(raw, context)?;
    addresses::are_unique(raw, context)?;
    admin::user(&raw.access.admin, context)?;
    raw.dns.iter().try_for_each(|server| outside::dns(server, context.sources))?;
    raw.ntp.iter().try_for_each(|server| outside::ntp(server, context.sources))?;
    let mut servers = BTreeMap::new();
    for (server_name, raw_server) in &raw.servers {
        check_name("server", server_name, context)?;
        let server: Server =
            server::server(name, server_name, raw_server, raw, &networks, context)?;
        servers.insert(server.name.clone(), server);
    }
    let static_files = raw.static_files.as_ref();
    let architecture = Architecture {
        name: name.to_owned(),
        title: raw.title.clone(),
        floating: floating_addresses(raw, &networks, &servers, context)?,
        endpoints: endpoints(raw, context)?,
        admin: raw.access.admin.get_ref().clone(),
        dns: raw.dns.iter().map(|server| *server.get_ref()).collect(),
        ntp: raw.ntp.iter().map(|server| server.get_ref().clone()).collect(),
        timers: settings::timers(raw.timers),
        boot: raw.boot,
        nat: settings::nat(raw.nat.as_ref(), &servers, context)?,
        replication: raw.replication,
        static_files: static_files.map_or_else(
            || Ok(StaticFiles::default()),
            |raw| settings::static_files(raw, context),
        )?,
        networks,
        servers,
    };
    server::nothing_is_taken_twice(&architecture, context)?;
    pairs::pairs(&architecture, raw, context)?;
    dhcp::check(&architecture, raw, context)?;
    routed::check_prefixes(&architecture, raw, context)?;
    Ok(architecture)
}

/// Server and network names become host names and file names.
fn check_name(what: &str, name: &Spanned<String>, context: &Context<'_>) -> Result<()> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let begins = name.get_ref().starts_with(|c: char| c.is_ascii_lowercase());
    if begins && name.get_ref().chars().all(plain) && name.get_ref().len() <= 40 {
        return Ok(());
    }
    let message = format!("`{}` is not a name for a {what}", name.get_ref());
    Err(context.sources.error(name.span(), message).hint("use a-z, 0-9 and `-`, a letter first"))
}

fn networks(raw: &RawArchitecture, context: &Context<'_>) -> Result<BTreeMap<String, Network>> {
    let mut checked = BTreeMap::new();
    let mut interfaces: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, network) in &raw.networks {
        check_name("network", name, context)?;
        check_interface(&network.interface, context)?;
        if let Some(other) = interfaces.insert(network.interface.get_ref(), name.get_ref()) {
            let message =
                format!("`{}` is the network {other} already", network.interface.get_ref());
            return Err(context.sources.error(network.interface.span(), message));
        }
        checked.insert(name.get_ref().clone(), one_network(name, network, context)?);
    }
    Ok(checked)
}

/// The kernel's own names: the command line turns predictable names off.
fn check_interface(interface: &Spanned<String>, context: &Context<'_>) -> Result<()> {
    let number = interface.get_ref().strip_prefix("eth").unwrap_or("");
    if number.len() == 1 && number.chars().all(|c| c.is_ascii_digit()) {
        return Ok(());
    }
    let message = format!("`{}` is not an interface name", interface.get_ref());
    Err(context.sources.error(interface.span(), message).hint("use eth0 to eth9"))
}

fn one_network(name: &Spanned<String>, raw: &RawNetwork, context: &Context<'_>) -> Result<Network> {
    for (prefix, want_v4) in
        raw.v4.iter().map(|p| (p, true)).chain(raw.v6.iter().map(|p| (p, false)))
    {
        if prefix.get_ref().address.is_ipv4() != want_v4 {
            let message = format!("`{}` is of the other IP version", prefix.get_ref());
            return Err(context.sources.error(prefix.span(), message));
        }
    }
    let dhcp = raw.dhcp.as_ref().is_some_and(|dhcp| *dhcp.get_ref());
    let routed = routed::is(raw);
    if raw.v4.is_none() && !dhcp && !routed {
        let message = format!("the network {} has no IPv4 network", name.get_ref());
        return Err(context
            .sources
            .error(name.span(), message)
            .hint("add `v4 = \"192.168.0.0/24\"`, or `dhcp = true` if it gives addresses itself"));
    }
    routed::check(name.get_ref(), raw, context)?;
    addresses::gateways(name.get_ref(), raw, dhcp, context)?;
    let known =
        |prefix: &Option<Spanned<Prefix>>| prefix.as_ref().filter(|_| !dhcp).map(|p| *p.get_ref());
    Ok(Network {
        name: name.get_ref().clone(),
        interface: raw.interface.get_ref().clone(),
        v4: known(&raw.v4),
        v6: known(&raw.v6),
        dhcp,
        routed,
        gateway_v4: raw.gateway_v4.as_ref().map(|gateway| *gateway.get_ref()),
        gateway_v6: raw.gateway_v6.as_ref().map(|gateway| *gateway.get_ref()),
        mtu: raw.mtu,
    })
}

fn floating_addresses(
    raw: &RawArchitecture,
    networks: &BTreeMap<String, Network>,
    servers: &BTreeMap<String, Server>,
    context: &Context<'_>,
) -> Result<BTreeMap<String, Floating>> {
    let mut checked: BTreeMap<String, Floating> = BTreeMap::new();
    for (name, floating) in &raw.floating {
        check_name("floating address", name, context)?;
        let network = look_up("network", &floating.network, networks, context)?;
        if network.dhcp {
            return Err(dhcp::moves(name.get_ref(), network, raw, context));
        }
        if network.routed {
            return Err(routed::moves(name.get_ref(), network, raw, context));
        }
        for server in floating.holders.iter().chain(&floating.real_servers) {
            attached(server, network, servers, context)?;
        }
        let router = floating.router_id.get_ref();
        if let Some(other) = checked.values().find(|other| other.router_id == *router) {
            let message = format!("the router number {router} is not free");
            let hint = format!("{} has it", other.name);
            return Err(context.sources.error(floating.router_id.span(), message).hint(hint));
        }
        checked.insert(name.get_ref().clone(), one_floating(name, floating, network, context)?);
    }
    Ok(checked)
}

fn one_floating(
    name: &Spanned<String>,
    raw: &RawFloating,
    network: &Network,
    context: &Context<'_>,
) -> Result<Floating> {
    let router = *raw.router_id.get_ref();
    if router == 0 {
        let message = "a router number is 1 to 255";
        return Err(context.sources.error(raw.router_id.span(), message));
    }
    if raw.holders.is_empty() || (raw.via == Via::DirectRouting) == raw.real_servers.is_empty() {
        let message = format!("the floating address {} lacks servers", name.get_ref());
        return Err(context.sources.error(name.span(), message).hint(
            "`holders` must name at least one; `real-servers` goes with `via = \"direct-routing\"`",
        ));
    }
    let own = RawAddresses { v4: raw.v4.clone(), v6: raw.v6.clone() };
    let what = format!("the floating address {}", name.get_ref());
    let whose = Whose { what: &what, span: name.span() };
    let names = |list: &[Spanned<String>]| list.iter().map(|s| s.get_ref().clone()).collect();
    Ok(Floating {
        name: name.get_ref().clone(),
        network: network.name.clone(),
        addresses: addresses::of(&own, &whose, network, context)?,
        holders: names(&raw.holders),
        purpose: raw.purpose,
        router_id: router,
        via: raw.via,
        real_servers: names(&raw.real_servers),
    })
}

fn attached(
    server: &Spanned<String>,
    network: &Network,
    servers: &BTreeMap<String, Server>,
    context: &Context<'_>,
) -> Result<()> {
    let found = look_up("server", server, servers, context)?;
    if found.addresses.contains_key(&network.name) {
        return Ok(());
    }
    let message = format!("{} is not in the network {}", found.name, network.name);
    Err(context.sources.error(server.span(), message))
}

fn endpoints(raw: &RawArchitecture, context: &Context<'_>) -> Result<Endpoints> {
    let (reads, writes) = (&raw.endpoints.get_ref().reads, &raw.endpoints.get_ref().writes);
    for target in reads.from.iter().chain(&writes.from) {
        match target {
            Target::Local => {}
            Target::Server(name) => known_target("server", name, &raw.servers, raw, context)?,
            Target::Floating(name) => {
                known_target("floating address", name, &raw.floating, raw, context)?;
            }
        }
    }
    Ok(raw.endpoints.get_ref().clone())
}

fn known_target<T>(
    what: &str,
    name: &str,
    among: &Named<T>,
    raw: &RawArchitecture,
    context: &Context<'_>,
) -> Result<()> {
    if among.keys().any(|key| key.get_ref() == name) {
        return Ok(());
    }
    let known = among.keys().map(|key| key.get_ref().as_str());
    Err(context
        .sources
        .error(raw.endpoints.span(), format!("there is no {what} `{name}` to reach a database at"))
        .hint(names::suggest(name, known)))
}
