//! `site.toml`: the user's facts laid over the architectures, before any check.
//!
//! What is replaced takes its span along, so an address that does not fit is
//! reported where the user wrote it.

use super::model::Site;
use super::raw::{Named, RawArchitecture, RawNetworkChange, RawOverride, RawSite, RawTimers};
use super::source::Sources;
use crate::error::Result;
use crate::names;
use std::collections::BTreeMap;
use toml::Spanned;

/// What the site says about itself.
pub(crate) fn site(raw: &RawSite, sources: &Sources) -> Result<Site> {
    if let Some(version) = &raw.version {
        check_version(version, sources)?;
    }
    let keys = raw.admin.as_ref().map_or(&[][..], |admin| &admin.keys);
    for key in keys {
        check_key(key, sources)?;
    }
    Ok(Site {
        name: raw.name.clone().unwrap_or_else(|| "Demo site".to_owned()),
        domain: raw.domain.clone(),
        version: raw.version.as_ref().map_or("1".to_owned(), |version| version.get_ref().clone()),
        mirror: raw.mirror.clone(),
        admin_keys: keys.iter().map(|key| key.get_ref().trim().to_owned()).collect(),
    })
}

/// os-release(5): lower-case letters, digits, `.`, `_`, `-`.
fn check_version(version: &Spanned<String>, sources: &Sources) -> Result<()> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
    if !version.get_ref().is_empty() && version.get_ref().chars().all(plain) {
        return Ok(());
    }
    Err(sources
        .error(version.span(), "a version has lower-case letters, digits, `.`, `_` and `-` only"))
}

fn check_key(key: &Spanned<String>, sources: &Sources) -> Result<()> {
    let words: Vec<&str> = key.get_ref().split_whitespace().collect();
    let a_key = |word: &&str| word.starts_with("AAAA") && word.len() > 40;
    if words.iter().any(a_key) && !key.get_ref().contains('\n') {
        return Ok(());
    }
    Err(sources
        .error(key.span(), "this is not a public SSH key")
        .hint("paste the line of ~/.ssh/id_ed25519.pub: `ssh-ed25519 AAAA... you@host`"))
}

/// Lays the site over `architectures`.
pub(crate) fn apply(
    site: &RawSite,
    architectures: &mut BTreeMap<String, RawArchitecture>,
    sources: &Sources,
) -> Result<()> {
    for architecture in architectures.values_mut() {
        everywhere(site, architecture);
    }
    for (name, change) in &site.architectures {
        let known: Vec<String> = architectures.keys().cloned().collect();
        let architecture = architectures
            .get_mut(name.get_ref())
            .ok_or_else(|| unknown("architecture", name, &known, sources))?;
        addresses(change, architecture, sources)?;
    }
    Ok(())
}

fn everywhere(site: &RawSite, architecture: &mut RawArchitecture) {
    if let Some(dns) = &site.dns {
        architecture.dns.clone_from(dns);
    }
    if let Some(ntp) = &site.ntp {
        architecture.ntp.clone_from(ntp);
    }
    if let Some(timers) = site.timers {
        architecture.timers = laid_over(architecture.timers, timers);
    }
    let Some(admin) = &site.admin else { return };
    if let Some(user) = &admin.user {
        architecture.access.admin.clone_from(user);
    }
    if let Some(ssh) = &admin.ssh {
        architecture.access.ssh.clone_from(ssh);
        for server in architecture.servers.values_mut() {
            server.ssh = None;
        }
    }
}

fn laid_over(below: RawTimers, above: RawTimers) -> RawTimers {
    RawTimers {
        vrrp_advert_ms: above.vrrp_advert_ms.or(below.vrrp_advert_ms),
        check_ms: above.check_ms.or(below.check_ms),
        check_fall: above.check_fall.or(below.check_fall),
        check_rise: above.check_rise.or(below.check_rise),
        connect_ms: above.connect_ms.or(below.connect_ms),
    }
}

fn addresses(
    change: &RawOverride,
    architecture: &mut RawArchitecture,
    sources: &Sources,
) -> Result<()> {
    for (name, network) in &change.networks {
        replace_network(network, find("network", name, &mut architecture.networks, sources)?);
    }
    for (server, networks) in &change.addresses {
        let server = find("server", server, &mut architecture.servers, sources)?;
        for (network, addresses) in networks {
            let own = find("network", network, &mut server.addresses, sources)?;
            own.v4.clone_from(&addresses.v4);
            own.v6.clone_from(&addresses.v6);
        }
    }
    for (name, addresses) in &change.floating {
        let floating = find("floating address", name, &mut architecture.floating, sources)?;
        floating.v4.clone_from(&addresses.v4);
        floating.v6.clone_from(&addresses.v6);
    }
    nat(change, architecture, sources)
}

fn nat(change: &RawOverride, architecture: &mut RawArchitecture, sources: &Sources) -> Result<()> {
    match (&change.nat, &mut architecture.nat) {
        (Some(wanted), Some(nat)) => nat.enabled = *wanted.get_ref(),
        (Some(wanted), None) => {
            return Err(sources
                .error(wanted.span(), "this architecture has no way out to turn on or off")
                .hint(
                    "only arch1 has one; elsewhere write `[nat]` into a copy of its images/*.toml",
                ));
        }
        (None, _) => {}
    }
    Ok(())
}

fn replace_network(change: &RawNetworkChange, network: &mut super::raw::RawNetwork) {
    if let Some(v4) = &change.v4 {
        network.v4.clone_from(v4);
    }
    if let Some(v6) = &change.v6 {
        network.v6.clone_from(v6);
    }
    network.gateway_v4 = change.gateway_v4.clone().or(network.gateway_v4.take());
    network.gateway_v6 = change.gateway_v6.clone().or(network.gateway_v6.take());
    network.mtu = change.mtu.or(network.mtu);
}

fn find<'a, T>(
    what: &str,
    name: &Spanned<String>,
    among: &'a mut Named<T>,
    sources: &Sources,
) -> Result<&'a mut T> {
    let known: Vec<String> = among.keys().map(|key| key.get_ref().clone()).collect();
    among.get_mut(name).ok_or_else(|| unknown(what, name, &known, sources))
}

/// The error for a name that does not exist, with the nearest that do.
pub(crate) fn unknown(
    what: &str,
    name: &Spanned<String>,
    known: &[String],
    sources: &Sources,
) -> crate::error::Error {
    sources
        .error(name.span(), format!("there is no {what} `{}`", name.get_ref()))
        .hint(names::suggest(name.get_ref(), known.iter().map(String::as_str)))
}
