//! A segment that is no Ethernet, as a provider's routed network: its router alone answers ARP
//! and neighbour discovery, for its own addresses; every packet goes through it, with a hop
//! less, to the machine that has the address. What else is said between machines reaches nobody.
//! Pure: a frame in, frames out.

use super::frame::{Content, Frame, Headers, Mac};
use super::packets;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, Icmpv6Repr, Ipv4Packet, Ipv6Packet,
    NdiscNeighborFlags, NdiscRepr, RawHardwareAddress,
};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

/// The router's hardware address, behind no port; the one that also leases addresses.
const ROUTER: Mac = Mac([0x02, 0x69, 0x6d, 0x67, 0x00, 0x02]);

/// The router of a segment, and whom it knows.
#[derive(Debug, Clone, Default)]
pub struct Router {
    gateways: Vec<IpAddr>,
    hosts: BTreeMap<IpAddr, String>,
    way_out: Option<String>,
    macs: BTreeMap<IpAddr, Mac>,
}

/// What becomes of a frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Routed {
    /// Back to its sender.
    Answer(Frame),
    /// To the port of this name.
    Pass(String, Frame),
    /// A question to that port; the packet itself is lost, and its sender repeats it.
    Ask(String, Frame),
    /// Nowhere, and why.
    Dropped(&'static str),
}

impl Router {
    /// A router with these addresses, through which all is reached.
    pub fn new(gateways: impl IntoIterator<Item = IpAddr>) -> Router {
        Router { gateways: gateways.into_iter().collect(), ..Router::default() }
    }

    /// The machine at `port` has these addresses.
    #[must_use]
    pub fn host(mut self, port: &str, addresses: impl IntoIterator<Item = IpAddr>) -> Router {
        self.hosts.extend(addresses.into_iter().map(|address| (address, port.to_owned())));
        self
    }

    /// What is for no address of the network goes to the machine at `port`, as the provider's
    /// route for 0.0.0.0/0 says.
    #[must_use]
    pub fn way_out(mut self, port: &str) -> Router {
        self.way_out = Some(port.to_owned());
        self
    }

    /// The ports that it names.
    pub(super) fn ports(&self) -> impl Iterator<Item = &str> {
        self.hosts.values().chain(&self.way_out).map(String::as_str)
    }

    /// A frame that the machine at `port` sends.
    pub(super) fn take(&mut self, port: &str, headers: &Headers, frame: &Frame) -> Routed {
        match &headers.content {
            Content::Arp { is_request, sender, mac, target } => {
                self.learn(port, (*sender).into(), *mac);
                if *is_request && self.gateways.contains(&(*target).into()) {
                    let (own, asker) = ((*target, ROUTER), (*sender, *mac));
                    return Routed::Answer(packets::arp(false, own, asker, *mac));
                }
                Routed::Dropped("a routed network: ARP is answered for the gateway only")
            }
            Content::Solicit { source, target, .. } => {
                self.learn(port, (*source).into(), headers.source);
                if self.gateways.contains(&(*target).into()) && !source.is_unspecified() {
                    return Routed::Answer(advert(*target, (*source, headers.source)));
                }
                Routed::Dropped("a routed network: the gateway is its only neighbour")
            }
            Content::Advert { target, mac, .. } => {
                if let Some(mac) = mac {
                    self.learn(port, (*target).into(), *mac);
                }
                Routed::Dropped("a routed network: announcements reach nobody")
            }
            Content::Ip { source, destination } | Content::Vrrp { source, destination, .. } => {
                self.pass(port, headers, (*source, *destination), frame)
            }
            Content::Other => Routed::Dropped("a routed network: it carries IP only"),
        }
    }

