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
            None => superseded(locked, universe.newest(&locked.name)?, old),
        };
        pins.insert(locked.name.clone(), Rc::new(package));
    }
    Ok(pins)
}

/// A locked version that the indexes do not list any more: what it needs is known
/// from the lock; what it provides is taken from its successor. A dependency that
/// its successor has on one exact version it had on the exact locked one.
fn superseded(locked: &LockedPackage, newest: Option<Package>, old: &Lock) -> Package {
    let exact = |name: &str| {
        let groups = newest.iter().flat_map(|p| p.pre_depends.iter().chain(&p.depends));
        let mut relations = groups.flat_map(|group| &group.0).filter(|one| one.name == name);
        relations.any(|one| matches!(one.version, Some((Operator::Equal, _))))
    };
    let group = |name: &String| {
        let mut relation = Relation::to(name);
        if let Some(other) = old.packages.get(name).filter(|_| exact(name)) {
            relation.version = Some((Operator::Equal, other.version.clone()));
        }
        Group(vec![relation])
    };
    Package {
        name: locked.name.clone(),
        version: locked.version.clone(),
        architecture: locked.architecture.clone(),
        essential: newest.as_ref().is_some_and(|newest| newest.essential),
        important: newest.as_ref().is_some_and(|newest| newest.important),
        priority: newest.as_ref().map_or(5, |newest| newest.priority),
        pre_depends: Vec::new(),
        depends: locked.depends.iter().map(group).collect(),
        conflicts: Vec::new(),
        breaks: Vec::new(),
        provides: newest.as_ref().map(|newest| newest.provides.clone()).unwrap_or_default(),
        multi_arch: newest.and_then(|newest| newest.multi_arch),
        filename: locked.path.clone(),
        size: locked.size,
        sha256: locked.sha256,
        installed_size: 0,
        archive: locked.archive.clone(),
    }
}
