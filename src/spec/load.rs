//! From the tree to the spec: which file is read as what, in which order.

use crate::error::{Error, Place, Result};
use crate::spec::check::architecture;
use crate::spec::check::context::{Context, RoleSpans};
use crate::spec::check::includes;
use crate::spec::check::role;
use crate::spec::model::architecture::{Architecture, Spec};
use crate::spec::model::role::Role;
use crate::spec::parse::architecture::RawArchitecture;
use crate::spec::parse::role::RawRole;
use crate::spec::parse::site::RawSite;
use crate::spec::site::check as site_check;
use crate::spec::site::external;
use crate::spec::site::overrides;
use crate::spec::source::{Sources, unknown};
use crate::spec::tree::{Tree, check_overlays};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use toml::Spanned;

impl Spec {
    /// Reads and checks the project in `project`.
    ///
    /// # Errors
    /// With file, line and column of the first thing that is wrong.
    pub fn read(project: &Path) -> Result<Spec> {
        let mut tree = Tree::read(project)?;
        let debs = external::lay_over(project, &mut tree)?;
        let spec = Spec::load(tree)?;
        let used = spec.roles.values().filter_map(|role| role.overlay.as_deref());
        check_overlays(project, &used.collect())?;
        Ok(Spec { debs, ..spec })
    }

    /// Checks the project in `tree`.
    ///
    /// # Errors
    /// With file, line and column of the first thing that is wrong.
    pub fn load(tree: Tree) -> Result<Spec> {
        let mut sources = Sources::default();
        let (mut roles, spans) = load_roles(&tree, &mut sources)?;
        includes::check(&roles, &spans, &sources)?;
        let raw_site = load_site(&tree, &mut sources)?;
        let mut raw_architectures = load_images(&tree, &mut sources)?;
        let site = site_check::site(&raw_site, &tree, &sources)?;
        let mut asked = Asked { sources: &sources, places: BTreeMap::new() };
        for (name, role) in &roles {
            asked.add(role.packages.iter().zip(&spans[name].packages));
        }
        site_roles(&raw_site, &mut roles, &mut asked)?;
        overrides::apply(&raw_site, &mut raw_architectures, &sources)?;
        let context =
            Context { sources: &sources, roles: &roles, spans: &spans, tree: &tree, site: &site };
        let mut architectures = BTreeMap::new();
        for (name, raw) in &raw_architectures {
            for server in raw.servers.values() {
                asked.add_written(&server.packages);
            }
            let architecture: Architecture = architecture::architecture(name, raw, &context)?;
            architectures.insert(name.clone(), architecture);
        }
        role::names_of_ports(&roles, &spans, &raw_architectures, &sources)?;
        let asked = asked.places;
        Ok(Spec { architectures, roles, site, tree, asked, debs: Vec::new() })
    }
}

/// Where packages are asked for.
struct Asked<'a> {
    sources: &'a Sources,
    places: BTreeMap<String, Place>,
}

impl Asked<'_> {
    fn add<'p>(&mut self, packages: impl Iterator<Item = (&'p String, &'p Range<usize>)>) {
        for (package, span) in packages {
            let Some(place) = self.sources.place(span) else { continue };
            self.places.entry(package.clone()).or_insert(place);
        }
    }

    fn add_written(&mut self, packages: &[Spanned<String>]) {
        let spans: Vec<_> = packages.iter().map(|one| (one.get_ref(), one.span())).collect();
        self.add(spans.iter().map(|(package, span)| (*package, span)));
    }
}

/// Packages that the site adds to roles.
fn site_roles(
    site: &RawSite,
    roles: &mut BTreeMap<String, Role>,
    asked: &mut Asked<'_>,
) -> Result<()> {
    for (name, change) in &site.roles {
        let known: Vec<String> = roles.keys().cloned().collect();
        let Some(role) = roles.get_mut(name.get_ref()) else {
            return Err(unknown("role", name, &known, asked.sources));
        };
        role.packages.extend(change.packages.iter().map(|one| one.get_ref().clone()));
        asked.add_written(&change.packages);
    }
    Ok(())
}

type Roles = (BTreeMap<String, Role>, BTreeMap<String, RoleSpans>);

fn load_roles(tree: &Tree, sources: &mut Sources) -> Result<Roles> {
    let mut raw_roles: Vec<(String, RawRole)> = Vec::new();
    for (file, content) in toml_files(tree, "roles") {
        let path = format!("roles/{file}.toml");
        raw_roles.push((file.to_owned(), sources.parse(&path, content)?));
    }
    let names: Vec<String> = raw_roles.iter().map(|(name, _)| name.clone()).collect();
    let (mut roles, mut spans) = (BTreeMap::new(), BTreeMap::new());
    for (name, raw) in raw_roles {
        let (role, role_spans) = role::role(&name, raw, &names, tree, sources)?;
        roles.insert(name.clone(), role);
        spans.insert(name, role_spans);
    }
    Ok((roles, spans))
}

fn load_site(tree: &Tree, sources: &mut Sources) -> Result<RawSite> {
    match tree.get("site.toml") {
        Some(file) => sources.parse("site.toml", &file.content),
        None => Ok(RawSite::default()),
    }
}

fn load_images(tree: &Tree, sources: &mut Sources) -> Result<BTreeMap<String, RawArchitecture>> {
    let mut images = BTreeMap::new();
    for (file, content) in toml_files(tree, "images") {
        let raw = sources.parse(&format!("images/{file}.toml"), content)?;
        images.insert(file.to_owned(), raw);
    }
    if images.is_empty() {
        return Err(Error::input("the project has no architecture: images/ holds no .toml file")
            .hint(
                "run imagebuild in the project's folder, or without one to use the built-in six",
            ));
    }
    Ok(images)
}

/// The TOML files directly in `folder`, without their ending.
fn toml_files<'a>(
    tree: &'a Tree,
    folder: &'a str,
) -> impl Iterator<Item = (&'a str, &'a [u8])> + 'a {
    tree.below(folder).filter_map(|(path, file)| {
        let name = path.strip_suffix(".toml").filter(|name| !name.contains('/'))?;
        Some((name, file.content.as_slice()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_project_is_right() {
        let spec = Spec::load(Tree::embedded()).unwrap_or_else(|error| panic!("{error}"));
        let arch4 = spec.architecture("arch4").unwrap();
        assert_eq!(arch4.servers.keys().collect::<Vec<_>>(), ["database1", "web1", "web2"]);
    }
}
