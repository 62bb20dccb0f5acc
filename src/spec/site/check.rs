//! What the site says about itself, checked: names, keys, archives other than Debian's.

use crate::error::Result;
use crate::spec::check::outside::ends_in_a_number;
use crate::spec::model::site::{AptSource, Site};
use crate::spec::parse::site::{RawSite, RawSource};
use crate::spec::site::ssh_key;
use crate::spec::source::Sources;
use crate::spec::tree::Tree;
use std::collections::BTreeMap;
use std::net::IpAddr;
use toml::Spanned;

/// Ids of archives that mean something already.
const TAKEN: [&str; 4] = ["debian", "debian-security", "built-in", "local"];

/// What the site says about itself.
pub(crate) fn site(raw: &RawSite, tree: &Tree, sources: &Sources) -> Result<Site> {
    if let Some(name) = &raw.name {
        check_name(name, sources)?;
    }
    if let Some(version) = &raw.version {
        check_version(version, sources)?;
    }
    check_domains(&raw.domains, sources)?;
    let keys = raw.admin.as_ref().map_or(&[][..], |admin| &admin.keys);
    for key in keys {
        ssh_key::check(key, sources)?;
    }
    let mut archives = BTreeMap::new();
    for (name, source) in &raw.sources {
        archives.insert(name.get_ref().clone(), apt_source(name, source, tree, sources)?);
    }
    if let Some(mirror) = &raw.mirror {
        check_url(mirror, sources)?;
    }
    if let Some(web_root) = &raw.web_root {
        check_web_root(web_root, raw.content.is_some(), sources)?;
    }
    let web_root = raw.web_root.as_ref().map(|folder| folder.get_ref().clone());
    Ok(Site {
        web_root: web_root.unwrap_or_default(),
        has_content: raw.content.is_some(),
        name: raw.name.as_ref().map_or("Demo site".to_owned(), |name| name.get_ref().clone()),
        domains: raw.domains.iter().map(|domain| domain.get_ref().clone()).collect(),
        version: raw.version.as_ref().map_or("1".to_owned(), |version| version.get_ref().clone()),
        mirror: raw.mirror.as_ref().map(|mirror| mirror.get_ref().clone()),
        sources: archives,
        admin_from: raw.admin.as_ref().map_or(Vec::new(), |admin| admin.from.clone()),
        admin_keys: keys.iter().map(|key| key.get_ref().trim().to_owned()).collect(),
    })
}

/// It stands between quotes in an INI file, where these mean something.
fn check_name(name: &Spanned<String>, sources: &Sources) -> Result<()> {
    let special = |c: char| c.is_control() || "\"\\$".contains(c);
    let Some(bad) = name.get_ref().chars().find(|c| special(*c)) else { return Ok(()) };
    Err(sources
        .error(name.span(), format!("the site's name has the character {bad:?}"))
        .hint("use typographic quotes; `\\`, `$` and control characters have no place in it"))
}

/// os-release(5): lower-case letters, digits, `.`, `_`, `-`.
fn check_version(version: &Spanned<String>, sources: &Sources) -> Result<()> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
    if !version.get_ref().is_empty() && version.get_ref().chars().all(plain) {
        return Ok(());
    }
    Err(sources
        .error(version.span(), "a version has lower-case letters, digits, `.`, `_` and `-` only")
        .hint("a date or a number is usual: `2026-11-24`, `1.2`"))
}

fn check_web_root(web_root: &Spanned<String>, content: bool, sources: &Sources) -> Result<()> {
    if !content {
        return Err(sources
            .error(web_root.span(), "there is no `content` that this folder could be in")
            .hint("`web-root` is a folder below your website's: add `content = \"website\"`"));
    }
    check_path_part(web_root, "folder below the site", sources)
}

fn check_domains(domains: &[Spanned<String>], sources: &Sources) -> Result<()> {
    for (index, domain) in domains.iter().enumerate() {
        check_domain(domain, sources)?;
        if domains[..index].iter().any(|before| before.get_ref() == domain.get_ref()) {
            let message = format!("duplicate domain `{}`", domain.get_ref());
            return Err(sources.error(domain.span(), message).hint("take one of the two out"));
        }
    }
    Ok(())
}

