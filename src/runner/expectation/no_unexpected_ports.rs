//! `no-unexpected-ports`: all TCP ports of all addresses, against what the spec lists.

use super::{Probe, Prober};
use crate::client::{Clients, PortState, Scan};
use crate::error::{Error, Result};
use crate::runner::clients::patient;
use crate::runner::cluster::Cluster;
use crate::runner::open_ports;
use crate::runner::probe_result::ProbeResult;
use crate::scenario::expectation::NoUnexpectedPorts;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Calls a second of all scans together, and of those for one machine: more would leave
/// emulated machines no time for their own business, and a floating address would move.
const MOST_CALLS: u32 = 15_000;
const CALLS_OF_A_MACHINE: u32 = 5_000;
/// The time scale of the machines with which that was found; slower ones get as many fewer.
const SCALE_OF_CALLS: u32 = 6;
/// How often a port of the table that was silent is asked again.
const REPEATED_CALLS: u32 = 3;

impl Probe for NoUnexpectedPorts {
    fn probe(&self, prober: &mut Prober<'_, '_>) -> Result<ProbeResult> {
        let from = self.from.as_ref().map(|from| from.get_ref().as_str());
        scan(prober.cluster, from)
    }
}

/// Whether a scan of all ports from `network` (from every one, if none is named) finds what
/// the spec lists for somebody there, and nothing else. All addresses at a time: a scan is
/// mostly waiting.
fn scan(cluster: &Cluster<'_>, network: Option<&str>) -> Result<ProbeResult> {
    let networks = cluster.architecture.networks.keys().map(String::as_str);
    let mut scans = Vec::new();
    for network in networks.filter(|name| network.is_none_or(|one| one == *name)) {
        let clients = cluster.clients.on(network)?;
        let table = open_ports::open_to(cluster.spec, cluster.architecture, network).into_iter();
        scans.extend(table.map(|(address, listed)| (network, clients, address, listed)));
    }
    let patient = patient(f64::from(cluster.time_scale));
    let size = |count: usize| u32::try_from(count).unwrap_or(u32::MAX).max(1);
    let all = MOST_CALLS.min(CALLS_OF_A_MACHINE * size(cluster.machines.len()));
    let all = all * SCALE_OF_CALLS / cluster.time_scale.max(SCALE_OF_CALLS);
    let share = all / size(scans.len());
    let how = Scan { per_second: share.clamp(1, patient.per_second), ..patient };
    let results: Vec<Result<_>> = std::thread::scope(|scope| {
        let scan = |clients: &'_ Clients, address| clients.scan(address, 1..=u16::MAX, how);
        let threads: Vec<_> = scans
            .iter()
            .map(|(_, clients, address, _)| scope.spawn(move || scan(clients, *address)))
            .collect();
        let died = |_| Err(Error::bug("the thread of a scan died"));
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(died)).collect()
    });
    let mut wrong = Vec::new();
    for ((network, clients, address, listed), found) in scans.iter().zip(results) {
        let mut open = open_of(found?);
        // In the rush of all scans a machine may have had no time for a call: what answers
        // when it is asked alone is open.
        for _ in 0..REPEATED_CALLS {
            let silent: Vec<u16> = listed.difference(&open).copied().collect();
            if silent.is_empty() {
                break;
            }
            open.extend(open_of(clients.scan(*address, silent, patient)?));
        }
        wrong.extend(complaint(*address, network, listed, &open));
    }
    Ok(ProbeResult::without(&wrong))
}

fn open_of(found: Vec<(u16, PortState)>) -> BTreeSet<u16> {
    let open = found.into_iter().filter(|(_, state)| *state == PortState::Open);
    open.map(|(port, _)| port).collect()
}

fn complaint(
    address: IpAddr,
    network: &str,
    listed: &BTreeSet<u16>,
    open: &BTreeSet<u16>,
) -> Option<String> {
    let list = |ports: Vec<&u16>| ports.iter().map(|port| port.to_string()).collect::<Vec<_>>();
    let beyond = list(open.difference(listed).collect());
    let silent = list(listed.difference(open).collect());
    match (beyond.as_slice(), silent.as_slice()) {
        ([], []) => None,
        (ports, []) => Some(format!("{address}, from {network}: also open: {}", ports.join(", "))),
        ([], ports) => Some(format!("{address}, from {network}: not open: {}", ports.join(", "))),
        (more, less) => Some(format!(
            "{address}, from {network}: also open: {}; not open: {}",
            more.join(", "),
            less.join(", ")
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_is_too_much_and_what_is_missing() {
        let set = |ports: &[u16]| ports.iter().copied().collect::<BTreeSet<u16>>();
        let complaint = |listed: &[u16], open: &[u16]| {
            super::complaint("172.16.0.11".parse().unwrap(), "public", &set(listed), &set(open))
        };
        assert_eq!(complaint(&[80], &[80]), None);
        assert_eq!(
            complaint(&[80], &[22, 3306]).as_deref(),
            Some("172.16.0.11, from public: also open: 22, 3306; not open: 80")
        );
    }
}
