//! What holds among the packages marked so far.
//!
//! Only questions: nothing here changes a mark.

use super::Solver;
use crate::error::Result;
use crate::lock::depends::{Group, Relation};
use crate::lock::packages::Package;
use crate::lock::universe;
use std::rc::Rc;

impl Solver<'_, '_> {
    /// The packages marked, sorted by name.
    pub(in crate::lock) fn installed(&self) -> Vec<Rc<Package>> {
        let marked = self.states.values().filter(|state| state.install);
        let mut packages: Vec<_> = marked.filter_map(|state| state.candidate.clone()).collect();
        packages.sort_by(|a, b| a.name.cmp(&b.name));
        packages
    }

    pub(in crate::lock) fn is_installed(&self, name: &str) -> bool {
        self.states.get(name).is_some_and(|state| state.install)
    }

    /// The marked packages that satisfy a relation, the real one first.
    pub(in crate::lock) fn installed_satisfiers(
        &self,
        relation: &Relation,
    ) -> Result<Vec<Rc<Package>>> {
        let all = self.universe.satisfiers(relation)?;
        Ok(all.into_iter().filter(|package| self.is_installed(&package.name)).collect())
    }

    pub(in crate::lock) fn is_satisfied(&self, group: &Group) -> Result<bool> {
        for relation in &group.0 {
            if !self.installed_satisfiers(relation)?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The marked packages that `package` conflicts with (Conflicts, Breaks).
    pub(in crate::lock) fn enemies(&self, package: &Package) -> Result<Vec<Rc<Package>>> {
        let mut found = Vec::new();
        for group in negative(package) {
            for relation in &group.0 {
                let installed = self.installed_satisfiers(relation)?;
                found.extend(installed.into_iter().filter(|other| other.name != package.name));
            }
        }
        Ok(found)
    }

    /// apt's InstBroken: a dependency or a conflict of a marked package does not hold.
    pub(in crate::lock) fn is_broken(&self, package: &Package) -> Result<bool> {
        for group in positive(package) {
            if !self.is_satisfied(group)? {
                return Ok(true);
            }
        }
        Ok(!self.enemies(package)?.is_empty())
    }

    /// A marked package that is broken, the earliest marked first.
    pub(in crate::lock) fn first_broken(&self) -> Result<Option<Rc<Package>>> {
        for name in self.order.iter().filter(|name| self.is_installed(name)) {
            let candidate = self.states.get(name).and_then(|state| state.candidate.clone());
            if let Some(package) = candidate
                && self.is_broken(&package)?
            {
                return Ok(Some(package));
            }
        }
        Ok(None)
    }
}

/// Pre-Depends and Depends.
pub(in crate::lock) fn positive(package: &Package) -> impl Iterator<Item = &Group> {
    package.pre_depends.iter().chain(&package.depends)
}

/// Conflicts and Breaks.
pub(super) fn negative(package: &Package) -> impl Iterator<Item = &Group> {
    package.conflicts.iter().chain(&package.breaks)
}

/// Whether `package` names `other` in Conflicts or Breaks, and how it does.
pub(in crate::lock) fn objection(package: &Package, other: &Package) -> Option<String> {
    let names = |groups: &[Group]| {
        let mut relations = groups.iter().flat_map(|group| &group.0);
        relations.find(|relation| universe::satisfies(other, relation)).map(Relation::to_string)
    };
    let conflicts = names(&package.conflicts).map(|relation| format!("conflicts with {relation}"));
    conflicts.or_else(|| names(&package.breaks).map(|relation| format!("breaks {relation}")))
}
