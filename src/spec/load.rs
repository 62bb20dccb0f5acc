//! From the tree to the spec: which file is read as what, in which order.

use super::model::{Architecture, Site, Spec};
use super::overrides;
use super::raw::{RawArchitecture, RawSite};
use super::role::{RawRole, Role};
use super::role_checks::{self, RoleSpans};
use super::source::Sources;
use super::tree::Tree;
use super::validate;
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::path::Path;

/// All that the checks of one architecture look at besides its own file.
pub(crate) struct Surroundings<'a> {
    pub(crate) sources: &'a Sources,
    pub(crate) roles: &'a BTreeMap<String, Role>,
    pub(crate) spans: &'a BTreeMap<String, RoleSpans>,
    pub(crate) tree: &'a Tree,
    pub(crate) site: &'a Site,
}

impl Spec {
    /// Reads and checks the project in `project`.
    ///
    /// # Errors
    /// With file, line and column of the first thing that is wrong.
    pub fn read(project: &Path) -> Result<Spec> {
        Spec::load(Tree::read(project)?)
    }

    /// Checks the project in `tree`.
    ///
    /// # Errors
    /// With file, line and column of the first thing that is wrong.
    pub fn load(tree: Tree) -> Result<Spec> {
        let mut sources = Sources::default();
        let (roles, spans) = load_roles(&tree, &mut sources)?;
        let raw_site = load_site(&tree, &mut sources)?;
        let mut raw_architectures = load_images(&tree, &mut sources)?;
        let site = overrides::site(&raw_site, &sources)?;
        overrides::apply(&raw_site, &mut raw_architectures, &sources)?;
        let around = Surroundings {
            sources: &sources,
            roles: &roles,
            spans: &spans,
            tree: &tree,
            site: &site,
        };
        let mut architectures = BTreeMap::new();
        for (name, raw) in &raw_architectures {
            let architecture: Architecture = validate::architecture(name, raw, &around)?;
            architectures.insert(name.clone(), architecture);
        }
        Ok(Spec { architectures, roles, site, tree })
    }
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
        let (role, role_spans) = role_checks::role(&name, raw, &names, tree, sources)?;
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
