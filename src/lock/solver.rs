//! Which packages are marked for installation: apt's classic algorithm.
//!
//! A port of `pkgDepCache::MarkInstall` of apt 3.0.3 (apt-pkg/depcache.cc) to the
//! case of an empty system, one architecture and no Recommends. It goes depth
//! first and never backtracks further than one package; the names of functions
//! and the order of checks are apt's, because its choices depend on them.

use super::depends::Group;
use super::packages::Package;
use super::universe::Universe;
use crate::error::Result;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::rc::Rc;

mod queries;

use queries::negative;
pub(super) use queries::{objection, positive};

/// Why a package was given up.
#[derive(Debug, Clone)]
pub(super) enum Cause {
    /// A group that nothing satisfies.
    Unsatisfied,
    /// Another package that it conflicts with.
    Conflict(String),
}

/// apt's state of a package.
#[derive(Debug, Default)]
struct State {
    candidate: Option<Rc<Package>>,
    install: bool,
    protect: bool,
}

/// The marks on all packages looked at so far.
#[derive(Debug)]
pub(super) struct Solver<'u, 'a> {
    universe: &'u Universe<'a>,
    states: HashMap<String, State>,
    /// Installed packages in the order of marking.
    order: Vec<String>,
    pub(super) causes: HashMap<String, Cause>,
    /// The package for which another was first tried, and the group it was to satisfy.
    pub(super) reasons: HashMap<String, (Rc<Package>, Group)>,
}

impl<'u, 'a> Solver<'u, 'a> {
    pub(super) fn new(universe: &'u Universe<'a>) -> Solver<'u, 'a> {
        Solver {
            universe,
            states: HashMap::new(),
            order: Vec::new(),
            causes: HashMap::new(),
            reasons: HashMap::new(),
        }
    }

    /// Marks the requests as apt-get does: first all without their dependencies
    /// and protected, then each with them.
    pub(super) fn request(&mut self, names: &[String]) -> Result<()> {
        for name in names {
            self.state(name)?.protect = true;
            self.mark_install(name, false, true)?;
        }
        for name in names {
            self.mark_install(name, true, true)?;
        }
        Ok(())
    }

    fn state(&mut self, name: &str) -> Result<&mut State> {
        if !self.states.contains_key(name) {
            let candidate = self.universe.candidate(name)?;
            self.states.insert(name.to_owned(), State { candidate, ..State::default() });
        }
        Ok(self.states.entry(name.to_owned()).or_default())
    }

    fn mark_install(&mut self, name: &str, auto: bool, from_user: bool) -> Result<bool> {
        let state = self.state(name)?;
        let (protect, install) = (state.protect, state.install);
        let Some(package) = state.candidate.clone() else { return Ok(false) };
        // apt's IsModeChangeOk: a package protected in another mode stays in it.
        if protect && !install && !from_user {
            return Ok(false);
        }
        if !protect && install && !self.is_broken(&package)? {
            return Ok(true);
        }
        if !auto {
            self.mark(name)?;
            return Ok(true);
        }
        self.mark_with_dependencies(&package, protect, from_user)
    }

    fn mark_with_dependencies(
        &mut self,
        package: &Rc<Package>,
        protect: bool,
        from_user: bool,
    ) -> Result<bool> {
        let name = &package.name;
        let fail_early = !protect && !from_user;
        if from_user {
            self.mark(name)?;
        }
        // Collected before anything changes, as apt does.
        let mut wanted = Vec::new();
        for group in positive(package) {
            if protect || !self.is_satisfied(group)? {
                wanted.push(group);
            }
        }
        let mut failed = !self.remove_conflicts(package, protect, from_user)?;
        if failed && fail_early {
            return Ok(false);
        }
        self.mark(name)?;
        // apt's ScopedProtected: whatever its dependencies do, it is not touched.
        self.state(name)?.protect = true;
        let installed = self.install_dependencies(package, &wanted, protect, from_user);
        self.state(name)?.protect = protect;
        if !installed? {
            if fail_early {
                self.discard(name)?;
                return Ok(false);
            }
            failed = true;
        }
        Ok(!failed)
    }

    fn mark(&mut self, name: &str) -> Result<()> {
        let state = self.state(name)?;
        if !state.install {
            state.install = true;
            self.order.push(name.to_owned());
        }
        Ok(())
    }

    /// apt's MarkInstall_DiscardInstall: neither installed nor a candidate any more.
    fn discard(&mut self, name: &str) -> Result<()> {
        let state = self.state(name)?;
        state.install = false;
        state.candidate = None;
        Ok(())
    }

