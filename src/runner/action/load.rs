//! `start-load`, `stop-load`.

use super::{ActionRunner, perform};
use crate::error::{Error, Result};
use crate::runner::addresses::of_host;

perform! {
    StartLoad: |one, runner| start(runner, one.0.get_ref());
    StopLoad: |one, runner| runner.loads.stop(one.0.get_ref(), runner.clock);
}

fn start(runner: &mut ActionRunner<'_, '_>, name: &str) -> Result<()> {
    let lost = || Error::input(format!("there is no load {name}"));
    let load = runner.specs.get(name).ok_or_else(lost)?;
    let architecture = runner.cluster.architecture;
    let (network, addresses) = of_host(architecture, runner.aliases, &load.url.host, load.over)?;
    let urls: Vec<_> =
        addresses.into_iter().map(|(family, address)| (family, load.url.at(address))).collect();
    let clients = &runner.cluster.clients;
    runner.loads.start(name, load, clients, (&network, &urls), runner.clock)
}
