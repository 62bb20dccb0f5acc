//! Checks of one architecture: names resolve, addresses fit, nothing is taken twice.

use super::addresses::{self, Whose};
use super::admin;
use super::dhcp;
use super::load::Surroundings;
use super::model::{Architecture, Endpoints, Floating, Network, Server, Target, Via};
use super::outside;
use super::overrides::unknown;
use super::pairs;
use super::prefixes;
use super::raw::{Named, RawAddresses, RawArchitecture, RawFloating, RawNetwork};
use super::settings::{self, StaticFiles};
use super::units::Prefix;
use super::validate_server;
use crate::error::Result;
use crate::names;
use std::collections::BTreeMap;
use toml::Spanned;

/// Turns `raw`, the architecture `name`, into its checked form.
pub(crate) fn architecture(
    name: &str,
    raw: &RawArchitecture,
    around: &Surroundings<'_>,
) -> Result<Architecture> {
    let networks = networks(raw, around)?;
    prefixes::check(raw, around)?;
    addresses::are_unique(raw, around)?;
    admin::user(&raw.access.admin, around)?;
    raw.dns.iter().try_for_each(|server| outside::dns(server, around.sources))?;
    raw.ntp.iter().try_for_each(|server| outside::ntp(server, around.sources))?;
    let mut servers = BTreeMap::new();
    for (server_name, raw_server) in &raw.servers {
        check_name("server", server_name, around)?;
        let server: Server =
            validate_server::server(name, server_name, raw_server, raw, &networks, around)?;
        servers.insert(server.name.clone(), server);
    }
    let static_files = raw.static_files.as_ref();
    let architecture = Architecture {
        name: name.to_owned(),
        title: raw.title.clone(),
        floating: floating_addresses(raw, &networks, &servers, around)?,
        endpoints: endpoints(raw, around)?,
        admin: raw.access.admin.get_ref().clone(),
        dns: raw.dns.iter().map(|server| *server.get_ref()).collect(),
        ntp: raw.ntp.iter().map(|server| server.get_ref().clone()).collect(),
        timers: settings::timers(raw.timers),
        boot: raw.boot,
        nat: settings::nat(raw.nat.as_ref(), &servers, around)?,
        replication: raw.replication,
        static_files: static_files.map_or_else(
            || Ok(StaticFiles::default()),
            |raw| settings::static_files(raw, around),
        )?,
        networks,
        servers,
    };
    validate_server::nothing_is_taken_twice(&architecture, around)?;
    pairs::pairs(&architecture, raw, around)?;
    dhcp::check(&architecture, raw, around)?;
    Ok(architecture)
}

/// Server and network names become host names and file names.
fn check_name(what: &str, name: &Spanned<String>, around: &Surroundings<'_>) -> Result<()> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let begins = name.get_ref().starts_with(|c: char| c.is_ascii_lowercase());
    if begins && name.get_ref().chars().all(plain) && name.get_ref().len() <= 40 {
        return Ok(());
    }
    let message = format!("`{}` is not a name for a {what}", name.get_ref());
    Err(around.sources.error(name.span(), message).hint("use a-z, 0-9 and `-`, a letter first"))
}

fn networks(raw: &RawArchitecture, around: &Surroundings<'_>) -> Result<BTreeMap<String, Network>> {
    let mut checked = BTreeMap::new();
    let mut interfaces: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, network) in &raw.networks {
        check_name("network", name, around)?;
        check_interface(&network.interface, around)?;
        if let Some(other) = interfaces.insert(network.interface.get_ref(), name.get_ref()) {
            let message =
                format!("`{}` is the network {other} already", network.interface.get_ref());
            return Err(around.sources.error(network.interface.span(), message));
        }
        checked.insert(name.get_ref().clone(), one_network(name, network, around)?);
    }
    Ok(checked)
}

/// The kernel's own names: the command line turns predictable names off.
fn check_interface(interface: &Spanned<String>, around: &Surroundings<'_>) -> Result<()> {
    let number = interface.get_ref().strip_prefix("eth").unwrap_or("");
    if number.len() == 1 && number.chars().all(|c| c.is_ascii_digit()) {
        return Ok(());
    }
    let message = format!("`{}` is not an interface name", interface.get_ref());
    Err(around.sources.error(interface.span(), message).hint("use eth0 to eth9"))
}

