//! Checks of one server: its roles, addresses and sizes; its ports and files have one owner.

use crate::error::{Error, Result};
use crate::spec::check::addresses::{self, Whose};
use crate::spec::check::context::Context;
use crate::spec::check::context::look_up;
use crate::spec::check::includes;
use crate::spec::model::architecture::{Architecture, Data, DataDisk, Disk, Network, Server};
use crate::spec::model::role::{Bind, Port, Role};
use crate::spec::model::units::Size;
use crate::spec::parse::architecture::{RawArchitecture, RawData, RawDisk, RawServer};
use std::collections::BTreeMap;
use std::ops::Range;
use toml::Spanned;

/// Turns `raw`, the server `name` of `architecture`, into its checked form.
pub(crate) fn server(
    architecture: &str,
    name: &Spanned<String>,
    raw: &RawServer,
    whole: &RawArchitecture,
    networks: &BTreeMap<String, Network>,
    context: &Context<'_>,
) -> Result<Server> {
    let mut addresses = BTreeMap::new();
    for (network, own) in &raw.addresses {
        let network = look_up("network", network, networks, context)?;
        let whose = Whose { what: name.get_ref(), span: name.span() };
        addresses.insert(network.name.clone(), addresses::of(own, &whose, network, context)?);
    }
    let attached: Vec<&String> = addresses.keys().collect();
    let roles = roles(raw, &attached, name.get_ref(), context)?;
    let data = raw.data.as_ref().map(|data| data_volume(data, context)).transpose()?;
    let disk = sizes(raw, whole);
    fits((architecture, name.get_ref()), (disk, data.as_ref()), (raw, whole), context)?;
    Ok(Server {
        name: name.get_ref().clone(),
        image_id: format!("{architecture}-{}", name.get_ref()),
        image_version: context.site.version.clone(),
        roles,
        packages: raw.packages.iter().map(|one| one.get_ref().clone()).collect(),
        ssh: ssh(raw, whole, networks, &attached, context)?,
        server_id: server_id(name, raw, whole, context)?,
        disk,
        data,
        addresses,
    })
}

fn roles(
    raw: &RawServer,
    attached: &[&String],
    server: &str,
    context: &Context<'_>,
) -> Result<Vec<String>> {
    let mut names: Vec<String> = Vec::new();
    for name in &raw.roles {
        look_up("role", name, context.roles, context)?;
        if raw.roles.iter().filter(|one| one.get_ref() == name.get_ref()).count() > 1 {
            let message = format!("duplicate role `{}`", name.get_ref());
            return Err(context.sources.error(name.span(), message));
        }
        let before = names.len();
        includes::add(&mut names, name.get_ref(), context);
        for role in names.iter().skip(before).filter_map(|name| context.roles.get(name)) {
            needs(role, attached, (name.span(), server), context)?;
        }
    }
    Ok(names)
}

fn needs(
    role: &Role,
    attached: &[&String],
    (span, server): (Range<usize>, &str),
    context: &Context<'_>,
) -> Result<()> {
    let Some(lacking) = role.needs.iter().find(|need| !attached.contains(need)) else {
        return Ok(());
    };
    let message = format!("the role `{}` needs the network {lacking}", role.name);
    let hint = format!("give {server} an address: [servers.{server}.addresses.{lacking}]");
    Err(context.sources.error(span, message).hint(hint))
}

/// A server's own list must fit; the architecture's counts as far as it is attached.
fn ssh(
    raw: &RawServer,
    whole: &RawArchitecture,
    networks: &BTreeMap<String, Network>,
    attached: &[&String],
    context: &Context<'_>,
) -> Result<Vec<String>> {
    for network in raw.ssh.iter().flatten().chain(&whole.access.ssh) {
        look_up("network", network, networks, context)?;
    }
    let own = raw.ssh.iter().flatten();
    if let Some(other) = own.clone().find(|network| !attached.contains(&network.get_ref())) {
        let message = format!("this server is not in the network {}", other.get_ref());
        return Err(context.sources.error(other.span(), message));
    }
    let list = raw.ssh.as_ref().unwrap_or(&whole.access.ssh);
    let names = list.iter().map(Spanned::get_ref);
    Ok(names.filter(|network| attached.contains(network)).cloned().collect())
}

