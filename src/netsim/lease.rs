//! Addresses that a segment gives away: what a provider's DHCP server (RFC 2131) and router
//! (RFC 4861, 4862) say to a machine that asks. Pure: a frame in, the answer out. The router
//! itself leads nowhere.

use super::frame::{Frame, Mac};
use super::packets;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::time::Duration;
use smoltcp::wire::{
    DhcpMessageType, DhcpPacket, DhcpRepr, EthernetAddress, EthernetFrame, EthernetProtocol,
    Icmpv6Message, Icmpv6Packet, Icmpv6Repr, IpProtocol, Ipv4Packet, Ipv4Repr, Ipv6Packet,
    NdiscPrefixInfoFlags, NdiscPrefixInformation, NdiscRepr, NdiscRouterFlags, UdpPacket, UdpRepr,
};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The router's hardware address; behind no port, as the observer's.
const ROUTER: Mac = Mac([0x02, 0x69, 0x6d, 0x67, 0x00, 0x02]);
/// Its address on the link.
const ROUTER_V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
/// All hosts on the link, and their hardware address.
const ALL_NODES: (Ipv6Addr, Mac) =
    (Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1), Mac([0x33, 0x33, 0, 0, 0, 1]));
const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;
/// Seconds: no test takes a day.
const DAY: u32 = 86_400;
/// Seconds for which a router may promise to be one (RFC 4861 6.2.1).
const ROUTER_LIFETIME: u64 = 9000;

/// What a segment gives, and to whom.
#[derive(Debug, Clone)]
pub struct Leases {
    router: Ipv4Addr,
    mask: Ipv4Addr,
    prefix: Ipv6Addr,
    given: BTreeMap<Mac, Ipv4Addr>,
}

impl Leases {
    /// Of an IPv4 network with this router and mask, and of an IPv6 network of 64 bits.
    pub fn new(router: Ipv4Addr, mask: Ipv4Addr, prefix: Ipv6Addr) -> Leases {
        Leases { router, mask, prefix, given: BTreeMap::new() }
    }

    /// Gives `address` to the interface `mac` when it asks. Strangers get no answer.
    pub fn give(&mut self, mac: Mac, address: Ipv4Addr) {
        self.given.insert(mac, address);
    }

    /// What is said to a frame, if anything is.
    pub(super) fn answer(&self, frame: &[u8]) -> Option<Frame> {
        let ethernet = EthernetFrame::new_checked(frame).ok()?;
        match ethernet.ethertype() {
            EthernetProtocol::Ipv4 => self.dhcp(ethernet.payload()),
            EthernetProtocol::Ipv6 => self.advertise(ethernet.payload()),
            EthernetProtocol::Arp | EthernetProtocol::Unknown(_) => None,
        }
    }

    fn dhcp(&self, packet: &[u8]) -> Option<Frame> {
        let packet = Ipv4Packet::new_checked(packet).ok()?;
        if packet.next_header() != IpProtocol::Udp {
            return None;
        }
        let udp = UdpPacket::new_checked(packet.payload()).ok()?;
        if udp.dst_port() != SERVER_PORT {
            return None;
        }
        let packet = DhcpPacket::new_checked(udp.payload()).ok()?;
        let question = DhcpRepr::parse(&packet).ok()?;
        let mac = Mac(question.client_hardware_address.0);
        let address = *self.given.get(&mac)?;
        let wanted = question.requested_ip.unwrap_or(address);
        let message_type = match question.message_type {
            DhcpMessageType::Discover => DhcpMessageType::Offer,
            DhcpMessageType::Request if wanted == address => DhcpMessageType::Ack,
            DhcpMessageType::Request => DhcpMessageType::Nak,
            DhcpMessageType::Offer
            | DhcpMessageType::Decline
            | DhcpMessageType::Ack
            | DhcpMessageType::Nak
            | DhcpMessageType::Release
            | DhcpMessageType::Inform
            | DhcpMessageType::Unknown(_) => return None,
        };
        let is_refused = message_type == DhcpMessageType::Nak;
        let answer = DhcpRepr {
            message_type,
            your_ip: if is_refused { Ipv4Addr::UNSPECIFIED } else { address },
            server_ip: self.router,
            server_identifier: Some(self.router),
            router: Some(self.router),
            subnet_mask: Some(self.mask),
            lease_duration: Some(DAY),
            requested_ip: None,
            parameter_request_list: None,
            max_size: None,
            ..question
        };
        let to_all = is_refused || question.broadcast;
        let to = if to_all { Ipv4Addr::BROADCAST } else { address };
        Some(self.in_udp(&answer, to, if to_all { Mac::BROADCAST } else { mac }))
    }

