//! The scenarios of a project: those of an architecture, and those that every
//! architecture must pass.

use super::file::{FOLDER, Scenario};
use super::promises::Promises;
use crate::error::{Error, Result};
use crate::fs;
use crate::names;
use crate::spec::{Architecture, Tree};
use std::path::Path;

/// Scenarios here belong to every architecture.
const ALL: &str = "all";

impl Scenario {
    /// The scenarios of `architecture`, those of every architecture first, sorted by name.
    ///
    /// # Errors
    /// With the place of the first thing that is wrong in any of them.
    pub fn of_architecture(tree: &Tree, architecture: &Architecture) -> Result<Vec<Scenario>> {
        let promises = Promises::built_in();
        let mut scenarios = Vec::new();
        for folder in [ALL, &architecture.name] {
            let is_for_all = folder == ALL;
            let folder = format!("{FOLDER}/{folder}");
            for (file, content) in tree.below(&folder) {
                let (path, bytes) = (format!("{folder}/{file}"), &content.content);
                scenarios.extend(if is_for_all {
                    Scenario::read_for_all(&path, bytes, architecture, &promises)?
                } else {
                    Some(Scenario::read_in(tree, (&path, bytes), architecture, &promises)?)
                });
            }
        }
        Ok(scenarios)
    }

    /// The scenario that a command line names: a file, or the name of one of the
    /// architecture's own.
    ///
    /// # Errors
    /// When there is no such file, or something in it is wrong.
    pub fn named(name: &Path, tree: &Tree, architecture: &Architecture) -> Result<Scenario> {
        if name.is_file() {
            let content = fs::read(name)?;
            let path = name.to_string_lossy();
            let promises = Promises::built_in();
            return Scenario::read_in(tree, (&path, &content), architecture, &promises);
        }
        let all = Scenario::of_architecture(tree, architecture)?;
        let wanted = name.to_string_lossy();
        let known: Vec<String> = all.iter().map(|scenario| scenario.name.clone()).collect();
        all.into_iter().find(|scenario| scenario.name == wanted).ok_or_else(|| {
            let of = &architecture.name;
            Error::input(format!("{wanted} is neither a file nor a scenario of {of}"))
                .hint(names::suggest(&wanted, known.iter().map(String::as_str)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Spec;

    #[test]
    fn whoever_has_no_website_has_no_scenario_of_it() {
        let spec = Spec::load(Tree::embedded()).unwrap();
        let mut architecture = spec.architecture("arch1").unwrap().clone();
        // Its own scenarios name servers on networks; these are for all.
        let mut tree = Tree::default();
        for (file, content) in spec.tree.below("vm-tests/all") {
            tree.insert(format!("vm-tests/all/{file}"), content.content.to_vec());
        }
        let has = |architecture: &Architecture| {
            let all = Scenario::of_architecture(&tree, architecture).unwrap();
            ["https", "as-shipped"].map(|name| all.iter().any(|scenario| scenario.name == name))
        };
        assert_eq!(has(&architecture), [true, true]);
        let mut in_the_clear = architecture.clone();
        for server in in_the_clear.servers.values_mut() {
            server.roles.retain(|role| role != "https");
        }
        assert_eq!(has(&in_the_clear), [false, true]);
        for server in architecture.servers.values_mut() {
            server.addresses.remove("public");
        }
        assert_eq!(has(&architecture), [false, true]);
    }
}