fn server_id(
    name: &Spanned<String>,
    raw: &RawServer,
    whole: &RawArchitecture,
    context: &Context<'_>,
) -> Result<Option<u32>> {
    let Some(id) = &raw.server_id else { return Ok(None) };
    let same = whole.servers.iter().find(|(other, server)| {
        *other < name && server.server_id.as_ref().map(Spanned::get_ref) == Some(id.get_ref())
    });
    match same {
        Some((other, _)) => {
            let message =
                format!("the server-id {} is {}'s already", id.get_ref(), other.get_ref());
            Err(context.sources.error(id.span(), message))
        }
        None => Ok(Some(*id.get_ref())),
    }
}

/// The architecture's sizes, and the server's own instead.
fn sizes(raw: &RawServer, whole: &RawArchitecture) -> Disk {
    let own = raw.disk.as_ref().map(Spanned::get_ref);
    let base: &RawDisk = whole.disk.get_ref();
    Disk {
        esp: own.and_then(|own| own.esp).unwrap_or(base.esp),
        packages: own.and_then(|own| own.packages).unwrap_or(base.packages),
        configuration: own.and_then(|own| own.configuration).unwrap_or(base.configuration),
        seed: own.and_then(|own| own.seed).unwrap_or(base.seed),
        state: own.and_then(|own| own.state).unwrap_or(base.state),
        smallest: own.and_then(|own| own.smallest).unwrap_or(base.smallest),
    }
}

/// That a server's partitions fit on its disk.
fn fits(
    (architecture, server): (&str, &str),
    (disk, data): (Disk, Option<&Data>),
    (raw, whole): (&RawServer, &RawArchitecture),
    context: &Context<'_>,
) -> Result<()> {
    if disk.needed(data) <= disk.smallest.bytes() {
        return Ok(());
    }
    let span = raw.disk.as_ref().map_or(whole.disk.span(), Spanned::span);
    let needed = Size(disk.needed(data).next_multiple_of(Size::MIB));
    let has = disk.smallest;
    let message =
        format!("the partitions of {architecture}-{server} need {needed}, the disk has {has}");
    let is_own = raw.disk.as_ref().is_some_and(|own| own.get_ref().smallest.is_some());
    let table = if is_own {
        format!("[architectures.{architecture}.servers.{server}.disk]")
    } else {
        "[disk]".to_owned()
    };
    Err(context.sources.error(span, message).hint(format!(
        "make `smallest` larger (in site.toml: under `{table}`); both slots count, so packages and configuration count twice"
    )))
}

fn data_volume(raw: &Spanned<RawData>, context: &Context<'_>) -> Result<Data> {
    let RawData { disk: written, smallest } = raw.get_ref();
    let disk = match written.get_ref().as_str() {
        "rest" => DataDisk::Rest,
        path if is_disk(path) => DataDisk::Second(path.to_owned()),
        other => {
            let message = format!("`{other}` is neither `rest` nor a disk such as /dev/vdb");
            return Err(context
                .sources
                .error(written.span(), message)
                .hint("write `/dev/NAME`, or `/dev/disk/by-id/NAME`, which stays the same"));
        }
    };
    Ok(Data { disk, smallest: *smallest })
}

/// A name that udev gives: it goes into scripts and units as it is.
fn is_disk(path: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:+=@".contains(c);
    let name = |part: &str| part.starts_with(|c: char| c.is_ascii_alphanumeric());
    let parts: Vec<&str> = path.split('/').collect();
    let right = match parts.as_slice() {
        ["", "dev", disk] => name(disk),
        ["", "dev", "disk", by, disk] => by.strip_prefix("by-").is_some_and(name) && name(disk),
        _ => false,
    };
    right && parts.iter().all(|part| part.chars().all(plain))
}

/// That no two roles of a server want one port, one file or one credential's name.
pub(crate) fn nothing_is_taken_twice(
    architecture: &Architecture,
    context: &Context<'_>,
) -> Result<()> {
    for server in architecture.servers.values() {
        let roles: Vec<&Role> =
            server.roles.iter().filter_map(|name| context.roles.get(name)).collect();
        ports(architecture, server, &roles, context)?;
        files(server, &roles, context)?;
        credentials(&roles, context)?;
    }
    Ok(())
}

