//! Writes the few packets that are made here.

use super::frame::{Frame, Mac};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol,
    EthernetRepr, Icmpv6Packet, Icmpv6Repr, IpProtocol, Ipv6Packet, Ipv6Repr, NdiscRepr,
    RawHardwareAddress,
};
use std::net::{Ipv4Addr, Ipv6Addr};

/// An ARP request (or a reply) of `sender`, in a frame for `to`.
pub(crate) fn arp(
    is_request: bool,
    sender: (Ipv4Addr, Mac),
    target: (Ipv4Addr, Mac),
    to: Mac,
) -> Frame {
    let repr = ArpRepr::EthernetIpv4 {
        operation: if is_request { ArpOperation::Request } else { ArpOperation::Reply },
        source_hardware_addr: EthernetAddress(sender.1.0),
        source_protocol_addr: sender.0,
        target_hardware_addr: EthernetAddress(target.1.0),
        target_protocol_addr: target.0,
    };
    ethernet((to, sender.1), EthernetProtocol::Arp, repr.buffer_len(), |payload| {
        repr.emit(&mut ArpPacket::new_unchecked(payload));
    })
}

/// Who listens for questions after `target`: the group of all with these last 24 bits
/// (RFC 4291 2.7.1, RFC 2464 7).
pub(crate) fn solicited_node(target: Ipv6Addr) -> (Ipv6Addr, Mac) {
    let [.., x, y, z] = target.octets();
    let group = Ipv6Addr::from([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, x, y, z]);
    (group, Mac([0x33, 0x33, 0xff, x, y, z]))
}

/// A neighbour solicitation for `target`, of `source`, to `to`.
pub(crate) fn solicitation(
    target: Ipv6Addr,
    source: (Ipv6Addr, Mac),
    to: (Ipv6Addr, Mac),
) -> Frame {
    let lladdr = RawHardwareAddress::from(EthernetAddress(source.1.0));
    let solicit = NdiscRepr::NeighborSolicit { target_addr: target, lladdr: Some(lladdr) };
    icmpv6(&Icmpv6Repr::Ndisc(solicit), source, to)
}

/// A packet of ICMPv6, as neighbours on one link accept it.
pub(super) fn icmpv6(repr: &Icmpv6Repr<'_>, from: (Ipv6Addr, Mac), to: (Ipv6Addr, Mac)) -> Frame {
    let ip = Ipv6Repr {
        src_addr: from.0,
        dst_addr: to.0,
        next_header: IpProtocol::Icmpv6,
        payload_len: repr.buffer_len(),
        hop_limit: 255,
    };
    let length = ip.buffer_len() + repr.buffer_len();
    ethernet((to.1, from.1), EthernetProtocol::Ipv6, length, |payload| {
        let mut packet = Ipv6Packet::new_unchecked(payload);
        ip.emit(&mut packet);
        let mut inner = Icmpv6Packet::new_unchecked(packet.payload_mut());
        repr.emit(&from.0, &to.0, &mut inner, &ChecksumCapabilities::default());
    })
}

/// The address that follows from a network of 64 bits and a MAC address (RFC 4291,
/// appendix A).
pub(crate) fn of_mac(network: Ipv6Addr, mac: Mac) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac.0;
    let own = u64::from_be_bytes([a ^ 2, b, c, 0xff, 0xfe, d, e, f]);
    Ipv6Addr::from(u128::from(network) | u128::from(own))
}

/// A frame whose payload `emit` writes.
pub(super) fn ethernet(
    (to, from): (Mac, Mac),
    ethertype: EthernetProtocol,
    length: usize,
    emit: impl FnOnce(&mut [u8]),
) -> Frame {
    let (src_addr, dst_addr) = (EthernetAddress(from.0), EthernetAddress(to.0));
    let repr = EthernetRepr { src_addr, dst_addr, ethertype };
    let mut frame = EthernetFrame::new_unchecked(vec![0; repr.buffer_len() + length]);
    repr.emit(&mut frame);
    emit(frame.payload_mut());
    frame.into_inner().into()
}