/// It goes into certificates and nginx's configuration.
fn check_domain(domain: &Spanned<String>, sources: &Sources) -> Result<()> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let label = |label: &str| {
        let edge = label.starts_with('-') || label.ends_with('-');
        !label.is_empty() && label.len() <= 63 && label.chars().all(plain) && !edge
    };
    let name = domain.get_ref();
    let wrong = |what: &str| sources.error(domain.span(), format!("`{name}` is {what}"));
    if ends_in_a_number(name) || name.parse::<IpAddr>().is_ok() {
        return Err(wrong("an address, not a DNS name").hint(
            "write the name that visitors type; addresses stand under `[architectures.archN]`",
        ));
    }
    let plain_name = name.len() <= 253 && name.split('.').all(label);
    if plain_name && name.contains('.') {
        return Ok(());
    }
    if plain_name {
        return Err(wrong("not a whole DNS name: it has no dot")
            .hint("write all of it, with the domain: `www.example.org`"));
    }
    if let Some(long) = name.split('.').find(|part| part.len() > 63) {
        return Err(wrong("not a DNS name: one of its parts is too long").hint(format!(
            "a part has 63 characters at most, and `{}...` has {}",
            long.chars().take(12).collect::<String>(),
            long.len()
        )));
    }
    if name.len() > 253 {
        return Err(
            wrong("not a DNS name: it is too long").hint("a name has 253 characters at most")
        );
    }
    if name.contains('*') {
        return Err(wrong("a wildcard, not a DNS name").hint(
            "name each that visitors type; a certificate of your own may have a wildcard all the same",
        ));
    }
    if name.chars().any(|letter| letter.is_ascii_uppercase()) {
        return Err(
            wrong("not in lower case").hint(format!("write `{}`", name.to_ascii_lowercase()))
        );
    }
    Err(wrong("not a DNS name")
        .hint("write it in lower case, without `https://` and `/`: `www.example.org`; other letters as `xn--...`"))
}

fn apt_source(
    name: &Spanned<String>,
    raw: &RawSource,
    tree: &Tree,
    sources: &Sources,
) -> Result<AptSource> {
    check_archive_id(name, sources)?;
    let main = || vec!["main".to_owned()];
    let components = raw.components.as_ref();
    for (text, what) in std::iter::once((&raw.suite, "suite"))
        .chain(components.into_iter().flatten().map(|one| (one, "component")))
    {
        check_path_part(text, what, sources)?;
    }
    check_url(&raw.url, sources)?;
    if tree.get(raw.key.get_ref()).is_none() {
        let message = format!("there is no file {}", raw.key.get_ref());
        return Err(sources.error(raw.key.span(), message).hint(
            "save the OpenPGP key that signs the archive (`gpg --export --armor KEY`) next to site.toml, and name the file here",
        ));
    }
    Ok(AptSource {
        url: raw.url.get_ref().trim_end_matches('/').to_owned(),
        suite: raw.suite.get_ref().clone(),
        components: components
            .map_or_else(main, |list| list.iter().map(|one| one.get_ref().clone()).collect()),
        key: raw.key.get_ref().clone(),
        place: sources.place(&name.span()),
    })
}

fn check_url(url: &Spanned<String>, sources: &Sources) -> Result<()> {
    if ["http://", "https://", "file:///"].iter().any(|scheme| url.get_ref().starts_with(scheme)) {
        return Ok(());
    }
    Err(sources
        .error(url.span(), format!("`{}` is not an archive's URL", url.get_ref()))
        .hint("it begins with http://, https:// or file:///, and `dists/` is below it"))
}

fn check_archive_id(name: &Spanned<String>, sources: &Sources) -> Result<()> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let id = name.get_ref();
    if TAKEN.contains(&id.as_str()) {
        let message = format!("the archive id `{id}` is taken");
        return Err(sources.error(name.span(), message).hint("give your source another name"));
    }
    if !id.is_empty() && id.chars().all(plain) {
        return Ok(());
    }
    Err(sources
        .error(name.span(), format!("`{id}` is not a name for a source"))
        .hint("use a-z, 0-9 and `-`: it stands in imagebuild.lock"))
}

/// It becomes a part of paths below the archive's root.
fn check_path_part(text: &Spanned<String>, what: &str, sources: &Sources) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._/".contains(c);
    let parts =
        |text: &str| text.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    if text.get_ref().chars().all(plain) && parts(text.get_ref()) {
        return Ok(());
    }
    Err(sources
        .error(text.span(), format!("`{}` is not a {what}", text.get_ref()))
        .hint("use letters, digits, `-`, `.`, `_`, and `/` between parts"))
}
