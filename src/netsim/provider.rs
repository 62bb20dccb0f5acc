//! A segment as many VPS networks are: no multicast, and no frame from an address that
//! is not the sender's own. A floating address belongs to one server until an API call
//! moves it, whatever the servers themselves announce.

use super::frame::{Content, Headers};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};

/// The rules of a provider's network.
///
/// Multicast is dropped, but for the neighbour solicitations of IPv6, which such networks
/// pass on or answer themselves (nothing would work without); unsolicited neighbour
/// advertisements to all nodes are dropped with the rest. Broadcast passes: it is ARP.
/// Link-local IPv6 addresses are everyone's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provider {
    addresses: BTreeMap<String, BTreeSet<IpAddr>>,
    floating: BTreeMap<IpAddr, String>,
}

impl Provider {
    /// A provider that knows no server yet: ports that were not named are its own
    /// routers and the users behind them, and send what they like.
    pub fn new() -> Provider {
        Provider::default()
    }

    /// The server at `port` may use these addresses.
    #[must_use]
    pub fn allow(mut self, port: &str, addresses: impl IntoIterator<Item = IpAddr>) -> Provider {
        self.addresses.entry(port.to_owned()).or_default().extend(addresses);
        self
    }

    /// A floating address, which is routed to `port` until it is moved: packets for it go
    /// there whichever hardware address the sender had learnt.
    #[must_use]
    pub fn floating(mut self, address: IpAddr, port: &str) -> Provider {
        self.addresses.entry(port.to_owned()).or_default();
        self.floating.insert(address, port.to_owned());
        self
    }

    /// The ports that the rules name.
    pub(super) fn ports(&self) -> impl Iterator<Item = &str> {
        self.addresses.keys().chain(self.floating.values()).map(String::as_str)
    }

    /// Moves a floating address, as the provider's API would; false when there is no such.
    pub(super) fn move_to(&mut self, address: IpAddr, port: &str) -> bool {
        let Some(holder) = self.floating.get_mut(&address) else { return false };
        port.clone_into(holder);
        true
    }

    /// The port to which packets for `address` are routed.
    pub(super) fn route(&self, address: IpAddr) -> Option<&str> {
        self.floating.get(&address).map(String::as_str)
    }

    /// Why this provider drops a frame that `port` sends, if it does.
    pub(super) fn refuses(&self, port: &str, headers: &Headers) -> Option<&'static str> {
        let own = self.addresses.get(port)?;
        if is_dropped_multicast(headers) {
            return Some("the provider drops multicast");
        }
        let is_own = |address: IpAddr| {
            own.contains(&address)
                || self.floating.get(&address).is_some_and(|holder| holder == port)
        };
        let good = match &headers.content {
            Content::Arp { sender, .. } => sender.is_unspecified() || is_own((*sender).into()),
            Content::Advert { source, target, .. } => {
                is_free_or(*source, is_own) && is_free_or(*target, is_own)
            }
            Content::Solicit { source, .. } => is_free_or(*source, is_own),
            Content::Ip { source, .. } | Content::Vrrp { source, .. } => match source {
                IpAddr::V4(_) => is_own(*source),
                IpAddr::V6(source) => is_free_or(*source, is_own),
            },
            Content::Other => true,
        };
        (!good).then_some("the provider drops addresses that are not the sender's own")
    }
}

fn is_free_or(address: Ipv6Addr, is_own: impl Fn(IpAddr) -> bool) -> bool {
    address.is_unspecified() || address.is_unicast_link_local() || is_own(address.into())
}

fn is_dropped_multicast(headers: &Headers) -> bool {
    let is_broadcast = headers.destination == super::Mac::BROADCAST;
    let is_solicitation = matches!(headers.content, Content::Solicit { .. });
    headers.destination.is_group() && !is_broadcast && !is_solicitation
}

#[cfg(test)]
mod tests {
    use super::super::frame::Mac;
    use super::super::frame::tests::{A, B, arp_frame, ipv4_frame};
    use super::*;

    const OWN: [u8; 4] = [172, 16, 0, 11];
    const FLOATING: [u8; 4] = [172, 16, 0, 10];

    fn refuses(provider: &Provider, frame: &[u8]) -> bool {
        provider.refuses("web1", &Headers::parse(frame).unwrap()).is_some()
    }

    #[test]
    fn only_own_addresses_pass() {
        let provider = Provider::new().allow("web1", [OWN.into()]);
        let arp = |sender| arp_frame(Mac::BROADCAST, A, true, [sender, [172, 16, 0, 1]]);
        assert!(!refuses(&provider, &arp(OWN)));
        assert!(!refuses(&provider, &arp([0; 4])), "a probe has no sender");
        assert!(refuses(&provider, &arp(FLOATING)));
        let packet = |source| ipv4_frame((B, A), [source, [172, 16, 255, 1]], 6, b"");
        assert!(!refuses(&provider, &packet(OWN)));
        assert!(refuses(&provider, &packet(FLOATING)));
        let headers = Headers::parse(&packet(FLOATING)).unwrap();
        assert_eq!(provider.refuses("users", &headers), None, "its own routers send anything");
    }

    #[test]
    fn multicast_is_dropped() {
        let provider = Provider::new().allow("web1", [OWN.into()]);
        let group = Mac([1, 0, 0x5e, 0, 0, 18]);
        assert!(refuses(&provider, &ipv4_frame((group, A), [OWN, [224, 0, 0, 18]], 112, b"")));
    }

    #[test]
    fn a_floating_address_moves_only_by_the_api() {
        let mut provider = Provider::new().allow("web1", [OWN.into()]);
        provider = provider.floating(FLOATING.into(), "web2");
        let announcement = arp_frame(Mac::BROADCAST, A, true, [FLOATING, FLOATING]);
        assert!(refuses(&provider, &announcement));
        assert_eq!(provider.route(FLOATING.into()), Some("web2"));
        assert!(provider.move_to(FLOATING.into(), "web1"));
        assert!(!refuses(&provider, &announcement));
        assert!(!provider.move_to(OWN.into(), "web1"));
    }
}