fn overlaps(one: &Bind, other: &Bind, server: &Server) -> bool {
    let networks = |bind: &Bind| match bind {
        Bind::All => server.addresses.keys().cloned().collect(),
        Bind::Access => server.ssh.clone(),
        Bind::Network(network) => vec![network.clone()],
        Bind::Loopback | Bind::Floating(_) => Vec::new(),
    };
    let (ours, theirs) = (networks(one), networks(other));
    *one == Bind::All
        || *other == Bind::All
        || one == other
        || ours.iter().any(|network| theirs.contains(network))
}

fn ports(
    architecture: &Architecture,
    server: &Server,
    roles: &[&Role],
    context: &Context<'_>,
) -> Result<()> {
    let mut seen: Vec<(&Role, &Port)> = Vec::new();
    for role in roles {
        for (index, port) in role.ports.iter().enumerate() {
            if !port.applies(architecture) {
                continue;
            }
            let same = seen.iter().find(|(_, other)| {
                (other.number, other.protocol) == (port.number, port.protocol)
                    && overlaps(&other.bind, &port.bind, server)
            });
            let span = || context.spans[&role.name].ports[index].clone();
            if let Some((other, _)) = same {
                let message = format!("port {} of {} is taken twice", port.number, server.image_id);
                let hint = format!("the role `{}` wants it too, on the same address", other.name);
                return Err(context.sources.error(span(), message).hint(hint));
            }
            seen.push((role, port));
        }
    }
    Ok(())
}

/// A path that a role brings.
struct Brought {
    /// On the server.
    path: String,
    /// The overlay's file, or the role's.
    source: String,
    /// Where the role asks for it, if it is a link.
    span: Option<Range<usize>>,
}

fn brought(role: &Role, context: &Context<'_>) -> Vec<Brought> {
    let mut all = Vec::new();
    if let Some(overlay) = &role.overlay {
        let folder = format!("overlays/{overlay}");
        all.extend(context.tree.below(&folder).map(|(below, file)| Brought {
            path: format!("/{}", file.template(below).unwrap_or(below)),
            source: format!("{folder}/{below}"),
            span: None,
        }));
    }
    all.extend(context.spans[&role.name].links.iter().map(|(path, span)| Brought {
        path: path.clone(),
        source: format!("roles/{}.toml", role.name),
        span: Some(span.clone()),
    }));
    all
}

/// Links of Debian's root into /usr: a folder of that name would hide all that is there.
const LINKS: [&str; 4] = ["/bin/", "/lib/", "/lib64/", "/sbin/"];

fn files(server: &Server, roles: &[&Role], context: &Context<'_>) -> Result<()> {
    let mut seen: BTreeMap<String, (&Role, String)> = BTreeMap::new();
    for role in roles {
        for Brought { path, source, span } in brought(role, context) {
            if let Some(link) = LINKS.iter().find(|link| path.starts_with(*link)) {
                let link = link.trim_end_matches('/');
                let message =
                    format!("{path} would hide Debian's {link}, which is a link to /usr{link}");
                let error = match span {
                    Some(span) => context.sources.error(span, message),
                    None => Error::input(message).detail(source),
                };
                return Err(error.hint(format!("name it /usr{path}")));
            }
            let Some((other, before)) = seen.insert(path.clone(), (role, source.clone())) else {
                continue;
            };
            let (id, first, second) = (&server.image_id, &other.name, &role.name);
            let message = format!("two roles of {id} bring {path}: `{first}` and `{second}`");
            let error = match span {
                Some(span) => context.sources.error(span, message),
                None => Error::input(message),
            };
            return Err(error.detail(format!("{before}\n{source}")).hint(
                "keep it in one of the overlays, or use a drop-in file with another name in each",
            ));
        }
    }
    Ok(())
}

fn credentials(roles: &[&Role], context: &Context<'_>) -> Result<()> {
    let mut seen = BTreeMap::new();
    for role in roles {
        for (index, credential) in role.credentials.iter().enumerate() {
            let what = (credential.kind, credential.scope);
            let Some((other, before)) = seen.insert(&credential.name, (role, what)) else {
                continue;
            };
            if before != what {
                let message = format!(
                    "the credential `{}` has another kind or scope in the role `{}`",
                    credential.name, other.name
                );
                let span = context.spans[&role.name].credentials[index].clone();
                return Err(context.sources.error(span, message));
            }
        }
    }
    Ok(())
}
