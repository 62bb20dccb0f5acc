//! `addresses`: whether every address of the spec is on its interface.

use super::{Probe, Prober};
use crate::error::Result;
use crate::runner::cluster_checks::HEALTH;
use crate::runner::probe_result::ProbeResult;
use crate::scenario::expectation::Addresses;
use std::net::IpAddr;

impl Probe for Addresses {
    fn probe(&self, prober: &mut Prober<'_, '_>) -> Result<ProbeResult> {
        let cluster = &mut *prober.cluster;
        let architecture = cluster.architecture;
        for server in architecture.servers.values() {
            for (network, own) in &server.addresses {
                let Some(network) = architecture.networks.get(network) else { continue };
                let interface = &network.interface;
                let machine = cluster.machine(&server.name)?;
                let said =
                    machine.succeed(&format!("ip -o address show dev {interface}"), HEALTH)?;
                let one =
                    |address: IpAddr| Some(format!(" {address}/{} ", network.length(address)?));
                let wanted: Vec<String> = own.all().filter_map(one).collect();
                if let Some(address) = wanted.iter().find(|address| !said.contains(*address)) {
                    let name = &server.name;
                    return Ok(ProbeResult::NotMet(format!(
                        "{interface} of {name} lacks {}:\n{said}",
                        address.trim()
                    )));
                }
            }
        }
        Ok(ProbeResult::Met)
    }
}