    /// apt's MarkInstall_RemoveConflictsIfNotUpgradeable.
    fn remove_conflicts(
        &mut self,
        package: &Rc<Package>,
        protect: bool,
        user: bool,
    ) -> Result<bool> {
        let mut failed = false;
        for group in negative(package) {
            for other in self.possible_solutions(group, true)? {
                let other = other.name.clone();
                if other == package.name || (!protect && !self.is_installed(&other)) {
                    continue;
                }
                if self.is_installed(&other) && self.state(&other)?.protect {
                    self.causes.insert(package.name.clone(), Cause::Conflict(other));
                    failed = true;
                    if !protect && !user {
                        return Ok(false);
                    }
                    continue;
                }
                self.causes.insert(other.clone(), Cause::Conflict(package.name.clone()));
                self.state(&other)?.install = false;
                if protect {
                    self.discard(&other)?;
                    self.state(&other)?.protect = true;
                }
            }
        }
        Ok(!failed)
    }

    /// apt's MarkInstall_InstallDependencies.
    fn install_dependencies(
        &mut self,
        package: &Rc<Package>,
        wanted: &[&Group],
        protect: bool,
        from_user: bool,
    ) -> Result<bool> {
        let mut failed = false;
        for group in wanted {
            if self.is_satisfied(group)? {
                failed |= protect && !self.protect_only_solution(group)?;
            } else if !self.install_one_of(package, group, protect)? {
                self.causes.insert(package.name.clone(), Cause::Unsatisfied);
                failed = true;
                if !protect && !from_user {
                    return Ok(false);
                }
            }
        }
        Ok(!failed)
    }

    /// A dependency of a protected package with one solution protects that, too.
    fn protect_only_solution(&mut self, group: &Group) -> Result<bool> {
        let solutions = self.possible_solutions(group, false)?;
        let [only] = solutions.as_slice() else { return Ok(true) };
        if self.state(&only.name)?.protect {
            return Ok(true);
        }
        self.state(&only.name)?.protect = true;
        self.mark_install(&only.name, true, false)
    }

    fn install_one_of(
        &mut self,
        package: &Rc<Package>,
        group: &Group,
        protect: bool,
    ) -> Result<bool> {
        let solutions = self.possible_solutions(group, false)?;
        for solution in &solutions {
            let name = &solution.name;
            if self.state(name)?.candidate.is_none() {
                continue;
            }
            if !self.is_installed(name) {
                let reason = || (package.clone(), group.clone());
                self.reasons.entry(name.clone()).or_insert_with(reason);
            }
            if protect && solutions.len() == 1 {
                if !self.mark_install(name, false, false)? {
                    continue;
                }
                self.state(name)?.protect = true;
            }
            if self.mark_install(name, true, false)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// apt's getAllPossibleSolutions: the alternatives in order, those of each by
    /// [`Solver::compare_providers`].
    fn possible_solutions(&mut self, group: &Group, negative: bool) -> Result<Vec<Rc<Package>>> {
        let mut all: Vec<Rc<Package>> = Vec::new();
        for relation in &group.0 {
            let mut found = Vec::new();
            for package in self.universe.satisfiers(relation)? {
                let state = self.state(&package.name)?;
                let lost =
                    state.candidate.is_none() || (!negative && state.protect && !state.install);
                if !lost {
                    found.push(package);
                }
            }
            found.sort_by(|a, b| self.compare_providers(a, b, &relation.name));
            all.extend(found);
        }
        all.dedup_by(|a, b| a.name == b.name);
        Ok(all)
    }

    /// apt's CompareProviders: the preferred one first.
    fn compare_providers(&self, a: &Package, b: &Package, target: &str) -> Ordering {
        let protect = |p: &Package| self.states.get(&p.name).is_some_and(|state| state.protect);
        let first = |holds: fn(&Package, &str) -> bool| holds(b, target).cmp(&holds(a, target));
        protect(b)
            .cmp(&protect(a))
            .then_with(|| first(|package, target| package.name == target))
            .then_with(|| first(|package, _| package.essential))
            .then_with(|| first(|package, _| package.important))
            .then_with(|| a.priority.cmp(&b.priority))
            .then_with(|| {
                let mention = |p: &Package| self.universe.first_mention(&p.name);
                if a.name == b.name { Ordering::Equal } else { mention(b).cmp(&mention(a)) }
            })
    }
}
