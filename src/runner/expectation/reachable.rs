//! `reachable`, `unreachable`: what a connection to a port meets.

use super::{Probe, Prober};
use crate::client::PortState;
use crate::error::Result;
use crate::runner::addresses::of_host;
use crate::runner::clients::patient;
use crate::runner::probe_result::ProbeResult;
use crate::scenario::expectation::{Reach, Reachable, Unreachable};

impl Probe for Reachable {
    fn probe(&self, prober: &mut Prober<'_, '_>) -> Result<ProbeResult> {
        all_are(true, &self.0, prober)
    }
}

impl Probe for Unreachable {
    fn probe(&self, prober: &mut Prober<'_, '_>) -> Result<ProbeResult> {
        all_are(false, &self.0, prober)
    }
}

/// Whether the port is open, or not, at all addresses.
fn all_are(is_open: bool, reach: &Reach, prober: &mut Prober<'_, '_>) -> Result<ProbeResult> {
    let host = reach.to.get_ref();
    let (_, addresses) = of_host(prober.cluster.architecture, prober.aliases, host, reach.over)?;
    let scan = patient(prober.clock.time_scale());
    for (_, address) in addresses {
        let from = reach.from.get_ref();
        let state = prober.cluster.clients.port(from, address, reach.port, scan)?;
        if (state == PortState::Open) != is_open {
            let seen = format!("port {} of {address} is {state:?}, seen from {from}", reach.port);
            return Ok(ProbeResult::NotMet(seen));
        }
    }
    Ok(ProbeResult::Met)
}