fn one_network(
    name: &Spanned<String>,
    raw: &RawNetwork,
    around: &Surroundings<'_>,
) -> Result<Network> {
    for (prefix, want_v4) in
        raw.v4.iter().map(|p| (p, true)).chain(raw.v6.iter().map(|p| (p, false)))
    {
        if prefix.get_ref().address.is_ipv4() != want_v4 {
            let message = format!("`{}` is of the other IP version", prefix.get_ref());
            return Err(around.sources.error(prefix.span(), message));
        }
    }
    let dhcp = raw.dhcp.as_ref().is_some_and(|dhcp| *dhcp.get_ref());
    if raw.v4.is_none() && !dhcp {
        let message = format!("the network {} has no IPv4 network", name.get_ref());
        return Err(around
            .sources
            .error(name.span(), message)
            .hint("add `v4 = \"192.168.0.0/24\"`, or `dhcp = true` if it gives addresses itself"));
    }
    addresses::gateways(name.get_ref(), raw, dhcp, around)?;
    let known =
        |prefix: &Option<Spanned<Prefix>>| prefix.as_ref().filter(|_| !dhcp).map(|p| *p.get_ref());
    Ok(Network {
        name: name.get_ref().clone(),
        interface: raw.interface.get_ref().clone(),
        v4: known(&raw.v4),
        v6: known(&raw.v6),
        dhcp,
        gateway_v4: raw.gateway_v4.as_ref().map(|gateway| *gateway.get_ref()),
        gateway_v6: raw.gateway_v6.as_ref().map(|gateway| *gateway.get_ref()),
        mtu: raw.mtu,
    })
}

fn floating_addresses(
    raw: &RawArchitecture,
    networks: &BTreeMap<String, Network>,
    servers: &BTreeMap<String, Server>,
    around: &Surroundings<'_>,
) -> Result<BTreeMap<String, Floating>> {
    let mut checked: BTreeMap<String, Floating> = BTreeMap::new();
    for (name, floating) in &raw.floating {
        check_name("floating address", name, around)?;
        let network = look_up("network", &floating.network, networks, around)?;
        if network.dhcp {
            return Err(dhcp::moves(name.get_ref(), network, raw, around));
        }
        for server in floating.holders.iter().chain(&floating.real_servers) {
            attached(server, network, servers, around)?;
        }
        let router = floating.router_id.get_ref();
        if let Some(other) = checked.values().find(|other| other.router_id == *router) {
            let message = format!("the router number {router} is not free");
            let hint = format!("{} has it", other.name);
            return Err(around.sources.error(floating.router_id.span(), message).hint(hint));
        }
        checked.insert(name.get_ref().clone(), one_floating(name, floating, network, around)?);
    }
    Ok(checked)
}

fn one_floating(
    name: &Spanned<String>,
    raw: &RawFloating,
    network: &Network,
    around: &Surroundings<'_>,
) -> Result<Floating> {
    let router = *raw.router_id.get_ref();
    if router == 0 {
        let message = "a router number is 1 to 255";
        return Err(around.sources.error(raw.router_id.span(), message));
    }
    if raw.holders.is_empty() || (raw.via == Via::DirectRouting) == raw.real_servers.is_empty() {
        let message = format!("the floating address {} lacks servers", name.get_ref());
        return Err(around.sources.error(name.span(), message).hint(
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
        addresses: addresses::of(&own, &whose, network, around)?,
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
    around: &Surroundings<'_>,
) -> Result<()> {
    let found = look_up("server", server, servers, around)?;
    if found.addresses.contains_key(&network.name) {
        return Ok(());
    }
    let message = format!("{} is not in the network {}", found.name, network.name);
    Err(around.sources.error(server.span(), message))
}

/// The entry of `among` that is called `name`.
pub(crate) fn look_up<'a, T>(
    what: &str,
    name: &Spanned<String>,
    among: &'a BTreeMap<String, T>,
    around: &Surroundings<'_>,
) -> Result<&'a T> {
    among.get(name.get_ref()).ok_or_else(|| {
        let known: Vec<String> = among.keys().cloned().collect();
        unknown(what, name, &known, around.sources)
    })
}

fn endpoints(raw: &RawArchitecture, around: &Surroundings<'_>) -> Result<Endpoints> {
    let (reads, writes) = (&raw.endpoints.get_ref().reads, &raw.endpoints.get_ref().writes);
    for target in reads.from.iter().chain(&writes.from) {
        match target {
            Target::Local => {}
            Target::Server(name) => known_target("server", name, &raw.servers, raw, around)?,
            Target::Floating(name) => {
                known_target("floating address", name, &raw.floating, raw, around)?;
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
    around: &Surroundings<'_>,
) -> Result<()> {
    if among.keys().any(|key| key.get_ref() == name) {
        return Ok(());
    }
    let known = among.keys().map(|key| key.get_ref().as_str());
    Err(around
        .sources
        .error(raw.endpoints.span(), format!("there is no {what} `{name}` to reach a database at"))
        .hint(names::suggest(name, known)))
}
