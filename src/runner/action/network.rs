//! `partition`, `reset-network`, `provider`.

use super::{ActionRunner, perform};
use crate::error::Result;
use crate::netsim;
use crate::scenario::CLIENTS;
use crate::scenario::action::Partition;

perform! {
    Partition: |one, runner| partition(runner, one);
    ResetNetwork: |one, runner| {
        runner.cluster.segment(one.0.get_ref())?.reset();
        Ok(())
    };
    Provider: |one, runner| become_a_providers(runner, one.0.get_ref());
}

fn partition(runner: &ActionRunner<'_, '_>, one: &Partition) -> Result<()> {
    let member = |name: &str| match name {
        CLIENTS => CLIENTS.to_owned(),
        other => runner.aliases.machine(other).to_owned(),
    };
    let groups: Vec<Vec<String>> = one
        .groups
        .iter()
        .map(|group| group.iter().map(|name| member(name.get_ref())).collect())
        .collect();
    let groups: Vec<Vec<&str>> =
        groups.iter().map(|group| group.iter().map(String::as_str).collect()).collect();
    let slices: Vec<&[&str]> = groups.iter().map(Vec::as_slice).collect();
    runner.cluster.segment(one.network.get_ref())?.partition(&slices)
}

/// Servers may use their own addresses and the floating ones that they may hold.
fn become_a_providers(runner: &ActionRunner<'_, '_>, network: &str) -> Result<()> {
    let architecture = runner.cluster.architecture;
    let mut rules = netsim::Provider::new();
    for server in architecture.servers.values() {
        let Some(own) = server.addresses.get(network) else { continue };
        let held = architecture
            .floating
            .values()
            .filter(|floating| floating.network == network && floating.is_at(&server.name));
        let all = held.map(|floating| floating.addresses).chain([*own]);
        let all: Vec<_> = all.flat_map(|addresses| addresses.all()).collect();
        rules = rules.allow(&server.name, all);
    }
    runner.cluster.segment(network)?.provider(Some(rules))
}
