//! The web clients of every network, and what they find out.

use super::clock::Clock;
use super::outcome::Request as Record;
use crate::client::{
    ClientConfig, Clients, Exchange, Load, LoadSpec, Pace, PortState, Request, Scan,
};
use crate::error::{Error, Result};
use crate::netsim::Segment;
use crate::scenario::{self, CLIENTS, Family, Method, Pace as Wanted};
use crate::spec::{Architecture, Network, Prefix};
use std::collections::BTreeMap;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// Web clients, by network.
#[derive(Debug)]
pub(super) struct NetworkClients(BTreeMap<String, Clients>);

impl NetworkClients {
    /// A host with an address of either version on each network.
    pub(super) fn attach(
        architecture: &Architecture,
        networks: &BTreeMap<String, Segment>,
    ) -> Result<NetworkClients> {
        let mut all = BTreeMap::new();
        for network in architecture.networks.values() {
            let Some(segment) = networks.get(&network.name) else { continue };
            let configs = configs(network)?;
            all.insert(network.name.clone(), Clients::attach(segment, CLIENTS, &configs)?);
        }
        Ok(NetworkClients(all))
    }

    /// The clients on a network.
    pub(super) fn on(&self, network: &str) -> Result<&Clients> {
        self.0.get(network).ok_or_else(|| Error::input(format!("there is no network {network}")))
    }

    /// Starts a load: one for each IP version, which share the rate, or the clients.
    pub(super) fn load(
        &self,
        network: &str,
        load: &scenario::Load,
        urls: &[(Family, String)],
        clock: Clock,
    ) -> Result<Vec<(Family, Load)>> {
        let versions = urls.len().max(1);
        let mut loads: Vec<(Family, Load)> = Vec::new();
        let numbers = Arc::new(AtomicU64::new(1));
        for (number, (family, url)) in urls.iter().enumerate() {
            let pace = match load.pace {
                Wanted::Open(rate) => {
                    let interval = rate.interval(clock.time_scale());
                    // Taking turns: two requests at the same moment would see half as much.
                    if number > 0 {
                        std::thread::sleep(interval);
                    }
                    let per_second = 1.0 / interval.mul_f64(versions as f64).as_secs_f64();
                    Pace::Open { per_second }
                }
                Wanted::Closed(people, pause) => {
                    let pause = pause.map_or(Duration::ZERO, |pause| clock.scaled(pause));
                    match share(people.get(), versions, number) {
                        0 => continue,
                        clients => Pace::Closed { clients, pause },
                    }
                }
            };
            let request = request(url, load.method, &load.body)?;
            let (deadline, keep_alive) = (clock.scaled(load.deadline), load.keep_alive);
            let numbers = Arc::clone(&numbers);
            let spec = LoadSpec { deadline, keep_alive, numbers, ..LoadSpec::new(request, pace) };
            loads.push((*family, self.on(network)?.load(spec)?));
        }
        Ok(loads)
    }

    /// One request, answered or not.
    pub(super) fn ask(&self, network: &str, url: &str, deadline: Duration) -> Result<Exchange> {
        self.on(network)?.get(url, deadline)
    }

    /// The state of one TCP port; filtered, too, where nobody has the address or no way leads
    /// to it.
    pub(super) fn port(
        &self,
        network: &str,
        address: IpAddr,
        port: u16,
        scan: Scan,
    ) -> Result<PortState> {
        let Some(found) = self.on(network)?.scan_if_there(address, port..=port, scan)? else {
            return Ok(PortState::Filtered);
        };
        let state = found.into_iter().next().map(|(_, state)| state);
        state.ok_or_else(|| Error::build(format!("the scan of {address} told nothing")))
    }
}

/// How many of `all` are in part `number` of so many equal parts; the first ones have what is
/// left over.
fn share(all: usize, parts: usize, number: usize) -> usize {
    all / parts + usize::from(number < all % parts)
}

/// A scan of machines that are `time_scale` times slower.
pub(super) fn patient(time_scale: f64) -> Scan {
    let patience =
        Duration::from_millis(200).mul_f64(time_scale.max(1.0)).max(Scan::default().patience);
    Scan { patience, ..Scan::default() }
}

/// A request of a scenario's.
fn request(url: &str, method: Method, body: &str) -> Result<Request> {
    let request = Request::get(url)?.method(&method.to_string());
    Ok(if body.is_empty() { request } else { request.body(body) })
}

