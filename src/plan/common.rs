//! What all servers of the spec have in common is installed once: in the book's
//! architectures that is half of the work of every server.

use super::server::set_name;
use super::step::PackageRef;
use crate::lock::file::Lock;
use crate::spec::{Server, Spec};
use std::collections::BTreeSet;

/// Those of a server's packages that all servers have.
pub(super) fn packages(spec: &Spec, lock: &Lock, packages: &[PackageRef]) -> Vec<PackageRef> {
    let servers = spec.architectures.values().flat_map(|architecture| {
        architecture.servers.values().map(|server| set_name(architecture, server))
    });
    // A set that the lock lacks is an error where it is built, not here.
    let sets: Vec<BTreeSet<&str>> = servers
        .filter_map(|name| lock.sets.get(&name))
        .map(|set| set.packages.iter().map(String::as_str).collect())
        .collect();
    let everywhere = |name: &str| sets.iter().all(|set| set.contains(name));
    let shared = packages.iter().filter(|package| everywhere(&package.name));
    shared
        .map(|package| {
            let mut package = package.clone();
            // What one server has besides makes no difference to the others.
            package.depends.retain(|name| everywhere(name));
            package
        })
        .collect()
}

/// The roles that all servers have.
pub(super) fn roles(spec: &Spec) -> BTreeSet<&str> {
    let servers = || spec.architectures.values().flat_map(|a| a.servers.values());
    let everywhere = |name: &str| servers().all(|server: &Server| server.has_role(name));
    spec.roles.keys().map(String::as_str).filter(|name| everywhere(name)).collect()
}
