//! What `site.toml` adds to an architecture: servers like those that it has, roles and
//! packages on single servers, room for the database.

use crate::error::Result;
use crate::spec::model::architecture::Cache;
use crate::spec::model::units::Size;
use crate::spec::parse::architecture::{
    Named, RawAddresses, RawArchitecture, RawData, RawDiskChange, RawServer,
};
use crate::spec::parse::site::{
    RawDatabase, RawNetworkChange, RawOverride, RawServerChange, RawSite,
};
use crate::spec::source::Sources;
use crate::spec::source::unknown;
use toml::Spanned;

/// Where memcached of the role `cache` listens.
const CACHE_SOCKET: &str = "/run/memcached/memcached.sock";

/// Changes servers and adds new ones.
pub(crate) fn servers(
    change: (&Spanned<String>, &RawOverride),
    architecture: &mut RawArchitecture,
    sources: &Sources,
) -> Result<()> {
    for (name, server) in &change.1.servers {
        match (&server.like, &server.roles) {
            (Some(_), Some(roles)) => {
                let message = "a new server is like another one, or has roles of its own";
                let hint = "keep one of the two; `add-roles` adds to those of `like`";
                return Err(sources.error(roles.span(), message).hint(hint));
            }
            (Some(like), None) => {
                let new = copy(name, like, change, architecture, sources)?;
                architecture.servers.insert(name.clone(), new);
                join(like.get_ref(), name, architecture);
            }
            (None, Some(roles)) => {
                let new = with_roles(name, roles.get_ref(), change, architecture, sources)?;
                architecture.servers.insert(name.clone(), new);
            }
            (None, None) if !architecture.servers.contains_key(name.get_ref().as_str()) => {
                return Err(no_such(name, &architecture.servers, sources));
            }
            (None, None) => {}
        }
        if let Some(own) = architecture.servers.get_mut(name.get_ref().as_str()) {
            lay_over(server, own);
        }
    }
    Ok(())
}

fn no_such(
    name: &Spanned<String>,
    servers: &Named<RawServer>,
    sources: &Sources,
) -> crate::error::Error {
    let known: Vec<String> = servers.keys().map(|key| key.get_ref().clone()).collect();
    let nearest = crate::names::suggest(name.get_ref(), known.iter().map(String::as_str));
    unknown("server", name, &known, sources).hint(format!(
        "{nearest}; a new one says which it is like (`like = \"web2\"`), or its `roles`"
    ))
}

/// Refuses to make a server that is there.
fn must_be_new(
    name: &Spanned<String>,
    hint: &str,
    architecture: &RawArchitecture,
    sources: &Sources,
) -> Result<()> {
    if !architecture.servers.contains_key(name.get_ref().as_str()) {
        return Ok(());
    }
    let message = format!("there is a server `{}` already", name.get_ref());
    Err(sources.error(name.span(), message).hint(hint))
}

/// A server of its own kind, in the networks in which the user gives it addresses.
fn with_roles(
    name: &Spanned<String>,
    roles: &[Spanned<String>],
    (in_name, change): (&Spanned<String>, &RawOverride),
    architecture: &RawArchitecture,
    sources: &Sources,
) -> Result<RawServer> {
    must_be_new(
        name,
        "`roles` makes a new server; `add-roles` adds to those of this one",
        architecture,
        sources,
    )?;
    let Some(written) = change.addresses.get(name.get_ref().as_str()) else {
        let (server, architecture) = (name.get_ref(), in_name.get_ref());
        return Err(sources.error(name.span(), format!("{server} has no addresses")).hint(
            format!(
                "add `[architectures.{architecture}.addresses.{server}.private]` with `v4` and `v6`"
            ),
        ));
    };
    let addresses = written.keys().map(|network| (network.clone(), RawAddresses::default()));
    Ok(RawServer {
        roles: roles.to_vec(),
        addresses: addresses.collect(),
        server_id: None,
        ssh: None,
        disk: None,
        data: None,
        packages: Vec::new(),
    })
}

/// A server with all that `like` has but its addresses, which are the user's.
fn copy(
    name: &Spanned<String>,
    like: &Spanned<String>,
    (in_name, change): (&Spanned<String>, &RawOverride),
    architecture: &RawArchitecture,
    sources: &Sources,
) -> Result<RawServer> {
    must_be_new(
        name,
        "`like` makes a new server: take it out, or give the new one another name",
        architecture,
        sources,
    )?;
    let Some(old) = architecture.servers.get(like.get_ref().as_str()) else {
        let known: Vec<String> =
            architecture.servers.keys().map(|key| key.get_ref().clone()).collect();
        return Err(unknown("server", like, &known, sources));
    };
    let mut new = RawServer { server_id: None, ..old.clone() };
    // The user's addresses are laid over these, which are nobody's.
    new.addresses.values_mut().for_each(|addresses| *addresses = RawAddresses::default());
    let lacking = old.addresses.keys().find(|network| !has_addresses(name, network, change));
    if let Some(network) = lacking.map(Spanned::get_ref) {
        let (server, of, architecture) = (name.get_ref(), like.get_ref(), in_name.get_ref());
        let message = format!("{server} is like {of} and has no addresses in {network}");
        return Err(sources.error(name.span(), message).hint(format!(
            "add `[architectures.{architecture}.addresses.{server}.{network}]` with `v4` and `v6`"
        )));
    }
    Ok(new)
}

