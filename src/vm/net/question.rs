//! The frames with which a segment itself asks who has an address. IPv4: an ARP probe,
//! which has no sender and so changes nobody's tables. IPv6: a neighbour solicitation from
//! a link-local address of the observer's.

use super::frame::{Frame, Mac};
use super::sighting::{Saying, Sighting};
use super::switch::OBSERVER;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol,
    EthernetRepr, Icmpv6Packet, Icmpv6Repr, IpProtocol, Ipv6Packet, Ipv6Repr, NdiscRepr,
    RawHardwareAddress,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The question for `address`, to all.
pub(super) fn who_has(address: IpAddr) -> Frame {
    match address {
        IpAddr::V4(address) => probe(address),
        IpAddr::V6(address) => solicitation(address),
    }
}

/// Whether a sighting answers it: also an answer to all, as to a probe of IPv6.
pub(super) fn answers(sighting: &Sighting, address: IpAddr) -> bool {
    match sighting.saying {
        Saying::Answer(own) | Saying::Announcement(own) => own == address,
        Saying::Vrrp { .. } => false,
    }
}

fn probe(target: Ipv4Addr) -> Frame {
    let repr = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Request,
        source_hardware_addr: EthernetAddress(OBSERVER.0),
        source_protocol_addr: Ipv4Addr::UNSPECIFIED,
        target_hardware_addr: EthernetAddress([0; 6]),
        target_protocol_addr: target,
    };
    ethernet(Mac::BROADCAST, EthernetProtocol::Arp, repr.buffer_len(), |payload| {
        repr.emit(&mut ArpPacket::new_unchecked(payload));
    })
}

fn solicitation(target: Ipv6Addr) -> Frame {
    // RFC 4291 2.7.1 and RFC 2464 7: the group of all with these last 24 bits.
    let [.., x, y, z] = target.octets();
    let group = Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, x, y, z]);
    let mac = Mac([0x33, 0x33, 0xff, x, y, z]);
    let own = Ipv6Addr::new(0xfe80, 0, 0, 0, 0x69, 0x6d67, 0, 1);
    let repr = Icmpv6Repr::Ndisc(NdiscRepr::NeighborSolicit {
        target_addr: target,
        lladdr: Some(RawHardwareAddress::from(EthernetAddress(OBSERVER.0))),
    });
    let ip = Ipv6Repr {
        src_addr: own,
        dst_addr: group,
        next_header: IpProtocol::Icmpv6,
        payload_len: repr.buffer_len(),
        hop_limit: 255,
    };
    let length = ip.buffer_len() + repr.buffer_len();
    ethernet(mac, EthernetProtocol::Ipv6, length, |payload| {
        let mut packet = Ipv6Packet::new_unchecked(payload);
        ip.emit(&mut packet);
        let mut inner = Icmpv6Packet::new_unchecked(packet.payload_mut());
        repr.emit(&own, &group, &mut inner, &ChecksumCapabilities::default());
    })
}

fn ethernet(
    to: Mac,
    ethertype: EthernetProtocol,
    length: usize,
    emit: impl FnOnce(&mut [u8]),
) -> Frame {
    let (src_addr, dst_addr) = (EthernetAddress(OBSERVER.0), EthernetAddress(to.0));
    let repr = EthernetRepr { src_addr, dst_addr, ethertype };
    let mut frame = EthernetFrame::new_unchecked(vec![0; repr.buffer_len() + length]);
    repr.emit(&mut frame);
    emit(frame.payload_mut());
    frame.into_inner().into()
}

#[cfg(test)]
mod tests {
    use super::super::frame::{Content, Headers};
    use super::*;

    #[test]
    fn questions_are_well_formed() {
        let target = Ipv4Addr::new(172, 16, 0, 10);
        let headers = Headers::parse(&who_has(target.into())).unwrap();
        let (sender, mac) = (Ipv4Addr::UNSPECIFIED, OBSERVER);
        assert_eq!(headers.content, Content::Arp { is_request: true, sender, mac, target });
        let target: Ipv6Addr = "2001:db8::ffff:10".parse().unwrap();
        let headers = Headers::parse(&who_has(target.into())).unwrap();
        let Content::Solicit { destination, target: asked, .. } = headers.content else { panic!() };
        assert_eq!((destination, asked), ("ff02::1:ffff:10".parse().unwrap(), target));
        assert_eq!(headers.destination, Mac([0x33, 0x33, 0xff, 0xff, 0, 0x10]));
    }
}
