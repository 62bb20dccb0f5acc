//! Resolves requests to a set of packages, or says why it cannot be done.
//!
//! The answer is what `apt-get install --no-install-recommends` would install on
//! an empty system; see `solver.rs` for how. Where apt would start to remove
//! packages again to repair a conflict, this is an error instead: a spec that
//! needs it is contradictory.

use super::depends::{Group, Relation};
use super::packages::Package;
use super::solver::{self, Cause, Solver};
use super::universe::Universe;
use crate::error::{Error, Result};
use crate::names;
use std::collections::BTreeSet;
use std::rc::Rc;

/// How many links of a chain of dependencies an error shows.
const LONGEST_CHAIN: usize = 12;

/// A package of the answer.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The package.
    pub package: Rc<Package>,
    /// The names of the packages that satisfy its dependencies, sorted.
    pub depends: Vec<String>,
}

/// Why there is no answer.
#[derive(Debug)]
pub struct Unresolvable {
    /// For the user, with the chain that leads to the problem.
    pub error: Error,
    /// The names in the chain: what could be moved to another version.
    pub involved: BTreeSet<String>,
}

impl From<Error> for Unresolvable {
    fn from(error: Error) -> Unresolvable {
        Unresolvable { error, involved: BTreeSet::new() }
    }
}

/// The packages that satisfy `requests` (in their order: it matters for choices
/// between alternatives), sorted by name.
///
/// # Errors
/// For an unknown name, an unsatisfiable dependency or a conflict.
pub fn resolve(
    universe: &Universe<'_>,
    requests: &[String],
) -> Result<Vec<Resolved>, Unresolvable> {
    let mut names = Vec::new();
    for request in requests {
        names.push(real_name(universe, request)?);
    }
    let mut solver = Solver::new(universe);
    solver.request(&names)?;
    if let Some(broken) = solver.first_broken()? {
        return Err(explain(universe, &solver, &broken)?);
    }
    let mut resolved = Vec::new();
    for package in solver.installed() {
        let depends = edges(&solver, &package)?;
        resolved.push(Resolved { package, depends });
    }
    Ok(resolved)
}

/// A request's package: itself, or the only one that provides it.
fn real_name(universe: &Universe<'_>, request: &str) -> Result<String> {
    if universe.candidate(request)?.is_some() {
        return Ok(request.to_owned());
    }
    let providers = universe.satisfiers(&Relation::to(request))?;
    match providers.as_slice() {
        [only] => Ok(only.name.clone()),
        [] => {
            let near = names::nearest(request, universe.names());
            let error = Error::input(format!("there is no package `{request}`"));
            Err(match near.is_empty() {
                true => error.hint("package names are those of Debian 13, main, amd64"),
                false => error.hint(names::suggest(request, near)),
            })
        }
        several => {
            let names: Vec<&str> = several.iter().map(|package| package.name.as_str()).collect();
            Err(Error::input(format!("`{request}` is a virtual package"))
                .hint(format!("name one that provides it: {}", names.join(", "))))
        }
    }
}

fn edges(solver: &Solver<'_, '_>, package: &Package) -> Result<Vec<String>> {
    let mut edges = BTreeSet::new();
    for group in solver::positive(package) {
        for relation in &group.0 {
            if let Some(by) = solver.installed_satisfiers(relation)?.first() {
                edges.insert(by.name.clone());
                break;
            }
        }
    }
    edges.remove(&package.name);
    Ok(edges.into_iter().collect())
}

/// Follows the causes from a broken package down to the first.
fn explain(
    universe: &Universe<'_>,
    solver: &Solver<'_, '_>,
    broken: &Rc<Package>,
) -> Result<Unresolvable> {
    let (asked, mut chain) = way_to(solver, broken);
    let mut involved = BTreeSet::new();
    let mut at = Some(broken.clone());
    while let Some(package) = at.take().filter(|_| chain.len() < 2 * LONGEST_CHAIN) {
        if !involved.insert(package.name.clone()) {
            break;
        }
        at = explain_one(universe, solver, &package, &mut chain, &mut involved)?;
    }
    let message = format!("the package `{asked}` cannot be installed");
    let error = chain.into_iter().fold(Error::input(message), Error::detail);
    let error = error.hint("change the packages in the spec, or wait until the archive is consistent again and run `imagebuild lock`");
    Ok(Unresolvable { error, involved })
}

/// The request that led to a package, and the chain of dependencies between them.
fn way_to(solver: &Solver<'_, '_>, package: &Package) -> (String, Vec<String>) {
    let mut chain = Vec::new();
    let mut name = package.name.clone();
    while let Some((by, group)) = solver.reasons.get(&name).filter(|_| chain.len() < LONGEST_CHAIN)
    {
        chain.push(format!("{} {} depends on {group}", by.name, by.version));
        name.clone_from(&by.name);
    }
    chain.reverse();
    (name, chain)
}

/// Says what is wrong with one package; gives the next to look at.
fn explain_one(
    universe: &Universe<'_>,
    solver: &Solver<'_, '_>,
    package: &Rc<Package>,
    chain: &mut Vec<String>,
    involved: &mut BTreeSet<String>,
) -> Result<Option<Rc<Package>>> {
    let shown = format!("{} {}", package.name, package.version);
    let enemy = match solver.causes.get(&package.name) {
        Some(Cause::Conflict(other)) => universe.candidate(other)?,
        _ => solver.enemies(package)?.into_iter().next(),
    };
    for group in solver::positive(package) {
        if !solver.is_satisfied(group)? {
            chain.push(format!("{shown} depends on {group}"));
            return next_in_chain(universe, solver, group, chain, involved);
        }
    }
    if let Some(other) = enemy {
        involved.insert(other.name.clone());
        let (a, b) = (package, &other);
        let said = solver::objection(a, b).map(|said| format!("{shown} {said}"));
        let said = said.or_else(|| {
            solver::objection(b, a).map(|said| format!("{} {} {said}", b.name, b.version))
        });
        chain.push(said.unwrap_or_else(|| format!("{shown} conflicts with {}", other.name)));
        chain.push(format!("and {} {} is needed as well", other.name, other.version));
    }
    Ok(None)
}

fn next_in_chain(
    universe: &Universe<'_>,
    solver: &Solver<'_, '_>,
    group: &Group,
    chain: &mut Vec<String>,
    involved: &mut BTreeSet<String>,
) -> Result<Option<Rc<Package>>> {
    for relation in &group.0 {
        involved.insert(relation.name.clone());
        let satisfiers = universe.satisfiers(relation)?;
        let fallen = satisfiers.into_iter().find(|p| solver.causes.contains_key(&p.name));
        if let Some(fallen) = fallen {
            return Ok(Some(fallen));
        }
    }
    for relation in &group.0 {
        chain.push(match universe.candidate(&relation.name)? {
            Some(there) => format!("{} is there in version {}", there.name, there.version),
            None => format!("{} is in no index and nothing provides it", relation.name),
        });
    }
    Ok(None)
}

#[cfg(test)]
#[path = "resolver_tests.rs"]
mod tests;