    fn pass(
        &mut self,
        port: &str,
        headers: &Headers,
        (source, destination): (IpAddr, IpAddr),
        frame: &Frame,
    ) -> Routed {
        if headers.destination != ROUTER {
            return Routed::Dropped("a routed network: it is not for the gateway");
        }
        let is_own = self.hosts.get(&source).is_some_and(|own| own == port);
        // Whoever lends its way out sends others' answers back in.
        if !is_own && self.way_out.as_deref() != Some(port) {
            return Routed::Dropped("the provider drops addresses that are not the sender's own");
        }
        self.learn(port, source, headers.source);
        if self.gateways.contains(&destination) {
            return Routed::Dropped("it is for the router itself");
        }
        let next = match (self.hosts.get(&destination), &self.way_out) {
            (Some(host), _) => (host.clone(), destination),
            (None, Some(out)) if out != port => {
                let of = |(address, host): (&IpAddr, &String)| {
                    (host == out && address.is_ipv4() == destination.is_ipv4()).then_some(*address)
                };
                match self.hosts.iter().find_map(of) {
                    Some(address) => (out.clone(), address),
                    None => return Routed::Dropped("no way leads there"),
                }
            }
            (None, _) => return Routed::Dropped("no way leads there"),
        };
        let (to, address) = next;
        match self.macs.get(&address) {
            Some(mac) => match forwarded(frame, *mac) {
                Some(frame) => Routed::Pass(to, frame),
                None => Routed::Dropped("its hops are used up"),
            },
            None => match self.question(address) {
                Some(question) => Routed::Ask(to, question),
                None => Routed::Dropped("no way leads there"),
            },
        }
    }

    /// Only of the machine that has the address: announcements of others change nothing.
    fn learn(&mut self, port: &str, address: IpAddr, mac: Mac) {
        if self.hosts.get(&address).is_some_and(|own| own == port) && !mac.is_group() {
            self.macs.insert(address, mac);
        }
    }

    fn question(&self, address: IpAddr) -> Option<Frame> {
        match address {
            IpAddr::V4(target) => {
                let own = self.gateways.iter().find_map(|one| match one {
                    IpAddr::V4(own) => Some(*own),
                    IpAddr::V6(_) => None,
                })?;
                let nobody = Mac([0; 6]);
                Some(packets::arp(true, (own, ROUTER), (target, nobody), Mac::BROADCAST))
            }
            IpAddr::V6(target) => {
                let own = self.gateways.iter().find_map(|one| match one {
                    IpAddr::V6(own) => Some(*own),
                    IpAddr::V4(_) => None,
                })?;
                let to = packets::solicited_node(target);
                Some(packets::solicitation(target, (own, ROUTER), to))
            }
        }
    }
}

fn advert(target: Ipv6Addr, to: (Ipv6Addr, Mac)) -> Frame {
    let flags =
        NdiscNeighborFlags::ROUTER | NdiscNeighborFlags::SOLICITED | NdiscNeighborFlags::OVERRIDE;
    let lladdr = Some(RawHardwareAddress::from(EthernetAddress(ROUTER.0)));
    let repr = NdiscRepr::NeighborAdvert { flags, target_addr: target, lladdr };
    packets::icmpv6(&Icmpv6Repr::Ndisc(repr), (target, ROUTER), to)
}

/// The packet on its next link, with a hop less; nothing if it had only one.
fn forwarded(frame: &Frame, to: Mac) -> Option<Frame> {
    let mut ethernet = EthernetFrame::new_checked(frame.to_vec()).ok()?;
    ethernet.set_dst_addr(EthernetAddress(to.0));
    ethernet.set_src_addr(EthernetAddress(ROUTER.0));
    match ethernet.ethertype() {
        EthernetProtocol::Ipv4 => {
            let mut packet = Ipv4Packet::new_checked(ethernet.payload_mut()).ok()?;
            let hops = packet.hop_limit().checked_sub(1).filter(|left| *left > 0)?;
            packet.set_hop_limit(hops);
            packet.fill_checksum();
        }
        EthernetProtocol::Ipv6 => {
            let mut packet = Ipv6Packet::new_checked(ethernet.payload_mut()).ok()?;
            let hops = packet.hop_limit().checked_sub(1).filter(|left| *left > 0)?;
            packet.set_hop_limit(hops);
        }
        EthernetProtocol::Arp | EthernetProtocol::Unknown(_) => return None,
    }
    Some(ethernet.into_inner().into())
}

