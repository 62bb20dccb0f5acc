//! Checks of a role by itself: its overlay exists, what it names exists.

use crate::error::Result;
use crate::names;
use crate::spec::check::context::RoleSpans;
use crate::spec::model::role::{Bind, From, Port, Protocol, Role, Validator};
use crate::spec::parse::architecture::{Named, RawArchitecture};
use crate::spec::parse::role::RawRole;
use crate::spec::source::{Sources, unknown};
use crate::spec::tree::Tree;
use std::collections::{BTreeMap, BTreeSet};
use toml::Spanned;

/// Checks `raw`, the role `name` among the roles `known`.
pub(crate) fn role(
    name: &str,
    raw: RawRole,
    known: &[String],
    tree: &Tree,
    sources: &Sources,
) -> Result<(Role, RoleSpans)> {
    let overlay = overlay(name, raw.overlay.as_ref(), tree, sources)?;
    for path in raw.modes.keys() {
        check_mode(path, overlay.as_deref(), tree, sources)?;
    }
    if let Some(included) = raw.includes.iter().find(|one| !known.contains(one.get_ref())) {
        return Err(unknown("role", included, known, sources));
    }
    for port in &raw.ports {
        check_port(port, known, sources)?;
    }
    if let Some(path) = raw.links.keys().find(|path| !path.get_ref().starts_with('/')) {
        return Err(sources.error(path.span(), "a link's path must begin with `/`"));
    }
    for validator in &raw.validators {
        let Validator { covers, reads, .. } = validator.get_ref();
        if let Some(path) = covers.iter().chain(reads).find(|path| !path.starts_with('/')) {
            let message = format!("`{path}`, which a validator reads, must begin with `/`");
            return Err(sources.error(validator.span(), message));
        }
    }
    let spans = RoleSpans {
        ports: raw.ports.iter().map(Spanned::span).collect(),
        credentials: raw.credentials.iter().map(Spanned::span).collect(),
        packages: raw.packages.iter().map(Spanned::span).collect(),
        includes: raw.includes.iter().map(Spanned::span).collect(),
        links: raw.links.keys().map(|key| (key.get_ref().clone(), key.span())).collect(),
    };
    Ok((checked(name, raw, overlay), spans))
}

fn checked(name: &str, raw: RawRole, overlay: Option<String>) -> Role {
    Role {
        name: name.to_owned(),
        description: raw.description,
        includes: raw.includes.into_iter().map(Spanned::into_inner).collect(),
        packages: raw.packages.into_iter().map(Spanned::into_inner).collect(),
        needs: raw.needs,
        users: raw.users,
        groups: raw.groups,
        units: raw.units,
        masks: raw.masks,
        ports: raw.ports.into_iter().map(Spanned::into_inner).collect(),
        overlay,
        modes: raw.modes.into_iter().map(|(key, mode)| (key.into_inner(), mode)).collect(),
        links: raw.links.into_iter().map(|(key, target)| (key.into_inner(), target)).collect(),
        munin: raw.munin,
        slot_var: raw.slot_var,
        credentials: raw.credentials.into_iter().map(Spanned::into_inner).collect(),
        validators: raw.validators.into_iter().map(Spanned::into_inner).collect(),
        checks: raw.checks,
    }
}

fn overlay(
    name: &str,
    written: Option<&Spanned<String>>,
    tree: &Tree,
    sources: &Sources,
) -> Result<Option<String>> {
    let folder = written.map_or(name, |written| written.get_ref());
    let exists = tree.below(&format!("overlays/{folder}")).next().is_some();
    match written {
        Some(written) if !exists => {
            let known: Vec<&str> = tree
                .below("overlays")
                .filter_map(|(path, _)| Some(path.split_once('/')?.0))
                .collect();
            let error =
                sources.error(written.span(), format!("there is no folder overlays/{folder}"));
            let near = names::nearest(folder, dedup(known));
            Err(match near.first() {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error.hint("make the folder with a file in it, or leave `overlay` out"),
            })
        }
        _ => Ok(exists.then(|| folder.to_owned())),
    }
}

fn dedup(mut names: Vec<&str>) -> Vec<&str> {
    names.dedup();
    names
}

fn check_mode(
    path: &Spanned<String>,
    overlay: Option<&str>,
    tree: &Tree,
    sources: &Sources,
) -> Result<()> {
    let at = |ending| overlay.map(|folder| format!("overlays/{folder}{}{ending}", path.get_ref()));
    let found = [at(""), at(".j2")].into_iter().flatten().any(|path| tree.get(&path).is_some());
    if found {
        return Ok(());
    }
    let message = format!("`{}` is not a file of this role's overlay", path.get_ref());
    Err(sources.error(path.span(), message).hint("write the path as on the server: /etc/..."))
}

fn check_port(port: &Spanned<Port>, known: &[String], sources: &Sources) -> Result<()> {
    let inner = port.get_ref();
    let in_from = inner.from.iter().filter_map(|from| match from {
        From::Role(role) => Some(role),
        From::Any
        | From::Access
        | From::Peers
        | From::CoHolders
        | From::Network(_)
        | From::Server(_) => None,
    });
    for role in in_from.chain(&inner.with_role).chain(&inner.without_roles) {
        if !known.contains(role) {
            let hint = names::suggest(role, known.iter().map(String::as_str));
            let message = format!("there is no role `{role}`");
            return Err(sources.error(port.span(), message).hint(hint));
        }
    }
    if (inner.number == 0) != (inner.protocol == Protocol::Vrrp) {
        let message = format!("the port `{}` must have a number, and vrrp none", inner.name);
        return Err(sources.error(port.span(), message));
    }
    Ok(())
}

/// Checks that networks and servers, which ports name, are there in some architecture.
pub(crate) fn names_of_ports(
    roles: &BTreeMap<String, Role>,
    spans: &BTreeMap<String, RoleSpans>,
    architectures: &BTreeMap<String, RawArchitecture>,
    sources: &Sources,
) -> Result<()> {
    let all = || architectures.values();
    let networks: BTreeSet<&str> = all().flat_map(|one| names_in(&one.networks)).collect();
    let servers: BTreeSet<&str> = all().flat_map(|one| names_in(&one.servers)).collect();
    for (name, role) in roles {
        for (port, span) in role.ports.iter().zip(&spans[name].ports) {
            for (what, named) in named_by(port) {
                let known = if what == "network" { &networks } else { &servers };
                if !known.contains(named) {
                    let message = format!("no architecture has a {what} `{named}`");
                    let hint = names::suggest(named, known.iter().copied());
                    return Err(sources.error(span.clone(), message).hint(hint));
                }
            }
        }
    }
    Ok(())
}

fn names_in<T>(named: &Named<T>) -> impl Iterator<Item = &str> {
    named.keys().map(|name| name.get_ref().as_str())
}

/// The networks and servers that a port names.
fn named_by(port: &Port) -> Vec<(&'static str, &str)> {
    let bind = match &port.bind {
        Bind::Network(name) => Some(("network", name.as_str())),
        Bind::All | Bind::Loopback | Bind::Access | Bind::Floating(_) => None,
    };
    let from = port.from.iter().filter_map(|from| match from {
        From::Network(name) => Some(("network", name.as_str())),
        From::Server(name) => Some(("server", name.as_str())),
        From::Any | From::Access | From::Peers | From::CoHolders | From::Role(_) => None,
    });
    bind.into_iter().chain(from).collect()
}