    fn in_udp(&self, answer: &DhcpRepr<'_>, to: Ipv4Addr, mac: Mac) -> Frame {
        let udp = UdpRepr { src_port: SERVER_PORT, dst_port: CLIENT_PORT };
        let ip = Ipv4Repr {
            src_addr: self.router,
            dst_addr: to,
            next_header: IpProtocol::Udp,
            payload_len: udp.header_len() + answer.buffer_len(),
            hop_limit: 64,
        };
        let length = ip.buffer_len() + ip.payload_len;
        let checksums = ChecksumCapabilities::default();
        packets::ethernet((mac, ROUTER), EthernetProtocol::Ipv4, length, |payload| {
            let mut packet = Ipv4Packet::new_unchecked(payload);
            ip.emit(&mut packet, &checksums);
            let mut inner = UdpPacket::new_unchecked(packet.payload_mut());
            let write = |payload: &mut [u8]| {
                // The buffer is as long as the answer said that it is.
                answer.emit(&mut DhcpPacket::new_unchecked(payload)).ok();
            };
            let (from, to) = (self.router.into(), to.into());
            udp.emit(&mut inner, &from, &to, answer.buffer_len(), write, &checksums);
        })
    }

    fn advertise(&self, packet: &[u8]) -> Option<Frame> {
        let packet = Ipv6Packet::new_checked(packet).ok()?;
        if packet.next_header() != IpProtocol::Icmpv6 {
            return None;
        }
        let question = Icmpv6Packet::new_checked(packet.payload()).ok()?;
        if question.msg_type() != Icmpv6Message::RouterSolicit {
            return None;
        }
        let advert = NdiscRepr::RouterAdvert {
            hop_limit: 64,
            flags: NdiscRouterFlags::empty(),
            router_lifetime: Duration::from_secs(ROUTER_LIFETIME),
            reachable_time: Duration::ZERO,
            retrans_time: Duration::ZERO,
            lladdr: Some(EthernetAddress(ROUTER.0).into()),
            mtu: None,
            prefix_info: Some(NdiscPrefixInformation {
                prefix_len: 64,
                flags: NdiscPrefixInfoFlags::ON_LINK | NdiscPrefixInfoFlags::ADDRCONF,
                valid_lifetime: Duration::from_secs(DAY.into()),
                preferred_lifetime: Duration::from_secs(DAY.into()),
                prefix: self.prefix,
            }),
        };
        Some(packets::icmpv6(&Icmpv6Repr::Ndisc(advert), (ROUTER_V6, ROUTER), ALL_NODES))
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::tests::{A, B, ethernet, ipv4_frame};
    use super::*;
    use proptest::prelude::*;

    fn leases() -> Leases {
        let router = Ipv4Addr::new(198, 51, 100, 1);
        let mask = Ipv4Addr::new(255, 255, 255, 0);
        let mut leases = Leases::new(router, mask, "2001:db8:1::".parse().unwrap());
        leases.give(A, Ipv4Addr::new(198, 51, 100, 11));
        leases
    }

    /// What the interface `mac` says of DHCP: its kind of message, and the address that it wants.
    fn question(mac: Mac, kind: u8, wanted: Option<[u8; 4]>) -> Frame {
        let mut message = vec![1, 1, 6, 0, 1, 2, 3, 4, 0, 0, 0, 0];
        message.extend([0; 16]);
        message.extend(mac.0);
        message.extend([0; 10 + 64 + 128]);
        message.extend([0x63, 0x82, 0x53, 0x63, 53, 1, kind]);
        message.extend(wanted.iter().flat_map(|[a, b, c, d]| [50, 4, *a, *b, *c, *d]));
        message.push(255);
        let mut udp = [68_u16, 67, (8 + message.len()) as u16, 0].map(u16::to_be_bytes).concat();
        udp.extend(message);
        ipv4_frame((Mac::BROADCAST, mac), [[0; 4], [255; 4]], 17, &udp)
    }

    /// Kind of message, address and destination of an answer.
    fn said(frame: &[u8]) -> (DhcpMessageType, String, Mac) {
        let ethernet = EthernetFrame::new_checked(frame).unwrap();
        let packet = Ipv4Packet::new_checked(ethernet.payload()).unwrap();
        let udp = UdpPacket::new_checked(packet.payload()).unwrap();
        assert!(packet.verify_checksum());
        assert!(udp.verify_checksum(&packet.src_addr().into(), &packet.dst_addr().into()));
        assert_eq!((udp.src_port(), udp.dst_port()), (67, 68));
        let packet = DhcpPacket::new_checked(udp.payload()).unwrap();
        let repr = DhcpRepr::parse(&packet).unwrap();
        assert_eq!((repr.transaction_id, repr.server_identifier), (0x0102_0304, repr.router));
        (repr.message_type, repr.your_ip.to_string(), Mac(ethernet.dst_addr().0))
    }

    #[test]
    fn a_known_card_gets_its_address_and_no_other() {
        let ask = |mac, kind, wanted| leases().answer(&question(mac, kind, wanted));
        let own = Some([198, 51, 100, 11]);
        let address = "198.51.100.11".to_owned();
        let offer = said(&ask(A, 1, None).unwrap());
        assert_eq!(offer, (DhcpMessageType::Offer, address.clone(), A));
        assert_eq!(said(&ask(A, 3, own).unwrap()), (DhcpMessageType::Ack, address, A));
        let refused = said(&ask(A, 3, Some([10, 0, 0, 1])).unwrap());
        assert_eq!(refused, (DhcpMessageType::Nak, "0.0.0.0".to_owned(), Mac::BROADCAST));
        assert_eq!(ask(B, 1, None), None);
        assert_eq!(ask(A, 7, None), None);
    }

    #[test]
    fn a_router_says_what_its_network_is() {
        let solicit =
            [&[0x60, 0, 0, 0, 0, 8, 58, 255][..], &[0xfe; 32], &[133, 0, 0, 0, 0, 0, 0, 0]];
        let frame = ethernet(Mac([0x33, 0x33, 0, 0, 0, 2]), A, 0x86dd, &solicit.concat());
        let answer = leases().answer(&frame).unwrap();
        let ethernet = EthernetFrame::new_checked(&answer).unwrap();
        let packet = Ipv6Packet::new_checked(ethernet.payload()).unwrap();
        let (from, to) = (packet.src_addr(), packet.dst_addr());
        let inner = Icmpv6Packet::new_checked(packet.payload()).unwrap();
        let repr = Icmpv6Repr::parse(&from, &to, &inner, &ChecksumCapabilities::default());
        let Ok(Icmpv6Repr::Ndisc(NdiscRepr::RouterAdvert { prefix_info, .. })) = repr else {
            panic!("{repr:?}");
        };
        assert_eq!(prefix_info.unwrap().prefix, "2001:db8:1::".parse::<Ipv6Addr>().unwrap());
    }

    proptest! {
        #[test]
        fn never_panics(at in 0..400_usize, byte: u8, end in 0..400_usize) {
            let mut bytes = question(A, 1, Some([1; 4])).to_vec();
            if let Some(one) = bytes.get_mut(at) {
                *one = byte;
            }
            bytes.truncate(end);
            drop(leases().answer(&bytes));
        }
    }
}