#[cfg(test)]
mod tests {
    use super::super::frame::tests::{A, B, arp_frame, ipv4_frame};
    use super::*;

    const GATEWAY: [u8; 4] = [172, 31, 1, 1];
    const ONE: [u8; 4] = [203, 0, 113, 7];
    const TWO: [u8; 4] = [198, 51, 100, 9];

    fn router() -> Router {
        let gateways = [GATEWAY.into(), "fe80::1".parse().unwrap()];
        Router::new(gateways).host("one", [ONE.into()]).host("two", [TWO.into()])
    }

    fn take(router: &mut Router, port: &str, frame: &[u8]) -> Routed {
        router.take(port, &Headers::parse(frame).unwrap(), &frame.into())
    }

    #[test]
    fn the_gateway_alone_is_somebody() {
        let mut router = router();
        let ask = |target| arp_frame(Mac::BROADCAST, A, true, [ONE, target]);
        let Routed::Answer(answer) = take(&mut router, "one", &ask(GATEWAY)) else { panic!() };
        let content = Headers::parse(&answer).unwrap().content;
        let (sender, target) = (GATEWAY.into(), ONE.into());
        assert_eq!(content, Content::Arp { is_request: false, sender, mac: ROUTER, target });
        assert!(matches!(take(&mut router, "one", &ask(TWO)), Routed::Dropped(_)));
        // Whatever a machine announces, it gets its own packets only.
        take(&mut router, "one", &arp_frame(Mac::BROADCAST, A, true, [TWO, TWO]));
        assert_eq!(router.macs.keys().collect::<Vec<_>>(), [&IpAddr::from(ONE)]);
    }

    #[test]
    fn packets_go_through_it_with_a_hop_less() {
        let mut router = router();
        let packet = |to: Mac, from: [u8; 4]| ipv4_frame((to, A), [from, TWO], 6, b"x");
        // Nobody knows yet where the other is.
        let asked = take(&mut router, "one", &packet(ROUTER, ONE));
        assert!(matches!(asked, Routed::Ask(port, _) if port == "two"));
        take(&mut router, "two", &arp_frame(ROUTER, B, false, [TWO, GATEWAY]));
        let sent = packet(ROUTER, ONE);
        let Routed::Pass(port, passed) = take(&mut router, "one", &sent) else { panic!() };
        assert_eq!((port.as_str(), &passed[..6], &passed[6..12]), ("two", &B.0[..], &ROUTER.0[..]));
        let hops = |frame: &[u8]| Ipv4Packet::new_checked(&frame[14..]).unwrap().hop_limit();
        assert_eq!(hops(&passed) + 1, hops(&sent));
        assert!(Ipv4Packet::new_checked(&passed[14..]).unwrap().verify_checksum());
        for (to, from) in [(B, ONE), (ROUTER, TWO)] {
            assert!(matches!(take(&mut router, "one", &packet(to, from)), Routed::Dropped(_)));
        }
        let mut last = sent.to_vec();
        last[14 + 8] = 1;
        assert_eq!(take(&mut router, "one", &last), Routed::Dropped("its hops are used up"));
    }

    #[test]
    fn the_way_out_leads_through_a_machine() {
        let mut router = router().way_out("two");
        take(&mut router, "two", &arp_frame(ROUTER, B, true, [TWO, GATEWAY]));
        let outer = [192, 0, 2, 1];
        let packet = ipv4_frame((ROUTER, A), [ONE, outer], 6, b"x");
        let out = take(&mut router, "one", &packet);
        assert!(matches!(out, Routed::Pass(port, _) if port == "two"));
        // Answers from out there come back in.
        take(&mut router, "one", &arp_frame(ROUTER, A, true, [ONE, GATEWAY]));
        let back = ipv4_frame((ROUTER, B), [outer, ONE], 6, b"x");
        assert!(matches!(take(&mut router, "two", &back), Routed::Pass(port, _) if port == "one"));
        assert!(matches!(take(&mut router, "one", &back), Routed::Dropped(_)));
    }
}