/// What a load did, as the reports write it down.
pub(super) fn record(
    (name, load): (&str, &scenario::Load),
    family: Family,
    clock: Clock,
    exchange: &Exchange,
) -> Record {
    let version = match family {
        Family::V4 => 4,
        Family::V6 => 6,
    };
    let lacks = |words: &String| exchange.result.as_ref().is_ok_and(|a| !a.text().contains(words));
    let failure = exchange.complaint().or_else(|| {
        load.contains
            .as_ref()
            .filter(|words| lacks(words))
            .map(|words| format!("without {words:?}"))
    });
    Record {
        load: name.to_owned(),
        number: exchange.number,
        at: clock.seconds(exchange.sent),
        end: clock.seconds(exchange.ended),
        version,
        server: exchange.server().filter(|_| failure.is_none()).map(str::to_owned),
        failure,
    }
}

/// Addresses high up in a network's range, where no server is.
fn configs(network: &Network) -> Result<Vec<ClientConfig>> {
    at(network, 1)
}

/// As [`NetworkClients`]'s, for somebody else: the user's own browser.
pub(super) fn browsers(architecture: &Architecture, network: &str) -> Result<Vec<ClientConfig>> {
    let network = architecture.networks.get(network);
    at(network.ok_or_else(|| Error::input("there is no such network"))?, 2)
}

/// The ports of a routed network's clients, and who is behind each.
pub(super) fn of_routed(network: &Network) -> Result<[(&'static str, Vec<ClientConfig>); 2]> {
    Ok([(CLIENTS, at(network, 1)?), (BROWSERS, at(network, 2)?)])
}

/// The addresses of a network's clients; none, if they could not be chosen.
pub(super) fn addresses(network: &Network) -> Vec<IpAddr> {
    at(network, 1).into_iter().flatten().map(|client| client.address).collect()
}

/// The port of the user's own browser.
pub(super) const BROWSERS: &str = "clients-browser";

/// Nobody's networks, for clients where servers have addresses by themselves: for benchmarks
/// (RFC 2544), for examples (RFC 3849).
const ELSEWHERE: [&str; 2] = ["198.19.0.0/16", "2001:db8:d4ca::/64"];

/// Both addresses of the user with this number.
fn at(network: &Network, number: u16) -> Result<Vec<ClientConfig>> {
    if network.routed {
        return routed(network, number);
    }
    let prefixes: Vec<Prefix> = network.v4.into_iter().chain(network.v6).collect();
    if prefixes.is_empty() {
        return Err(Error::build(format!("no addresses were chosen for {}", network.name)));
    }
    prefixes
        .iter()
        .map(|prefix| ClientConfig::parse(&format!("{}/{}", high(prefix, number), prefix.length)))
        .collect()
}

/// As a server has them: by themselves, behind the gateway.
fn routed(network: &Network, number: u16) -> Result<Vec<ClientConfig>> {
    let gateways = network.gateway_v4.map(IpAddr::from).into_iter();
    let gateways = gateways.chain(network.gateway_v6.map(IpAddr::from));
    gateways
        .map(|gateway| {
            let own = if gateway.is_ipv4() { network.v4 } else { network.v6 };
            let elsewhere = ELSEWHERE[usize::from(gateway.is_ipv6())];
            let prefix = match own {
                Some(prefix) => prefix,
                None => elsewhere.parse().map_err(Error::bug)?,
            };
            let (address, prefix) =
                (high(&prefix, number), if gateway.is_ipv4() { 32 } else { 128 });
            Ok(ClientConfig { address, prefix, gateway: Some(gateway) })
        })
        .collect()
}

fn high(prefix: &Prefix, number: u16) -> IpAddr {
    match prefix.address {
        // The last one is the broadcast address.
        IpAddr::V4(address) => {
            let hosts = u32::MAX.checked_shr(u32::from(prefix.length)).unwrap_or(0);
            let last = u32::from(address) | hosts;
            Ipv4Addr::from(last.saturating_sub(4 + u32::from(number))).into()
        }
        IpAddr::V6(address) => {
            Ipv6Addr::from(u128::from(address) | 0x000f_0000 | u128::from(number)).into()
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn clients_live_where_no_server_is() {
        let high = |text: &str| super::high(&text.parse().unwrap(), 1).to_string();
        assert_eq!(high("172.16.0.0/16"), "172.16.255.250");
        assert_eq!(high("192.168.0.0/24"), "192.168.0.250");
        assert_eq!(high("2001:db8:0:1::/64"), "2001:db8:0:1::f:1");
    }

    #[test]
    fn clients_are_shared_out() {
        let shares = |all| [super::share(all, 2, 0), super::share(all, 2, 1)];
        assert_eq!([1, 4, 5].map(shares), [[1, 0], [2, 2], [3, 2]]);
    }
}
