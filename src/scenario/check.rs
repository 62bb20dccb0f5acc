//! Checks a scenario against its architecture: every name leads somewhere.

use super::Name;
use super::alias::Alias;
use super::promises::Promises;
use super::url::Host;
use crate::error::{Error, Result};
use crate::names;
use crate::spec::source::Sources;
use crate::spec::{Architecture, Floating, Network};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Range;

/// A scenario's file being checked.
pub(super) struct Checker<'a> {
    pub(super) sources: &'a Sources,
    pub(super) architecture: &'a Architecture,
    pub(super) promises: &'a Promises,
    /// The aliases of the file.
    pub(super) aliases: &'a BTreeMap<Name, Alias>,
    /// The names of its loads.
    pub(super) loads: Vec<&'a str>,
    /// Of those whose requests have numbers.
    pub(super) numbers: Vec<&'a str>,
}

impl Checker<'_> {
    pub(super) fn promise(&self, name: &Name) -> Result<()> {
        if self.promises.get(name.get_ref()).is_some() {
            return Ok(());
        }
        let known: Vec<&str> = self.promises.numbers().collect();
        let typed = name.get_ref();
        // All numbers are alike: the nearest ones by letters help nobody.
        let same = |known: &&str| known.split('.').next() == typed.split('.').next();
        let near: Vec<&str> = known.iter().copied().filter(same).collect();
        let list = if near.is_empty() { known } else { near };
        let message = format!("there is no promise `{typed}`");
        Err(self.sources.error(name.span(), message).hint(format!("known: {}", list.join(", "))))
    }

    pub(super) fn alias(&self, name: &Name, alias: &Alias) -> Result<()> {
        let taken = self.architecture.servers.contains_key(name.get_ref())
            || name.get_ref() == super::CLIENTS;
        if taken {
            let message = format!("the alias `{}` has a machine's name", name.get_ref());
            let hint = "name an alias after what it does, such as `active` or `standby`";
            return Err(self.sources.error(name.span(), message).hint(hint));
        }
        let floating = self.floating(alias.floating())?;
        if let (Alias::StandbyOf(_), [only]) = (alias, floating.holders.as_slice()) {
            let message = format!("only {only} may hold `{}`: it has no standby", floating.name);
            let hint = "a standby is a second of the address's `holders`";
            return Err(self.sources.error(alias.floating().span(), message).hint(hint));
        }
        Ok(())
    }

    /// A machine, or an alias.
    pub(super) fn machine(&self, name: &Name) -> Result<()> {
        let machines = || self.architecture.servers.keys().map(String::as_str);
        let aliases = || self.aliases.keys().map(|name| name.get_ref().as_str());
        self.known(name, "machine", &machines().chain(aliases()).collect::<Vec<_>>())
    }

    /// A machine or the web clients.
    pub(super) fn member(&self, name: &Name) -> Result<()> {
        if name.get_ref() == super::CLIENTS { Ok(()) } else { self.machine(name) }
    }

    /// A network.
    pub(super) fn network(&self, name: &Name) -> Result<&Network> {
        let networks = &self.architecture.networks;
        self.known(name, "network", &networks.keys().map(String::as_str).collect::<Vec<_>>())?;
        networks.get(name.get_ref()).ok_or_else(|| self.lost(name))
    }

    /// A floating address.
    pub(super) fn floating(&self, name: &Name) -> Result<&Floating> {
        let all = &self.architecture.floating;
        if all.is_empty() {
            let message = format!("{} has no floating address", self.architecture.name);
            return Err(self.sources.error(name.span(), message));
        }
        self.known(name, "floating address", &all.keys().map(String::as_str).collect::<Vec<_>>())?;
        all.get(name.get_ref()).ok_or_else(|| self.lost(name))
    }

    /// A load of this file.
    pub(super) fn load(&self, name: &Name) -> Result<()> {
        let loads = &self.loads;
        if loads.is_empty() {
            let typed = name.get_ref();
            return Err(self.sources.error(name.span(), "this scenario has no load").hint(
                format!("describe it: `[loads.{typed}]` with `url`, `per-second`, `deadline`"),
            ));
        }
        self.known(name, "load", loads)
    }

    /// A machine that is on a network: every machine that the alias may mean is.
    pub(super) fn link(&self, machine: &Name, network: &Name) -> Result<()> {
        self.machine(machine)?;
        self.network(network)?;
        self.attached(network.span(), machine.get_ref(), network.get_ref())
    }

    /// The host of a URL.
    pub(super) fn host(&self, span: Range<usize>, host: &Host) -> Result<()> {
        match host {
            Host::Address(address) if self.is_on_a_network(*address) => Ok(()),
            Host::Website if Host::website(self.architecture).is_some() => Ok(()),
            Host::Floating(name) if self.architecture.floating.contains_key(name) => Ok(()),
            Host::Server { name, network } if self.is_machine(name) => {
                if self.architecture.networks.contains_key(network) {
                    return self.attached(span, name, network);
                }
                self.no_host(span, host)
            }
            Host::Website | Host::Floating(_) | Host::Server { .. } | Host::Address(_) => {
                self.no_host(span, host)
            }
        }
    }

    fn is_on_a_network(&self, address: IpAddr) -> bool {
        let networks = self.architecture.networks.values();
        let mut prefixes = networks.flat_map(|network| network.v4.into_iter().chain(network.v6));
        prefixes.any(|prefix| prefix.contains(address))
    }

    pub(super) fn attached(&self, span: Range<usize>, machine: &str, network: &str) -> Result<()> {
        let meant = self.meant(machine);
        let servers = meant.iter().filter_map(|name| self.architecture.servers.get(*name));
        for server in servers {
            if !server.addresses.contains_key(network) {
                let message = format!("{} is not on the {network} network", server.name);
                let own: Vec<&str> = server.addresses.keys().map(String::as_str).collect();
                let hint = format!("{} is on: {}", server.name, own.join(", "));
                return Err(self.sources.error(span, message).hint(hint));
            }
        }
        Ok(())
    }

    /// The machines that a name may mean.
    fn meant<'a>(&'a self, name: &'a str) -> Vec<&'a str> {
        let alias = self.aliases.iter().find(|(alias, _)| alias.get_ref() == name);
        let floating =
            alias.and_then(|(_, alias)| self.architecture.floating.get(alias.floating().get_ref()));
        match floating {
            Some(floating) => floating.holders.iter().map(String::as_str).collect(),
            None => vec![name],
        }
    }

    fn is_machine(&self, name: &str) -> bool {
        self.architecture.servers.contains_key(name)
            || self.aliases.keys().any(|alias| alias.get_ref() == name)
    }

    fn no_host(&self, span: Range<usize>, host: &Host) -> Result<()> {
        let floating = self.architecture.floating.keys().cloned();
        let own = self.architecture.servers.values().flat_map(|server| {
            server.addresses.keys().map(move |network| format!("{}.{network}", server.name))
        });
        let known: Vec<String> = floating.chain(own).collect();
        let message = format!("nothing is called `{host}`");
        let hint = names::suggest(&host.to_string(), known.iter().map(String::as_str));
        Err(self.sources.error(span, message).hint(hint))
    }

    fn known(&self, name: &Name, what: &str, known: &[&str]) -> Result<()> {
        let typed = name.get_ref().as_str();
        if known.contains(&typed) {
            return Ok(());
        }
        let owner = if what == "load" { "this scenario" } else { &self.architecture.name };
        let message = format!("{owner} has no {what} `{typed}`");
        let hint = names::suggest(typed, known.iter().copied());
        Err(self.sources.error(name.span(), message).hint(hint))
    }

    /// A file's whole path.
    pub(super) fn path(&self, path: &Name) -> Result<()> {
        if path.get_ref().starts_with('/') {
            return Ok(());
        }
        let message = format!("`{}` is not a whole path", path.get_ref());
        Err(self.sources.error(path.span(), message).hint("paths on a machine start with `/`"))
    }

    fn lost(&self, name: &Name) -> Error {
        self.sources.error(name.span(), format!("`{}` is not known", name.get_ref()))
    }
}
