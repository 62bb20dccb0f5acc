//! What the segments saw of a scenario: who claimed which floating address, when.

use super::clock::Clock;
use super::cluster::Cluster;
use super::measure::{self, Claim};
use super::outcome::Hold;
use crate::netsim::{AddressMessage, Observation};
use crate::spec::Floating;
use std::net::IpAddr;

/// Who held each floating address, from the scenario's start to `end`.
pub(super) fn holds(cluster: &Cluster<'_>, clock: Clock, end: f64) -> Vec<Hold> {
    let mut holds = Vec::new();
    for floating in cluster.architecture.floating.values() {
        let observations = observations(cluster, floating);
        for address in floating.addresses.all() {
            let version = if address.is_ipv4() { 4 } else { 6 };
            let claims: Vec<Claim> = observations
                .iter()
                .filter_map(|one| claim(one, floating, address, clock))
                .collect();
            let own = measure::holds(&floating.name, version, &claims, cluster.advert(), end);
            // What ended before the scenario began is another one's.
            holds.extend(own.into_iter().filter(|hold| hold.to > 0.0));
        }
    }
    holds
}

/// Seconds from `from` until a floating address was announced by another machine than
/// before, if one was until `to`; the last of several.
pub(super) fn moved(cluster: &Cluster<'_>, clock: Clock, from: f64, to: f64) -> Option<f64> {
    let mut latest: Option<f64> = None;
    for floating in cluster.architecture.floating.values() {
        let observations = observations(cluster, floating);
        for address in floating.addresses.all() {
            let announced: Vec<(f64, &str)> = observations
                .iter()
                .filter(|one| one.message == AddressMessage::Announcement(address))
                .map(|one| (clock.seconds(one.at), one.port.as_str()))
                .collect();
            let before = announced.iter().rev().find(|(at, _)| *at <= from).map(|(_, port)| *port);
            let other =
                |(at, port): &&(f64, &str)| *at > from && *at <= to && Some(*port) != before;
            let first = announced.iter().find(other).map(|(at, _)| at - from);
            latest = latest.into_iter().chain(first).reduce(f64::max);
        }
    }
    latest
}

fn observations(cluster: &Cluster<'_>, floating: &Floating) -> Vec<Observation> {
    cluster
        .networks
        .get(&floating.network)
        .map(|segment| segment.observations())
        .unwrap_or_default()
}

/// An observation as a claim of an address, or as giving it up. Adverts go over IPv4 and name no
/// IPv6 address; one instance has both.
fn claim(
    observation: &Observation,
    floating: &Floating,
    address: IpAddr,
    clock: Clock,
) -> Option<Claim> {
    let is_end = match &observation.message {
        AddressMessage::Announcement(own) if *own == address => false,
        AddressMessage::Vrrp { router, priority, .. } if *router == floating.router_id => {
            *priority == 0
        }
        AddressMessage::Announcement(_)
        | AddressMessage::Vrrp { .. }
        | AddressMessage::Reply(_) => return None,
    };
    Some(Claim { at: clock.seconds(observation.at), machine: observation.port.clone(), is_end })
}