/// Whether the user wrote addresses for a new server there, or the network gives them.
fn has_addresses(server: &Spanned<String>, network: &Spanned<String>, of: &RawOverride) -> bool {
    let network = network.get_ref().as_str();
    let dhcp = |change: &RawNetworkChange| change.dhcp.as_ref().is_some_and(|it| *it.get_ref());
    let written = of.addresses.get(server.get_ref().as_str());
    written.is_some_and(|own| own.contains_key(network))
        || of.networks.get(network).is_some_and(dhcp)
}

/// The new server may hold, and answers at, the floating addresses of the old one.
fn join(like: &str, name: &Spanned<String>, architecture: &mut RawArchitecture) {
    for floating in architecture.floating.values_mut() {
        for list in [&mut floating.holders, &mut floating.real_servers] {
            if list.iter().any(|one| one.get_ref() == like) {
                list.push(name.clone());
            }
        }
    }
}

fn lay_over(change: &RawServerChange, server: &mut RawServer) {
    server.roles.extend(change.add_roles.iter().cloned());
    server.packages.extend(change.packages.iter().cloned());
    if change.server_id.is_some() {
        server.server_id.clone_from(&change.server_id);
    }
    if change.ssh.is_some() {
        server.ssh.clone_from(&change.ssh);
    }
    if let Some(disk) = &change.disk {
        let below = server.disk.as_ref().map_or_else(Default::default, |disk| *disk.get_ref());
        server.disk = Some(Spanned::new(disk.span(), sizes_over(below, *disk.get_ref())));
    }
}

fn sizes_over(below: RawDiskChange, above: RawDiskChange) -> RawDiskChange {
    RawDiskChange {
        esp: above.esp.or(below.esp),
        packages: above.packages.or(below.packages),
        configuration: above.configuration.or(below.configuration),
        seed: above.seed.or(below.seed),
        state: above.state.or(below.state),
        smallest: above.smallest.or(below.smallest),
    }
}

/// Tells the application of a cache: servers have one by the role `cache`.
pub(crate) fn cache(change: &RawOverride, architecture: &mut RawArchitecture) {
    let Some(wanted) = &change.cache else { return };
    let mut endpoints = architecture.endpoints.get_ref().clone();
    let socket = endpoints.cache.map_or_else(|| CACHE_SOCKET.to_owned(), |cache| cache.socket);
    endpoints.cache = Some(Cache { socket, seconds: wanted.seconds });
    architecture.endpoints = Spanned::new(architecture.endpoints.span(), endpoints);
}

/// Gives the data volumes the size and the disk that the site wants.
pub(crate) fn database(site: &RawSite, architecture: &mut RawArchitecture) {
    let Some(wanted) = &site.database else { return };
    let whole = *architecture.disk.get_ref();
    for server in architecture.servers.values_mut() {
        let Some(data) = &mut server.data else { continue };
        let old = data.get_ref().clone();
        let new = RawData {
            disk: wanted.disk.clone().unwrap_or_else(|| old.disk.clone()),
            smallest: wanted.size.unwrap_or(old.smallest),
        };
        let disk = server.disk.as_ref().map_or_else(Default::default, |disk| *disk.get_ref());
        if let Some(smallest) = grown(wanted, &old, &new, disk.smallest.unwrap_or(whole.smallest)) {
            let disk = RawDiskChange { smallest: Some(smallest), ..disk };
            let span = server.disk.as_ref().map_or(architecture.disk.span(), Spanned::span);
            server.disk = Some(Spanned::new(span, disk));
        }
        server.data = Some(Spanned::new(data.span(), new));
    }
}

/// The smallest disk, larger by what the data volume grew, where that is on it.
fn grown(wanted: &RawDatabase, old: &RawData, new: &RawData, smallest: Size) -> Option<Size> {
    let more = wanted.size?.bytes().checked_sub(old.smallest.bytes())?;
    (new.disk.get_ref() == "rest" && old.disk.get_ref() == "rest")
        .then(|| Size(smallest.bytes() + more))
}
