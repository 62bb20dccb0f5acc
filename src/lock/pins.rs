//! Locked packages as the resolver sees them, so that they stay as they are.
//!
//! A locked version that an index still lists is taken from there. One that was
//! superseded is put together from what the lock knows and from its successor.

use super::depends::{Group, Operator, Relation};
use super::file::{Lock, LockedPackage};
use super::mirror::{BUILT_IN, LOCAL};
use super::packages::Package;
use super::universe::Universe;
use crate::error::Result;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// The locked packages that stay, as the resolver sees them.
pub(super) fn pins(
    universe: &Universe<'_>,
    old: &Lock,
    loose: &BTreeSet<String>,
) -> Result<BTreeMap<String, Rc<Package>>> {
    let mut pins = BTreeMap::new();
    for locked in old.packages.values() {
        let ours = [BUILT_IN, LOCAL].contains(&locked.archive.as_str());
        if ours || loose.contains(&locked.name) {
            continue;
        }
        let listed = universe.exact(&locked.name, locked.version.as_str())?;
        let package = match listed.filter(|package| package.sha256 == locked.sha256) {
            Some(package) => package,
            None => superseded(universe, locked, universe.newest(&locked.name)?, old)?,
        };
        pins.insert(locked.name.clone(), Rc::new(package));
    }
    Ok(pins)
}

/// A locked version that the indexes do not list any more. What it provides is taken
/// from its successor; what it needs is known from the lock, but only as the answers:
/// of several sets, where a choice fell out differently. So the choices themselves are
/// its successor's, as far as the lock has answers to them, without bounds on versions;
/// a dependency that its successor has on one exact version it had on the exact locked one.
fn superseded(
    universe: &Universe<'_>,
    locked: &LockedPackage,
    newest: Option<Package>,
    old: &Lock,
) -> Result<Package> {
    let mut depends = Vec::new();
    let mut answered = BTreeSet::new();
    let groups = newest.iter().flat_map(|newest| newest.pre_depends.iter().chain(&newest.depends));
    for group in groups {
        let answers = answers(universe, group, &locked.depends)?;
        if !answers.is_empty() {
            depends.push(Group(group.0.iter().map(|one| loosened(one, old)).collect()));
            answered.extend(answers);
        }
    }
    let rest = locked.depends.iter().filter(|name| !answered.contains(*name));
    depends.extend(rest.map(|name| Group(vec![Relation::to(name)])));
    Ok(Package {
        name: locked.name.clone(),
        version: locked.version.clone(),
        architecture: locked.architecture.clone(),
        essential: newest.as_ref().is_some_and(|newest| newest.essential),
        important: newest.as_ref().is_some_and(|newest| newest.important),
        priority: newest.as_ref().map_or(5, |newest| newest.priority),
        pre_depends: Vec::new(),
        depends,
        conflicts: Vec::new(),
        breaks: Vec::new(),
        provides: newest.as_ref().map(|newest| newest.provides.clone()).unwrap_or_default(),
        multi_arch: newest.and_then(|newest| newest.multi_arch),
        filename: locked.path.clone(),
        size: locked.size,
        sha256: locked.sha256,
        installed_size: 0,
        archive: locked.archive.clone(),
    })
}

/// Those of the locked `names` that satisfy a group, whatever their versions.
fn answers(universe: &Universe<'_>, group: &Group, names: &[String]) -> Result<BTreeSet<String>> {
    let mut answers = BTreeSet::new();
    for relation in &group.0 {
        let satisfiers = universe.satisfiers(&Relation::to(&relation.name))?;
        answers.extend(satisfiers.into_iter().map(|package| package.name.clone()));
        // One that no index has any more is not among them.
        answers.insert(relation.name.clone());
    }
    answers.retain(|name| names.contains(name));
    Ok(answers)
}

/// A relation of a successor as its predecessor may have had it.
fn loosened(relation: &Relation, old: &Lock) -> Relation {
    let exact = matches!(relation.version, Some((Operator::Equal, _)));
    let locked = old.packages.get(&relation.name).filter(|_| exact);
    let mut loosened = Relation::to(&relation.name);
    loosened.version = locked.map(|other| (Operator::Equal, other.version.clone()));
    loosened
}
